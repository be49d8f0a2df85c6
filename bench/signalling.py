"""Signalling: our process against Kamailio (stateful, record-routing, one worker), whole calls over UDP.

    INVITE, 100, 180, 200, ACK, BYE, 200, each through the proxy, which stays in the path by its Record-Route

`full` holds 20 calls at any time that follow each other without a pause: as many as the proxy can take.
`paced` is 50 calls a second and shows delays. Ratios are of calls per core second: 1 / CPU seconds per call.

kamailio_ratio              ours, calls on no flagged line / Kamailio, full
kamailio_ratio_anchored     ours, calls whose media is led through us / Kamailio, full
kamailio_ratio_paced        as the first, paced
kamailio_ratio_wall_clock   as the first, by calls that came about on the wall clock
added_us_p50, …_p99         what the INVITE's way takes longer than between the telephones directly, paced
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import GENERATOR_CORE, PEER_CORE, locked, turned
from bench.peers import Proxy, Stand
from bench.peers.kamailio import kamailio
from bench.peers.signalling import anchored, direct, unlisted
from bench.processes import BenchError, build, scheduling
from bench.telephones import Run, Traffic, call

FULL = Traffic("full", rate=0, at_once=20)
PACED = Traffic("paced", rate=50)
_ORDINARY = "as any process"
DIRECT_SECONDS = 2.0
"""Of warm-up: nothing lingers between the telephones."""

PROXIES: dict[str, Proxy] = {
    "direct": direct,
    "kamailio": kamailio,
    "doelband": unlisted(),
    "doelband-anchored": anchored(),
}
TURNS = (
    ("direct", replace(PACED, warm_up=DIRECT_SECONDS)),
    *((name, traffic) for traffic in (FULL, PACED) for name in PROXIES if name != "direct"),
)
_MEDIANS = (
    "cpu_us_per_call",
    "calls_per_core_second",
    "beside_us_per_call",
    "core_percent",
    "calls_per_second",
    "telephones_core_percent",
    "opening_us_p50",
    "opening_us_p99",
    "later_us_p50",
    "later_us_p99",
    "answer_us_p50",
    "answer_us_p99",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`is_first`: proxy and telephones go before all other work, where that is allowed. `lock`: a file locked
    during each round, where a machine is shared.
    """

    rounds: int
    seconds: float
    is_first: bool = True
    lock: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """All runs, as `runs[proxy][traffic]`, one per round, and the load average at the start of each round."""

    runs: Mapping[str, Mapping[str, list[Run]]]
    load_averages: list[float]
    is_first: bool

    @staticmethod
    def read(value: Mapping[str, Any]) -> Result:
        """What `value` gave."""
        runs = {
            proxy: {traffic: [Run(**row) for row in rows] for traffic, rows in kinds.items()}
            for proxy, kinds in value["runs"].items()
        }
        return Result(runs, list(value["load_averages"]), value["scheduling"] != _ORDINARY)

    def and_then(self, later: Result) -> Result:
        """The rounds of both, which were run apart. Raises BenchError for what cannot be compared."""
        if self.is_first != later.is_first:
            raise BenchError("the rounds before were run under another scheduling")
        runs = {
            proxy: {traffic: [*rows, *later.runs[proxy][traffic]] for traffic, rows in kinds.items()}
            for proxy, kinds in self.runs.items()
        }
        return Result(runs, [*self.load_averages, *later.load_averages], self.is_first)

    def value(self) -> dict[str, object]:
        """For JSON."""
        return {
            "scheduling": " ".join(scheduling()) if self.is_first and scheduling() else _ORDINARY,
            "load_averages": self.load_averages,
            "medians": self._each(lambda runs: {name: self._median(runs, name) for name in _MEDIANS}),
            "runs": self._each(lambda runs: [run.row() for run in runs]),
        }

    def figures(self) -> dict[str, float]:
        """What the benchmark is run for."""
        ours, theirs = "doelband", "kamailio"
        added = {
            f"added_us_{share}{suffix}": round(self._added(name, share), 0)
            for name, suffix in ((ours, ""), ("doelband-anchored", "_anchored"), (theirs, "_kamailio"))
            for share in ("p50", "p99")
        }
        return {
            "kamailio_ratio": self._ratio(ours, theirs, "full", "calls_per_core_second"),
            "kamailio_ratio_anchored": self._ratio(
                "doelband-anchored", theirs, "full", "calls_per_core_second"
            ),
            "kamailio_ratio_paced": self._ratio(ours, theirs, "paced", "calls_per_core_second"),
            "kamailio_ratio_wall_clock": self._ratio(ours, theirs, "full", "calls_per_second"),
            **added,
        }

    def _ratio(self, one: str, other: str, traffic: str, name: str) -> float:
        """The median of the rounds' ratios."""
        pairs = zip(self.runs[one][traffic], self.runs[other][traffic], strict=True)
        return round(median(float(getattr(a, name)) / float(getattr(b, name)) for a, b in pairs), 3)

    def _added(self, proxy: str, share: str) -> float:
        pairs = zip(self.runs[proxy]["paced"], self.runs["direct"]["paced"], strict=True)
        name = f"opening_us_{share}"
        return median(float(getattr(a, name) - getattr(b, name)) for a, b in pairs)

    def _each(self, figure: Callable[[list[Run]], object]) -> dict[str, object]:
        return {
            proxy: {traffic: figure(runs) for traffic, runs in kinds.items()}
            for proxy, kinds in self.runs.items()
        }

    @staticmethod
    def _median(runs: Sequence[Run], name: str) -> float:
        return round(median(float(getattr(run, name)) for run in runs), 2)


def measure(plan: Plan, tell: Callable[[str], None]) -> Result:
    """Run every proxy under all traffic in every round. `tell` hears of each run. Raises BenchError."""
    if (os.cpu_count() or 1) < 2:
        raise BenchError("two cores are needed: one for the proxy, one for the telephones")
    runs: dict[str, dict[str, list[Run]]] = {name: {} for name in PROXIES}
    averages = []
    for number in range(plan.rounds):
        with locked(plan.lock):
            averages.append(round(os.getloadavg()[0], 2))
            for name, traffic in turned(TURNS, number):
                run = once(PROXIES[name], replace(traffic, seconds=plan.seconds), plan.is_first)
                if not run.completed:
                    raise BenchError(f"no call came about through {name}: {run.row()}")
                runs[name].setdefault(traffic.name, []).append(run)
                tell(f"round {number + 1}: {name}, {traffic.name}: {_told(run)}")
    return Result(runs, averages, plan.is_first)


def once(proxy: Proxy, traffic: Traffic, is_first: bool = True) -> Run:
    """One run of one proxy, started afresh. Raises BenchError."""
    with tempfile.TemporaryDirectory(prefix="doelband-bench-") as name:
        directory = Path(name)
        program = build("telephones", directory)
        with proxy(Stand(PEER_CORE, GENERATOR_CORE, is_first, directory)) as running:
            core = GENERATOR_CORE
            return call(program, core, running.ends, traffic, running.pids, running.beside, is_first)


def _told(run: Run) -> str:
    return (
        f"{run.cpu_us_per_call:.0f} µs of CPU a call, {run.calls_per_second:.0f} calls/s, INVITE "
        f"{run.opening_us_p50}/{run.opening_us_p99} µs, {run.completed} of {run.begun}, "
        f"{run.refused} refused, {run.anchored} anchored, {run.repeated} repeated, {run.strange} strange"
    )
