"""Two telephones that speak something better, or narrower, than G.711: both legs are in the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from demo.telephony import PASSWORD
from tests.end_to_end.installation import COLLEAGUE, CUSTOMER, Recorder
from tests.end_to_end.peers import baresip
from tests.fakes.likeness import WAVEFORM, likeness, speech

CODECS = {  # in the words of baresip
    "G722": "G722/16000/1",
    "OPUS": "opus/48000/2",
    "GSM": "GSM/8000/1",
    "AMR": "AMR/8000/1",
    "AMR-WB": "AMR-WB/16000/1",
    "L16": "L16/16000/1",
}
SECONDS = 2.5


@pytest.mark.parametrize("name", CODECS)
async def test_both_legs_are_heard(recorder: Recorder, tmp_path: Path, name: str) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    own = int(CODECS[name].split("/")[1])
    silence = np.zeros(own // 2, dtype=np.int16)  # until both have been told of the answer
    said = [np.append(silence, speech(SECONDS, own, seed)) for seed in (1, 2)]
    async with (
        baresip.Baresip(
            tmp_path / "agent", recorder.address, COLLEAGUE, said[0], CODECS[name], PASSWORD, rate=own
        ) as agent,
        baresip.Baresip(
            tmp_path / "customer", recorder.address, CUSTOMER, said[1], CODECS[name], PASSWORD, rate=own
        ) as customer,
    ):
        await customer.dial(COLLEAGUE)
        await agent.has_heard(SECONDS + 1)
        await customer.has_heard(SECONDS + 1)
        await customer.hang_up()
    file = tmp_path / "clip.wav"
    recorder.tell("clips", "export", recorder.next_clip(), str(file), *recorder.listener("coaching"))
    samples, rate = soundfile.read(file, dtype="int16")
    assert rate == own
    alike = [likeness(name, voice, leg, rate) for leg, voice in zip(samples.T, said, strict=True)]
    assert min(alike) >= (0.99 if name in WAVEFORM else 0.9)
