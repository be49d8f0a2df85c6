"""A relay worker as a real child process, its ring, and patience."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recorder import ring

_PROGRAM = """
import socket, sys
from recorder.notify import Notifier
from recorder.relay.worker import run

with socket.socket(fileno=int(sys.argv[1])) as control:
    run(control, int(sys.argv[2]), Notifier())
"""


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.002)


async def soon(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """As `eventually`, letting the event loop run."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        await asyncio.sleep(0.002)


class WorkerProcess:
    """`control` is the broker's end. Killed for good by `kill`, as by a crash."""

    def __init__(self, ring_fd: int) -> None:
        self.control, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(child.fileno()), str(ring_fd)],
            pass_fds=(child.fileno(), ring_fd),
            cwd=Path(__file__).parents[2],
        )
        child.close()

    def order(self, message: dict[str, Any], sockets: list[socket.socket] | None = None) -> dict[str, Any]:
        """Order and wait for the answer."""
        self.control.settimeout(10)
        data = json.dumps({"seq": 1, **message}).encode()
        socket.send_fds(self.control, [data], [each.fileno() for each in sockets or []])
        answer: dict[str, Any] = json.loads(self.control.recv(65536))
        return answer

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Hang up; a worker ends by itself then."""
        self.control.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Tap:
    """What has reached the ring: (session, side, packet), as capture would read it."""

    def __init__(self, slots: int = 1024) -> None:
        self.fd = ring.create(slots)
        self.reader = ring.RingReader(self.fd)
        self.packets: list[tuple[int, int, bytes]] = []

    def read(self) -> int:
        """Drain the ring; how many records were read in all."""
        self.reader.drain(self._keep)
        return len(self.packets)

    def is_blank(self) -> bool:
        """Whether every byte outside the control words is zero."""
        return not any(os.pread(self.fd, os.fstat(self.fd).st_size, 4096))

    def close(self) -> None:
        self.reader.close()
        os.close(self.fd)

    def _keep(self, records: ring.Records) -> None:
        for record in records:
            packet = record["packet"][: record["length"]].tobytes()
            self.packets.append((int(record["session"]), int(record["side"]), packet))
