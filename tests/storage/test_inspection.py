"""fsck finds each kind of damage, finds none where there is none, and changes nothing."""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from storage import inspection
from storage.inspection import Finding, Inspector, Kind, Report
from storage.keyring import Places
from storage.model import By
from storage.signing import create_key, parse_public
from tests.fakes.clips import new_clip, plan
from tests.fakes.clock import START, FakeClock
from tests.purge.installation import DAYS, Installation, KeysOnDisk

DAY = DAYS[3]


class Site(Installation):
    """Two sealed clips, two parts of one recording, and one destroyed clip."""

    async def fill(self) -> None:
        await self.sweep()
        self.old_bundle = self.bundle.read_bytes()
        self.erased = await self.record(DAYS[0])
        self.wait_until_over(DAYS[0])
        await self.sweep()
        self.first, self.second = await self.record(DAY), await self.record(DAY)
        one = await self.vault.begin(plan(deadline_day=DAY, recording_id="ab" * 16))
        self.part1 = (await one.finish("bye", START)).id
        two = await self.vault.begin(
            plan(deadline_day=DAY, recording_id="ab" * 16, part=2, previous=self.part1)
        )
        self.part2 = (await two.finish("bye", START)).id

    @property
    def bundle(self) -> Path:
        return self.places.storage / "bundle.json"

    def path(self, clip_id: str, suffix: str = "clip") -> Path:
        return self.places.storage / "clips" / f"{clip_id}.{suffix}"

    def sql(self, *statements: str) -> None:
        """Somebody edits the catalogue."""
        other = sqlite3.connect(self.catalogue.path)
        for statement in statements:
            other.execute(statement)
        other.commit()
        other.close()

    async def inspect(self, patience: float = 0.0) -> Report:
        public = parse_public((self.places.storage / "recorder.key.pub").read_text())
        inspector = Inspector(self.catalogue, self.vault.blobs, public, self.places)
        return await inspector.inspect(patience)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Made once; each test damages a copy of its own."""

    async def make() -> Site:
        made = Site(tmp_path_factory.mktemp("sound"))
        await made.found()
        await made.fill()
        await made.catalogue.close()
        return made

    return asyncio.run(make())


@pytest.fixture
async def site(sound: Site, tmp_path: Path) -> AsyncIterator[Site]:
    root = tmp_path / "copy"
    shutil.copytree(sound.places.storage.parent, root)
    made = copy.copy(sound)
    made.places = Places(root / "keys", root / "provider", root / "storage")
    made.day_keys = KeysOnDisk(made.places)
    made.clock = FakeClock(sound.clock.now())
    await made.start()
    yield made
    await made.catalogue.close()


async def test_what_is_sound_is_clean(site: Site) -> None:
    report = await site.inspect()
    assert (report.findings, report.clips, report.open, report.unseen) == ((), 5, 0, ())


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def swap(one: Path, other: Path) -> None:
    between = one.with_suffix(".between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def remove_tombstone(site: Site) -> None:
    site.sql("DELETE FROM certificate", "DELETE FROM tombstone")


def bury_early(site: Site) -> None:
    site.sql(
        f"INSERT INTO tombstone SELECT '{site.first}', recording, purpose, deadline_day, reason, at"
        " FROM tombstone"
    )


def edit(column: str, value: str) -> Callable[[Site], None]:
    return lambda site: site.sql(f"UPDATE clip SET {column} = {value} WHERE id = '{site.first}'")


def forge_close_record(site: Site) -> None:
    site.sql(
        f"UPDATE clip SET close_record = (SELECT zeroblob(64) || substr(close_record, 65) FROM clip WHERE "
        f"id = '{site.first}') WHERE id = '{site.first}'"
    )


def put_keystore_back(site: Site) -> None:
    """As it was before the destruction."""
    (epoch,) = (int(it.suffix[1:]) for it in site.places.keys.glob("keystore.*"))
    (site.places.keys / f"keystore.{epoch}").rename(site.places.keys / "keystore.1")
    (site.places.epochs / f"epoch.{epoch}").rename(site.places.epochs / "epoch.1")


INVENTED = (
    "INSERT INTO clip (id, recording, part, state, deadline_day, day_key_id, header_hash, opened_at) SELECT "
    f"'{'ff' * 16}', recording, 9, state, deadline_day, day_key_id, header_hash, opened_at FROM clip LIMIT 1"
)


def remove_all(files: Iterable[Path]) -> None:
    for file in list(files):
        file.unlink()


DAMAGES: dict[str, tuple[Callable[[Site], object], Kind, str]] = {
    "file missing": (lambda it: it.path(it.first).unlink(), Kind.FILE_MISSING, "first"),
    "truncated": (lambda it: cut(it.path(it.first)), Kind.FILE_CHANGED, "first"),
    "flipped in the audio": (lambda it: flip(it.path(it.first), -3), Kind.FILE_CHANGED, "first"),
    "flipped in the header": (lambda it: flip(it.path(it.first), 40), Kind.PROLOGUE_FORGED, "first"),
    "emptied": (lambda it: it.path(it.first).write_bytes(b""), Kind.PROLOGUE_FORGED, "first"),
    "files swapped": (
        lambda it: swap(it.path(it.first), it.path(it.second)),
        Kind.FILE_OF_ANOTHER,
        "first second",
    ),
    "wraps missing": (lambda it: it.path(it.first, "wraps").unlink(), Kind.WRAPS_MISSING, "first"),
    "wraps changed": (lambda it: flip(it.path(it.first, "wraps"), 9), Kind.WRAPS_DIFFER, "first"),
    "wraps left half": (
        lambda it: it.path(it.first, "wraps.new").write_bytes(b"{"),
        Kind.UNFINISHED_FILE,
        "first",
    ),
    "close record beside changed": (
        lambda it: flip(it.path(it.first, "close"), 9),
        Kind.CLOSE_DIFFERS,
        "first",
    ),
    "close record forged": (forge_close_record, Kind.CLOSE_RECORD_FORGED, "first"),
    "close record removed": (edit("close_record", "NULL"), Kind.ROW_INCOMPLETE, "first"),
    "wrap removed": (edit("wrap", "NULL"), Kind.ROW_INCOMPLETE, "first"),
    "digest changed": (edit("sha256", "'ab'"), Kind.ROW_DIFFERS, "first"),
    "called truncated": (edit("ending", "'truncated'"), Kind.ROW_DIFFERS, "first"),
    "start moved": (
        lambda it: it.sql("UPDATE recording SET started_at = '2026-03-02T09:00:01.000000Z'"),
        Kind.ROW_DIFFERS,
        "first second part1 part2",
    ),
    "called open": (edit("state", "'open'"), Kind.LEFT_OPEN, "first"),
    "called erasing": (edit("state", "'erasing'"), Kind.LEFT_ERASING, "first"),
    "part before gone": (edit("previous", "'00'"), Kind.PART_MISSING, "first"),
    "destroyed clip restored": (
        lambda it: it.path(it.erased).write_bytes(b"back"),
        Kind.ERASED_WITH_FILE,
        "erased",
    ),
    "tombstone removed": (remove_tombstone, Kind.TOMBSTONE_MISSING, "erased"),
    "tombstone early": (bury_early, Kind.TOMBSTONE_EARLY, "first"),
    "certificate removed": (
        lambda it: it.sql("DELETE FROM certificate"),
        Kind.CERTIFICATE_MISSING,
        "erased",
    ),
    "stray clip": (
        lambda it: shutil.copy(it.path(it.first), it.path("ee" * 16)),
        Kind.STRAY_FILE,
        "ee" * 16,
    ),
    "something else": (lambda it: it.path("notes").write_bytes(b"?"), Kind.UNKNOWN_FILE, "notes.clip"),
    "leaf changed": (
        lambda it: it.sql("UPDATE audit SET actor = 'x' WHERE seq = 2"),
        Kind.AUDIT_BROKEN,
        "audit-log",
    ),
    "row invented": (lambda it: it.sql(INVENTED), Kind.ACT_MISSING, "ff" * 16),
    "loose row": (lambda it: it.sql("DELETE FROM recording"), Kind.CATALOGUE_DAMAGED, "catalogue-file"),
    "bundle gone": (
        lambda it: it.bundle.unlink(),
        Kind.BUNDLE_UNUSABLE,
        "keystore",
    ),
    "bundle restored": (
        lambda it: it.bundle.write_bytes(it.old_bundle),
        Kind.BUNDLE_OLD,
        "keystore",
    ),
    "keystore gone": (
        lambda it: remove_all(it.places.keys.glob("keystore.*")),
        Kind.KEYSTORE_MISSING,
        "keystore",
    ),
    "epoch key gone": (
        lambda it: remove_all(it.places.epochs.iterdir()),
        Kind.EPOCH_KEY_MISSING,
        "keystore",
    ),
    "old epoch left": (
        lambda it: (it.places.epochs / "epoch.1").write_bytes(b"old"),
        Kind.EPOCH_LEFT,
        "keystore",
    ),
    "keystore restored": (put_keystore_back, Kind.KEYSTORE_OLD, "keystore"),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_damage_is_found_and_named(site: Site, name: str) -> None:
    damage, kind, subjects = DAMAGES[name]
    damage(site)
    before = _files(site)
    findings = (await site.inspect()).findings
    wanted = {getattr(site, it, it) for it in subjects.split()}
    assert {it.subject for it in findings if it.kind is kind} == wanted
    assert _files(site) == before, "fsck changes nothing"


def _files(site: Site) -> dict[Path, bytes]:
    roots = (site.places.storage / "clips", site.places.keys, site.places.epochs)
    return {path: path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()}


async def test_a_removed_row_leaves_a_stray_file_and_a_leaf(site: Site) -> None:
    site.sql(f"DELETE FROM clip WHERE id = '{site.first}'")
    kinds = {it.kind for it in (await site.inspect()).findings if it.subject == site.first}
    assert kinds == {Kind.STRAY_FILE, Kind.ROW_MISSING}


async def test_a_removed_part_breaks_the_chain(site: Site) -> None:
    site.sql(f"DELETE FROM clip WHERE id = '{site.part1}'")
    findings = (await site.inspect()).findings
    assert [it.subject for it in findings if it.kind is Kind.PART_MISSING] == [site.part2]


async def test_a_clip_whose_day_key_is_gone_is_lost(site: Site) -> None:
    """The day was destroyed behind the catalogue's back."""
    await site.day_keys.destroy_days([("coaching", DAY)])
    lost = {it.subject for it in (await site.inspect()).findings if it.kind is Kind.DAY_KEY_MISSING}
    assert lost == {site.first, site.second, site.part1, site.part2}


async def test_another_recorders_key_verifies_nothing(site: Site, tmp_path: Path) -> None:
    public = create_key(tmp_path / "other.key").public_key().public_bytes_raw()
    report = await Inspector(site.catalogue, site.vault.blobs, public, site.places).inspect()
    assert {it.kind for it in report.findings} == {Kind.CLOSE_RECORD_FORGED}


async def test_keys_that_this_user_may_not_see_are_said_to_be_unseen(site: Site) -> None:
    site.places.epochs.rename(site.places.epochs.with_name("elsewhere"))
    report = await site.inspect()
    assert report.findings == ()
    assert "epoch keys" in report.unseen[0]


# -- beside a running service --------------------------------------------------------------------------------


async def test_a_clip_that_is_being_written_is_no_finding(site: Site) -> None:
    writer = await site.vault.begin(plan(deadline_day=DAY))
    report = await site.inspect()
    assert (report.findings, report.open) == ((), 1)
    await writer.finish("bye", START)
    report = await site.inspect()
    assert (report.findings, report.open) == ((), 0)


async def test_a_clip_whose_writer_is_gone_is_left_open(site: Site) -> None:
    new = new_clip(deadline_day=DAY)
    await site.catalogue.clips.begin(new, By("recorder", START))
    assert (await site.inspect()).findings == (Finding(Kind.LEFT_OPEN, new.id),)


async def test_clips_that_come_and_go_meanwhile_are_no_finding(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips are begun, finished and destroyed at every step of the inspection."""
    monkeypatch.setattr(inspection, "PAGE", 2)
    monkeypatch.setattr(inspection, "LOOK_AGAIN_SECONDS", 0.01)
    over = asyncio.Event()

    async def record() -> None:
        while not over.is_set():
            await asyncio.sleep(0)
            await site.record(DAY)
            await site.record(DAYS[1])

    async def purge() -> None:
        site.wait_until_over(DAYS[1])
        while not over.is_set():
            await asyncio.sleep(0)
            await site.sweep()

    recording = asyncio.create_task(record())
    for _ in range(3):
        assert (await site.inspect(patience=5.0)).findings == ()
    over.set()
    await recording
    over.clear()
    purging = asyncio.create_task(purge())
    for _ in range(3):
        assert (await site.inspect(patience=5.0)).findings == ()
    over.set()
    await purging
