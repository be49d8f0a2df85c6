"""Many histories: shared out over processes, and counted."""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult
from typing import cast

from simulate import swift
from simulate.history import happen, seeded

MOST_FAULTS = 20
SHARE = 500
FRAMES_A_SECOND = 100
"""Two parties, a packet every 20 ms each."""


@dataclass
class Figures:
    """What came of many histories."""

    histories: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, object]] = field(default_factory=list)
    leaking: int = 0
    lacking: int = 0
    wrong: int = 0

    @property
    def latest(self) -> list[object]:
        """Which histories of the latest share did not hold."""
        return [it["index"] for it in self.faults if cast(int, it["index"]) >= self.histories - SHARE]

    def add(self, other: Figures) -> None:
        """Count the histories of another share."""
        self.histories += other.histories
        self.leaking += other.leaking
        self.lacking += other.lacking
        self.wrong += other.wrong
        self.seconds += other.seconds
        self.paths += other.paths
        self.faults += other.faults


def run(seed: int, histories: int, processes: int = 1, patience: float = math.inf) -> Figures:
    """Let so many histories happen, shared out over processes; none begins after `patience` seconds."""
    shares = ((seed, range(it, min(it + SHARE, histories))) for it in range(0, histories, SHARE))
    found, until = Figures(), time.perf_counter() + patience
    with multiprocessing.get_context("spawn").Pool(processes, _make_quick) as pool:
        under_way: deque[AsyncResult[Figures]] = deque()
        for share in shares:
            if time.perf_counter() > until:
                break
            under_way.append(pool.apply_async(happen_all, share))
            if len(under_way) > processes:
                found.add(under_way.popleft().get())
                sys.stderr.write(f"{found.histories} histories, {len(found.faults)} faults {found.latest}\n")
        for each in under_way:
            found.add(each.get())
    return found


def _make_quick() -> None:
    swift.remember()
    swift.remember_decisions()


def happen_all(seed: int, indices: range) -> Figures:
    """These histories of a run."""
    found = Figures()
    for index in indices:
        outcome = happen(seeded(seed, index))
        found.histories += 1
        found.paths.update(outcome.steps)
        for name in ("committed", "forbidden", "owed", "hidden"):
            found.seconds[name] += getattr(outcome, name)
        found.leaking += bool(outcome.leaked)
        found.lacking += bool(outcome.missing)
        found.wrong += bool(outcome.wrong)
        if not outcome.holds and len(found.faults) < MOST_FAULTS:
            fault = {"index": index, "steps": outcome.steps}
            found.faults.append(
                fault | {"leaked": outcome.leaked, "missing": outcome.missing, "wrong": outcome.wrong}
            )
    return found


def report_of(found: Figures, seed: int, took: float) -> dict[str, object]:
    """The figures in the words of docs/simulation.md."""
    frames = {f"frames {name}": round(it * FRAMES_A_SECOND) for name, it in sorted(found.seconds.items())}
    return {
        "histories": found.histories,
        "seed": seed,
        "seconds": round(took, 1),
        "histories per second": round(found.histories / took, 1),
        **frames,
        "histories that leaked": found.leaking,
        "histories in which something owed is missing": found.lacking,
        "histories with something else wrong": found.wrong,
        "paths": dict(sorted(found.paths.items())),
        "faults": found.faults[:MOST_FAULTS],
    }
