"""Telephones that encrypt what is said (SRTP, RFC 4568) hear each other, and both legs are in the clip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile

from demo.telephony import PASSWORD
from tests.end_to_end.installation import COLLEAGUE, CUSTOMER, Recorder
from tests.end_to_end.peers import baresip
from tests.fakes.likeness import likeness, speech

SECONDS = 2.5


@pytest.mark.parametrize(
    ("agents", "customers", "profile"),
    [("srtp-mand", "srtp-mand", b"RTP/SAVP"), ("srtp", "srtp", b"RTP/AVP"), ("srtp", "", b"RTP/AVP")],
)
async def test_both_legs_are_heard(
    recorder: Recorder,
    tmp_path: Path,
    agents: Literal["srtp", "srtp-mand"],
    customers: Literal["", "srtp", "srtp-mand"],
    profile: bytes,
) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    silence = np.zeros(4000, dtype=np.int16)  # until both have been told of the answer
    said = [np.append(silence, speech(SECONDS, 8000, seed)) for seed in (1, 2)]
    async with (
        baresip.Baresip(
            tmp_path / "agent", recorder.address, COLLEAGUE, said[0], password=PASSWORD, secured=agents
        ) as agent,
        baresip.Baresip(
            tmp_path / "customer", recorder.address, CUSTOMER, said[1], password=PASSWORD, secured=customers
        ) as customer,
    ):
        await customer.dial(COLLEAGUE)
        await agent.has_heard(SECONDS + 1)
        await customer.has_heard(SECONDS + 1)
        await customer.hang_up()
    file = tmp_path / "clip.wav"
    recorder.tell("clips", "export", recorder.next_clip(), str(file), *recorder.listener("coaching"))
    samples, rate = soundfile.read(file, dtype="int16")
    alike = [likeness("PCMA", voice, leg, rate) for leg, voice in zip(samples.T, said, strict=True)]
    assert min(alike) >= 0.99
