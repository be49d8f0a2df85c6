"""Capture as a real process over the real vault: what a stop and what a crash leave on the disk."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recorder import handover
from recorder.channel import Dialler, Listener, Message
from recorder.ring import RingWriter
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.keyring import Keyring, Places, PurposeKey
from storage.model import Clip
from storage.records import Audio, Record
from storage.signing import create_key
from storage.vault import Opened, Vault
from tests.fakes.relay import Tap, soon
from tests.fakes.rtp import SAMPLES, packet, speech

VOICE = speech(5, 300)
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from recorder.capture.process import CaptureSettings
from recorder.capture.running import run_capture
from recorder.notify import Notifier
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.vault import Vault

async def main(storage, path):
    catalogue = await Catalogue.open(storage / "catalogue.db")
    vault = await Vault.open(storage, catalogue, SystemClock())
    await vault.recover()
    settings = CaptureSettings(path, path.with_name("rings.sock"))
    await run_capture(settings, vault, SystemClock(), Notifier())
    await catalogue.close()

asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


class Installation:
    """Keys, storage, a ring, the capture process and signalling's end of its socket."""

    def __init__(self, root: Path) -> None:
        self.places = Places(root / "keys", root / "provider", root / "storage")
        self.path = root / "capture.sock"
        self.started_at = datetime.now(UTC)
        self.day = (self.started_at + timedelta(days=10)).date()
        with Keyring.create(self.places, "acme", ["coaching"]) as ring:
            ring.ensure_days({"coaching": [self.day]})
            ring.publish(self.started_at)
        create_key(self.places.storage / "recorder.key")
        self.tap = Tap(slots=1024)
        self.connections: list[socket.socket] = []
        self.door = Listener(root / "rings.sock", self.hand_over)
        self.writer = RingWriter(self.tap.fd)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start()
        self.spoken_ns = 0
        self.events: list[Message] = []
        self.signalling = Dialler(self.path, self.events.append)

    def hand_over(self, connection: socket.socket) -> None:
        """As the media broker does."""
        handover.give(connection, [self.tap.fd])
        self.connections.append(connection)

    def start(self) -> None:
        """As the supervisor does, also after a crash."""
        command = [sys.executable, "-c", _PROGRAM, str(self.places.storage), str(self.path)]
        self.processes.append(subprocess.Popen(command, cwd=Path(__file__).parents[2]))

    async def begin(self, part: int = 1, previous: str | None = None) -> None:
        row = {
            "recording": "ab" * 16,
            "call": "cd" * 16,
            "purpose": "coaching",
            "line": "sales",
            "agent": "anna",
            "started_at": self.started_at.isoformat(),
            "deadline_day": self.day.isoformat(),
            "scheme_hash": "5c" * 32,
            "part": part,
            "previous": previous,
        }
        message: Message = {
            "op": "begin",
            "session": 7,
            "recordings": [row],
            "agent_side": "a",
            "parties": {"agent": "201", "outside": "+31201234567"},
            "codecs": {"a": [[8, "PCMA", 8000]], "b": [[8, "PCMA", 8000]]},
            "srtp": None,
            "horizon_ms": 0,
        }
        opened = len(self.told("opened"))
        self.signalling.send(message)
        await soon(lambda: len(self.told("opened")) > opened)

    def speak(self, first: int, last: int) -> None:
        """Agent and outside party say the same, 20 ms apart as the clock of arrivals goes: ahead of it."""
        now = time.monotonic_ns()
        self.spoken_ns = now + (last - first) * 20_000_000
        for index in range(first, last):
            for side in (0, 1):
                data = packet(index, index * SAMPLES, VOICE[index], ssrc=side + 1)
                assert self.writer.write(7, side, now + (index - first) * 20_000_000, memoryview(data))

    async def finish(self) -> None:
        """The call ends when all that was said has been said."""
        await soon(lambda: time.monotonic_ns() > self.spoken_ns)
        self.signalling.send({"op": "finish", "session": 7, "ended_at": datetime.now(UTC).isoformat()})
        await soon(lambda: bool(self.told("sealed")))

    def told(self, event: str) -> list[Message]:
        return [each for each in self.events if each["event"] == event]

    async def opened(self) -> list[tuple[Clip, Opened]]:
        """Every clip, read back through the keys."""
        catalogue = await Catalogue.open(self.places.storage / "catalogue.db")
        vault = await Vault.open(self.places.storage, catalogue, SystemClock())
        read = []
        for clip in sorted(await catalogue.clips.find(), key=lambda clip: clip.part):
            assert clip.wrap is not None
            with Keyring.load(self.places) as ring:
                inner = ring.unwrap_day("coaching", self.day, clip.wrap, clip.header_hash, clip.id)
            k2 = PurposeKey.load(self.places, "coaching").unwrap(inner, clip.header_hash)
            read.append((clip, await vault.read(clip.id, k2)))
        await catalogue.close()
        return read

    def close(self) -> None:
        self.signalling.close()
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            process.wait(10)
        self.door.close()
        for connection in self.connections:
            connection.close()
        self.writer.close()
        self.tap.close()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(tmp_path)
    await soon(lambda: bool(made.told("hello")), seconds=20)
    yield made
    made.close()


def voice(records: tuple[Record, ...], channel: int) -> list[bytes]:
    return [it.payload for it in records if isinstance(it, Audio) and it.channel == channel]


async def test_a_finished_call_is_a_clip_that_its_keys_open(here: Installation) -> None:
    await here.begin()
    here.speak(0, 100)
    await here.finish()
    ((clip, opened),) = await here.opened()
    assert here.told("sealed")[0]["clip"] == clip.id
    assert (opened.ending, here.told("sealed")[0]["bytes"]) == ("complete", clip.size)
    for channel in (0, 1):
        assert voice(opened.records, channel) == VOICE[:100]
    assert here.tap.is_blank()


async def test_a_stop_seals_the_clip_as_complete_and_interrupted(here: Installation) -> None:
    await here.begin()
    here.speak(0, 1)
    await soon(here.tap.is_blank)
    here.processes[0].send_signal(signal.SIGTERM)
    assert here.processes[0].wait(10) == 0
    await soon(lambda: bool(here.told("sealed")))
    assert here.told("sealed")[0]["reason"] == "interrupted"
    ((_, opened),) = await here.opened()
    assert opened.ending == "complete"


async def test_a_part_of_which_nobody_was_told_before_the_crash_is_followed_by_another(
    here: Installation,
) -> None:
    await here.begin()
    here.speak(0, 100)
    await soon(here.tap.is_blank)
    here.processes[0].kill()
    here.processes[0].wait()
    here.start()
    await soon(lambda: len(here.told("hello")) == 2, seconds=20)
    await here.begin()  # signalling has not heard that part 1 was opened, and orders it again
    here.speak(110, 200)
    await here.finish()
    (before, _), (after, opened) = await here.opened()
    assert not here.told("failed")
    assert [it["part"] for it in here.told("opened")] == [1, 2]
    assert (after.part, after.previous) == (2, before.id)
    assert voice(opened.records, 0) == VOICE[110:200]


async def test_after_a_crash_the_recording_goes_on_in_a_new_part(here: Installation) -> None:
    await here.begin()
    here.speak(0, 100)
    await soon(here.tap.is_blank)
    here.processes[0].kill()
    here.processes[0].wait()
    here.speak(100, 110)  # nobody reads: the ring keeps it for whoever comes
    here.start()
    await soon(lambda: len(here.told("hello")) == 2, seconds=20)
    first, second = (each["run"] for each in here.told("hello"))
    assert first != second
    await here.begin(part=2, previous=here.told("opened")[0]["clip"])
    here.speak(110, 200)
    await here.finish()
    (_, before), (_, after) = await here.opened()
    assert (before.ending, after.ending) == ("truncated", "complete")
    assert voice(after.records, 0) == VOICE[110:200]
    assert here.tap.is_blank()
