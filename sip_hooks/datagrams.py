"""The UDP sockets: all that waits is taken in at once, each datagram with the moment of its arrival.

The kernel notes that moment. A loop that lags shows in the difference, however the lag came about.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from typing import Protocol

from sip_hooks.address import canonical
from sip_hooks.settings import Address, Listener
from sip_hooks.streams import bound

MOST_AT_ONCE = 512
_RECEIVE_BUFFER = 1 << 20  # bytes; a registration storm is a burst of small datagrams
_LARGEST = 65535
_TIMESTAMP = 35  # SO_TIMESTAMPNS of socket(7), which Python does not name
_TIMESPEC = struct.Struct("@ll")
_ROOM = socket.CMSG_SPACE(_TIMESPEC.size)


class Hub(Protocol):
    """Who is told."""

    def arrived(self, data: bytes, source: Address, listener: str, at: float) -> None:
        """A datagram has been waiting since `at`, a moment of the loop's clock."""

    def work(self) -> None:
        """Everything that waited has been told."""


class Datagrams:
    """One listener's socket. Raises OSError when it cannot be had."""

    def __init__(self, listener: Listener, hub: Hub, counters: Counter[str]) -> None:
        self._name = listener.name
        self._hub = hub
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._emptied_at = self._loop.time()
        self._socket = bound(listener, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Receive and send nothing more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def send(self, data: bytes, destination: Address) -> None:
        """Let one datagram leave. One that cannot is counted: its timers will tell."""
        try:
            self._socket.sendto(data, destination)
        except OSError:
            self._counters["socket errors"] += 1

    def _readable(self) -> None:
        now, clock = self._loop.time(), time.time()
        for _ in range(MOST_AT_ONCE):
            try:
                data, ancillary, _, address = self._socket.recvmsg(_LARGEST, _ROOM)
            except BlockingIOError:
                self._emptied_at = now
                break
            except OSError:  # a neighbour is not there (ECONNREFUSED)
                self._counters["socket errors"] += 1
                continue
            self._take(data, address, now - _age(ancillary, clock))
        self._hub.work()

    def _take(self, data: bytes, address: Address, at: float) -> None:
        """A link-local source cannot be named in an answer, so what comes from one is dropped.

        Whatever the clock says, nothing has waited since before the socket was last empty.
        """
        try:
            source = canonical(address[0]) if ":" in address[0] else address[0]
        except ValueError:
            self._counters["link-local sources"] += 1
        else:
            self._hub.arrived(data, (source, address[1]), self._name, max(at, self._emptied_at))


def _age(ancillary: list[tuple[int, int, bytes]], clock: float) -> float:
    """How many seconds ago a datagram arrived."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return max(0.0, clock - float(seconds) - float(nanoseconds) / 1e9)
    return 0.0
