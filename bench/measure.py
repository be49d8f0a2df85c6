"""Rounds of runs, and what is made of them: medians per peer and load, ratios between peers.

In every round each peer has its turn once at each load, in an order that changes from round to round. A ratio
is taken inside a round, where both peers met the same machine, and the median of the rounds is told. CPU
time is compared, not wall time: it does not depend on who else wants the machine, apart from its caches.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bench.load import Load, Run, generator
from bench.peers import Peer, Site
from bench.processes import BenchError, build, cpu_seconds, scheduling

T = TypeVar("T")

PEER_CORE, GENERATOR_CORE = 0, 1
_MEDIANS = (
    "core_percent",
    "core_percent_per_call",
    "cpu_us_per_packet",
    "delay_us_p50",
    "delay_us_p99",
    "generator_core_percent",
    "ending_cpu_ms_per_call",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which loads, how many rounds. `lock`: a file locked during each round, where a machine is shared."""

    loads: tuple[Load, ...]
    rounds: int
    lock: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """All runs, as `runs[peer][calls]`, one per round, and the load average at the start of each round."""

    runs: Mapping[str, Mapping[int, list[Run]]]
    load_averages: list[float]

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Result:
        """What `value` made."""
        runs = {
            peer: {int(calls): [Run.read(row) for row in rows] for calls, rows in loads.items()}
            for peer, loads in value["runs"].items()
        }
        return cls(runs, value["load_averages"])

    def and_then(self, later: Result) -> Result:
        """The rounds of both."""
        runs = {
            peer: {calls: [*rows, *later.runs[peer][calls]] for calls, rows in loads.items()}
            for peer, loads in self.runs.items()
        }
        return Result(runs, [*self.load_averages, *later.load_averages])

    def value(self) -> dict[str, object]:
        """For JSON."""
        return {
            "scheduling": " ".join(scheduling()) or "as any process",
            "load_averages": self.load_averages,
            "medians": self._each(lambda runs: {name: self._median(runs, name) for name in _MEDIANS}),
            "lost": self._each(lambda runs: sum(run.lost for run in runs)),
            "strange": self._each(lambda runs: sum(run.strange for run in runs)),
            "not_recorded": self._each(lambda runs: sum(run.not_recorded for run in runs)),
            "runs": self._each(lambda runs: [run.row() for run in runs]),
        }

    def ratio(self, one: str, other: str, calls: int) -> float:
        """How much CPU time `one` takes per call for one of `other`: the median of the rounds in which
        neither lost packets to speak of. Raises BenchError where there is none.
        """
        pairs = zip(self.runs[one][calls], self.runs[other][calls], strict=True)
        ratios = [
            a.core_percent_per_call / b.core_percent_per_call for a, b in pairs if a.is_sound and b.is_sound
        ]
        if not ratios:
            raise BenchError(f"{one} or {other} lost packets in every round")
        return round(median(ratios), 3)

    def _each(self, figure: Callable[[list[Run]], object]) -> dict[str, object]:
        return {
            peer: {str(calls): figure(runs) for calls, runs in loads.items()}
            for peer, loads in self.runs.items()
        }

    @staticmethod
    def _median(runs: Sequence[Run], name: str) -> float:
        return round(median(float(getattr(run, name)) for run in runs), 4)


def measure(peers: Mapping[str, Peer], plan: Plan, tell: Callable[[str], None]) -> Result:
    """Run every peer at every load in every round. `tell` hears of each run. Raises BenchError."""
    if (os.cpu_count() or 1) < 2:
        raise BenchError("two cores are needed: one for the relay, one for the generator")
    runs: dict[str, dict[int, list[Run]]] = {peer: {load.calls: [] for load in plan.loads} for peer in peers}
    averages = []
    turns = [(peer, load) for load in plan.loads for peer in peers]
    for number in range(plan.rounds):
        with locked(plan.lock):
            averages.append(round(os.getloadavg()[0], 2))
            for peer, load in turned(turns, number):
                run = once(peers[peer], load)
                runs[peer][load.calls].append(run)
                tell(
                    f"round {number + 1}: {peer}, {load.calls} calls: {run.core_percent:.1f} % of a core, "
                    f"delay {run.delay_us_p50}/{run.delay_us_p99} µs, {run.lost} lost"
                )
    return Result(runs, averages)


def once(peer: Peer, load: Load) -> Run:
    """One run of one peer, started afresh. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="doelband-bench-") as name:
        directory = Path(name)
        with generator(build("generator", directory), GENERATOR_CORE, load) as source:
            site = Site(PEER_CORE, GENERATOR_CORE, load.calls, source.ends, directory)
            with peer(site) as running:
                run = source.measure(running.ports, running.pids)
                used = cpu_seconds(running.pids)
                running.end_calls()
                ending = 1e3 * (cpu_seconds(running.pids) - used) / load.calls
                return replace(run, recorded=running.recorded(), ending_cpu_ms_per_call=ending)


def turned(turns: Sequence[T], number: int) -> Iterator[T]:
    """All turns, in an order that changes from round to round."""
    start = number * (len(turns) // 2 + 1) % len(turns)
    yield from turns[start:]
    yield from turns[:start]


@contextlib.contextmanager
def locked(file: Path | None) -> Iterator[None]:
    """Hold a lock, where a machine is shared."""
    if file is None:
        yield
        return
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
