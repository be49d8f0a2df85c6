"""The load: one generator for all peers, on a core of its own (see `c/generator.c`)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.processes import BenchError, cpu_seconds, pinned

Ports = tuple[int, int]
"""UDP ports on 127.0.0.1 towards side a and side b."""


@dataclass(frozen=True, slots=True)
class Load:
    """`seconds` are measured after `warm_up`; the generator wakes every `step_us` to send what is due."""

    calls: int
    seconds: float = 10.0
    warm_up: float = 2.0
    step_us: int = 100
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. `core_percent`: CPU time per wall time, 100 is one core.

    `sent`, `received`, `strange` count packets from first to last, warm-up included. A packet is strange when
    it comes back changed, on the wrong side or from the wrong port. `late_us_p99`: how late it was sent.
    `recorded`: of those that were sent, how many are on the disk, whole. `ending_cpu_ms_per_call`: what it
    takes to end a call and its recording.
    """

    calls: int
    core_percent: float
    core_percent_per_call: float
    cpu_us_per_packet: float
    generator_core_percent: float
    sent: int
    received: int
    strange: int
    delay_us_p50: int
    delay_us_p99: int
    late_us_p99: int
    recorded: int | None = None
    ending_cpu_ms_per_call: float = 0.0

    @property
    def lost(self) -> int:
        """Packets that did not come back."""
        return self.sent - self.received

    @property
    def not_recorded(self) -> int:
        """Packets that should be on the disk and are not."""
        return 0 if self.recorded is None else self.sent - self.recorded

    @property
    def is_sound(self) -> bool:
        """Whether no more than one packet in a thousand was lost, on the way or to the recording."""
        return max(self.lost, self.not_recorded) * 1000 <= self.sent

    def row(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "lost": self.lost}

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Run:
        """What `row` made."""
        return cls(**{name: value for name, value in row.items() if name != "lost"})


class Generator:
    """A started generator: `ends` are the ports that all calls' media comes from."""

    def __init__(self, process: subprocess.Popen[str], load: Load) -> None:
        self._process = process
        self._load = load
        self.ends = self._ends()

    def measure(self, ports: Sequence[Ports], pids: Sequence[int]) -> Run:
        """Send calls through the relay that shows `ports` and runs as `pids`. Blocks. Raises BenchError."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{len(ports)}\n" + "".join(f"{a} {b}\n" for a, b in ports))
        self._process.stdin.flush()
        began, used, own = self._reading("measure", pids)
        ended, used_then, own_then = self._reading("end", pids)
        figures: dict[str, int] = json.loads(self._line())
        if figures["unsent"]:
            raise BenchError(f"the generator could not send {figures['unsent']} packets")
        share = (used_then - used) / (ended - began)
        return Run(
            calls=len(ports),
            core_percent=100 * share,
            core_percent_per_call=100 * share / len(ports),
            cpu_us_per_packet=1e6 * (used_then - used) / max(1, figures["measured"]),
            generator_core_percent=100 * (own_then - own) / (ended - began),
            **{name: figures[name] for name in ("sent", "received", "strange")},
            **{name: figures[name] for name in ("delay_us_p50", "delay_us_p99", "late_us_p99")},
        )

    def _reading(self, word: str, pids: Sequence[int]) -> tuple[float, float, float]:
        if (line := self._line()) != word:
            raise BenchError(f"the generator said {line!r} in place of {word!r}")
        return time.monotonic(), cpu_seconds(pids), cpu_seconds([self._process.pid])

    def _ends(self) -> Ports:
        words = self._line().split()
        return int(words[1]), int(words[2])

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError("the generator has ended")
        return line.strip()


@contextlib.contextmanager
def generator(program: Path, core: int, load: Load) -> Iterator[Generator]:
    """Start the generator on its core."""
    arguments = [str(load.seconds), str(load.warm_up), str(load.step_us), str(load.seed)]
    with pinned(core, [str(program), *arguments]) as process:
        yield Generator(process, load)
