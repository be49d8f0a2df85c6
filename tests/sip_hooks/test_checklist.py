"""The checklist in docs/sip-checklist.md names every rank, and for each a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKLIST = (ROOT / "docs" / "sip-checklist.md").read_text(encoding="utf-8")
RANKS = [f"A{number}" for number in range(1, 15)] + [f"B{number}" for number in range(1, 12)]
ROW = re.compile(r"^\| ([AB]\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+)(\.py)?`")
NOT_YET: dict[str, str] = {}
"""What is not there yet, in words that the README says."""


def named_tests(text: str) -> list[tuple[str, str]]:
    """The tests that a text names, each with the file that was named before it."""
    found, file = [], ""
    for match in NAMED.finditer(text):
        if match[2]:
            file = match[1] + match[2]
        else:
            found.append((file, match[1]))
    return found


def test_every_rank_has_a_row() -> None:
    assert [rank for rank, _ in ROW.findall(CHECKLIST)] == RANKS


@pytest.mark.parametrize(("rank", "tests"), ROW.findall(CHECKLIST))
def test_every_rank_has_a_test(rank: str, tests: str) -> None:
    if rank in NOT_YET:
        assert "not yet" in tests
        assert NOT_YET[rank] in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    else:
        assert named_tests(tests)


@pytest.mark.parametrize(("file", "test"), sorted(set(named_tests(CHECKLIST))))
def test_a_test_that_the_checklist_names_is_there(file: str, test: str) -> None:
    assert f"def {test}(" in (ROOT / "tests" / "sip_hooks" / file).read_text(encoding="utf-8")


def test_the_installation_guide_warns_of_bans() -> None:
    assert "fail2ban" in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
