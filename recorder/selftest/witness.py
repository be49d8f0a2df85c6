"""What can be seen of the service without any key: its running calls, its ledger, the files of its clips."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from recorder import control
from recorder.config import Config
from recorder.selftest.verdict import Seen
from recorder.service import places
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.lifecycle import UNFINISHED
from storage.model import CallOutcome, Clip, ClipFilter, Withheld

LOOKS_EVERY_SECONDS = 0.1
SEALING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Witness:
    """Looks at the installation of a configuration file while its service runs."""

    config: Config
    catalogue: Catalogue
    clock: SystemClock

    def now(self) -> datetime:
        """By the service's clock."""
        return self.clock.now()

    async def running(self, agents: frozenset[str], since: datetime) -> list[control.Message]:
        """The running calls of these agents that began since and may be shown. Raises NotRunning."""
        calls = (await control.ask(places.signalling(self.config), {"op": "calls"}))["calls"]
        return [
            it for it in calls if it["agent"] in agents and datetime.fromisoformat(it["started_at"]) >= since
        ]

    async def recorded(self, agents: frozenset[str], since: datetime) -> tuple[str, ...]:
        """The purposes for which any of them is recorded now. Raises NotRunning."""
        found = [it for it in await self.running(agents, since) if it["state"] == "recording"]
        return tuple(sorted({purpose for it in found for purpose in it["purposes"]}))

    async def clips(self, since: datetime) -> tuple[Clip, ...]:
        """All that began since, of whomever."""
        return tuple(await self.catalogue.clips.find(ClipFilter(since=since)))

    async def rows(self, since: datetime) -> tuple[CallOutcome, ...]:
        """The ledger's of calls that began since."""
        return tuple(await self.catalogue.calls.outcomes(since=since))

    async def counted(self, since: datetime) -> int:
        """Privileged calls of that day and later."""
        found = await self.catalogue.calls.withheld(since.date())
        return sum(it.count for it in found if it.kind is Withheld.PRIVILEGED)

    def files(self) -> dict[str, int]:
        """The octets of each clip's file, by clip."""
        with os.scandir(places.clips(self.config)) as found:
            return {
                it.name.removesuffix(".clip"): it.stat().st_size for it in found if it.name.endswith(".clip")
            }

    async def sealed(self, agents: frozenset[str], since: datetime, until: datetime) -> None:
        """Wait until no clip of these agents is open that began in between, as long as that may take."""

        async def is_so() -> bool:
            clips = await self.clips(since)
            ours = [it for it in clips if it.agent in agents and it.started_at < until]
            return all(it.state not in UNFINISHED for it in ours)

        await _until(is_so)

    async def settled(self, seen: Seen, counted: int) -> Seen:
        """`seen`, with what the books say when they say all that they will. `counted`: what was, before."""
        latest = seen

        async def is_so() -> bool:
            nonlocal latest
            latest = await self._told(seen, counted)
            is_closed = all(it.state not in UNFINISHED for it in latest.own_clips())
            return is_closed and (latest.counted > 0 or bool(latest.own_rows()))

        await _until(is_so)
        return latest

    async def _told(self, seen: Seen, counted: int) -> Seen:
        rows, clips = await self.rows(seen.began), await self.clips(seen.began)
        return replace(seen, rows=rows, clips=clips, counted=await self.counted(seen.began) - counted)

    async def grown(self, before: Mapping[str, int]) -> tuple[dict[str, int], frozenset[str]]:
        """By how many octets clips' files grew since `files` was asked; which of them no row knows."""
        sizes = {clip: size - before.get(clip, 0) for clip, size in self.files().items()}
        grown = {clip: octets for clip, octets in sizes.items() if octets}
        return grown, frozenset(grown) - await self.catalogue.holdings.known(set(grown))


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again, but not for ever."""
    for _ in range(int(SEALING_SECONDS / LOOKS_EVERY_SECONDS)):
        if await is_so():
            return
        await asyncio.sleep(LOOKS_EVERY_SECONDS)
