"""Signalling's side of the media broker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.channel import Descriptor, Dialler, Message, Open
from recorder.relay.protocol import Level, Side

OPEN_SECONDS = 0.05
_TABLE_SECONDS = 2.0
_CLAIMED_AT_ONCE = 1000
_PLAY_SECONDS = 5.0
"""What a sound may take beyond its own length."""


class Row(NamedTuple):
    """One open call: RTP port and address of ours on the caller's side and on the callee's."""

    session: int
    caller_port: int
    callee_port: int
    tap: Level
    worker: int
    caller_address: str
    callee_address: str


class Played(NamedTuple):
    """A sound that was played whole: the instants, in ns of the monotonic clock, and how many packets."""

    began: int
    ended: int
    packets: int


class MediaUnavailable(Exception):
    """No media ports in time: let the call pass unanchored, and unrecorded."""


class MediaClient:
    """Connects to the broker and connects again; calls stay open at the broker meanwhile, with shut taps.

    Use it inside a running event loop. `remote`, `tap`, `claim` and `close` never block and keep their order.
    `on_up()` is called after every connection, when what had waited for it has been sent: claim the calls
    that go on, then open the taps of those that are recorded.
    """

    def __init__(
        self,
        path: Path,
        on_up: Callable[[], None] = lambda: None,
        open_seconds: float = OPEN_SECONDS,
    ) -> None:
        self._open_seconds = open_seconds
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._sequence = 0
        self._on_up = on_up
        self._up = asyncio.Event()
        self._dialler = Dialler(path, self._answered, self._came_up, self._went_down)

    @property
    def is_up(self) -> bool:
        """Whether the broker is connected."""
        return self._dialler.is_up

    async def connected(self) -> None:
        """Wait until the broker is connected."""
        await self._up.wait()

    async def open(self, session: int, addresses: tuple[str, str]) -> tuple[int, int]:
        """Bind ports for a call: (RTP port shown to the caller, RTP port shown to the callee), each on its
        own of our `addresses`.

        Raises MediaUnavailable, within `open_seconds` (50 ms).
        """
        try:
            answer = await self._ask(
                {"op": "open", "session": session, "addresses": list(addresses)}, self._open_seconds
            )
        except TimeoutError as error:
            self.close(session)  # it may come about yet
            raise MediaUnavailable("the media broker did not answer in time") from error
        caller_port, callee_port = answer["ports"]
        return int(caller_port), int(callee_port)

    def remote(
        self,
        session: int,
        side: Side,
        remotes: Sequence[tuple[str, int, int]],
        payload_types: Sequence[int] = (),
        final: bool = False,
        learn: str = "",
    ) -> None:
        """Announce where a side's media comes from: (IP address, RTP port, RTCP port), all forks; the
        last one is sent to. `payload_types`: what this side may send (empty: anything). `final`: exactly
        one, certain. `learn`: the address at which the side's port is to be learned.
        """
        self._dialler.send(
            {
                "op": "remote",
                "session": session,
                "side": side,
                "remotes": [list(each) for each in remotes],
                "payload_types": list(payload_types),
                "final": final,
                "learn": learn,
            }
        )

    def tap(self, session: int, level: Level, keys: Iterable[tuple[Side, Sequence[int]]] = ()) -> None:
        """Let a call's audio into the ring ("all") or keep it out ("none", the state after `open`); or let in
        nothing but keys ("events"): of each side that is named, these payload types.
        """
        told = {"keys": {side: list(types) for side, types in keys}} if level == "events" else {}
        self._dialler.send({"op": "tap", "session": session, "level": level, **told})

    async def play(self, session: int, sounds: Mapping[Side, Sequence[bytes]]) -> Played:
        """Play finished packets of 20 ms to these sides of a call, and let them not hear each other there
        meanwhile. Returns a moment after the end.

        Raises MediaUnavailable or TimeoutError when that was not done whole.
        """
        handed = [_file(packets) for packets in sounds.values()]
        seconds = max(map(len, sounds.values())) / 50 + _PLAY_SECONDS
        told = await self._ask({"op": "play", "session": session, "sides": list(sounds)}, seconds, handed)
        return Played(int(told["began"]), int(told["ended"]), int(told["packets"]))

    def stop_play(self, session: int) -> None:
        """End what is played in a call. Whoever waits for it gets MediaUnavailable."""
        self._dialler.send({"op": "stop-play", "session": session})

    def claim(self, sessions: Iterable[int]) -> None:
        """Say that these calls are ours and go on. A call that nobody owns is closed once it is silent."""
        mine = list(sessions)
        for first in range(0, len(mine), _CLAIMED_AT_ONCE):
            self._dialler.send({"op": "claim", "sessions": mine[first : first + _CLAIMED_AT_ONCE]})

    def close(self, session: int) -> None:
        """End a call's media. Its ports rest before they are used again."""
        self._dialler.send({"op": "close", "session": session})

    async def table(self) -> list[Row]:
        """Every open call. Raises MediaUnavailable, TimeoutError."""
        rows: list[Row] = []
        after, more = -1, True
        while more:
            answer = await self._ask({"op": "table", "after": after}, _TABLE_SECONDS)
            rows += [Row(*row) for row in answer["calls"]]
            more = answer["more"]
            after = rows[-1].session if rows else after
        return rows

    async def stats(self) -> list[Message]:
        """What the workers say of themselves. Raises MediaUnavailable, TimeoutError."""
        answer = await self._ask({"op": "stats"}, _TABLE_SECONDS)
        return list(answer["workers"])

    def shut(self) -> None:
        """Disconnect for good."""
        self._dialler.close()
        self._fail_waiting()

    async def _ask(self, message: Message, seconds: float, handed: Sequence[Open] = ()) -> Message:
        if not self._dialler.is_up:
            raise MediaUnavailable("the media broker is not connected")
        self._sequence += 1
        sequence = self._sequence
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        self._dialler.send({**message, "seq": sequence}, handed)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            self._waiting.pop(sequence, None)

    def _answered(self, message: Message) -> None:
        answer = self._waiting.pop(message.get("seq", 0), None)
        if answer is None or answer.done():
            return
        if message.get("ok") is True:
            answer.set_result(message)
        else:
            answer.set_exception(MediaUnavailable(str(message.get("error"))))

    def _came_up(self) -> None:
        self._up.set()
        self._on_up()

    def _went_down(self) -> None:
        self._up.clear()
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(MediaUnavailable("the media broker is gone"))


def _file(packets: Iterable[bytes]) -> Descriptor:
    """A file in memory of packets, each behind its length in two octets."""
    file = Descriptor(os.memfd_create("sound", os.MFD_CLOEXEC))
    os.write(file.fileno(), b"".join(len(it).to_bytes(2) + it for it in packets))
    return file
