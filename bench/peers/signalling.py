"""Our signalling process in a whole installation, and no proxy at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bench.peers import Proxy, Proxying, Stand
from bench.processes import BenchError, scheduling
from bench.telephones import Ends
from demo.phone import free_port
from tests.end_to_end.installation import AGENT, UNLISTED, Recorder

_MEDIA_PORTS = (16000, 31999)
"""Four a call, and they rest for 30 s: enough for a hundred calls a second that do not last."""
_PRIORITY = 10
_CLOCK = '[clock]\noffset_file = "clock-offset"\n'
"""For demonstrations: a file that is looked for whenever somebody asks what time it is."""
_LIMITS = """
[limits]
requests_per_second = 0
messages_per_second = 0
"""
"""One address makes all the calls."""


def unlisted() -> Proxy:
    """Calls of an extension on no flagged line: their descriptions go on untouched."""
    return _peer(UNLISTED)


def anchored() -> Proxy:
    """Calls of an agent on a flagged line whose purpose is on demand: their media is led through us, so that
    it can be recorded as soon as somebody asks; nobody does.
    """
    return _peer(AGENT)


def direct(stand: Stand) -> nullcontext[Proxying]:
    """No proxy: the telephones speak with each other."""
    caller, callee = free_port(), free_port()
    return nullcontext(Proxying((), (), Ends(callee, caller, callee)))


class _Installation(Recorder):
    """One with enough media ports, its purpose on demand, and `callee_port` in the place of its PBX."""

    def __init__(self, directory: Path, callee_port: int) -> None:
        super().__init__(directory)
        self.address = (self.address[0], _port())
        self.configure(self.address[1], callee_port, _MEDIA_PORTS)
        text = self.config.read_text(encoding="utf-8")
        on_demand = text.replace("[purposes.coaching]\n", '[purposes.coaching]\nmode = "on-demand"\n')
        as_in_use = on_demand.replace(_CLOCK, "")
        self.config.write_text(as_in_use + _LIMITS, encoding="utf-8")


def _peer(caller: str) -> Proxy:
    @contextmanager
    def start(stand: Stand) -> Iterator[Proxying]:
        callee_port, caller_port = _port(), _port()
        installation = _Installation(stand.directory, callee_port)
        installation.set_up()
        try:
            installation.start()
            installation.sign()
            pids = {name: pid for name, pid in installation.pids().items() if pid is not None}
            signalling = pids.pop("signalling")
            _pin(signalling, stand.core, stand.first)
            for pid in pids.values():
                _pin(pid, stand.other_core, first=False)
            ends = Ends(installation.address[1], caller_port, callee_port, caller)
            yield Proxying((signalling,), (pids["supervisor"], pids["relay-0"]), ends)
        finally:
            installation.stop()

    return start


def _port() -> int:
    """A free one that is no media port."""
    while _MEDIA_PORTS[0] <= (port := free_port()) <= _MEDIA_PORTS[1]:
        pass
    return port


def _pin(pid: int, core: int, first: bool) -> None:
    """Keep a running process on one core, and where that is allowed before all other work."""
    for thread in _threads(pid):
        try:
            os.sched_setaffinity(thread, {core})
            if first and scheduling():
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(_PRIORITY))
        except OSError as error:
            raise BenchError(f"process {pid} cannot be kept on core {core}: {error.strerror}") from error


def _threads(pid: int) -> Iterable[int]:
    return [int(it.name) for it in Path(f"/proc/{pid}/task").iterdir()]
