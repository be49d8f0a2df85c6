"""What a service manager hears: every datagram as sd_notify(3) writes it, and silence when a loop hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import handover, ring
from recorder.channel import Listener
from recorder.notify import STATUS_SECONDS, Notifier, from_environment, keep_telling
from recorder.relay.link import WorkerLink
from tests.fakes.relay import soon

BEAT = b"WATCHDOG=1\nSTATUS="


class Manager:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address = address

    def heard(self) -> list[bytes]:
        """Everything that has come since the last look."""
        found = []
        try:
            while True:
                found.append(self.socket.recv(4096))
        except BlockingIOError:
            return found

    def environment(self, watchdog_seconds: float) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": str(int(watchdog_seconds * 1e6))}


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    is_path = request.param == "path"
    made = Manager(str(tmp_path / "notify") if is_path else f"@doelband-test-{os.getpid()}")
    yield made
    made.socket.close()


def test_every_message_is_one_datagram(manager: Manager) -> None:
    notifier = from_environment(manager.environment(30), os.getpid())
    notifier.waiting("waiting for keys")
    notifier.ready("3 calls")
    notifier.beat("4 calls")
    notifier.stopping()
    assert manager.heard() == [
        b"STATUS=waiting for keys",
        b"READY=1\nSTATUS=3 calls",
        b"WATCHDOG=1\nSTATUS=4 calls",
        b"STOPPING=1",
    ]


def test_three_heartbeats_are_due_in_the_watchdog_s_time_and_only_to_whom_it_watches() -> None:
    def check(environment: dict[str, str], every_seconds: float) -> None:
        assert from_environment(environment, 7).every_seconds == every_seconds

    check({}, STATUS_SECONDS)
    check({"WATCHDOG_USEC": "30000000"}, 10.0)
    check({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 1.0)
    check({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, STATUS_SECONDS)
    check({"WATCHDOG_USEC": "soon"}, STATUS_SECONDS)


def test_nobody_to_tell_is_no_error(tmp_path: Path) -> None:
    Notifier().ready("")
    Notifier(str(tmp_path / "gone")).ready("")


async def test_an_event_loop_s_heartbeat_says_how_it_goes_now(manager: Manager) -> None:
    calls = iter(range(10))
    notifier = from_environment(manager.environment(0.03), os.getpid())
    telling = asyncio.create_task(keep_telling(notifier, lambda: f"{next(calls)} calls"))
    told: list[bytes] = []

    def has_told() -> bool:
        told.extend(manager.heard())
        return len(told) >= 2

    await soon(has_told)
    telling.cancel()
    assert told[:2] == [BEAT + b"0 calls", BEAT + b"1 calls"]


async def test_a_relay_is_ready_with_its_ring_and_silent_while_its_loop_hangs(tmp_path: Path) -> None:
    """A real process: it waits for the broker, beats from its epoll loop, stops, and beats again."""
    manager = Manager(str(tmp_path / "notify"))
    command = ["-m", "recorder", "relay", "--socket", str(tmp_path / "relays.sock")]
    environment = {**os.environ, **manager.environment(0.15)}
    relay = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment)
    heard: list[bytes] = []

    def hears(message: bytes) -> bool:
        heard.extend(manager.heard())
        return message in heard

    links: list[WorkerLink] = []
    fd = ring.create(16)

    def employ(connection: socket.socket) -> None:
        handover.give(connection, [fd])
        links.append(WorkerLink(connection, lambda: None))

    try:
        await soon(lambda: hears(b"STATUS=waiting for the media broker"), 20)
        door = Listener(tmp_path / "relays.sock", employ)
        await soon(lambda: hears(BEAT + b"0 calls"))
        assert heard.index(b"READY=1\nSTATUS=no call yet") < heard.index(BEAT + b"0 calls")
        relay.send_signal(signal.SIGSTOP)
        await soon(lambda: " T " in Path(f"/proc/{relay.pid}/stat").read_text())
        manager.heard()
        await asyncio.sleep(0.3)  # silence has no event: six heartbeats would have been due
        assert manager.heard() == []
        heard.clear()
        relay.send_signal(signal.SIGCONT)
        await soon(lambda: hears(BEAT + b"0 calls"))
        links[0].close()
        assert await asyncio.wait_for(relay.wait(), 10) == 0
        door.close()
    finally:
        if relay.returncode is None:
            relay.kill()
            await relay.wait()
        manager.socket.close()
        os.close(fd)
