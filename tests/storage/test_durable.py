"""Files that are the old or the new one, and are on the disk when the call returns."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.durable import create_file, erase_file, locked, make_directory, replace_file, rewrite_file
from storage.errors import Conflict, Unavailable


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is done to the disk, in order."""
    taken: list[str] = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

    def on_fsync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        taken.append("fsync directory" if is_directory else "fsync file")
        fsync(descriptor)

    def on_replace(path: Path, target: Path) -> Path:
        taken.append("rename")
        return replace(path, target)

    def on_unlink(path: Path, missing_ok: bool = False) -> None:
        taken.append("unlink")
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", on_fsync)
    monkeypatch.setattr(Path, "replace", on_replace)
    monkeypatch.setattr(Path, "unlink", on_unlink)
    yield taken


def test_a_file_is_replaced_in_the_order_that_survives_a_crash(tmp_path: Path, steps: list[str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    replace_file(path, b"new")
    assert steps == ["unlink", "fsync file", "rename", "fsync directory"]
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


@pytest.mark.parametrize("write", [replace_file, rewrite_file])
def test_nothing_is_written_through_a_link_in_the_place_of_the_new_file(tmp_path: Path, write: Any) -> None:
    """Root may edit a configuration file in a directory that is another user's."""
    path, victim = tmp_path / "file", tmp_path / "victim"
    path.write_bytes(b"old")
    victim.write_bytes(b"untouched")
    (tmp_path / "file.new").symlink_to(victim)
    write(path, b"new")
    assert (path.read_bytes(), victim.read_bytes()) == (b"new", b"untouched")
    assert not path.is_symlink()


def test_nobody_who_keeps_a_directory_locked_holds_a_change_up_for_ever(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Unavailable, match="end the program"), locked(tmp_path, patience=0):
        pass
    with locked(tmp_path):
        pass


def test_a_file_is_created_once(tmp_path: Path, steps: list[str]) -> None:
    path = tmp_path / "file"
    create_file(path, b"first")
    assert steps == ["fsync file", "fsync directory"]
    with pytest.raises(Conflict):
        create_file(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_file_is_overwritten_before_it_is_unlinked(tmp_path: Path, steps: list[str]) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"secret")
    link.hardlink_to(path)
    erase_file(path)
    assert steps == ["fsync file", "unlink", "fsync directory"]
    assert link.read_bytes() == bytes(6)
    assert not path.exists()


def test_erasing_what_is_gone_makes_sure_that_it_is(tmp_path: Path, steps: list[str]) -> None:
    erase_file(tmp_path / "file")
    assert steps == ["fsync directory"]


def test_a_link_is_not_followed_when_erasing(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"other")
    link.symlink_to(target)
    with pytest.raises(Unavailable):
        erase_file(link)
    assert target.read_bytes() == b"other"


def test_a_directory_is_for_its_owner(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    for attempt in (replace_file, create_file):
        with pytest.raises(Unavailable, match="look at the disk"):
            attempt(tmp_path / "no" / "file", b"")
