"""An installation with clips of several days, real keys, real files and a clock that can be moved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from purge.retention import end_of
from purge.sweep import Report, sweep
from storage.catalog import Catalogue
from storage.keyring import Keyring, Places
from storage.model import DestroyedDay
from storage.signing import create_key
from storage.vault import Vault
from tests.fakes.clips import plan
from tests.fakes.clock import START, FakeClock

TODAY = START.date()
DAYS = [TODAY + timedelta(days=n) for n in range(5)]
PURPOSES = ("assessment", "coaching")


class KeysOnDisk:
    """The keyring as the purge sees it, loaded anew for each question, as after a crash."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.asked: list[Sequence[tuple[str, date]]] = []

    async def past_days(self, today: date) -> Sequence[tuple[str, date]]:
        with Keyring.load(self.places) as ring:
            return ring.past_days(today)

    async def refuse_clip(self, clip_id: str) -> None:
        with Keyring.load(self.places) as ring:
            ring.refuse_clip(clip_id)

    async def destroy_days(self, days: Sequence[tuple[str, date]]) -> Sequence[DestroyedDay]:
        self.asked.append(list(days))
        with Keyring.load(self.places) as ring:
            evidence = ring.destroy_days(days)
            ring.publish(START)
            return evidence


class Installation:
    def __init__(self, root: Path) -> None:
        self.places = Places(root / "keys", root / "provider", root / "storage")
        self.clock = FakeClock()
        self.day_keys = KeysOnDisk(self.places)

    async def found(self) -> None:
        with Keyring.create(self.places, "acme", PURPOSES) as ring:
            ring.ensure_days(dict.fromkeys(PURPOSES, DAYS))
            ring.publish(START)
        create_key(self.places.storage / "recorder.key")
        await self.start()

    async def start(self) -> None:
        self.catalogue = await Catalogue.open(self.places.storage / "catalogue.db")
        self.vault = await Vault.open(self.places.storage, self.catalogue, self.clock)

    async def restart(self) -> None:
        await self.catalogue.close()
        await self.start()

    async def record(self, day: date, purpose: str = "coaching") -> str:
        writer = await self.vault.begin(plan(purpose=purpose, deadline_day=day))
        return (await writer.finish("bye", START + timedelta(seconds=1))).id

    def wait_until_over(self, day: date) -> None:
        self.clock.advance(seconds=(end_of(day) - self.clock.now()).total_seconds())

    async def sweep(self, dry_run: bool = False) -> Report:
        return await sweep(self.catalogue, self.vault.blobs, self.day_keys, self.clock, dry_run)
