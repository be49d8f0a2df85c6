"""`make soak kill`: SIGKILL at random instants of running calls; no packet missing that must be there."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from demo.registrar import Registrar
from soak.books import Books
from soak.service import SOCKETS, Life, Service, eventually, serving
from soak.traffic import Traffic
from soak.verdict import Kind, Outage
from soak.voice import Voice
from tests.end_to_end.peers.processes import until

KINDS: dict[Kind, int] = {"capture": 30, "relay": 30, "signalling": 25, "everything": 15}
"""What is killed how often, in a hundred."""

TOGETHER = 0.1
"""How often the next kill does not wait until the last one's process is back."""

_TALKING_SECONDS = 60.0
_FEW = 10  # what a process that had just begun when it was looked at has opened since
_DRAIN_SECONDS = 180  # calls that nobody owns are looked at twice, a minute apart


@dataclass(frozen=True, slots=True)
class Plan:
    """`every`: at most so many seconds from when all is well to the next kill. `drain`: wait at the end until
    the media broker has closed the calls whose hanging up nobody saw.
    """

    kills: int
    seed: int = 1
    calls: int = 10
    shortest: float = 3.0
    longest: float = 20.0
    every: float = 12.0
    horizon: float = 2.0
    drain: bool = True
    first_port: int = 10_000


class Killer:
    """Kills, waits until it is well again, kills."""

    def __init__(self, service: Service, exchange: Registrar, plan: Plan) -> None:
        self._service, self._exchange, self._plan = service, exchange, plan
        self._draw = random.Random(plan.seed)
        clock = asyncio.get_running_loop().time
        self._clock = clock
        self._books = Books(service, plan.seed, plan.horizon, clock)
        self._traffic = Traffic(
            Voice(plan.seed),
            service.address,
            plan.calls,
            plan.shortest,
            plan.longest,
            self._books.ended,
        )
        self._gone: dict[str, Life] = {}
        self._shown = 0
        self._back: dict[str, list[float]] = defaultdict(list)
        self._finished: dict[str, str | None] = {}
        self._memory: dict[int, tuple[str, int, int]] = {}
        self._idle: dict[str, int] = {}

    async def run(self) -> dict[str, Any]:
        """Returns the report."""
        await self._note_idle()
        await self._traffic.start()
        keeping = asyncio.create_task(self._books.keep())
        kinds = self._draw.choices(list(KINDS), list(KINDS.values()), k=self._plan.kills)
        waiting: list[Outage] = []
        for number, kind in enumerate(kinds, 1):
            if not waiting:
                await self._until_talking()
            await asyncio.sleep(self._draw.uniform(0, self._plan.every))
            waiting.append(await self._kill(kind))
            if number == len(kinds) or kind == "everything" or self._draw.random() >= TOGETHER:
                await self._until_back(waiting)
                waiting = []
            self._show(number, kind)
        await self._until_talking()  # and recorded again
        await asyncio.sleep(self._plan.shortest)
        await self._traffic.stop()
        self._books.finish(keeping)
        await eventually(self._service.unsealed, lambda found: not found)
        await self._books.close()
        return await self._report(Counter(kinds))

    def shut(self) -> None:
        """Let go of what would outlive a run that breaks off."""
        self._books.shut()

    async def _until_talking(self) -> None:
        await until(lambda: self._traffic.talking >= self._plan.calls // 2, _TALKING_SECONDS)

    async def _kill(self, kind: Kind) -> Outage:
        self._exchange.wire.clear()
        await self._look_at_processes()
        rows = await asyncio.to_thread(self._service.rows)
        self._finished |= {clip: sha256 for clip, (state, sha256) in rows.items() if state == "sealed"}
        outage = Outage(kind, self._clock())
        self._books.outages.append(outage)
        self._gone |= await asyncio.to_thread(self._service.kill, kind)
        if kind == "everything":
            self._traffic.drop()
        return outage

    async def _until_back(self, waiting: list[Outage]) -> None:
        kinds = {it.kind for it in waiting}
        if "everything" in kinds:
            await asyncio.to_thread(self._service.start)
        await eventually(lambda: self._service.missing(self._gone), lambda found: not found)
        self._gone = {}
        await eventually(lambda: asyncio.run(self._service.is_relaying()))
        if "everything" in kinds:
            await self._note_idle()
            self._books.totals.faults += await asyncio.to_thread(self._service.findings)
        for outage in waiting:
            outage.until = self._clock()
            self._back[outage.kind].append(outage.until - outage.at)

    async def _note_idle(self) -> None:
        usage = await asyncio.to_thread(self._service.usage)
        self._idle = {name: it.descriptors for name, it in usage.items()}

    async def _look_at_processes(self) -> None:
        usage = await asyncio.to_thread(self._service.usage)
        for name, now in usage.items():
            _, first, _ = self._memory.get(now.pid, (name, now.memory, 0))
            self._memory[now.pid] = (name, first, now.memory)

    def _show(self, number: int, kind: str) -> None:
        sys.stderr.write(
            f"seed {self._plan.seed}: {number} of {self._plan.kills} kills ({kind}), "
            f"{self._books.totals.calls} calls judged, {len(self._books.totals.faults)} faults\n"
        )
        for fault in self._books.totals.faults[self._shown :]:
            sys.stderr.write(f"seed {self._plan.seed}: {fault}\n")
        self._shown = len(self._books.totals.faults)
        sys.stderr.flush()

    async def _report(self, kinds: Counter[Kind]) -> dict[str, Any]:
        faults = self._books.totals.faults
        rows = await asyncio.to_thread(self._service.rows)
        faults += [
            f"finished clip {clip} is not what it was"
            for clip, sha256 in self._finished.items()
            if rows.get(clip) != ("sealed", sha256)
        ]
        faults += await asyncio.to_thread(self._service.findings)
        faults += [leak async for leak in self._leaks()]
        return {
            "kills": dict(kinds),
            "back": dict(self._back),
            "silence": dict(self._books.gaps),
            "finished": len(self._finished),
            "late": self._traffic.pump.lag,
            "growth": _growth(self._memory.values()),
            "totals": asdict(self._books.totals),
        }

    async def _leaks(self) -> AsyncIterator[str]:
        """Descriptors that are open without need: but for those of calls that the broker still holds, there
        must be as many as before the first call.
        """
        calls = await self._service.media_calls()
        for _ in range(_DRAIN_SECONDS if self._plan.drain else 0):
            if calls <= self._traffic.abandoned:
                break
            await asyncio.sleep(1)
            calls = await self._service.media_calls()
        if calls > self._traffic.abandoned and self._plan.drain:
            yield f"the media broker still holds {calls} calls"
        for name, now in (await asyncio.to_thread(self._service.usage)).items():
            excused = calls * SOCKETS if name in ("supervisor", "relay") else 0
            more = now.descriptors - self._idle.get(name, now.descriptors) - excused
            if more > _FEW:
                yield f"{name} holds {more} descriptors more than before"


def _growth(memory: Iterable[tuple[str, int, int]]) -> dict[str, int]:
    """By process, the KiB that one life of it grew at most from the first look at it to the last."""
    growth: dict[str, int] = {}
    for name, first, last in memory:
        growth[name] = max(growth.get(name, 0), last - first)
    return growth


def run(directory: Path, plan: Plan) -> dict[str, Any]:
    """One whole run in a fresh installation, which `directory` is made for."""
    directory.mkdir()
    with serving(directory, plan.horizon, plan.first_port) as (service, exchange):

        async def killing() -> dict[str, Any]:
            killer = Killer(service, exchange, plan)
            try:
                return await killer.run()
            finally:
                killer.shut()

        return asyncio.run(killing())
