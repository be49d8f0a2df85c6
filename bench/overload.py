"""Overload: what our signalling process can take, and what becomes of its calls when more arrives.

First the capacity: calls without a pause, as many at once as never wait long enough to be refused. Then three
times as many calls a second for a minute, each for two seconds; then half the capacity, until nothing is
refused. The calls are those of an extension whose description goes on untouched: no media process works.

capacity             calls a second that were answered, without a pause
goodput_ratio        calls a second that were answered when three times the capacity arrived / capacity
in_dialog_failed     ACKs, INFOs and BYEs of calls that ran, without the answer that they are owed
memory_growth_kib    anonymous memory at the end of the minute, less that after two thirds of it
recovery_seconds     from the end of the overload until the last call was refused
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.callers import Callers, Tally
from bench.measure import GENERATOR_CORE, PEER_CORE
from bench.processes import BenchError, pinned
from demo.phone import free_port
from recorder.config import load
from recorder.service import places
from storage.catalog import Catalogue

HOST = "127.0.0.1"
AT_ONCE = 8
TIMES = 3.0
HOLD_SECONDS = 2.0
_DRAIN_SECONDS = 40.0
_START_SECONDS = 60.0
_RECEIVE_BUFFER = 1 << 22
_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of each part: finding the capacity, overload, recovery."""

    capacity: float = 20.0
    overload: float = 60.0
    recovery: float = 10.0


@dataclass(frozen=True, slots=True)
class Result:
    """`memory`: KiB after two thirds of the overload and at its end."""

    capacity: Tally
    overload: Tally
    recovery: Tally
    drained: Tally
    under_way: int
    memory: tuple[int, int]

    @property
    def calls_per_second(self) -> float:
        """The capacity."""
        return self.capacity.answered / self.capacity.seconds

    def figures(self) -> dict[str, float]:
        """What the benchmark is run for."""
        parts = (self.capacity, self.overload, self.recovery, self.drained)
        goodput = self.overload.answered / self.overload.seconds
        return {
            "capacity": round(self.calls_per_second, 1),
            "goodput_ratio": round(goodput / self.calls_per_second, 3),
            "in_dialog": sum(it.in_dialog for it in parts),
            "in_dialog_failed": sum(it.in_dialog_failed for it in parts) + self.under_way,
            "memory_growth_kib": self.memory[1] - self.memory[0],
            "recovery_seconds": round(self.recovery.last_refused, 2),
        }

    def value(self) -> dict[str, object]:
        """For JSON."""
        return {
            "memory_kib": list(self.memory),
            "load_average": round(os.getloadavg()[0], 2),
            "capacity_run": self.capacity.row(),
            "overload_run": self.overload.row(),
            "recovery_run": self.recovery.row(),
            "drained": self.drained.row(),
        }


class Sockets:
    """The telephones on two UDP sockets."""

    def __init__(self, proxy_port: int, phone_port: int, pbx_port: int) -> None:
        self._callers = Callers(phone_port, pbx_port)
        self._proxy = (HOST, proxy_port)
        self._phone, self._pbx = _socket(phone_port), _socket(pbx_port)

    def close(self) -> None:
        """Hang up without a word."""
        self._phone.close()
        self._pbx.close()

    def load(self, seconds: float, *, rate: float = 0.0, at_once: int = 0, hold: float = 0.0) -> Tally:
        """Make calls for so long; see `Callers.load`."""
        tally = self._callers.load(time.monotonic(), rate=rate, at_once=at_once, hold=hold)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._turn()
        return tally

    def drain(self, seconds: float) -> Tally:
        """Let the calls under way end, for so long at most, and begin none."""
        tally = self._callers.load(time.monotonic())
        until = time.monotonic() + seconds
        while self._callers.under_way and time.monotonic() < until:
            self._turn()
        return tally

    @property
    def under_way(self) -> int:
        """How many calls have not ended."""
        return self._callers.under_way

    def _turn(self) -> None:
        select.select([self._phone, self._pbx], [], [], 0.002)
        for data in _waiting(self._phone):
            self._callers.hear_caller(data, time.monotonic())
        for data in _waiting(self._pbx):
            self._callers.hear_callee(data, time.monotonic())
        self._callers.act(time.monotonic())
        for packet in self._callers.packets:
            (self._phone if packet.is_caller else self._pbx).sendto(packet.data, self._proxy)
        self._callers.packets.clear()


def _socket(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    made.setblocking(False)
    try:
        made.bind((HOST, port))
    except OSError as error:
        made.close()
        raise BenchError(f"port {port} cannot be had") from error
    return made


def _waiting(heard: socket.socket) -> list[bytes]:
    found: list[bytes] = []
    with contextlib.suppress(BlockingIOError):
        while len(found) < _AT_A_TIME:
            found.append(heard.recv(65535))
    return found


def measure(plan: Plan, tell: Callable[[str], None]) -> Result:
    """One whole run; `tell` hears of each part. Raises BenchError."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise BenchError("two cores are needed: one for signalling, one for the telephones")
    with tempfile.TemporaryDirectory(prefix="doelband-bench-") as name, _signalling(Path(name)) as running:
        pid, callers = running
        os.sched_setaffinity(0, {GENERATOR_CORE})
        try:
            return _loaded(plan, pid, callers, tell)
        finally:
            os.sched_setaffinity(0, cores)


def _loaded(plan: Plan, pid: int, callers: Sockets, tell: Callable[[str], None]) -> Result:
    def told(part: str, tally: Tally) -> Tally:
        tell(f"{part}: {tally.row()}")
        return tally

    callers.load(plan.capacity / 4, at_once=AT_ONCE)  # caches and allocators
    capacity = told("capacity", callers.load(plan.capacity, at_once=AT_ONCE))
    rate = capacity.answered / capacity.seconds
    if not rate:
        raise BenchError("no call came about")
    callers.drain(1.0)
    first = told(
        "overload, two thirds", callers.load(plan.overload * 2 / 3, rate=TIMES * rate, hold=HOLD_SECONDS)
    )
    early = _memory(pid)
    rest = told("overload, the rest", callers.load(plan.overload / 3, rate=TIMES * rate, hold=HOLD_SECONDS))
    late = _memory(pid)
    recovery = told("recovery", callers.load(plan.recovery, rate=rate / 2, hold=HOLD_SECONDS))
    drained = told("drained", callers.drain(_DRAIN_SECONDS))
    return Result(capacity, _joined(first, rest), recovery, drained, callers.under_way, (early, late))


def _joined(one: Tally, other: Tally) -> Tally:
    names = [it for it in Tally.__slots__ if it != "last_refused"]
    return Tally(
        **{it: getattr(one, it) + getattr(other, it) for it in names}, last_refused=other.last_refused
    )


@contextlib.contextmanager
def _signalling(directory: Path) -> Iterator[tuple[int, Sockets]]:
    """Our process alone on its core, with telephones at both of its ends; nobody has signed anything."""
    ports = [free_port() for _ in range(3)]
    place = directory / "config.toml"
    place.write_text(_CONFIGURATION.format(host=HOST, port=ports[0], pbx=ports[2]), encoding="utf-8")
    config = load(place)
    config.storage.directory.mkdir()
    places.prepare_runtime(config)
    places.token_key(config).write_bytes(os.urandom(32))
    asyncio.run(_found(places.catalogue(config)))
    command = [sys.executable, "-m", "recorder", "signalling", "--config", str(place)]
    callers = Sockets(*ports)
    try:
        with pinned(PEER_CORE, command, log=directory / "log", first=False) as process:
            until = time.monotonic() + _START_SECONDS
            while not callers.load(0.2, rate=10.0).answered:
                if process.poll() is not None or time.monotonic() > until:
                    raise BenchError(f"signalling did not start: {(directory / 'log').read_text()[-2000:]}")
            callers.drain(_DRAIN_SECONDS)
            yield process.pid, callers
    finally:
        callers.close()


async def _found(place: Path) -> None:
    await (await Catalogue.open(place)).close()


def _memory(pid: int) -> int:
    """Anonymous memory, KiB."""
    found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    if found is None:
        raise BenchError("the memory of signalling cannot be read")
    return int(found[1])


_CONFIGURATION = """\
[[listeners]]
address = "{host}"
port = {port}
side = "both"

[pbx]
address = "{host}"
port = {pbx}

[limits]
requests_per_second = 0
messages_per_second = 0

[media]
address = "{host}"
ports = "61000-61999"

[private]
prefix = "*31"

[storage]
directory = "storage"

[keys]
directory = "keys"
epoch_key_directory = "epoch"

[runtime]
directory = "run"
"""
