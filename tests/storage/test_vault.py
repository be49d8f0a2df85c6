"""The vault: what is durable when, what a crash leaves, and that the disk sees ciphertext only."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.clipfile import CHUNK, PayloadFailure
from storage.errors import Forgery, IllegalStep, NoDayKey, NotFound, Refused, Unavailable, WriteFailed
from storage.keyring import Keyring
from storage.lifecycle import State
from storage.model import By, Ending
from storage.records import Audio, End, Parties
from storage.vault.writer import ClipWriter
from tests.fakes.clips import DAY, plan
from tests.fakes.clock import START
from tests.fakes.disk import FaultyDisk
from tests.storage.place import VOICE, Place, only, speak


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    await made.found()
    yield made
    await made.catalogue.close()


async def test_a_finished_clip_opens_with_its_key(place: Place) -> None:
    writer = await place.vault.begin(plan())
    spoken = speak(writer, 300)
    await writer.flush()
    ended_at = START + timedelta(seconds=3)
    clip = await writer.finish("bye", ended_at, {"packets": 300})
    assert (clip.state, clip.ending, clip.seconds, clip.sha256 is not None) == (
        State.SEALED,
        Ending.COMPLETE,
        3.0,
        True,
    )
    assert clip.size == place.file(clip.id).stat().st_size
    opened = await place.vault.read(clip.id, place.k2(clip))
    assert list(opened.records) == [
        Parties("201", "+31201234567"),
        *spoken,
        End("bye", {"packets": 300}),
    ]
    assert (opened.header.tenant, opened.header.deadline_day, opened.header.clip) == ("acme", DAY, clip.id)


async def test_the_row_is_durable_before_the_first_byte(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[str, bytes]] = []
    real = place.vault.blobs.create

    def watching(clip_id: str) -> int:
        other = sqlite3.connect(place.catalogue.path)  # another process sees only what is committed
        rows.extend(other.execute("SELECT state, wrap FROM clip WHERE id = ?", (clip_id,)))
        other.close()
        return real(clip_id)

    monkeypatch.setattr(place.vault.blobs, "create", watching)
    writer = await place.vault.begin(plan())
    ((state, wrap),) = rows
    assert (state, wrap) == ("open", (await only(place)).wrap)
    await writer.finish("bye", START)


async def test_wraps_lie_beside_the_clip_and_never_in_it(place: Place) -> None:
    writer = await place.vault.begin(plan())
    clip = await writer.finish("bye", START)
    assert clip.wrap is not None
    beside = json.loads(place.vault.blobs.wraps_for(clip.id).read_bytes())
    assert beside == {"clip": clip.id, "version": 1, "wraps": [base64.b64encode(clip.wrap).decode()]}
    assert clip.wrap not in place.file(clip.id).read_bytes()


async def test_the_disk_sees_neither_voice_nor_number_nor_key(place: Place) -> None:
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    await writer.flush()
    k2 = place.k2(await only(place))
    await writer.finish("bye", START)
    for path in place.places.storage.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [it for it in (VOICE, b"31201234567", k2) if it in content], path


async def test_writing_does_no_io_and_flushing_makes_whole_chunks_durable(place: Place) -> None:
    writer = await place.vault.begin(plan())
    prologue = place.file(writer.clip_id).stat().st_size
    speak(writer, 200)
    assert place.file(writer.clip_id).stat().st_size == prologue
    await writer.flush()
    whole = 200 * (len(VOICE) + 17) // CHUNK
    assert place.file(writer.clip_id).stat().st_size == prologue + whole * (CHUNK + 16)
    await writer.finish("bye", START)


async def test_an_unfinished_chunk_is_padded_after_a_second(place: Place) -> None:
    writer = await place.vault.begin(plan())
    spoken = speak(writer, 3)
    sizes = []
    for _ in range(3):
        await writer.flush()
        sizes.append(place.file(writer.clip_id).stat().st_size)
        place.clock.advance(seconds=0.6)
    assert [sizes[1] - sizes[0], sizes[2] - sizes[1]] == [0, CHUNK + 16]
    await place.crash()
    await place.vault.recover()
    clip = await only(place)
    opened = await place.vault.read(clip.id, place.k2(clip))
    assert [record for record in opened.records if isinstance(record, Audio)] == spoken


async def test_a_clip_condemned_while_it_is_written_cannot_be_sealed(place: Place) -> None:
    writer = await place.vault.begin(plan())
    await place.catalogue.erasures.condemn([writer.clip_id], By("purge", START))
    with pytest.raises(IllegalStep):
        await writer.finish("bye", START)
    assert (await only(place)).state is State.ERASING


@pytest.mark.parametrize("given", [{"deadline_day": date(2031, 1, 1)}, {"purpose": "assessment"}])
async def test_without_a_day_key_nothing_is_recorded(place: Place, given: dict[str, Any]) -> None:
    with pytest.raises(NoDayKey):
        await place.vault.begin(plan(**given))
    assert await place.catalogue.clips.find() == []
    assert place.vault.blobs.ids() == set()


async def test_a_new_bundle_is_noticed(place: Place) -> None:
    later = DAY + timedelta(days=1)
    await (await place.vault.begin(plan())).finish("bye", START)
    with Keyring.load(place.places) as ring:
        ring.ensure_days({"coaching": [DAY, later]})
        ring.publish(START)
    clip = await (await place.vault.begin(plan(deadline_day=later))).finish("bye", START)
    assert clip.deadline_day == later


async def test_a_bundle_that_was_edited_opens_nothing(place: Place) -> None:
    path = place.places.storage / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"acme", b"evil"))
    with pytest.raises(Forgery):
        await place.vault.begin(plan())
    assert await place.catalogue.clips.find() == []


@pytest.mark.parametrize("call", ["fdatasync", "write"])
async def test_a_failed_write_or_sync_is_never_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer = await place.vault.begin(plan())
    spoken = speak(writer, 200)
    await writer.flush()
    durable = place.file(writer.clip_id).stat().st_size
    speak(writer, 200, 200)
    disk = FaultyDisk(monkeypatch)
    disk.fail(call)
    with pytest.raises(WriteFailed):
        await writer.flush()
    for again in (writer.flush, lambda: writer.finish("bye", START)):
        with pytest.raises(WriteFailed):
            await again()
    with pytest.raises(WriteFailed):
        writer.write(spoken[0])
    assert disk.calls == [call]
    disk.repair()
    clip = await only(place)
    assert (clip.ending, clip.size) == (Ending.TRUNCATED, durable)
    opened = await place.vault.read(clip.id, place.k2(clip))
    heard = [record for record in opened.records if isinstance(record, Audio)]
    assert heard
    assert heard == spoken[: len(heard)]


async def test_a_full_disk_costs_only_what_was_not_yet_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await place.vault.begin(plan())
    durable = place.file(writer.clip_id).stat().st_size
    speak(writer, 200)
    disk = FaultyDisk(monkeypatch)
    disk.write_half_then_fill_up()
    with pytest.raises(WriteFailed):
        await writer.flush()
    disk.repair()
    clip = await only(place)
    assert (clip.ending, clip.size, clip.chunks) == (Ending.TRUNCATED, durable, 0)
    assert (await place.vault.read(clip.id, place.k2(clip))).records == ()


async def test_a_file_that_cannot_be_made_is_no_recording(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FaultyDisk(monkeypatch)
    disk.fail("fdatasync")
    with pytest.raises(WriteFailed):
        await place.vault.begin(plan())
    disk.repair()
    clip = await only(place)
    assert (clip.state, clip.ending, clip.chunks) == (State.SEALED, Ending.TRUNCATED, 0)


async def test_a_condemned_clip_is_not_read_while_its_key_still_lives(place: Place) -> None:
    clip = await (await place.vault.begin(plan())).finish("bye", START)
    k2 = place.k2(clip)
    await place.catalogue.erasures.condemn([clip.id], By("purge", START))
    with pytest.raises(Refused):
        await place.vault.read(clip.id, k2)


async def test_only_a_sealed_clip_is_read(place: Place) -> None:
    writer = await place.vault.begin(plan())
    k2 = place.k2(await only(place))
    with pytest.raises(Refused) as refusal:
        await place.vault.read(writer.clip_id, k2)
    assert refusal.value.reason == "not-sealed"
    await writer.finish("bye", START)
    place.file(writer.clip_id).unlink()
    with pytest.raises(NotFound):
        await place.vault.read(writer.clip_id, k2)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE recording SET purpose = 'evidence'",
        "UPDATE clip SET deadline_day = '2033-01-01'",
        "UPDATE clip SET header_hash = zeroblob(64)",
        "UPDATE clip SET close_record = zeroblob(300)",
    ],
)
async def test_a_row_that_disagrees_with_its_file_is_a_forgery(place: Place, edit: str) -> None:
    clip = await (await place.vault.begin(plan())).finish("bye", START)
    k2 = place.k2(clip)
    other = sqlite3.connect(place.catalogue.path)
    other.execute(edit)
    other.commit()
    other.close()
    with pytest.raises(Forgery):
        await place.vault.read(clip.id, k2)


async def test_a_file_that_was_cut_after_sealing_is_a_forgery(place: Place) -> None:
    writer = await place.vault.begin(plan())
    speak(writer, 300)
    clip = await writer.finish("bye", START)
    path = place.file(clip.id)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PayloadFailure):
        await place.vault.read(clip.id, place.k2(clip))


async def test_what_never_reached_its_row_is_settled_once_the_catalogue_is_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("write to the catalogue", "look at the disk")

    given_up, running = await place.vault.begin(plan()), await place.vault.begin(plan(recording_id="b" * 32))
    for writer in (given_up, running):
        speak(writer, 300)
        await writer.flush()
    clips = place.catalogue.clips
    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(type(clips), "seal", away)
        await given_up.finish("bye", START + timedelta(seconds=6))
    assert (await clips.show(given_up.clip_id)).state is State.OPEN
    await place.vault.settle()
    settled = await clips.show(given_up.clip_id)
    assert (settled.state, settled.ending) == (State.SEALED, Ending.COMPLETE)
    assert (await running.finish("bye", START + timedelta(seconds=6))).ending is Ending.COMPLETE


async def test_a_clip_whose_beginning_was_not_waited_for_is_settled(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun = asyncio.Event()

    async def start(*_: object) -> None:
        has_begun.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(ClipWriter, "start", start)
        beginning = asyncio.create_task(place.vault.begin(plan()))
        await has_begun.wait()
        beginning.cancel()
        await asyncio.wait([beginning])
    (left,) = await place.catalogue.clips.unfinished()
    await place.vault.settle()
    assert (await place.catalogue.clips.show(left.id)).ending is Ending.TRUNCATED
