"""Clip files: made once, replaced whole, removed for certain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.blobs import Blobs
from storage.errors import NotFound, Unavailable, WriteFailed
from tests.fakes.clips import new_id
from tests.fakes.disk import FaultyDisk


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    made = Blobs(tmp_path / "clips")
    made.prepare()
    return made


def create(blobs: Blobs, content: bytes = b"") -> str:
    clip = new_id()
    file = blobs.create(clip)
    os.write(file, content)
    os.close(file)
    return clip


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_nobody_else_may_look(blobs: Blobs, tmp_path: Path) -> None:
    clip = create(blobs)
    blobs.put_wraps(clip, b"wraps")
    paths = (tmp_path / "clips", blobs.path_for(clip), blobs.wraps_for(clip))
    assert [mode(path) for path in paths] == [0o700, 0o600, 0o600]


def test_a_clip_file_is_made_once(blobs: Blobs) -> None:
    clip = create(blobs, b"audio")
    with pytest.raises(WriteFailed):
        blobs.create(clip)
    assert blobs.path_for(clip).read_bytes() == b"audio"


@pytest.mark.parametrize("clip_id", ["", "../../etc/passwd", "A" * 32, "a" * 31, "a" * 32 + "\n"])
def test_an_id_cannot_lead_elsewhere(blobs: Blobs, clip_id: str) -> None:
    with pytest.raises(NotFound):
        blobs.path_for(clip_id)


def test_wraps_are_replaced_whole(blobs: Blobs) -> None:
    clip = create(blobs)
    blobs.put_wraps(clip, b"the first, long one")
    blobs.put_wraps(clip, b"second")
    assert blobs.wraps_for(clip).read_bytes() == b"second"
    assert blobs.remaining([clip]) == [f"{clip}.clip", f"{clip}.wraps"]


def test_what_is_removed_is_gone_with_all_that_belongs_to_it(blobs: Blobs, tmp_path: Path) -> None:
    gone, stays = create(blobs), create(blobs)
    blobs.put_wraps(gone, b"wraps")
    (tmp_path / "clips" / f"{gone}.wraps.new").write_bytes(b"left by a crash")
    for _ in range(2):
        blobs.remove([gone, new_id()])
        assert blobs.remaining([gone]) == []
    assert blobs.ids() == {stays}


def test_one_that_cannot_be_removed_holds_up_no_other(blobs: Blobs) -> None:
    stuck, gone = new_id(), create(blobs)
    blobs.path_for(stuck).mkdir()
    blobs.remove([stuck, gone])
    assert blobs.remaining([stuck, gone]) == [f"{stuck}.clip"]


def test_a_removal_that_may_not_last_is_told(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = create(blobs)
    FaultyDisk(monkeypatch).fail("fsync")
    with pytest.raises(Unavailable):
        blobs.remove([clip])
