"""`doelband status` says whether calls on the trunk side may be recorded now."""

from __future__ import annotations

import pytest

from recorder.cli.status import trunk_side


@pytest.mark.parametrize(
    ("evidence", "is_connected", "said"),
    [
        ("none", False, "nothing is recorded: nobody says who speaks inside"),
        ("ami", False, "nothing is recorded: ami does not answer"),
        ("esl", True, "recorded while esl says"),
    ],
)
def test_the_state_of_the_trunk_side_is_said(evidence: str, is_connected: bool, said: str) -> None:
    assert trunk_side({"evidence": evidence, "evidence_connected": is_connected}).startswith(said)
