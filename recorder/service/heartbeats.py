"""Whether a child still turns: what `recorder.notify` tells, heard as a service manager hears it."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MESSAGE_BYTES = 4096


@dataclass(slots=True)
class Heartbeat:
    """Silence counts once the process was ready: until then it waits for others as long as it must."""

    limit_seconds: float
    is_ready: bool = False
    silent_seconds: float = 0.0

    def hear(self, message: bytes) -> None:
        """Take one datagram as sd_notify(3) writes it; any is a sign of life."""
        self.is_ready = self.is_ready or b"READY=1" in message.split(b"\n")
        self.silent_seconds = 0.0

    def pass_by(self, seconds: float) -> bool:
        """So much time has passed in which somebody listened; returns whether the process hangs."""
        if self.is_ready:
            self.silent_seconds += seconds
        return self.silent_seconds >= self.limit_seconds


class Ear:
    """One child's NOTIFY_SOCKET at `place`, and the heartbeat of its present run."""

    def __init__(self, place: Path, limit_seconds: float) -> None:
        place.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.setblocking(False)
        self.limit_seconds = limit_seconds
        self._heartbeat = Heartbeat(limit_seconds)
        self.environment = {
            "NOTIFY_SOCKET": str(place),
            "WATCHDOG_USEC": str(round(limit_seconds * 1_000_000)),
        }

    def begin(self) -> None:
        """Another run of the child begins, or this one was killed: forget what was heard."""
        while self._next():
            pass
        self._heartbeat = Heartbeat(self.limit_seconds)

    def is_missed(self, seconds: float) -> bool:
        """Take what has come, then let `seconds` pass; returns whether the child hangs."""
        while message := self._next():
            self._heartbeat.hear(message)
        return self._heartbeat.pass_by(seconds)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def _next(self) -> bytes:
        with suppress(BlockingIOError):
            return self._socket.recv(MESSAGE_BYTES)
        return b""
