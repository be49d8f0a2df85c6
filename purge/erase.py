"""Destruction of what is condemned. Each step may be repeated, and a run that dies after any of them is
finished by the next: what a step has done is read back from the catalogue, never remembered.

    condemned → key destroyed → objects removed → absence verified → tombstone, ERASED → certified

The key goes first: from then on no copy of the bytes opens, wherever it lies. All days of a run are
destroyed in one new keystore epoch, and rows are written in batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol, TypeVar

from purge.certificate import write, write_withdrawn
from purge.verdict import Reason
from storage.blobs import Blobs
from storage.catalog import Catalogue
from storage.clock import Clock
from storage.errors import StorageError
from storage.model import AuditRow, By, Certificate, Clip, DestroyedDay, Tombstone

BATCH = 200

_T = TypeVar("_T")


class Stage(StrEnum):
    """What a run is at."""

    CONDEMNED = "condemned"
    DESTROYED = "destroyed"
    CERTIFIED = "certified"


Tell = Callable[[Stage, int, int], None]
"""Stage, how many clips have reached it, and how many there are."""


def silent(stage: Stage, done: int, total: int) -> None:
    """Nobody watches."""


class DayKeys(Protocol):
    """What the purge asks of the key service."""

    async def past_days(self, today: date) -> Sequence[tuple[str, date]]:
        """The (purpose, deadline day)s before `today` that still have a key. Raises StorageError."""

    async def refuse_clip(self, clip_id: str) -> None:
        """Never open this clip again, whatever is restored. Idempotent. Raises StorageError."""

    async def destroy_days(self, days: Sequence[tuple[str, date]]) -> Sequence[DestroyedDay]:
        """Destroy the keys of these (purpose, deadline day)s in one new epoch and give the evidence, in
        order.

        Asked again about a day that is gone, it gives the same evidence. Raises StorageError.
        """


@dataclass(frozen=True, slots=True)
class Erased:
    """`left`: clips whose objects could not be removed; they stay condemned and are tried again."""

    buried: tuple[str, ...]
    left: tuple[str, ...]
    certified: int


class Eraser:
    def __init__(
        self,
        catalogue: Catalogue,
        blobs: Blobs,
        day_keys: DayKeys,
        clock: Clock,
        actor: str,
        tell: Tell = silent,
    ) -> None:
        self._catalogue = catalogue
        self._blobs = blobs
        self._day_keys = day_keys
        self._clock = clock
        self._actor = actor
        self._tell = tell

    async def condemn(self, clip_ids: Sequence[str]) -> None:
        """From here on nobody may open these clips."""
        for done, batch in _batches(clip_ids):
            await self._catalogue.erasures.condemn(batch, self._by())
            self._tell(Stage.CONDEMNED, done, len(clip_ids))

    async def finish_withdrawn(self) -> list[str]:
        """Bring the clips of withdrawn calls to their certificates, whatever the clock says: their rows are
        condemned and without names already. Returns those of which that could not be done yet.
        """
        clips = await self._catalogue.withdrawals.left()
        if not clips:
            return []
        written = [clip.id for clip in clips if await asyncio.to_thread(self._blobs.is_written, clip.id)]
        try:
            gone, left = await self._remove([clip for clip in clips if clip.id not in written])
            await self._bury_nameless(gone)
        except StorageError:
            return [clip.id for clip in clips]
        return [*written, *left]

    async def _bury_nameless(self, clips: Sequence[Clip]) -> None:
        for clip in clips:
            await self._day_keys.refuse_clip(clip.id)
        await self._catalogue.withdrawals.overwrite()
        leaves = await self._catalogue.erasures.leaves([clip.id for clip in clips])
        stones = [_nameless(clip, leaves[clip.id]) for clip in clips]
        proofs = [write_withdrawn(it, self._blobs.locations(it.clip), leaves[it.clip]) for it in stones]
        await self._catalogue.withdrawals.bury(stones, proofs, self._actor)

    async def finish(self, past: Sequence[tuple[str, date]] = ()) -> Erased:
        """Bring everything that is condemned to its certificate. Raises StorageError when keys cannot be
        destroyed; then nothing has been removed.

        `past`: days that are over. Their keys go too, also where no row knows of a clip: a copy might.
        """
        clips = await self._catalogue.erasures.condemned()
        await self._destroy_keys({*past, *((clip.purpose, clip.deadline_day) for clip in clips)})
        buried: list[str] = []
        left: list[str] = []
        for done, batch in _batches(clips):
            gone, remaining = await self._remove(batch)
            await self._bury(gone)
            buried += [clip.id for clip in gone]
            left += remaining
            self._tell(Stage.DESTROYED, done, len(clips))
        return Erased(tuple(buried), tuple(left), await self._certify())

    async def _destroy_keys(self, wanted: set[tuple[str, date]]) -> None:
        known = await self._catalogue.erasures.evidence()
        days = sorted(wanted - known.keys())
        if days:
            evidence = await self._day_keys.destroy_days(days)
            await self._catalogue.erasures.keep_evidence(evidence, self._by())

    async def _remove(self, clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
        """Remove the objects; the clips that are gone, and the ids of those that are not."""
        ids = [clip.id for clip in clips]
        await asyncio.to_thread(self._blobs.remove, ids)
        names = await asyncio.to_thread(self._blobs.remaining, ids)
        left = sorted({name.split(".")[0] for name in names})
        return [clip for clip in clips if clip.id not in left], left

    async def _bury(self, clips: Sequence[Clip]) -> None:
        if clips:
            by = self._by()
            stones = [
                Tombstone(each.id, each.recording, each.purpose, each.deadline_day, by.reason, by.at)
                for each in clips
            ]
            await self._catalogue.erasures.bury(stones, by)

    async def _certify(self) -> int:
        stones = await self._catalogue.erasures.uncertified()
        evidence = await self._catalogue.erasures.evidence()
        for done, batch in _batches(stones):
            by = self._by()
            await self._catalogue.erasures.certify(await self._certificates(batch, evidence, by), by)
            self._tell(Stage.CERTIFIED, done, len(stones))
        return len(stones)

    async def _certificates(
        self, stones: Sequence[Tombstone], evidence: dict[tuple[str, date], DestroyedDay], by: By
    ) -> list[Certificate]:
        objects = {stone.clip for stone in stones} | {_key_object(stone) for stone in stones}
        leaves = await self._catalogue.erasures.leaves(objects)
        return [
            write(
                stone,
                evidence[stone.purpose, stone.deadline_day],
                self._blobs.locations(stone.clip),
                leaves[stone.clip] + leaves[_key_object(stone)],
                by.at,
            )
            for stone in stones
        ]

    def _by(self) -> By:
        return By(self._actor, self._clock.now(), Reason.DEADLINE_PASSED)


def _nameless(clip: Clip, leaves: Sequence[AuditRow]) -> Tombstone:
    """`clip`: of a withdrawn call, so that its instants are the beginning of its day."""
    reason = next(leaf.reason for leaf in leaves if leaf.action == "clip.shred")
    return Tombstone(clip.id, clip.recording, clip.purpose, clip.deadline_day, reason, clip.opened_at)


def _key_object(stone: Tombstone) -> str:
    return f"{stone.purpose}/{stone.deadline_day}"


def _batches(items: Sequence[_T]) -> Iterator[tuple[int, Sequence[_T]]]:
    """Each batch, and how many items are done once it is."""
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        yield start + len(batch), batch
