"""Telephones that encrypt what is said (SRTP, RFC 4568) hear each other, and both legs are in the clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.installation import Recorder
from tests.end_to_end.peers import baresip, linphone
from tests.end_to_end.two_phones import likenesses, linphones_likenesses


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
    alike = await linphones_likenesses(recorder, tmp_path, "PCMA", suite=suite)
    assert min(alike) >= 0.99
    assert f"crypto:1 {suite} inline:" in (tmp_path / "agent" / "debug.log").read_text(errors="replace")
