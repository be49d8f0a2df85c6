"""What is measured is what is reported, and a branch that nobody takes is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.branches import PARSER, ROOT, TESTS, Branches, measure, share

MODULE = """\
def sign(number):
    if number < 0:
        return -1
    return 1
"""


def measured(folder: Path, test: str) -> Branches:
    module, tests = folder / "parted.py", folder / "test_parted.py"
    module.write_text(MODULE, encoding="utf-8")
    tests.write_text(f"from parted import sign\n\ndef test_it():\n{test}", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    (found,) = measure([tests, f"--rootdir={folder}", "-c", folder / "pytest.ini"], [module], folder)
    return found


def test_a_branch_that_nobody_takes_is_found(tmp_path: Path) -> None:
    assert measured(tmp_path, "    assert sign(1) == 1\n") == Branches("parted", 1, 2, ((2, 3),))


def test_tests_that_fail_prove_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="1 failed"):
        measured(tmp_path, "    assert sign(1) == -1\n")


@pytest.mark.parametrize(("counts", "expected"), [([(3, 4), (1, 4)], 0.5), ([(0, 0)], 0.0), ([], 0.0)])
def test_the_share_is_of_all_branches_together(counts: list[tuple[int, int]], expected: float) -> None:
    assert share(Branches("it", taken, total, ()) for taken, total in counts) == expected


def test_what_is_to_be_measured_is_there() -> None:
    assert all((ROOT / "sip_hooks" / f"{name}.py").is_file() for name in PARSER)
    assert all((ROOT / "tests" / "sip_hooks" / f"test_{name}.py").is_file() for name in TESTS)
