"""Telephones that encrypt what is said (SRTP, RFC 4568) hear each other, and both legs are in the clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.telephony import PASSWORD
from tests.end_to_end.installation import COLLEAGUE, CUSTOMER, Recorder
from tests.end_to_end.peers import baresip, linphone
from tests.end_to_end.peers.linphone import Linphone
from tests.end_to_end.two_phones import SECONDS, likenesses, likenesses_in_clip
from tests.fakes.likeness import speech


@pytest.mark.parametrize(
    ("agents", "customers", "is_encrypted"),
    [("srtp-mand", "srtp-mand", True), ("srtp", "srtp", True), ("srtp", "", False)],
)
async def test_both_legs_are_heard(
    recorder: Recorder, tmp_path: Path, agents: str, customers: str, is_encrypted: bool
) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    secured = [{"secured": it} for it in (agents, customers)]
    assert min(await likenesses(recorder, tmp_path, "PCMA", 8000, *secured)) >= 0.99
    screen = (tmp_path / "agent" / "screen.log").read_text(errors="replace")
    assert ("SRTP is Enabled" in screen) == is_encrypted


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AEAD_AES_256_GCM"])
async def test_both_legs_are_heard_under_other_suites(recorder: Recorder, tmp_path: Path, suite: str) -> None:
    if reason := linphone.missing():
        pytest.skip(reason)
    pauses = np.zeros(4000, np.int16), np.zeros(40_000, np.int16)  # it begins again when it has said all
    said = [np.concatenate((pauses[0], speech(SECONDS, 8000, seed), pauses[1])) for seed in (1, 2)]
    both: dict[str, Any] = {
        "server": recorder.address,
        "password": PASSWORD,
        "domain": f"{recorder.address[0]}:{recorder.address[1]}",
        "suite": suite,
    }
    async with (
        Linphone(tmp_path / "agent", user=COLLEAGUE, speech=said[0], **both) as called,
        Linphone(tmp_path / "customer", user=CUSTOMER, speech=said[1], **both) as caller,
    ):
        await caller.dial(COLLEAGUE)
        await called.sees("incoming")
        await called.tell("answer")
        await called.has_heard(SECONDS + 1)
        await caller.has_heard(SECONDS + 1)
        await caller.tell("terminate")
    assert min(likenesses_in_clip(recorder, tmp_path, "PCMA", 8000, said)) >= 0.99
    assert f"crypto:1 {suite} inline:" in (tmp_path / "agent" / "debug.log").read_text(errors="replace")
