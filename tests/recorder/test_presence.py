"""Who runs: the kernel's word, which ends with the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recorder import presence
from tests.fakes.holder import held


def test_a_held_lock_names_its_process_and_cannot_be_had(tmp_path: Path) -> None:
    place = tmp_path / "keys.lock"
    with held(place) as pid:
        assert presence.holder(place) == pid
        with pytest.raises(presence.Held, match=str(pid)):
            presence.claim(place)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    place = tmp_path / "keys.lock"
    with held(place):
        pass
    assert place.exists()
    assert presence.holder(place) is None


def test_who_never_ran_holds_nothing(tmp_path: Path) -> None:
    assert presence.holder(tmp_path / "keys.lock") is None


def test_a_claim_lasts_until_the_process_ends(tmp_path: Path) -> None:
    place = tmp_path / "keys.lock"
    presence.claim(place)
    look = (
        f"import pathlib; from recorder import presence; print(presence.holder(pathlib.Path({str(place)!r})))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert int(seen.stdout) == os.getpid()
