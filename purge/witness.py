"""Asks the clocks, and commits what may be believed."""

from __future__ import annotations

from dataclasses import dataclass

from purge.verdict import ClockVerdict, Witnesses, examine
from storage.catalog import Catalogue
from storage.clock import Clock
from storage.model import By, ClockReading


@dataclass(frozen=True, slots=True)
class Observation:
    """The witnesses as they stand once a trusted reading counts, and what was thought of the reading."""

    witnesses: Witnesses
    verdict: ClockVerdict


def take(clock: Clock) -> ClockReading:
    """One reading of everything that a clock says."""
    return ClockReading(clock.now(), clock.boottime(), clock.boot_id(), clock.is_synchronised())


async def look(catalogue: Catalogue, clock: Clock) -> Witnesses:
    """The witnesses as they are; commits nothing. For reading."""
    return Witnesses(clock.now(), await catalogue.clock.highest())


async def observe(catalogue: Catalogue, clock: Clock, actor: str, dry_run: bool = False) -> Observation:
    """Judge a reading and commit it when it is trusted. A dry run answers the same and commits nothing."""
    reading = take(clock)
    verdict = examine(reading, await catalogue.clock.last())
    highest_at = await catalogue.clock.highest()
    if verdict.is_trusted:
        if not dry_run:
            await _commit(catalogue, reading, verdict, actor)
        highest_at = reading.wall if highest_at is None else max(highest_at, reading.wall)
    return Observation(Witnesses(reading.wall, highest_at), verdict)


async def _commit(catalogue: Catalogue, reading: ClockReading, verdict: ClockVerdict, actor: str) -> None:
    if verdict.begins:
        await catalogue.clock.accept(reading, verdict.reason, By(actor, reading.wall, verdict.reason))
    else:
        await catalogue.clock.advance(reading)
