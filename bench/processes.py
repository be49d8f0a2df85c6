"""Programs under measurement: compiled here, pinned to one core, their CPU time read from the kernel."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_SOURCES = Path(__file__).parent / "c"
_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 5.0


class BenchError(Exception):
    """The benchmark cannot be run, or its figures would be worth nothing."""


def output_of(*command: str) -> str | None:
    """What a short command prints, on either stream; None if it cannot be run."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        return run.stdout
    return None


def build(name: str, directory: Path) -> Path:
    """Compile `c/NAME.c` with gcc into `directory`. Raises BenchError."""
    program = directory / name
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(_SOURCES / f"{name}.c")]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"{name}.c could not be compiled: install gcc and libc6-dev") from error
    return program


FIRST = 10
"""The priority that goes before all other work of the machine."""


@functools.cache
def scheduling(priority: int = FIRST) -> tuple[str, ...]:
    """The command that puts a program before all other work of the machine, where that is allowed."""
    first = ("chrt", "--fifo", str(priority))
    return first if output_of(*first, "true") is not None else ()


@contextlib.contextmanager
def pinned(
    core: int,
    command: Sequence[str],
    pass_fds: Iterable[int] = (),
    log: Path | None = None,
    first: bool = True,
    priority: int = FIRST,
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs on one core only, its streams as pipes, or its words in `log`. `first`: where
    that is allowed it goes before all other work of the machine, those of a lower `priority` included.
    """
    with contextlib.ExitStack() as stack:
        output = subprocess.PIPE if log is None else stack.enter_context(log.open("w"))
        process = stack.enter_context(
            subprocess.Popen(
                [*(scheduling(priority) if first else ()), "taskset", "--cpu-list", str(core), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=None if log is None else subprocess.STDOUT,
                text=True,
                bufsize=1,
                pass_fds=tuple(pass_fds),
            )
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that processes took so far, all their threads and ended children included
    (proc(5), fields 14 to 17 of /proc/PID/stat).
    """
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
        total += sum(int(field) for field in fields.split()[11:15])
    return total / _TICKS


def run_seconds(pids: Iterable[int]) -> float:
    """Time on a core that the living threads of processes took so far, to the nanosecond
    (/proc/PID/task/TID/schedstat); `cpu_seconds` counts in hundredths.
    """
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text(encoding="ascii").split()[0]) for file in files) / 1e9
