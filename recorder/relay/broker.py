"""The media broker: the supervisor's half of the media path. Ports, sockets and the last word on every call.

It binds each call's four sockets and hands copies to a worker. It keeps the sockets and the last state of
each call, so that a restarted worker gets everything again and goes on with the same ports. It serves
signalling over `media.sock`; calls outlive a lost connection. A call is one worker's, both sides of it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from recorder.channel import Channel, Listener, Message
from recorder.ports import PoolExhausted, PortPool
from recorder.relay.protocol import LABELS, Level, OrderError, level_of, remotes_of, session_of

OPEN_SECONDS = 0.04
"""What a worker has to take a call over; an INVITE waits 50 ms at most."""

PAGE = 400
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """`socket`: where signalling connects. UDP ports, both ends included; they rest before reuse."""

    socket: Path
    low_port: int
    high_port: int
    rest_seconds: float = 30.0
    receive_buffer_bytes: int = 32768
    open_seconds: float = OPEN_SECONDS


@dataclass(slots=True)
class _Call:
    session: int
    worker: int
    ports: tuple[int, int]
    sockets: list[socket.socket]
    remotes: dict[str, Message] = field(default_factory=dict)
    level: Level = "none"

    def orders(self) -> list[Message]:
        """What to tell a worker after `open` to stand where its predecessor stood. The tap comes first, since
        a worker reads a call's sockets as soon as both remotes are known.
        """
        return [{"op": "tap", "session": self.session, "level": self.level}, *self.remotes.values()]


class _Worker:
    """A connected worker: orders out, answers back by sequence number."""

    def __init__(self, connection: socket.socket, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self._channel = Channel(connection, self._answered, self._lost)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._sequence = 0
        self.refusals = 0

    def order(self, message: Message, sockets: list[socket.socket] | None = None) -> int:
        self._sequence += 1
        self._channel.send({**message, "seq": self._sequence}, sockets or ())
        return self._sequence

    async def ask(
        self, message: Message, seconds: float, sockets: list[socket.socket] | None = None
    ) -> Message:
        """Order and wait for the answer. Raises OrderError (refused or gone) or TimeoutError."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        sequence = self.order(message, sockets)
        self._waiting[sequence] = answer
        try:
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            self._waiting.pop(sequence, None)

    def close(self) -> None:
        self._channel.close()
        self._fail_waiting()

    def _answered(self, message: Message) -> None:
        answer = self._waiting.pop(message.get("seq", 0), None)
        if message.get("ok") is not True:
            self.refusals += 1
            if answer is not None and not answer.done():
                answer.set_exception(OrderError(str(message.get("error"))))
        elif answer is not None and not answer.done():
            answer.set_result(message)

    def _lost(self) -> None:
        self._fail_waiting()
        self._on_close()

    def _fail_waiting(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(OrderError("the worker is gone"))


class MediaBroker:
    """Start it inside a running event loop. `draw(n)` returns an integer in [0, n), unpredictably."""

    def __init__(
        self, settings: BrokerSettings, draw: Callable[[int], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._now = now
        self._pool = PortPool(settings.low_port, settings.high_port, settings.rest_seconds, draw)
        self._calls: dict[int, _Call] = {}
        self._workers: dict[int, _Worker] = {}
        self._clients: set[Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = Listener(settings.socket, self._connected)
        self.refused = 0
        """Orders of signalling that could not be read or named no open call."""

    def attach_worker(self, index: int, control: socket.socket) -> None:
        """Take a started worker's control socket (our end) and tell it of every call that is its own."""
        previous = self._workers.pop(index, None)
        if previous is not None:
            previous.close()
        worker = _Worker(control, lambda: self._detach(index))
        self._workers[index] = worker
        for call in self._calls.values():
            if call.worker == index:
                worker.order(_opening(call), call.sockets)
                for order in call.orders():
                    worker.order(order)

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
        RAM.
        """
        rows: list[Message] = []
        for index, worker in sorted(self._workers.items()):
            try:
                answer = await worker.ask({"op": "stats"}, 1.0)
            except (OrderError, TimeoutError):
                rows.append({"worker": index, "answers": False})
                continue
            kept = {key: answer[key] for key in ("calls", "dropped", "locked")}
            rows.append({"worker": index, "answers": True, **kept, "refusals": worker.refusals})
        return rows

    def _detach(self, index: int) -> None:
        self._workers.pop(index, None)

    def _connected(self, connection: socket.socket) -> None:
        def lost() -> None:
            self._clients.discard(client)

        client = Channel(connection, lambda message: self._ordered(client, message), lost)
        self._clients.add(client)

    def _ordered(self, client: Channel, message: Message) -> None:
        operation = message.get("op")
        try:
            if operation in ("open", "table", "stats"):
                self._spawn(client, message)
            elif operation == "remote":
                self._remote(message)
            elif operation == "tap":
                self._tap(message)
            elif operation == "close":
                self._close(message)
            else:
                raise OrderError(f"unknown order {operation!r}")
        except OrderError:
            self.refused += 1

    def _spawn(self, client: Channel, message: Message) -> None:
        task = asyncio.create_task(self._reply(client, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, client: Channel, message: Message) -> None:
        try:
            if message["op"] == "open":
                answer = await self._open(message)
            elif message["op"] == "table":
                answer = self._table(message)
            else:
                answer = {"workers": await self.stats()}
            client.send({"seq": message.get("seq"), "ok": True, **answer})
        except (OrderError, PoolExhausted, OSError, TimeoutError) as error:
            client.send({"seq": message.get("seq"), "ok": False, "error": str(error) or "too late"})

    async def _open(self, message: Message) -> Message:
        session = session_of(message)
        if session in self._calls:
            raise OrderError("this session is open already")
        index = self._least_busy()
        call = self._allocate(session, index, str(message.get("address")))
        self._calls[session] = call
        try:
            await self._workers[index].ask(_opening(call), self._settings.open_seconds, call.sockets)
        except (OrderError, TimeoutError):
            if self._calls.get(session) is call:
                self._discard(call)
            raise
        if self._calls.get(session) is not call:
            raise OrderError("closed meanwhile")
        return {"ports": list(call.ports)}

    def _least_busy(self) -> int:
        if not self._workers:
            raise OrderError("no relay worker is running")
        load = dict.fromkeys(self._workers, 0)
        for call in self._calls.values():
            if call.worker in load:
                load[call.worker] += 1
        return min(load, key=lambda index: load[index])

    def _allocate(self, session: int, worker: int, address: str) -> _Call:
        first, first_sockets = self._bind_pair(address)
        try:
            second, second_sockets = self._bind_pair(address)
        except (OSError, PoolExhausted):
            self._give_back(first, first_sockets)
            raise
        return _Call(session, worker, (first, second), [*first_sockets, *second_sockets])

    def _bind_pair(self, address: str) -> tuple[int, list[socket.socket]]:
        """Take a pair and bind RTP and RTCP on it. A port that another program holds goes to rest."""
        for _ in range(_ATTEMPTS):
            port = self._pool.take(self._now())
            sockets: list[socket.socket] = []
            try:
                for offset in (0, 1):
                    sockets.append(_bind(address, port + offset, self._settings.receive_buffer_bytes))
            except OSError as error:
                self._give_back(port, sockets)
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return port, sockets
        raise PoolExhausted("no media port could be bound")

    def _remote(self, message: Message) -> None:
        call = self._call(message)
        side = remotes_of(message).side
        call.remotes[side] = {key: value for key, value in message.items() if key != "seq"}
        self._pass_on(call, call.remotes[side])

    def _tap(self, message: Message) -> None:
        call = self._call(message)
        call.level = level_of(message)
        self._pass_on(call, {"op": "tap", "session": call.session, "level": call.level})

    def _close(self, message: Message) -> None:
        self._discard(self._call(message))

    def _table(self, message: Message) -> Message:
        after = message.get("after", -1)
        sessions = sorted(session for session in self._calls if session > after)
        page = [self._calls[session] for session in sessions[:PAGE]]
        return {
            "calls": [[call.session, *call.ports, call.level, call.worker] for call in page],
            "more": len(sessions) > PAGE,
        }

    def _discard(self, call: _Call) -> None:
        self._pass_on(call, {"op": "close", "session": call.session})
        self._release(call)

    def _pass_on(self, call: _Call, order: Message) -> None:
        worker = self._workers.get(call.worker)
        if worker is not None:
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


def _bind(address: str, port: int, receive_buffer_bytes: int) -> socket.socket:
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        endpoint.setblocking(False)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        endpoint.bind((address, port))
    except OSError:
        endpoint.close()
        raise
    return endpoint
