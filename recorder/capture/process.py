"""The heart of the capture process: rings in, clips out.

It serves signalling over `capture.sock`. When that connection drops, its calls are held, and nothing of
them is committed, for a grace period: the same `begin` again goes on with the same part; without it they
end where they were last certain. Each recording of a call begins and may end by itself; taint and discard
end them all, and a later `begin` for the call is refused.

What nobody foresaw costs the call in which it happened, or what was tapped since the last beat, and never the
process. It is logged by its type alone: a message could quote what it must not.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from recorder.capture.call import CapturedRecording
from recorder.capture.intake import Intake
from recorder.capture.keys import Keys
from recorder.capture.ongoing import Ongoing, refuse, see_to_end
from recorder.capture.orders import (
    Begin,
    OrderError,
    begins_of,
    codecs_of,
    ending_of,
    instant_of,
    session_of,
    told_of,
)
from recorder.capture.protection import Protections
from recorder.capture.tally import Tally
from recorder.capture.track import ClipVault
from recorder.channel import Channel, Listener, Message
from recorder.metrics import answered
from recorder.ring import RingReader
from storage.errors import StorageError

log = structlog.get_logger()

SETTLE_BEATS = 5
_HEAR_NS = 50_000_000
REMEMBERED_TAINTS = 65536


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """`socket`: where signalling connects. `rings`: where the media broker hands out the rings."""

    socket: Path
    rings: Path
    status_socket: Path | None = None
    """Where it answers what it counts."""
    grace_seconds: float = 5.0
    stop_seconds: float = 10.0


class Capture:
    """The recordings that are made now. Lives inside a running event loop.

    `now` is the wall clock, `now_ns` the one that the relay workers stamp arrivals with.
    """

    def __init__(
        self,
        settings: CaptureSettings,
        vault: ClipVault,
        ring_fds: Sequence[int],
        now: Callable[[], datetime],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self._vault = vault
        self._now = now
        self._now_ns = now_ns
        self._run = secrets.token_hex(8)
        self._readers = [RingReader(fd) for fd in ring_fds]
        self._running: dict[int, dict[str, Ongoing]] = {}  # by call, then by recording
        self._tainted: dict[int, None] = {}  # in order, the oldest are forgotten
        self._clients: set[Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beats = self._heard_ns = 0
        self._settling: asyncio.Task[None] | None = None
        self._keys = Keys(now, now_ns)
        self._tally, self._protections = Tally(), Protections()
        self._intake = Intake(self._running, self._keys, self._protections, self._break_off)
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
        found = self._running.get(session, {}).values()
        return bool(found) and all(it.recording.is_suspended for it in found)

    @property
    def discarded(self) -> int:
        """Records of calls that nobody ordered."""
        return self._intake.discarded

    @property
    def unlocked_rings(self) -> int:
        """How many rings could not be locked in RAM."""
        return sum(not reader.locked for reader in self._readers)

    @property
    def recording(self) -> int:
        """How many calls are recorded now."""
        return len(self._running)

    def use_rings(self, ring_fds: Sequence[int]) -> None:
        """Another media broker, other rings: read the old ones to their end, then go on with these."""
        self._drain()
        self._close_rings()
        self._readers = [RingReader(fd) for fd in ring_fds]

    def _close_rings(self) -> None:
        for reader in self._readers:
            reader.close()

    def beat(self) -> None:
        """Read the rings, commit what is old enough and make it durable."""
        self._drain()
        now_ns = self._now_ns()
        for running in self._every():
            if self._now_ns() - self._heard_ns > _HEAR_NS:  # however long it takes: a ring must not fill
                self.hear()
            try:
                self._attend(running, now_ns)
            except Exception as error:
                self._break_off(running, error)
        self._beats += 1
        for running in self._every():
            self._spawn(running.recording.flush())
        self._protections.keep({*self._running, *self._keys.listened()})
        if self._beats % SETTLE_BEATS == 0 and (self._settling is None or self._settling.done()):
            self._settling = self._spawn(self._settle())

    async def _settle(self) -> None:  # what cannot be done now is tried again
        with contextlib.suppress(StorageError, OSError):
            await self._vault.settle()

    def _commit(self, running: Ongoing) -> bool:
        """Write what is certain by now, before something ends that; False: it was broken off."""
        try:
            running.recording.commit(self._now_ns())
        except Exception as error:
            self._break_off(running, error)
            return False
        return True

    def _attend(self, running: Ongoing, now_ns: int) -> None:
        running.recording.commit(now_ns)
        protection = self._protections.get(running.recording.begin.session)
        if running.recording.refused_codec:
            self._cut(running, "codec", failed=True)
        elif protection is not None and protection.is_shut:
            self._cut(running, "srtp", failed=True)
        elif running.recording.is_lost:
            self._forget(running)
            running.recording.drop()

    async def stop(self) -> None:
        """Seal every running clip as interrupted and close."""
        self._listener.close()
        for running in self._every():
            self._cut(running, "interrupted")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.stop_seconds)
        for client in self._clients:
            client.close()
        self._close_rings()

    def _connected(self, connection: socket.socket) -> None:
        client = Channel(
            connection, lambda message: self._ordered(client, message), lambda: self._disconnected(client)
        )
        self._clients.add(client)
        client.send({"event": "hello", "run": self._run})

    def _disconnected(self, client: Channel) -> None:
        self._clients.discard(client)
        self._keys.forget(client)
        loop = asyncio.get_running_loop()
        for running in self._every():
            if running.owner is client and self._commit(running):
                running.recording.is_suspended = True
                grace = self._settings.grace_seconds
                running.grace = loop.call_later(grace, self._cut, running, "signalling-lost")

    def _ordered(self, client: Channel, message: Message) -> None:
        operation = message.get("op")
        try:
            self._carry_out(client, message)
        except OrderError as error:
            log.error("order refused", why=str(error))
            if operation == "begin":
                refuse(client, message, "order-refused")
            else:
                client.send({"event": "refused", "session": message.get("session"), "error": str(error)})
        except Exception as error:  # what nobody foresaw: nothing more of this call is recorded
            log.error("order not carried out", error=type(error).__name__)
            for it in self._of(session_of(message)):
                self._break_off(it, error)
            if operation == "begin":
                refuse(client, message, "internal")

    def _carry_out(self, client: Channel, message: Message) -> None:
        acts = {
            "codecs": self._renegotiate,
            "pause": self._pause,
            "resume": self._resume,
            "finish": self._finish,
            "stop": self._stop,
            "taint": self._taint,
            "discard": self._discard,
        }
        operation = message.get("op")
        self._drain(message.get("session"))  # what came before an order is of before it
        if operation in ("begin", "codecs", "listen"):
            self._learn_keys(message)
        if operation == "begin":
            self._begin(client, message)
        elif operation == "listen":
            self._keys.listen(client, message)
        elif operation in acts:
            acts[operation](message)
        else:
            raise OrderError(f"unknown order {operation!r}")

    def _learn_keys(self, message: Message) -> None:
        if "srtp" not in message:
            raise OrderError("it is not said whether the call is encrypted")
        self._protections.learn(session_of(message), message["srtp"])

    def _begin(self, client: Channel, message: Message) -> None:
        for begin, row in zip(begins_of(message), message["recordings"], strict=True):
            found = self._running.get(begin.session, {})
            known = found.get(begin.plan.recording_id)
            if begin.session in self._tainted:
                refuse(client, message | {"recordings": [row]}, "tainted")
            elif known is not None and known.purpose == begin.plan.purpose:
                known.go_on(client)
            elif known is not None or begin.plan.purpose in {it.purpose for it in found.values()}:
                refuse(client, message | {"recordings": [row]}, "session-in-use")
            else:
                self._start(client, begin)

    def _start(self, client: Channel, begin: Begin) -> None:
        running: Ongoing

        def tell(event: Message) -> None:
            self._tally.add(event)
            running.owner.send(event)

        recording = CapturedRecording(begin, tell, self._now(), self._now_ns(), self._tally.records)
        running = Ongoing(recording, client, self._spawn(recording.open(self._vault)))
        self._running.setdefault(begin.session, {})[begin.plan.recording_id] = running

    def answer(self, question: Message) -> Message:
        """What it counts, to whoever asks for the metrics."""
        if question.get("op") != "metrics":
            return {"ok": False, "error": "unknown question"}
        recordings = (it.recording for it in self._every())
        torn = sum(it.torn for it in self._readers)
        return answered(self._tally.samples(recordings, self._now_ns(), torn, self.discarded))

    def _renegotiate(self, message: Message) -> None:
        found, codecs = self._of(session_of(message)), codecs_of(message)
        for running in found:
            running.recording.renegotiate(codecs)

    def _pause(self, message: Message) -> None:
        found, at = self._of(session_of(message)), instant_of(message)
        for running in found:
            running.recording.pause(at, self._now_ns())

    def _resume(self, message: Message) -> None:
        found, at = self._of(session_of(message)), instant_of(message)
        for running in found:
            running.recording.resume(at, self._now_ns())
            running.recording.announce(told_of(message, running.recording.begin.plan.recording_id))

    def _finish(self, message: Message) -> None:
        ending = ending_of(message)
        ended_at = min(ending.ended_at, self._keys.unheeded_since(ending.session) or ending.ended_at)
        for running in self._of(ending.session):
            self._forget(running)
            end = running.recording.finish(ended_at, self._now_ns(), running.opened)
            self._spawn(see_to_end(running.recording, end))

    def _stop(self, message: Message) -> None:
        ending = ending_of(message)
        for running in self._of(ending.session):
            if running.recording.begin.plan.recording_id == ending.recording:
                self._cut(running, ending.reason or "stopped")

    def _taint(self, message: Message) -> None:
        ending = ending_of(message)
        self._bar(ending.session)
        for running in self._of(ending.session):
            self._cut(running, ending.reason or "tainted")

    def _discard(self, message: Message) -> None:
        session = session_of(message)
        self._bar(session)
        for it in self._of(session):
            self._forget(it)
            it.recording.drop()
            self._spawn(see_to_end(it.recording, it.recording.discard()))
        self._drain(session)  # what of it still waits is overwritten now

    def _bar(self, session: int) -> None:
        """A later `begin` for this call is refused."""
        self._tainted[session] = None
        if len(self._tainted) > REMEMBERED_TAINTS:
            del self._tainted[next(iter(self._tainted))]

    def _cut(self, running: Ongoing, reason: str, failed: bool = False) -> None:
        if not self._commit(running) or not self._forget(running):
            return
        running.recording.drop()
        self._drain(running.recording.begin.session)  # what of it still waits is overwritten now
        end = running.recording.cut(reason, running.opened, failed)
        self._spawn(see_to_end(running.recording, end))

    def _break_off(self, running: Ongoing, error: Exception) -> None:
        log.error("a recording was broken off", error=type(error).__name__)
        self._forget(running)
        self._spawn(see_to_end(running.recording, running.recording.break_off(running.opened)))

    def _of(self, session: int) -> list[Ongoing]:
        return list(self._running.get(session, {}).values())

    def _every(self) -> list[Ongoing]:
        return [running for session in list(self._running) for running in self._of(session)]

    def _forget(self, running: Ongoing) -> bool:
        """False: it is forgotten already."""
        if running.grace is not None:
            running.grace.cancel()
        begin = running.recording.begin
        found = self._running.get(begin.session, {})
        was_there = found.pop(begin.plan.recording_id, None) is not None
        if not found:
            self._running.pop(begin.session, None)
        return was_there

    def _drain(self, session: object = None) -> None:
        """Read the rings and hand over what was read, of one call or of all."""
        self.hear()
        try:
            self._intake.deliver(session if isinstance(session, int) else None)
        except Exception as error:
            log.error("what was tapped is discarded", error=type(error).__name__)

    def hear(self) -> None:
        """Read the rings: keys are told, the rest waits for the beat."""
        self._heard_ns = self._now_ns()
        for reader in self._readers:
            try:
                reader.drain(self._intake.read)
            except Exception as error:
                log.error("what was tapped is discarded", error=type(error).__name__)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
