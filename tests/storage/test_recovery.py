"""What a crash leaves after each durable step, and what recovery makes of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.blobs import UNFINISHED
from storage.clipfile import read_close_record
from storage.errors import NotFound, StorageError
from storage.inspection import Kind
from storage.lifecycle import State
from storage.model import By, Ending, Tombstone
from storage.records import Audio
from storage.signing import load_key, public_bytes
from tests.fakes.clips import DAY, new_clip, plan
from tests.fakes.clock import START
from tests.fakes.disk import Crash, crash_after, crash_after_call
from tests.storage.place import Place, only, speak


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    await made.found()
    yield made
    await made.catalogue.close()


# -- the write order, step by step ---------------------------------------------------------------------------

Faults = Callable[[pytest.MonkeyPatch, Any, str], None]
SYNCED = (lambda place: os, "fdatasync", crash_after_call)
STEPS: dict[str, tuple[int, tuple[Callable[[Place], Any], str, Faults], Ending]] = {
    "row": (0, (lambda place: place.catalogue.clips, "begin", crash_after), Ending.TRUNCATED),
    "file": (0, (lambda place: place.vault.blobs, "create", crash_after_call), Ending.TRUNCATED),
    "wraps": (0, (lambda place: place.vault.blobs, "put_wraps", crash_after_call), Ending.TRUNCATED),
    "prologue": (0, SYNCED, Ending.TRUNCATED),
    "chunks": (1, SYNCED, Ending.TRUNCATED),
    "final chunk": (2, SYNCED, Ending.TRUNCATED),
    "close record": (2, (lambda place: place.vault.blobs, "put_close", crash_after_call), Ending.COMPLETE),
    "row sealed": (2, (lambda place: place.catalogue.clips, "seal", crash_after), Ending.COMPLETE),
}
"""When the fault is put in (before the beginning, the flush or the finish), where, and how the clip ends."""


async def record(place: Place, prepare: Callable[[int], None]) -> None:
    prepare(0)
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    prepare(1)
    await writer.flush()
    prepare(2)
    await writer.finish("bye", START + timedelta(seconds=3))


@pytest.mark.parametrize("step", STEPS)
async def test_after_a_crash_the_installation_is_sound(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    when, (owner, name, crash), ending = STEPS[step]
    with monkeypatch.context() as patch:

        def prepare(now: int) -> None:
            if now == when:
                crash(patch, owner(place), name)

        with pytest.raises(Crash):
            await record(place, prepare)
    for _ in range(2):  # a crash in the middle of recovery is followed by another recovery
        await place.crash()
        await place.vault.recover()
    clip = await only(place)
    assert (clip.state, clip.ending) == (State.SEALED, ending)
    assert (await place.inspect()).findings == ()
    if clip.size:
        opened = await place.vault.read(clip.id, place.k2(clip))
        whole = ending is Ending.COMPLETE
        assert len([it for it in opened.records if isinstance(it, Audio)]) == 300 or not whole


async def test_recovery_that_crashes_is_finished_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    await writer.flush()
    for owner, name, crash in (
        (SYNCED[0](place), "fsync", crash_after_call),
        (
            place.catalogue.clips,
            "seal",
            crash_after,
        ),
    ):
        with monkeypatch.context() as patch:
            crash(patch, owner, name)
            with pytest.raises(Crash):
                await place.vault.recover()
    await place.crash()
    await place.vault.recover()
    assert (await only(place)).ending is Ending.TRUNCATED
    assert (await place.inspect()).findings == ()


@pytest.mark.parametrize("damage", ["file cut", "record changed", "of another clip"])
async def test_a_close_record_that_does_not_fit_counts_for_nothing(place: Place, damage: str) -> None:
    other = await (await place.vault.begin(plan())).finish("bye", START)
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    with failing_seal(place), pytest.raises(StorageError):
        await writer.finish("bye", START)
    file, close = place.file(writer.clip_id), place.vault.blobs.close_for(writer.clip_id)
    if damage == "file cut":
        os.truncate(file, file.stat().st_size - 1)
    elif damage == "record changed":
        close.write_bytes(close.read_bytes().replace(b"complete", b"truncated"))
    else:
        shutil.copy(place.vault.blobs.close_for(other.id), close)
    await place.crash()
    await place.vault.recover()
    assert (await place.catalogue.clips.show(writer.clip_id)).ending is Ending.TRUNCATED
    assert (await place.inspect()).findings == ()


@contextlib.contextmanager
def failing_seal(place: Place) -> Iterator[None]:
    """The row cannot be written."""
    other = sqlite3.connect(place.catalogue.path)
    other.execute("CREATE TRIGGER full BEFORE UPDATE ON clip BEGIN SELECT RAISE(ABORT, 'full'); END")
    yield
    other.execute("DROP TRIGGER full")
    other.close()


async def test_a_clip_that_cannot_be_sealed_holds_up_no_other(place: Place) -> None:
    stuck, other = new_clip(), await place.vault.begin(plan())
    await place.catalogue.clips.begin(stuck, By("recorder", START))
    place.file(stuck.id).mkdir()
    await place.crash()
    recovered = await place.vault.recover()
    assert (recovered.sealed, recovered.failed) == ([other.clip_id], [stuck.id])
    assert [(it.kind, it.subject) for it in (await place.inspect()).findings] == [(Kind.LEFT_OPEN, stuck.id)]


async def test_audio_whose_row_is_gone_is_left_for_somebody_to_judge(place: Place) -> None:
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    clip = await writer.finish("bye", START)
    other = sqlite3.connect(place.catalogue.path)
    other.execute("DELETE FROM clip")
    other.commit()
    other.close()
    recovered = await place.vault.recover()
    assert (recovered.strays, recovered.removed) == ([clip.id], [])
    assert place.file(clip.id).exists()


async def test_a_destroyed_clip_that_was_put_back_is_removed(place: Place) -> None:
    clip = await (await place.vault.begin(plan())).finish("bye", START)
    copy = place.file(clip.id).read_bytes()
    by = By("purge", START)
    await place.catalogue.erasures.condemn([clip.id], by)
    await place.catalogue.erasures.bury([Tombstone(clip.id, clip.recording, "coaching", DAY, "x", START)], by)
    place.vault.blobs.remove([clip.id])
    place.file(clip.id).write_bytes(copy)
    assert (await place.vault.recover()).removed == [clip.id]
    assert place.vault.blobs.ids() == set()


# -- what is found at the start ------------------------------------------------------------------------------


async def test_after_a_crash_the_whole_chunks_are_sealed_as_truncated(place: Place) -> None:
    writer = await place.vault.begin(plan())
    spoken = speak(writer, 300)
    await writer.flush()
    with place.file(writer.clip_id).open("ab") as torn:
        torn.write(b"half a chunk")
    await place.crash()
    recovered = await place.vault.recover()
    assert (recovered.sealed, recovered.removed) == ([writer.clip_id], [])
    clip = await only(place)
    assert (clip.state, clip.ending, clip.seconds) == (State.SEALED, Ending.TRUNCATED, None)
    opened = await place.vault.read(clip.id, place.k2(clip))
    heard = [record for record in opened.records if isinstance(record, Audio)]
    assert opened.ending is Ending.TRUNCATED
    assert heard
    assert heard == spoken[: len(heard)]
    assert (await place.vault.recover()).sealed == []


async def test_recovery_needs_no_key_but_the_recorders_own(place: Place) -> None:
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    await writer.flush()
    for path in [
        *place.places.keys.rglob("*"),
        *place.places.epochs.rglob("*"),
        *place.places.storage.glob("bundle.*"),
    ]:
        if path.is_file():
            path.unlink()
    await place.crash()
    assert (await place.vault.recover()).sealed == [writer.clip_id]


@pytest.mark.parametrize("content", [None, b"", b"doelband-clip/1\n\0\0"])
async def test_a_clip_that_got_no_prologue_is_sealed_empty(place: Place, content: bytes | None) -> None:
    new = new_clip()
    await place.catalogue.clips.begin(new, By("recorder", START))
    if content is not None:
        place.file(new.id).write_bytes(content)
    await place.vault.recover()
    clip = await only(place)
    assert (clip.ending, clip.chunks, clip.size) == (Ending.TRUNCATED, 0, 0)
    assert clip.close_record is not None
    public = public_bytes(load_key(place.places.storage / "recorder.key"))
    assert read_close_record(clip.close_record, public).ending is Ending.TRUNCATED
    assert not place.file(new.id).exists()
    with pytest.raises(NotFound, match="nothing in it"):
        await place.vault.read(clip.id, bytes(32))


@pytest.mark.parametrize("suffix", UNFINISHED)
async def test_a_file_that_was_half_written_in_the_crash_is_not_left(place: Place, suffix: str) -> None:
    new = new_clip()
    await place.catalogue.clips.begin(new, By("recorder", START))
    finished = await (await place.vault.begin(plan())).finish("bye", START)
    before = place.vault.blobs.present(finished.id)
    for clip_id in (new.id, finished.id):
        place.file(clip_id).with_suffix(suffix).write_bytes(b"half a")
    recovered = await place.vault.recover()
    assert (recovered.sealed, recovered.removed) == ([new.id], [])
    assert place.vault.blobs.present(finished.id) == before
    assert not [it for it in place.vault.blobs.present(new.id) if it in UNFINISHED]


async def test_a_file_without_a_row_is_removed_and_noted(place: Place) -> None:
    writer = await place.vault.begin(plan())
    kept = await writer.finish("bye", START)
    stray = "ab" * 16
    for suffix in ("clip", "wraps"):
        place.file(stray).with_suffix(f".{suffix}").write_bytes(b"whose is this?")
    recovered = await place.vault.recover()
    assert recovered.removed == [stray]
    assert place.vault.blobs.ids() == {kept.id}
    assert [row.action for row in await place.catalogue.audit.rows(stray)] == ["clip.orphan"]


async def test_what_is_condemned_is_left_to_the_purge(place: Place) -> None:
    writer = await place.vault.begin(plan())
    await place.catalogue.erasures.condemn([writer.clip_id], By("purge", START))
    await place.crash()
    recovered = await place.vault.recover()
    assert (recovered.sealed, recovered.removed) == ([], [])
    assert place.file(writer.clip_id).exists()


async def test_a_finish_whose_row_cannot_be_written_is_recovered_whole(place: Place) -> None:
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    with failing_seal(place), pytest.raises(StorageError):
        await writer.finish("bye", START)
    await place.crash()
    assert (await place.vault.recover()).sealed == [writer.clip_id]
    clip = await only(place)
    assert (await place.vault.read(clip.id, place.k2(clip))).ending is Ending.COMPLETE
