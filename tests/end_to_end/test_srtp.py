"""Telephones that encrypt what is said (SRTP, RFC 4568) hear each other, and both legs are in the clip."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.installation import Recorder
from tests.end_to_end.peers import baresip
from tests.end_to_end.two_phones import likenesses


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
