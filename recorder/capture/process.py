"""The capture process: rings in, clips out, every 100 ms.

It serves signalling over `capture.sock`. When that connection drops, its calls are held, and nothing of
them is committed, for a grace period: the same `begin` again goes on with the same part; without it they
end where they were last certain. A tainted call stays tainted: a later `begin` for it is refused.

What nobody foresaw costs the call in which it happened, or what was tapped since the last beat, and never the
process. It is logged by its type alone: a message could quote what it must not.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from recorder.capture.call import CapturedCall
from recorder.capture.orders import (
    Begin,
    OrderError,
    begin_of,
    codecs_of,
    ending_of,
    refusals,
    session_of,
)
from recorder.capture.track import ClipVault
from recorder.channel import Channel, Listener, Message
from recorder.ring import PACKET_AT, SLOT_BYTES, Records, RingReader
from recorder.rtp import parse_batch
from storage.clock import Clock

log = structlog.get_logger()

BEAT_SECONDS = 0.1
FLUSH_BEATS = 10
REMEMBERED_TAINTS = 65536


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """`socket`: where signalling connects. `ring_fds`: one for each relay worker, inherited."""

    socket: Path
    ring_fds: tuple[int, ...]
    grace_seconds: float = 5.0
    stop_seconds: float = 10.0


@dataclass(slots=True)
class _Running:
    call: CapturedCall
    owner: Channel
    opened: asyncio.Task[None]
    grace: asyncio.TimerHandle | None = None


class Capture:
    """The calls that are recorded now. Lives inside a running event loop.

    `now` is the wall clock, `now_ns` the one that the relay workers stamp arrivals with.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        vault: ClipVault,
        now: Callable[[], datetime],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._now = now
        self._now_ns = now_ns
        self._run = secrets.token_hex(8)
        self._readers = [RingReader(fd) for fd in settings.ring_fds]
        self._running: dict[int, _Running] = {}
        self._tainted: dict[int, None] = {}  # in order, the oldest are forgotten
        self._clients: set[Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beats = 0
        self.discarded = 0
        """Records of calls that nobody ordered."""
        self._listener = Listener(settings.socket, self._connected)

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._settings.socket

    def is_recording(self, session: int) -> bool:
        """Whether packets of this call are taken."""
        return session in self._running

    def is_suspended(self, session: int) -> bool:
        """Whether this call waits for signalling to come back."""
        return session in self._running and self._running[session].call.is_suspended

    @property
    def unlocked_rings(self) -> int:
        """How many rings could not be locked in RAM."""
        return sum(not reader.locked for reader in self._readers)

    def beat(self) -> None:
        """Read the rings, commit what is old enough, and once a second make it durable."""
        self._drain()
        now_ns = self._now_ns()
        for session, running in list(self._running.items()):
            try:
                self._attend(session, running.call, now_ns)
            except Exception as error:
                self._break_off(session, running, error)
        self._beats += 1
        if self._beats % FLUSH_BEATS == 0:
            for running in self._running.values():
                self._spawn(running.call.flush())

    def _attend(self, session: int, call: CapturedCall, now_ns: int) -> None:
        call.commit(now_ns)
        if call.refused_codec:
            self._cut(session, "codec", failed=True)
        elif call.is_lost:
            self._forget(session).call.drop()

    async def stop(self) -> None:
        """Seal every running clip as interrupted and close."""
        self._listener.close()
        for session in list(self._running):
            self._cut(session, "interrupted")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.stop_seconds)
        for client in self._clients:
            client.close()
        for reader in self._readers:
            reader.close()

    def _connected(self, connection: socket.socket) -> None:
        client = Channel(
            connection, lambda message: self._ordered(client, message), lambda: self._disconnected(client)
        )
        self._clients.add(client)
        client.send({"event": "hello", "run": self._run})

    def _disconnected(self, client: Channel) -> None:
        self._clients.discard(client)
        loop = asyncio.get_running_loop()
        for session, running in self._running.items():
            if running.owner is client:
                running.call.is_suspended = True
                grace = self._settings.grace_seconds
                running.grace = loop.call_later(grace, self._cut, session, "signalling-lost")

    def _ordered(self, client: Channel, message: Message) -> None:
        operation = message.get("op")
        try:
            if operation == "begin":
                self._begin(client, message)
            elif operation == "codecs":
                self._renegotiate(message)
            elif operation == "finish":
                self._finish(message)
            elif operation == "taint":
                self._taint(message)
            else:
                raise OrderError(f"unknown order {operation!r}")
        except OrderError as error:
            log.error("order refused", why=str(error))
            if operation == "begin":
                _refuse(client, message, "order-refused")
            else:
                client.send({"event": "refused", "session": message.get("session"), "error": str(error)})

    def _begin(self, client: Channel, message: Message) -> None:
        begin = begin_of(message)
        running = self._running.get(begin.session)
        if begin.session in self._tainted:
            _refuse(client, message, "tainted")
        elif running is None:
            self._start(client, begin)
        elif running.call.begin.is_same(begin):
            _resume(running, client)
        else:
            _refuse(client, message, "session-in-use")

    def _start(self, client: Channel, begin: Begin) -> None:
        self._drain()  # what came before the order is nobody's
        running: _Running

        def tell(event: Message) -> None:
            running.owner.send(event)

        call = CapturedCall(begin, tell, self._now(), self._now_ns())
        running = _Running(call, client, self._spawn(call.open(self._vault)))
        self._running[begin.session] = running

    def _renegotiate(self, message: Message) -> None:
        running = self._running.get(session_of(message))
        if running is not None:
            self._drain()
            running.call.renegotiate(codecs_of(message))

    def _finish(self, message: Message) -> None:
        ending = ending_of(message)
        self._drain()
        if ending.session in self._running:
            running = self._forget(ending.session)
            end = running.call.finish(ending.ended_at, self._now_ns(), running.opened)
            self._spawn(_ended(running.call, end))

    def _taint(self, message: Message) -> None:
        ending = ending_of(message)
        self._tainted[ending.session] = None
        if len(self._tainted) > REMEMBERED_TAINTS:
            del self._tainted[next(iter(self._tainted))]
        if ending.session in self._running:
            self._cut(ending.session, ending.reason or "tainted")

    def _cut(self, session: int, reason: str, failed: bool = False) -> None:
        running = self._forget(session)
        running.call.drop()
        self._drain()  # what of it is still in the rings is overwritten now
        self._spawn(_ended(running.call, running.call.cut(reason, running.opened, failed)))

    def _break_off(self, session: int, running: _Running, error: Exception) -> None:
        log.error("a recording was broken off", error=type(error).__name__)
        if session in self._running:
            self._forget(session)
        self._spawn(_ended(running.call, running.call.break_off(running.opened)))

    def _forget(self, session: int) -> _Running:
        running = self._running.pop(session)
        if running.grace is not None:
            running.grace.cancel()
        return running

    def _drain(self) -> None:
        for reader in self._readers:
            try:
                reader.drain(self._consume)
            except Exception as error:
                log.error("what was tapped is discarded", error=type(error).__name__)

    def _consume(self, records: Records) -> None:
        """Take the packets of running calls out of a run of the ring; the ring is overwritten after this."""
        running = self._running
        headers = parse_batch(records["packet"], records["length"])
        rows = zip(
            records["session"].tolist(),
            records["side"].tolist(),
            records["arrival_ns"].tolist(),
            headers,
            strict=True,
        )
        octets: Any = records.view(np.uint8)  # numpy's arrays are buffers; their stubs do not say so
        with memoryview(octets) as raw:
            for index, (session, side, arrival_ns, header) in enumerate(rows):
                found = running.get(session)
                if found is None or header is None or side > 1:
                    self.discarded += 1
                    continue
                packet = index * SLOT_BYTES + PACKET_AT
                payload = bytearray(raw[packet + header.start : packet + header.end])
                try:
                    found.call.take(side, arrival_ns, header, payload)
                except Exception as error:
                    payload[:] = bytes(len(payload))
                    self._break_off(session, found, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _resume(running: _Running, client: Channel) -> None:
    """Signalling has come back: the same part goes on, with what was held meanwhile."""
    if running.grace is not None:
        running.grace.cancel()
        running.grace = None
    running.owner = client
    running.call.is_suspended = False
    running.call.tell_opened()


async def _ended(call: CapturedCall, end: Coroutine[Any, Any, None]) -> None:
    """See a call to its end; each of its recordings is told of, whatever happens."""
    try:
        await end
    except Exception as error:
        log.error("a recording could not be ended", error=type(error).__name__)
        call.give_up()


def _refuse(client: Channel, message: Message, reason: str) -> None:
    for event in refusals(message, reason):
        client.send(event)


async def run_capture(settings: CaptureSettings, vault: ClipVault, clock: Clock) -> None:
    """The whole process, until SIGTERM or SIGINT; then running clips are sealed as interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    capture = Capture(settings, vault, clock.now)
    if capture.unlocked_rings:
        log.warning("audio in rings may be swapped out: raise LimitMEMLOCK", rings=capture.unlocked_rings)
    while not stop.is_set():
        capture.beat()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                await stop.wait()
    await capture.stop()
