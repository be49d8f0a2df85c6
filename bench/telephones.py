"""The load of signalling: both telephones of many calls, on a core of their own (see `c/telephones.c`)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.processes import BenchError, cpu_seconds, pinned, run_seconds

CALLER, CALLEE = "230", "+31612345678"


@dataclass(frozen=True, slots=True)
class Traffic:
    """`rate` calls a second, or with rate 0 `at_once` calls at any time, as many as the proxy can take.

    `seconds` are measured after `warm_up`, in which what lingers after a call comes to its full number: a
    transaction is kept for 32 s after its 2xx (RFC 6026 §7.1).
    """

    name: str
    rate: float
    at_once: int = 0
    seconds: float = 8.0
    warm_up: float = 34.0


@dataclass(frozen=True, slots=True)
class Ends:
    """UDP ports on 127.0.0.1: where the proxy listens, and both telephones. `caller`: the user in From."""

    proxy: int
    caller_port: int
    callee_port: int
    caller: str = CALLER


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. `cpu_us_per_call`: CPU time of the proxy, all its threads, by calls ended meanwhile.

    `beside_us_per_call`: that of processes that work for the proxy. `calls_per_second`: on the wall clock.
    Delays, µs, each from one telephone to the other: `opening` of the INVITE, `later` of ACK and BYE,
    `answer` of responses.
    """

    cpu_us_per_call: float
    beside_us_per_call: float
    core_percent: float
    calls_per_second: float
    telephones_core_percent: float
    begun: int
    completed: int
    refused: int
    unfinished: int
    repeated: int
    anchored: int
    strange: int
    opening_us_p50: int
    opening_us_p99: int
    later_us_p50: int
    later_us_p99: int
    answer_us_p50: int
    answer_us_p99: int

    @property
    def calls_per_core_second(self) -> float:
        """How many calls a core can take that does nothing else: 1 / (CPU seconds per call)."""
        return 1e6 / self.cpu_us_per_call if self.cpu_us_per_call else 0.0

    def row(self) -> dict[str, object]:
        """For JSON."""
        return {name: round(it, 2) if isinstance(it, float) else it for name, it in asdict(self).items()}


def call(
    program: Path,
    core: int,
    ends: Ends,
    traffic: Traffic,
    pids: Sequence[int],
    beside: Sequence[int],
    is_first: bool,
) -> Run:
    """Make calls through the proxy that runs as `pids`, helped by `beside`. Blocks. Raises BenchError."""
    numbers = [ends.proxy, ends.caller_port, ends.callee_port]
    load = [traffic.rate, traffic.at_once, traffic.warm_up, traffic.seconds]
    command = [str(program), *map(str, numbers), ends.caller, CALLEE, *map(str, load)]
    with pinned(core, command, first=is_first) as process:
        _expect(process, "ready")
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        before = _reading(process, "measure", pids, beside)
        after = _reading(process, "end", pids, beside)
        figures: dict[str, int] = json.loads(_line(process))
    passed, used, helped, own = (end - start for end, start in zip(after, before, strict=True))
    measured = figures.pop("measured")
    if unsent := figures.pop("unsent"):
        raise BenchError(f"the telephones could not send {unsent} messages")
    return Run(
        cpu_us_per_call=1e6 * used / max(1, measured),
        beside_us_per_call=1e6 * helped / max(1, measured),
        core_percent=100 * used / passed,
        calls_per_second=measured / passed,
        telephones_core_percent=100 * own / passed,
        **figures,
    )


def _reading(
    process: subprocess.Popen[str], word: str, pids: Sequence[int], beside: Sequence[int]
) -> tuple[float, ...]:
    _expect(process, word)
    return time.monotonic(), run_seconds(pids), run_seconds(beside), cpu_seconds([process.pid])


def _expect(process: subprocess.Popen[str], word: str) -> None:
    if (line := _line(process)) != word:
        raise BenchError(f"the telephones said {line!r} in place of {word!r}")


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise BenchError("the telephones have ended")
    return line.strip()
