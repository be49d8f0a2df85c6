"""`make soak calls`: many calls at once for long, every one recorded whole, and memory that stays flat."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from soak.books import Books
from soak.service import Service, Usage, eventually, serving
from soak.traffic import Traffic
from soak.voice import Voice

GROWTH_KIB = 8 * 1024
"""By more than this no process may grow between warm-up and end, by the slope of its memory."""

WARM_UP = 0.25
"""Of the time, in which processes may grow: allocators, caches, the first lap of the ring."""

_SAMPLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` at once for `seconds`, each of `shortest` to `longest` seconds."""

    calls: int = 50
    seconds: float = 600.0
    seed: int = 1
    shortest: float = 10.0
    longest: float = 90.0
    horizon: float = 2.0


class Load:
    """Holds calls and watches the processes."""

    def __init__(self, service: Service, plan: Plan) -> None:
        self._service, self._plan = service, plan
        self._clock = asyncio.get_running_loop().time
        self._books = Books(service, plan.seed, plan.horizon, self._clock)
        self._traffic = Traffic(
            Voice(plan.seed),
            service.address,
            plan.calls,
            plan.shortest,
            plan.longest,
            self._books.ended,
        )
        self._samples: dict[str, list[tuple[float, Usage]]] = defaultdict(list)
        self._dropped = 0

    async def run(self) -> dict[str, Any]:
        """Returns the report."""
        began = self._clock()
        await self._traffic.start()
        keeping = asyncio.create_task(self._books.keep())
        while (passed := self._clock() - began) < self._plan.seconds:
            await asyncio.sleep(_SAMPLE_SECONDS)
            await self._sample(passed)
        own = time.process_time() / (self._clock() - began)
        await self._traffic.stop()
        self._books.finish(keeping)
        await eventually(self._service.unsealed, lambda found: not found)
        await self._books.close()
        return self._report(own)

    async def _sample(self, passed: float) -> None:
        usage = await asyncio.to_thread(self._service.usage)
        for name, it in usage.items():
            self._samples[name].append((self._clock(), it))
        _, workers = await self._service.media()
        self._dropped = sum(int(str(it.get("dropped", 0))) for it in workers)
        totals = self._books.totals
        sys.stderr.write(
            f"\r{passed:.0f} of {self._plan.seconds:.0f} s, {self._traffic.talking} calls talk, "
            f"{totals.calls} judged, {self._dropped} packets dropped, {len(totals.faults)} faults   "
        )
        sys.stderr.flush()

    def _report(self, own: float) -> dict[str, Any]:
        processes = {name: _described(samples) for name, samples in self._samples.items()}
        faults = self._books.totals.faults
        faults += [
            f"{name} was started again"
            for name, it in self._samples.items()
            if len({u.pid for _, u in it}) > 1
        ]
        faults += [
            f"{name} grew by {it['growth_kib']:.0f} KiB"
            for name, it in processes.items()
            if it["growth_kib"] > GROWTH_KIB
        ]
        if self._dropped:
            faults.append(f"{self._dropped} packets did not fit into the ring")
        return {
            "plan": asdict(self._plan),
            "processes": processes,
            "ring_dropped": self._dropped,
            "phones_late": round(self._traffic.pump.lag, 2),
            "phones_cpu": round(own, 3),
            "longest_silence": {kind: round(gap, 2) for kind, gap in self._books.gaps.items()},
            "totals": asdict(self._books.totals) | {"faults": len(faults)},
            "faults": faults,
        }


def _described(samples: list[tuple[float, Usage]]) -> dict[str, float]:
    """CPU as a share of one core; memory at the end, and what it grew since the warm-up by its slope."""
    (began, first), (ended, last) = samples[0], samples[-1]
    warm = [it for it in samples if it[0] >= began + WARM_UP * (ended - began)]
    instants, memory = np.array([at for at, _ in warm]), np.array([it.memory for _, it in warm])
    slope = float(np.polyfit(instants - instants[0], memory, 1)[0]) if len(warm) > 2 else 0.0
    return {
        "cpu": round((last.cpu - first.cpu) / max(ended - began, 1e-9), 3),
        "memory_kib": last.memory,
        "growth_kib": round(slope * (ended - float(instants[0]))),
        "growth_kib_per_minute": round(slope * 60, 1),
        "descriptors": last.descriptors,
    }


def run(directory: Path, plan: Plan) -> dict[str, Any]:
    """One whole run in a fresh installation; returns the report, in which `faults` is empty if all held."""
    with serving(directory, plan.horizon) as (service, _):

        async def loading() -> dict[str, Any]:
            return await Load(service, plan).run()

        return asyncio.run(loading())
