"""The key service: the only process with private keys, behind one Unix socket.

It asks the kernel who is speaking (SO_PEERCRED). An acting person (`as`) is believed of root and of the
service's own account only, and the audit row says through whom. Destroying is for those two accounts too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import structlog

from portal.access import Action, Request
from portal.openers import Ask, Book, DayKeyService, Opener
from storage.clock import Clock
from storage.errors import Refused, StorageError, Unavailable
from storage.keydoor import LINE_LIMIT, describe
from storage.keyring import Keyring, Places, PurposeKey, days_ahead

log = structlog.get_logger()

TICK_SECONDS = 3600.0

_PEER = struct.Struct("3i")  # pid, uid, gid: struct ucred


@dataclass(frozen=True, slots=True)
class Peer:
    """The account at the other end, by the kernel's word. `is_trusted`: root, or the service's own."""

    name: str
    is_trusted: bool


class KeyService:
    """One day-key service and an opener for each purpose, in one process."""

    def __init__(self, places: Places, retentions: Mapping[str, timedelta], book: Book, clock: Clock) -> None:
        """`retentions`: of every purpose that is recorded. Raises NotFound, Unavailable, Corrupt."""
        self._places = places
        self._keyring = Keyring.load(places)
        self._keyring.add_purposes(retentions)
        self._retentions = retentions
        self._clock = clock
        self._day_keys = DayKeyService(self._keyring, book)
        self._book = book
        self._openers: dict[str, Opener] = {}
        self._open_purposes()
        self._changing = asyncio.Lock()
        self.trouble = ""
        """Why the days ahead have no keys; "" when they have."""
        self._openings: Counter[tuple[str, str]] = Counter()
        self._conversations: set[asyncio.Task[None]] = set()
        self._operations: Mapping[str, Callable[[Mapping[str, Any], Peer], Awaitable[dict[str, Any]]]] = {
            "open": self._open,
            "past-days": self._past_days,
            "destroy-days": self._destroy_days,
            "refuse-clip": self._refuse_clip,
            "status": self._status,
            "refresh": self._refresh,
        }

    async def follow(self, retentions: Mapping[str, timedelta]) -> int:
        """Other purposes are recorded from now on: make the keys that they lack. Returns how many days got
        one. Those that are gone keep their keys until their clips are. Raises StorageError.
        """
        async with self._changing:
            await asyncio.to_thread(self._keyring.add_purposes, retentions)
            self._open_purposes()
            self._retentions = retentions
        return await self.refresh()

    def _open_purposes(self) -> None:
        """An opener for every purpose with a key."""
        store = self._keyring.store
        for purpose in store.purposes.keys() - self._openers.keys():
            key = PurposeKey.load(self._places, purpose)
            self._openers[purpose] = Opener(purpose, key, store.management, self._book)

    async def run(self, socket_path: Path, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until cancelled: the days ahead first, then the socket, and the days again every hour."""
        try:
            await self._tend()
            server = await asyncio.start_unix_server(
                self._converse, sock=_bound_socket(socket_path), limit=LINE_LIMIT
            )
            on_ready()
            try:
                while True:
                    await asyncio.sleep(TICK_SECONDS)
                    await self._tend()
            finally:
                await self._stop(server)
        finally:
            self._keyring.close()

    async def _tend(self) -> None:
        """A full disk must not keep the service from destroying: the trouble stands in `status` instead."""
        try:
            await self.refresh()
            self.trouble = ""
        except StorageError as error:
            self.trouble = str(error)
            log.error("day keys could not be made ahead", error=str(error))

    async def refresh(self) -> int:
        """See that every day ahead has a key, and publish the public halves. Returns how many are new."""
        today = self._clock.now().date()
        spans = {name: _days(*days_ahead(today, term)) for name, term in self._retentions.items()}
        async with self._changing:
            made = await asyncio.to_thread(self._keyring.ensure_days, spans)
            await self._publish()
        return made

    async def _publish(self) -> None:
        await asyncio.to_thread(self._keyring.publish, self._clock.now())

    async def _open(self, question: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        ask = _ask(question, peer)
        purpose = ask.request.purpose if ask.request.purpose in self._openers else "unknown"
        result = "failed"
        try:
            inner = await self._day_keys.open_layer(ask)
            key = await self._openers[ask.request.purpose].open(ask, inner)
            result = "granted"
        except Refused:
            result = "refused"
            raise
        finally:
            self._openings[purpose, result] += 1
        return {"key": base64.b64encode(key).decode()}

    async def _past_days(self, question: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        _only_trusted(peer, "list past days")
        days = self._keyring.past_days(date.fromisoformat(_text(question, "today")))
        return {"days": [[purpose, day.isoformat()] for purpose, day in days]}

    async def _destroy_days(self, question: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        _only_trusted(peer, "destroy day keys")
        days = [(str(purpose), date.fromisoformat(day)) for purpose, day in question["days"]]
        async with self._changing:
            evidence = await asyncio.to_thread(self._keyring.destroy_days, days)
            await self._publish()
        return {"days": [{**asdict(one), "day": one.day.isoformat()} for one in evidence]}

    async def _refuse_clip(self, question: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        _only_trusted(peer, "refuse a clip for ever")
        clip = _text(question, "clip")
        async with self._changing:
            await asyncio.to_thread(self._keyring.refuse_clip, clip)
        return {}

    async def _refresh(self, question: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        _only_trusted(peer, "make keys and publish the bundle")
        return {"made": await self.refresh()}

    async def _status(self, question: Mapping[str, Any], peer: Peer) -> dict[str, Any]:
        store = self._keyring.store
        live = {name: sorted(day for of, day in store.days if of == name) for name in store.purposes}
        return {
            "epoch": store.epoch,
            "purposes": {
                name: {
                    "days": len(days),
                    "first": days[0].isoformat() if days else None,
                    "last": days[-1].isoformat() if days else None,
                }
                for name, days in live.items()
            },
            "destroyed_days": len(store.destroyed),
            "refused_clips": len(store.refused),
            "council": store.council is not None,
            "management": store.management is not None,
            "declaration": store.declaration is not None,
            "trouble": self.trouble,
            "openings": [[*of, count] for of, count in self._openings.items()],
        }

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            peer = _peer(writer.get_extra_info("socket"))
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line, peer)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # the peer has gone, or sent a line without end: nobody is left to be told
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _answer(self, line: bytes, peer: Peer) -> dict[str, Any]:
        try:
            question = json.loads(line)
            return await self._operations[question["op"]](question, peer)
        except StorageError as error:
            return describe(error)
        except (ValueError, KeyError, TypeError, RecursionError):
            return describe(Refused("bad-request", "understand a request", "this is not how it is asked"))

    async def _stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in list(self._conversations):
            task.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)


def _ask(question: Mapping[str, Any], peer: Peer) -> Ask:
    actor = question.get("as") or peer.name
    if actor != peer.name and not peer.is_trusted:
        raise Refused("not-yourself", f"open a clip as {actor}", "only for your own account")
    request = Request(
        actor=str(actor),
        action=Action(_text(question, "action")),
        purpose=_text(question, "purpose"),
        reason=_text(question, "reason"),
    )
    return Ask(_text(question, "clip"), request, via="" if actor == peer.name else peer.name)


def _text(question: Mapping[str, Any], name: str) -> str:
    value = question[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _only_trusted(peer: Peer, what: str) -> None:
    if not peer.is_trusted:
        raise Refused("not-the-service", what, "only root and the service's own account may")


def _bound_socket(path: Path) -> socket.socket:
    """In the place of one that a crash has left; the keyring's lock says that nobody listens there."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        bound.bind(str(path))
        path.chmod(0o660)
    except OSError as error:
        bound.close()
        raise Unavailable(f"listen at {path}", f"look at its directory ({error.strerror})") from error
    return bound


def _peer(connection: socket.socket) -> Peer:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(raw)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid-{uid}"
    return Peer(name, uid in (0, os.geteuid()))


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
