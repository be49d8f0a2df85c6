"""Our relay and our capture process, over a real vault: every call is recorded and sealed for one purpose."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bench.peers import Running, Site
from bench.peers.doelband import open_calls, relay_worker
from bench.processes import BenchError, pinned
from bench.tags import Tags
from recorder import handover, ring
from recorder.channel import Dialler, Listener, Message
from recorder.service.media import RING_SLOTS
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.keyring import Keyring, Places, PurposeKey
from storage.model import Clip, Ending
from storage.records import Audio
from storage.signing import create_key
from storage.vault import Vault

PURPOSE = "coaching"
HORIZON_MS = 2000
_BEHIND_THE_RELAY = 5
_AT_ONCE = 50
_PATIENCE_SECONDS = 60.0


class _Storage:
    """Keys, catalogue and clips of an installation."""

    def __init__(self, directory: Path) -> None:
        self._places = Places(directory / "keys", directory / "provider", directory / "storage")
        self.began = datetime.now(UTC)
        self.day: date = (self.began + timedelta(days=10)).date()
        with Keyring.create(self._places, "bench", [PURPOSE]) as keyring:
            keyring.ensure_days({PURPOSE: [self.day]})
            keyring.publish(self.began)
        create_key(self._places.storage / "recorder.key")

    async def recorded(self) -> int:
        """Open every clip; how many different packets of the load lie in them. Raises BenchError."""
        catalogue = await Catalogue.open(self._places.storage / "catalogue.db")
        vault = await Vault.open(self._places.storage, catalogue, SystemClock())
        tags = Tags()
        for clip in await catalogue.clips.find():
            opened = await vault.read(clip.id, self._k2(clip))
            if opened.ending is not Ending.COMPLETE:
                raise BenchError("a clip is not complete")
            _count(tags, [it for it in opened.records if isinstance(it, Audio)])
        await catalogue.close()
        return tags.count

    def _k2(self, clip: Clip) -> bytes:
        assert clip.wrap is not None
        with Keyring.load(self._places) as keyring:
            inner = keyring.unwrap_day(PURPOSE, self.day, clip.wrap, clip.header_hash, clip.id)
        return PurposeKey.load(self._places, PURPOSE).unwrap(inner, clip.header_hash)


def _count(tags: Tags, records: list[Audio]) -> None:
    """A clip's packets, each where it belongs: on its channel, and as far from the one before as was sent."""
    before: dict[int, tuple[int, int]] = {}
    for record in records:
        stream, number = tags.add_audio(record.payload)
        position, last = before.get(record.channel, (record.position - 160, number - 1))
        if record.channel != stream % 2 or record.position - position != 160 * (number - last):
            raise BenchError("a packet stands where it does not belong")
        before[record.channel] = (record.position, number)


class _Signalling:
    """What tells capture to record, and when a call is over."""

    def __init__(self, directory: Path, storage: _Storage) -> None:
        self._storage = storage
        self._told: dict[str, int] = {"opened": 0, "sealed": 0}
        self._failed = ""
        self._dialler = Dialler(directory / "capture.sock", self._hear)
        self.close = self._dialler.close

    def _hear(self, event: Message) -> None:
        kind = str(event.get("event"))
        if kind in ("failed", "refused"):
            self._failed = str(event)
        self._told[kind] = self._told.get(kind, 0) + 1

    async def begin(self, calls: int) -> None:
        """As many at once as may open their clips in time."""
        for first in range(0, calls, _AT_ONCE):
            last = min(calls, first + _AT_ONCE)
            for session in range(first, last):
                self._dialler.send(_begin(session, self._storage))
            await self._until("opened", last)

    async def finish(self, calls: int) -> None:
        for session in range(calls):
            at = datetime.now(UTC).isoformat()
            self._dialler.send({"op": "finish", "session": session, "ended_at": at})
        await self._until("sealed", calls)

    async def _until(self, event: str, count: int) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self._told[event] < count:
                if self._failed:
                    raise BenchError(f"capture says {self._failed}")
                await asyncio.sleep(0.02)


def _begin(session: int, storage: _Storage) -> Message:
    row = {
        "recording": f"{session:032x}",
        "call": f"{session:032x}",
        "purpose": PURPOSE,
        "line": "sales",
        "agent": "anna",
        "started_at": datetime.now(UTC).isoformat(),
        "deadline_day": storage.day.isoformat(),
        "scheme_hash": "5c" * 32,
        "part": 1,
        "previous": None,
    }
    return {
        "op": "begin",
        "session": session,
        "recordings": [row],
        "agent_side": "a",
        "parties": {"agent": "201", "outside": "+31201234567"},
        "codecs": {"a": [[8, "PCMA", 8000]], "b": [[8, "PCMA", 8000]]},
        "srtp": None,
        "horizon_ms": HORIZON_MS,
    }


@contextmanager
def recording(site: Site) -> Iterator[Running]:
    """On one core: the relay first, and capture when the relay has nothing to do."""
    storage = _Storage(site.directory)
    with ExitStack() as stack:
        ring_fd = ring.create(RING_SLOTS)
        stack.callback(os.close, ring_fd)
        worker = stack.enter_context(relay_worker(site))
        capture = stack.enter_context(
            pinned(
                site.core,
                [sys.executable, "-m", "bench.capturing", str(site.directory)],
                log=site.directory / "capture.log",
                priority=_BEHIND_THE_RELAY,
            )
        )
        runner = stack.enter_context(asyncio.Runner())
        signalling = runner.run(_order(site, storage, ring_fd, stack))
        ports = runner.run(open_calls(site, ring_fd, "all", stack))
        yield Running(
            (worker.pid, capture.pid),
            ports,
            lambda: runner.run(signalling.finish(site.calls)),
            lambda: runner.run(storage.recorded()),
        )


async def _order(site: Site, storage: _Storage, ring_fd: int, stack: ExitStack) -> _Signalling:
    def hand_over(connection: socket.socket) -> None:
        stack.callback(connection.close)
        handover.give(connection, [ring_fd])

    stack.callback(Listener(site.directory / "rings.sock", hand_over).close)
    signalling = _Signalling(site.directory, storage)
    stack.callback(signalling.close)
    await signalling.begin(site.calls)
    return signalling
