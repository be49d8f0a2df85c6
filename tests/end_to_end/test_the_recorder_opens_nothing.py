"""Who takes the recorder's disk opens 0 finished clips; who holds other keys than a clip's own opens 0 too.

The locks are tried as the paper describes them (docs/clip-format.md, section 7), with no check in the way;
and once through the guards, over a catalogue that somebody has edited.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from demo.telephony import PASSWORD
from portal.access import Action, Request
from portal.book import CatalogueBook
from portal.openers import Ask, DayKeyService, Opener
from storage.catalog import Catalogue
from storage.clipfile import KeyFailure
from storage.clock import SystemClock
from storage.errors import Refused
from storage.header import HeaderFailure
from storage.keyring import Keyring, Places, PurposeKey
from storage.vault import Opened, Vault
from tests.end_to_end.installation import AGENT, BUSINESS_NUMBER, CUSTOMER, LISTENERS, Recorder
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.speech import voice

HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
LABEL = b"doelband/wrap/1"
KEY_ID_BYTES = 16
FRONT_BYTES = 20
LOCKED = "lock-does-not-open"  # every check let it pass; the key did not
ROWS = """SELECT clip.id, purpose, deadline_day, wrap, header_hash
    FROM clip JOIN recording ON recording = recording.id"""
PURPOSE = "UPDATE recording SET purpose = ? WHERE id = (SELECT recording FROM clip WHERE id = ?)"
DEADLINE = "UPDATE clip SET deadline_day = ? WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Row:
    """A finished clip as the catalogue has it. `h`: the hash of its header."""

    id: str
    purpose: str
    deadline: date
    wrap: bytes
    h: bytes


@dataclass(frozen=True, slots=True)
class Disk:
    """A copy of `storage`, and beside it of the keys, which the recorder's disk does not hold."""

    places: Places
    rows: tuple[Row, ...]
    days: Mapping[tuple[str, date], bytes]
    purposes: Mapping[str, bytes]

    @property
    def catalogue(self) -> Path:
        return self.places.storage / "catalogue.db"

    def of(self, purpose: str) -> Row:
        return next(it for it in self.rows if it.purpose == purpose)

    def clip(self, row: Row) -> Path:
        return self.places.storage / "clips" / f"{row.id}.clip"


@pytest.fixture(scope="module")
def original(recorder: Recorder) -> Recorder:
    """The shared installation, with at least one finished clip of each purpose."""

    async def talk() -> None:
        async with (
            Phone(AGENT, PASSWORD, recorder.address) as agent,
            Phone(CUSTOMER, PASSWORD, recorder.address) as customer,
        ):
            said = (voice("customer", 1.0), voice("agent", 1.0))
            await converse(customer, agent, BUSINESS_NUMBER, said)

    clips = {purpose: len(recorder.clips(purpose)) for purpose in LISTENERS}
    asyncio.run(talk())
    for purpose, before in clips.items():
        recorder.sealed(before + 1, purpose)
    return recorder


@pytest.fixture
def disk(original: Recorder, tmp_path: Path) -> Iterator[Disk]:
    places = Places(tmp_path / "keys", tmp_path / "epoch-keys", tmp_path / "storage")
    for copy in (places.keys, places.epochs, places.storage):
        shutil.copytree(original.directory / copy.name, copy)
    with sqlite3.connect(places.storage / "catalogue.db") as database:
        found = database.execute(ROWS).fetchall()
    database.close()
    rows = tuple(Row(id, purpose, date.fromisoformat(day), wrap, h) for id, purpose, day, wrap, h in found)
    with Keyring.load(places) as ring:
        days = dict(ring.store.days)
    yield Disk(places, rows, days, {it: pem(places.purpose(it)) for it in LISTENERS})


def pem(path: Path) -> bytes:
    """A private key's 32 bytes."""
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, (X25519PrivateKey, Ed25519PrivateKey))
    return key.private_bytes_raw()


def peel(layer: bytes, sealed: bytes, private: bytes, h: bytes) -> bytes | None:
    """Take a layer off: key id, then what HPKE made. The key is tried whatever the id says."""
    own = X25519PrivateKey.from_private_bytes(private)
    own_id = hashlib.sha256(own.public_key().public_bytes_raw()).hexdigest()[: 2 * KEY_ID_BYTES]
    for key_id in {own_id, sealed[:KEY_ID_BYTES].hex()}:
        try:
            return HPKE.decrypt(
                sealed[KEY_ID_BYTES:], own, info=b"\0".join((LABEL, layer, key_id.encode(), h))
            )
        except (InvalidTag, ValueError):
            continue
    return None


def opened(wrap: bytes, h: bytes, days: Iterable[bytes], purposes: Iterable[bytes]) -> list[bytes]:
    """Every clip key that these private keys get out of a wrap."""
    inner = [found for private in days if (found := peel(b"day", wrap[1:], private, h))]
    return [k2 for it in inner for private in purposes if (k2 := peel(b"purpose", it, private, h))]


def on_the_disk(storage: Path) -> set[bytes]:
    """Everything in a directory that could be a private key: 32 bytes, alone, in PEM, in Base64 or in hex."""
    found = set()
    for path in (it for it in storage.rglob("*") if it.is_file()):
        data = path.read_bytes()
        if data.startswith(b"-----BEGIN PRIVATE KEY"):
            found.add(pem(path))
        if len(data) == 32:
            found.add(data)
        found |= {base64.b64decode(it) for it in re.findall(rb"(?<![\w+/])[\w+/]{43}=", data)}
        found |= {
            bytes.fromhex(it.decode()) for it in re.findall(rb"(?<![\da-f])[\da-f]{64}(?![\da-f])", data)
        }
    return found


def read(disk: Disk, row: Row, keys: Iterable[bytes]) -> list[Opened]:
    """What these keys make of a clip's file. Raises as `Vault.read`, but for keys of other clips."""

    async def attempt() -> list[Opened]:
        catalogue = await Catalogue.open(disk.catalogue)
        vault = await Vault.open(disk.places.storage, catalogue, SystemClock(None))
        found = []
        try:
            for key in keys:
                with contextlib.suppress(KeyFailure):
                    found.append(await vault.read(row.id, key))
        finally:
            await catalogue.close()
        return found

    return asyncio.run(attempt())


async def ask(disk: Disk, row: Row, purpose: str) -> bytes:
    """Both guards, asked by the one who may listen for this purpose. Returns K2; raises Refused."""
    catalogue = await Catalogue.open(disk.catalogue)
    book = CatalogueBook(catalogue, SystemClock(None))
    request = Request(LISTENERS[purpose], Action.PLAY, purpose, "an end-to-end test")
    question = Ask(row.id, request)
    try:
        with Keyring.load(disk.places) as ring:
            inner = await DayKeyService(ring, book).open_layer(question)
            key = PurposeKey.load(disk.places, purpose)
            return await Opener(purpose, key, ring.store.management, book).open(question, inner)
    finally:
        await catalogue.close()


def edit(disk: Disk, row: Row, change: str, value: str) -> None:
    """Change what the catalogue says of a clip."""
    with sqlite3.connect(disk.catalogue) as database:
        assert database.execute(change, (value, row.id)).rowcount == 1
    database.close()


def test_with_the_right_keys_every_clip_opens(disk: Disk) -> None:
    """The control: the same keys, the same steps."""
    assert {it.purpose for it in disk.rows} == set(LISTENERS)
    for row in disk.rows:
        (k2,) = opened(row.wrap, row.h, disk.days.values(), disk.purposes.values())
        assert [it.header.clip for it in read(disk, row, [k2])] == [row.id]
        assert asyncio.run(ask(disk, row, row.purpose)) == k2


def test_the_recorders_disk_opens_no_clip(disk: Disk) -> None:
    keys = on_the_disk(disk.places.storage)
    assert pem(disk.places.storage / "recorder.key") in keys
    assert keys.isdisjoint([*disk.days.values(), *disk.purposes.values(), pem(disk.places.kb)])
    for row in disk.rows:
        assert opened(row.wrap, row.h, keys, keys) == []
        assert read(disk, row, keys) == []


def test_another_purposes_opener_opens_no_clip(disk: Disk) -> None:
    """Also with every day key in hand, and asked for its own purpose over an edited row."""
    for row in disk.rows:
        (other,) = set(LISTENERS) - {row.purpose}
        assert opened(row.wrap, row.h, disk.days.values(), [disk.purposes[other]]) == []
        with pytest.raises(Refused):
            asyncio.run(ask(disk, row, other))
        edit(disk, row, PURPOSE, other)
        with pytest.raises(Refused) as refused:
            asyncio.run(ask(disk, row, other))
        assert refused.value.reason == LOCKED


def test_another_days_key_opens_no_clip(disk: Disk) -> None:
    """Neither does a row whose deadline somebody has moved."""
    for row in disk.rows:
        others = [private for day, private in disk.days.items() if day != (row.purpose, row.deadline)]
        assert opened(row.wrap, row.h, others, disk.purposes.values()) == []
        edit(disk, row, DEADLINE, (row.deadline + timedelta(days=1)).isoformat())
        with pytest.raises(Refused) as refused:
            asyncio.run(ask(disk, row, row.purpose))
        assert refused.value.reason == LOCKED


@pytest.mark.parametrize("member", ["purpose", "deadline"])
def test_a_changed_byte_of_purpose_or_deadline_opens_no_clip(disk: Disk, member: str) -> None:
    """All keys together do not open the wrap under the changed header; and with K2 the file is refused."""
    for row in disk.rows:
        (k2,) = opened(row.wrap, row.h, disk.days.values(), disk.purposes.values())
        data = bytearray(disk.clip(row).read_bytes())
        value = row.purpose if member == "purpose" else row.deadline.isoformat()
        at = data.index(f'"{member}":"{value}"'.encode()) + len(member) + 4
        for index in range(at, at + len(value)):
            changed = bytearray(data)
            changed[index] ^= 1
            end = FRONT_BYTES + int.from_bytes(changed[16:FRONT_BYTES], "big")
            h = hashlib.sha512(changed[:end]).digest()
            assert opened(row.wrap, h, disk.days.values(), disk.purposes.values()) == []
        disk.clip(row).write_bytes(changed)
        with pytest.raises(HeaderFailure):
            read(disk, row, [k2])
