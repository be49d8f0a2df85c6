"""The catalogue, as the guards of `portal.openers` ask it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.access import ClipFacts
from portal.openers import Entry, SealedClip, SignedGrant
from purge import witness
from storage.catalog import Catalogue
from storage.clock import Clock
from storage.lifecycle import State
from storage.model import By


class CatalogueBook:
    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock

    async def clip(self, clip_id: str) -> SealedClip:
        clip = await self._catalogue.clips.show(clip_id)
        facts = ClipFacts(clip.id, clip.purpose, clip.line, clip.deadline_day, clip.state is State.SEALED)
        return SealedClip(facts, clip.wrap or b"", clip.header_hash)

    async def grants_for(self, person: str) -> Sequence[SignedGrant]:
        found = await self._catalogue.grants.for_person(person, self._clock.now())
        return [SignedGrant(grant.document, grant.signature) for grant in found]

    async def read_at(self) -> datetime:
        return (await witness.look(self._catalogue, self._clock)).for_reading()

    async def write(self, entry: Entry) -> None:
        by = By(entry.actor, self._clock.now(), entry.reason, entry.text, entry.text_until)
        await self._catalogue.audit.append(by, entry.action, entry.object)
