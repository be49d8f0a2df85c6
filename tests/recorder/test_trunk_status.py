"""`doelband status` says whether calls on the trunk side may be recorded now."""

from __future__ import annotations

import pytest

from recorder.cli.status import trunk_side


@pytest.mark.parametrize(
    ("evidence", "is_connected", "said"),
    [
        ("phones", True, "recorded while the same dialog"),
        ("none", False, "nothing is recorded: nobody says who speaks inside"),
        ("ami", False, "nothing is recorded: ami does not answer"),
        ("esl", True, "recorded while esl says"),
    ],
)
def test_the_state_of_the_trunk_side_is_said(evidence: str, is_connected: bool, said: str) -> None:
    status = {"evidence": evidence, "evidence_connected": is_connected, "evidence_state": ""}
    assert trunk_side(status).startswith(said)


def test_what_else_the_source_tells_is_said() -> None:
    status = {
        "evidence": "dialogs",
        "evidence_connected": False,
        "evidence_state": "0 of 2, refused with 403",
    }
    assert "(0 of 2, refused with 403)" in trunk_side(status)
