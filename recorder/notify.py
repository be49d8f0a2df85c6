"""Telling the service manager how it goes: ready, a line of status, the watchdog's heartbeat (sd_notify(3)).

One datagram a message, to the Unix socket that NOTIFY_SOCKET names. Who is started by hand has nobody to
tell. A heartbeat belongs into the loop whose turning it proves, nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

STATUS_SECONDS = 10.0
"""How often the status is told when no watchdog asks."""


@dataclass(frozen=True, slots=True)
class Notifier:
    """`address`: of the manager's socket; "" when there is none. A heartbeat is due `every_seconds`."""

    address: str = ""
    every_seconds: float = STATUS_SECONDS

    def ready(self, status: str) -> None:
        """The start is over: this process does its work."""
        self._tell("READY=1", f"STATUS={status}")

    def waiting(self, status: str) -> None:
        """Not ready yet, and why."""
        self._tell(f"STATUS={status}")

    def beat(self, status: str) -> None:
        """The loop turns."""
        self._tell("WATCHDOG=1", f"STATUS={status}")

    def stopping(self) -> None:
        """This process ends because it was told to."""
        self._tell("STOPPING=1")

    def _tell(self, *lines: str) -> None:
        if not self.address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            with contextlib.suppress(OSError):  # the manager restarts, and will ask for the next one
                out.sendto("\n".join(lines).encode(), self.address)


def from_environment(environment: Mapping[str, str], pid: int) -> Notifier:
    """What the manager that started process `pid` wants to hear: three heartbeats in its watchdog's time."""
    address = environment.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        address = "\0" + address[1:]
    limit = environment.get("WATCHDOG_USEC", "")
    if not limit.isdecimal() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return Notifier(address)
    return Notifier(address, int(limit) / 3_000_000)


async def keep_telling(notifier: Notifier, status: Callable[[], str]) -> None:
    """A heartbeat whenever one is due, as long as the event loop turns."""
    while True:
        notifier.beat(status())
        await asyncio.sleep(notifier.every_seconds)
