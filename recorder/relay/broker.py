"""The media broker: ports, sockets and the last word on every call, which outlive every relay worker.

It binds each call's four sockets and hands copies to a worker. It keeps the sockets and the last state of
each call, so that a restarted worker gets everything again and goes on with the same ports. It serves
signalling over `media.sock`. A call is one worker's, both sides of it.

Who opens a call owns it. Calls outlive a lost connection, but their taps are shut at once: unknown means not
recorded. Whoever comes back claims them. A call that nobody owns is closed when nothing is heard in it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.channel import Channel, Listener, Message
from recorder.ports import PoolExhausted, PortPool
from recorder.relay.answers import answer, refusal
from recorder.relay.link import WorkerLink
from recorder.relay.protocol import (
    LABELS,
    OrderError,
    Side,
    addresses_of,
    remotes_of,
    session_of,
    sessions_of,
    tap_of,
)
from recorder.relay.reports import REPORTED
from recorder.relay.rounds import OurAddresses, Way, goes_round, ports_of_ours
from recorder.relay.sockets import bind
from recorder.relay.stream import COUNTS

OPEN_SECONDS = 0.04
"""What a worker has to take a call over; an INVITE waits 50 ms at most."""

PLAY_SECONDS = 60.0
"""Longer than any sound that a worker plays."""

PAGE = 400
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """`socket`: where signalling connects. UDP ports, both ends included; they rest before reuse.

    Every `reap_seconds` the reaper looks at calls that nobody owns; two looks without a packet end one. RTCP
    counts: on hold it is all that there is, and some phones do not send even that. So they look rarely, as
    far apart as refreshes of a session are (RFC 4028: half of 30 minutes).
    """

    socket: Path
    low_port: int
    high_port: int
    rest_seconds: float = 30.0
    receive_buffer_bytes: int = 32768
    open_seconds: float = OPEN_SECONDS
    reap_seconds: float = 900.0
    addresses: frozenset[str] = frozenset()
    """Of ours, as others see them; those that calls are bound to are known without."""


@dataclass(slots=True)
class _Call:
    session: int
    worker: int
    ports: tuple[int, int]
    addresses: tuple[str, str]
    sockets: list[socket.socket]
    owner: Channel | None
    heard: tuple[int, int, int] | None = None  # at the reaper's last look
    remotes: dict[Side, Message] = field(default_factory=dict)
    tap: Message = field(default_factory=lambda: {"level": "none"})

    def ways(self) -> tuple[tuple[int, Way], ...]:
        """Where a packet leaves that has come to one of our ports: on the other side."""
        return (self.ports[0], (self.session, "b")), (self.ports[1], (self.session, "a"))

    def orders(self) -> list[Message]:
        """What a worker is told after `open`; the tap first: it reads as soon as it knows both remotes."""
        return [{"op": "tap", "session": self.session, **self.tap}, *self.remotes.values()]


class MediaBroker:
    """Start it inside a running event loop. `draw(n)` returns an integer in [0, n), unpredictably."""

    def __init__(
        self, settings: BrokerSettings, draw: Callable[[int], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now = now
        self._pool = PortPool(settings.low_port, settings.high_port, settings.rest_seconds, draw)
        self._calls: dict[int, _Call] = {}
        self._workers: dict[int, WorkerLink] = {}
        self._clients: set[Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses = OurAddresses(settings.addresses)
        self._listener = Listener(settings.socket, self._connected)
        self.refused = 0
        """Orders of signalling that could not be read or named no open call."""
        self._spawn(self._reap_now_and_then())

    def attach_worker(self, index: int, control: socket.socket) -> None:
        """Take a worker's control socket (our end) and tell it of every call that is its own."""
        previous = self._workers.pop(index, None)
        if previous is not None:
            previous.close()
        worker = WorkerLink(control, lambda: self._detach(index))
        self._workers[index] = worker
        for call in self._calls.values():
            if call.worker == index:
                worker.order(_opening(call), call.sockets)
                for order in call.orders():
                    worker.order(order)

    @property
    def workers(self) -> frozenset[int]:
        """The indices of the workers that are attached."""
        return frozenset(self._workers)

    @property
    def open_calls(self) -> int:
        """How many calls have ports."""
        return len(self._calls)

    def close(self) -> None:
        """Close everything: clients, workers (which end), ports."""
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        for client in self._clients:
            client.close()
        for worker in self._workers.values():
            worker.close()
        for call in list(self._calls.values()):
            self._release(call)

    async def stats(self) -> list[Message]:
        """One row per attached worker: index, calls, dropped ring records, whether the ring is locked in
        RAM, and what its streams have counted.
        """
        rows: list[Message] = []
        for index, worker in sorted(self._workers.items()):
            try:
                told = await worker.stats()
            except (OrderError, TimeoutError):
                rows.append({"worker": index, "answers": False})
                continue
            kept = {key: told[key] for key in ("calls", "dropped", "locked", *REPORTED, *COUNTS)}
            rows.append({"worker": index, "answers": True, **kept, "refusals": worker.refusals})
        return rows

    def ports(self) -> dict[str, int]:
        """How many port pairs are in use, at rest and free."""
        return self._pool.counts(self._now())

    async def reap(self) -> None:
        """One look of the reaper: close the calls that nobody owns, and in which nothing was heard since the
        look before. Where a worker does not answer, its calls go on.
        """
        for index, worker in list(self._workers.items()):
            if not self._ownerless(index):
                continue
            try:
                heard = await worker.heard()
            except (OrderError, TimeoutError):
                continue
            for call in self._ownerless(index):
                before, call.heard = call.heard, heard.get(call.session, (0, 0, 0))
                if call.heard == before:
                    self._discard(call)

    def _ownerless(self, worker: int) -> list[_Call]:
        return [call for call in self._calls.values() if call.worker == worker and call.owner is None]

    def _detach(self, index: int) -> None:
        self._workers.pop(index, None)

    def _connected(self, connection: socket.socket) -> None:
        client = Channel(
            connection, lambda message: self._ordered(client, message), lambda: self._lost(client)
        )
        self._clients.add(client)

    def _lost(self, client: Channel) -> None:
        """Nobody can say any more what this client's calls must keep out: no tap stays open."""
        self._clients.discard(client)
        for call in self._calls.values():
            if call.owner is client:
                call.owner = None
                self._set_tap(call, {"level": "none"})

    def _ordered(self, client: Channel, message: Message) -> None:
        operation = message.get("op")
        try:
            if operation == "open":
                self._open(client, message)
            elif operation == "table":
                client.send(answer(message, self._table(message)))
            elif operation == "stats":
                self._spawn(self._tell_stats(client, message))
            elif operation == "claim":
                self._claim(client, message)
            elif operation == "play":
                self._play(client, message)
            else:
                self._change(client, message)
        except OrderError:
            self.refused += 1

    def _change(self, client: Channel, message: Message) -> None:
        """An order that changes a call. Whoever gives one owns the call if nobody does."""
        acts = {
            "remote": self._remote,
            "tap": self._tap,
            "stop-play": self._stop_play,
            "close": self._close,
        }
        act = acts.get(str(message.get("op")))
        if act is None:
            raise OrderError(f"unknown order {message.get('op')!r}")
        call = self._call(message)
        call.owner = call.owner or client
        act(call, message)

    def _play(self, client: Channel, message: Message) -> None:
        """Only the worker that has begun a sound can say that it was heard whole."""
        try:
            worker = self._workers[self._call(message).worker]
        except (OrderError, KeyError):
            client.send(refusal(message, OrderError("no such session, or no relay worker is running")))
            return
        order = {key: value for key, value in message.items() if key != "seq"}
        self._spawn(self._tell_played(client, message, worker.ask(order, client.handed)))

    async def _tell_played(self, client: Channel, message: Message, played: asyncio.Future[Message]) -> None:
        try:
            async with asyncio.timeout(PLAY_SECONDS):
                client.send(answer(message, await played))
        except (OrderError, TimeoutError) as error:
            client.send(refusal(message, error))

    def _stop_play(self, call: _Call, _: Message) -> None:
        self._pass_on(call, {"op": "stop-play", "session": call.session})

    def _claim(self, client: Channel, message: Message) -> None:
        """A client that was reconnected names its calls. Those that ended meanwhile are passed over."""
        for session in sessions_of(message):
            call = self._calls.get(session)
            if call is not None:
                call.owner, call.heard = client, None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_stats(self, client: Channel, message: Message) -> None:
        client.send(answer(message, {"workers": await self.stats()}))

    def _open(self, client: Channel, message: Message) -> None:
        """Everything but the wait for the worker's answer happens before the next order is read."""
        try:
            session = session_of(message)
            if session in self._calls:
                raise OrderError("this session is open already")
            index = self._least_busy()
            call = self._allocate(session, index, addresses_of(message), client)
        except (OrderError, PoolExhausted, OSError) as error:
            client.send(refusal(message, error))
            return
        self._calls[session] = call
        self._addresses.update(call.addresses)
        taken = self._workers[index].ask(_opening(call), call.sockets)
        self._spawn(self._tell_opened(client, message, call, taken))

    async def _tell_opened(
        self, client: Channel, message: Message, call: _Call, taken: asyncio.Future[Message]
    ) -> None:
        try:
            async with asyncio.timeout(self._settings.open_seconds):
                await taken
            if self._calls.get(call.session) is not call:
                raise OrderError("closed meanwhile")
        except (OrderError, TimeoutError) as error:
            if self._calls.get(call.session) is call:
                self._discard(call)
            client.send(refusal(message, error))
        else:
            client.send(answer(message, {"ports": list(call.ports)}))

    async def _reap_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reap_seconds)
            await self.reap()

    def _least_busy(self) -> int:
        if not self._workers:
            raise OrderError("no relay worker is running")
        load = Counter(call.worker for call in self._calls.values())
        return min(self._workers, key=load.__getitem__)

    def _allocate(self, session: int, worker: int, addresses: tuple[str, str], owner: Channel) -> _Call:
        first, first_sockets = self._bind_pair(addresses[0])
        try:
            second, second_sockets = self._bind_pair(addresses[1])
        except (OSError, PoolExhausted):
            self._give_back(first, first_sockets)
            raise
        sockets = [*first_sockets, *second_sockets]
        return _Call(session, worker, (first, second), addresses, sockets, owner)

    def _bind_pair(self, address: str) -> tuple[int, list[socket.socket]]:
        """Take a pair and bind RTP and RTCP on it. A port that another program holds goes to rest."""
        for _ in range(_ATTEMPTS):
            port = self._pool.take(self._now())
            sockets: list[socket.socket] = []
            try:
                for offset in (0, 1):
                    sockets.append(bind(address, port + offset, self._settings.receive_buffer_bytes))
            except OSError as error:
                self._give_back(port, sockets)
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return port, sockets
        raise PoolExhausted("other programs have media ports; give ports in [media] a range of its own")

    def _remote(self, call: _Call, message: Message) -> None:
        side = remotes_of(message).side
        if ports_of_ours(message, self._addresses) and self._goes_round(call, side, message):
            raise OrderError("media would go round between ports of ours for ever")
        left_out = {"seq", "learn"} if message.get("learn") in self._addresses else {"seq"}
        call.remotes[side] = {key: value for key, value in message.items() if key not in left_out}
        self._pass_on(call, call.remotes[side])

    def _goes_round(self, call: _Call, side: Side, order: Message) -> bool:
        orders = {(it.session, at): told for it in self._calls.values() for at, told in it.remotes.items()}
        orders[call.session, side] = order
        ways = {port: way for it in self._calls.values() for port, way in it.ways()}
        return goes_round((call.session, side), ways, orders, self._addresses)

    def _tap(self, call: _Call, message: Message) -> None:
        self._set_tap(call, tap_of(message))

    def _set_tap(self, call: _Call, tap: Message) -> None:
        call.tap = tap
        self._pass_on(call, call.orders()[0])

    def _close(self, call: _Call, _: Message) -> None:
        self._discard(call)

    def _table(self, message: Message) -> Message:
        after = message.get("after", -1)
        sessions = sorted(session for session in self._calls if session > after)
        page = [self._calls[session] for session in sessions[:PAGE]]
        return {
            "calls": [
                [call.session, *call.ports, call.tap["level"], call.worker, *call.addresses] for call in page
            ],
            "more": len(sessions) > PAGE,
        }

    def _discard(self, call: _Call) -> None:
        self._pass_on(call, {"op": "close", "session": call.session})
        self._release(call)

    def _pass_on(self, call: _Call, order: Message) -> None:
        if (worker := self._workers.get(call.worker)) is not None:
            worker.order(order)

    def _release(self, call: _Call) -> None:
        self._calls.pop(call.session, None)
        self._give_back(call.ports[0], call.sockets[:2])
        self._give_back(call.ports[1], call.sockets[2:])

    def _give_back(self, port: int, sockets: list[socket.socket]) -> None:
        for each in sockets:
            each.close()
        self._pool.give_back(port, self._now())

    def _call(self, message: Message) -> _Call:
        call = self._calls.get(session_of(message))
        if call is None:
            raise OrderError("no such session")
        return call


def _opening(call: _Call) -> Message:
    return {"op": "open", "session": call.session, "labels": list(LABELS)}
