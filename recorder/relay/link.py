"""The broker's end of a worker's control socket: orders out, answers back by sequence number."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from recorder.channel import Channel, Message, Open
from recorder.relay.protocol import OrderError

_SECONDS = 1.0
"""For questions on which no call waits."""


class WorkerLink:
    """A connected worker. `on_close()` is called once when it has gone."""

    def __init__(self, connection: socket.socket, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self._channel = Channel(connection, self._answered, self._lost)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._sequence = 0
        self.refusals = 0

    def order(self, message: Message, handed: Sequence[Open] = ()) -> int:
        """Send an order, in order; its sequence number."""
        self._sequence += 1
        self._channel.send({**message, "seq": self._sequence}, handed)
        return self._sequence

    def ask(self, message: Message, handed: Sequence[Open] = ()) -> asyncio.Future[Message]:
        """Send an order at once; what is returned can be waited for, and raises OrderError."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        sequence = self.order(message, handed)
        self._waiting[sequence] = answer
        answer.add_done_callback(lambda _: self._waiting.pop(sequence, None))
        return answer

    async def stats(self) -> Message:
        """What the worker says of itself. Raises OrderError, TimeoutError."""
        async with asyncio.timeout(_SECONDS):
            return await self.ask({"op": "stats"})

    async def heard(self) -> dict[int, tuple[int, int, int]]:
        """Packets from a, from b, and of RTCP so far, by session. Raises OrderError, TimeoutError."""
        counted: dict[int, tuple[int, int, int]] = {}
        after, more = -1, True
        while more:
            async with asyncio.timeout(_SECONDS):
                answer = await self.ask({"op": "table", "after": after})
            counted |= {session: (a, b, rtcp) for session, _, a, b, *_, rtcp in answer["calls"]}
            more = answer["more"]
            after = max(counted, default=after)
        return counted

    def close(self) -> None:
        """Hang up, which ends the worker. Whoever waits for an answer gets an OrderError."""
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
