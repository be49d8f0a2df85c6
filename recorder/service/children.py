"""A child process that is started again when it ends, and killed when it hangs.

One crash never takes another process down.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from recorder.service.heartbeats import Ear

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 5.0
"""A child that ran this long starts over with the shortest pause."""
STOP_SECONDS = 8.0
PR_SET_PDEATHSIG = 1
SUPERVISOR = "DOELBAND_SUPERVISOR"
_MANAGER = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})


@dataclass(slots=True)
class Child:
    """One supervised process. `arguments` are those of `doelband`; `ear` hears its heartbeats."""

    name: str
    arguments: Sequence[str]
    ear: Ear
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def launch(self) -> None:
        """Start the process and keep it running until `stop`."""
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {self.name}")

    @property
    def pid(self) -> int | None:
        """The process id while the process runs."""
        return self.process.pid if self.process and self.process.returncode is None else None

    def hang_up(self) -> None:
        """SIGHUP: read the configuration again. A process that still starts ends of it, and starts anew."""
        if self.process and self.process.returncode is None:
            self.process.send_signal(signal.SIGHUP)

    def kill_if_hung(self, seconds: float) -> None:
        """`seconds` have passed: kill the process if it has been silent for too long. Then it starts anew."""
        if not self.ear.is_missed(seconds):
            return
        self.ear.begin()
        if self.process and self.process.returncode is None:
            log.error("killed, for it hung", child=self.name, silent_seconds=self.ear.limit_seconds)
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def expect_end(self) -> None:
        """The service stops: when this process ends, it is not started again."""
        self._stopping.set()

    async def stop(self) -> None:
        """Ask the process to end (SIGTERM), and kill it if it has not ended in eight seconds."""
        self._stopping.set()
        if self.process and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
            except TimeoutError:
                log.warning("killed", child=self.name, why="did not end within eight seconds of SIGTERM")
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
        if self._task:
            await self._task
        self.ear.close()

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            began = clock()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE_SECONDS if clock() - began > STEADY_SECONDS else pause
            self.restarts += 1
            log.error("process ended, starting it again", child=self.name, exit=code, pause_seconds=pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run_once(self) -> int:
        self.ear.begin()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "recorder",
            *self.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            env={**_without_manager(os.environ), **self.ear.environment, SUPERVISOR: str(os.getpid())},
        )
        return await self.process.wait()


def _without_manager(environment: Mapping[str, str]) -> dict[str, str]:
    """The service manager hears the supervisor alone."""
    return {name: value for name, value in environment.items() if name not in _MANAGER}


def is_supervised() -> bool:
    """Whether `doelband serve` has started this process."""
    return SUPERVISOR in os.environ


def follow_supervisor() -> None:
    """Called first in a child: end when the supervisor ends, whatever ended it (Linux prctl)."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(supervisor):
        raise SystemExit("the supervisor ended while this process started")
