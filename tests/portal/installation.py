"""An installation of keys, a book in memory, and a running key service."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.access import GRANT_LABEL, Action, ClipFacts, Grant, grant_document
from portal.keyservice import KeyService
from portal.openers import Entry, SealedClip, SignedGrant
from storage import bundle, keys, signing
from storage.errors import NotFound, Unavailable
from storage.keydoor import KeyDoor
from storage.keyring import Places

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
RETENTIONS = {"coaching": timedelta(days=14), "assessment": timedelta(days=30)}
DAY = date(2030, 5, 14)
CLIP = "c1" * 16
H, K2 = bytes(64), bytes(range(32))
MANAGEMENT = signing.generate()
ME = pwd.getpwuid(os.geteuid()).pw_name


class StillClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def boottime(self) -> float:
        return 0.0

    def boot_id(self) -> str:
        return "boot"

    def is_synchronised(self) -> bool:
        return True

    def offset(self) -> timedelta:
        return timedelta()


@dataclass
class FakeBook:
    """The book in memory. `locks_open_at` remembers how many audit rows stood when a lock opened."""

    clips: dict[str, SealedClip] = field(default_factory=dict)
    grants: list[tuple[str, SignedGrant]] = field(default_factory=list)
    at: datetime = NOW
    entries: list[Entry] = field(default_factory=list)
    is_full: bool = False

    async def clip(self, clip_id: str) -> SealedClip:
        if clip_id not in self.clips:
            raise NotFound(f"find clip {clip_id}", "look at the list")
        return self.clips[clip_id]

    async def grants_for(self, person: str) -> Sequence[SignedGrant]:
        return [grant for of, grant in self.grants if of == person]

    async def read_at(self) -> datetime:
        return self.at

    async def write(self, entry: Entry) -> None:
        if self.is_full:
            raise Unavailable("write the audit log", "make room")
        self.entries.append(entry)

    def rows(self) -> list[tuple[str, str, str]]:
        return [(entry.actor, entry.action, entry.reason) for entry in self.entries]


def granted(
    person: str = ME, purpose: str = "coaching", signer: Ed25519PrivateKey = MANAGEMENT
) -> SignedGrant:
    grant = Grant(
        id="9a" * 16,
        person=person,
        purpose=purpose,
        lines=(),
        actions=frozenset(Action),
        until_at=NOW + timedelta(days=90),
        granted_by="management",
        granted_at=NOW,
    )
    document = grant_document(grant)
    return SignedGrant(document, signing.sign(signer, GRANT_LABEL, document))


def sealed(places: Places, purpose: str = "coaching", day: date = DAY) -> SealedClip:
    """A clip as the recorder locks it, from what the bundle tells it."""
    public = bundle.load(places.storage)
    wrap = keys.wrap(K2, public.purpose_key(purpose), public.day_key(purpose, day), H)
    return SealedClip(ClipFacts(CLIP, purpose, "sales", day, True), wrap, H)


def key_service(places: Places, book: FakeBook) -> KeyService:
    return KeyService(places, RETENTIONS, book, StillClock())


@asynccontextmanager
async def serving(
    places: Places, book: FakeBook, service: KeyService | None = None
) -> AsyncIterator[KeyDoor]:
    service, ready = service or key_service(places, book), asyncio.Event()
    path = places.storage / "keys.sock"
    running = asyncio.create_task(service.run(path, ready.set))
    await ready.wait()
    try:
        yield KeyDoor(path)
    finally:
        running.cancel()
        await asyncio.wait([running])
