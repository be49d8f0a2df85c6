"""The relay worker: its own process, one epoll loop over the sockets of its calls and its control socket.

It holds no key, reads no configuration and touches no disk. Orders come from the broker (see `protocol`);
media sockets arrive with them and stay open in the broker too, so that this process may die without closing
a port. A worker that loses its control socket ends: nobody could tell it any more what it must not record.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
from collections.abc import Callable
from time import monotonic_ns, sleep
from typing import Any

from recorder.notify import Notifier
from recorder.relay.player import LEAD_NS, Play, Plays, unpacked
from recorder.relay.protocol import (
    LABELS,
    Address,
    Keys,
    Level,
    OrderError,
    Remotes,
    Side,
    decode,
    hearers_of,
    keys_of,
    level_of,
    remotes_of,
    session_of,
)
from recorder.relay.reports import Reports, worst
from recorder.relay.stream import COUNTS, Route, Stream, forward
from recorder.ring import SIDE_A, SIDE_B, RingWriter

PAGE = 400
"""Calls in one answer to `table`."""

GATHER_SECONDS = 0.0005
"""By how much a packet may be delayed so that others come along; a fortieth of a packet's length of audio."""

_MESSAGE_BYTES = 65536
_EVENTS = 4096
_SOUND_BYTES = 4 << 20
Order = dict[str, Any]


class Call:
    """A call's four streams: RTP and RTCP of side a (the caller's) and of side b."""

    def __init__(self, session: int, sockets: list[socket.socket]) -> None:
        self.session = session
        self.level: Level = "none"
        self.is_registered = False
        self._aimed: set[Side] = set()
        self.a_rtp = Stream(sockets[0], session, SIDE_A, is_rtp=True)
        self.a_rtcp = Stream(sockets[1], session, SIDE_A, is_rtp=False)
        self.b_rtp = Stream(sockets[2], session, SIDE_B, is_rtp=True)
        self.b_rtcp = Stream(sockets[3], session, SIDE_B, is_rtp=False)
        self.reports = Reports()
        for each in (self.a_rtcp, self.b_rtcp):
            each.show(self.reports.take)
        self.streams = (self.a_rtp, self.a_rtcp, self.b_rtp, self.b_rtcp)
        for one, other in ((self.a_rtp, self.b_rtp), (self.a_rtcp, self.b_rtcp)):
            one.opposite, other.opposite = other, one

    def aim(self, remotes: Remotes) -> None:
        """Set where one side's media comes from and goes to."""
        self._aimed.add(remotes.side)
        rtp, rtcp = (self.a_rtp, self.a_rtcp) if remotes.side == "a" else (self.b_rtp, self.b_rtcp)
        rtp_ends = tuple(_socket_address(end.address, end.rtp_port) for end in remotes.ends)
        rtcp_ends = tuple(_socket_address(end.address, end.rtcp_port) for end in remotes.ends)
        rtp.aim(rtp_ends, remotes.final, remotes.payload_types, remotes.learn)
        if remotes.learn:  # RTCP would reach whoever has that address here
            rtcp.aim((), False, None)
        else:
            rtcp.aim(rtcp_ends, remotes.final, None)

    @property
    def is_joined(self) -> bool:
        """Whether both sides are known. Until then arrivals stay in the sockets: nobody could have them."""
        return len(self._aimed) == 2

    def tap(self, level: Level, ring: RingWriter, keys: Keys) -> None:
        """Open or shut the tap of both audio streams, or let through nothing but keys."""
        self.level = level
        sides: tuple[tuple[Side, Stream], ...] = ("a", self.a_rtp), ("b", self.b_rtp)
        for side, stream in sides:
            only = keys.get(side)
            stream.tap(ring if level == "all" or only else None, only)

    def towards(self, side: Side) -> Stream:
        """The audio stream that leaves for this side."""
        return self.a_rtp if side == "b" else self.b_rtp

    def row(self) -> list[object]:
        """[session, tap, packets from a, from b, foreign, malformed, refused, socket errors, excess,
        RTCP].
        """
        return [
            self.session,
            self.level,
            self.a_rtp.packets,
            self.b_rtp.packets,
            *self.counts()[1:],
            self.a_rtcp.packets + self.b_rtcp.packets,
        ]

    def counts(self) -> list[int]:
        """As COUNTS, over all four streams."""
        return [sum(column) for column in zip(*(it.counts() for it in self.streams), strict=True)]


def _socket_address(address: str, port: int) -> Address:
    """An end as recvfrom(2) tells it, so that a packet's source is compared without being looked at."""
    if ":" not in address:
        return address, port
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address)), port, 0, 0


class Worker:
    """The loop and its table of calls."""

    def __init__(self, control: socket.socket, ring: RingWriter, notifier: Notifier) -> None:
        control.setblocking(False)
        self._control = control
        self._ring = ring
        self._notifier = notifier
        self._calls: dict[int, Call] = {}
        self._epoll = select.epoll()
        self._routes: list[Route | None] = [None] * (control.fileno() + 1)
        self._epoll.register(control, select.EPOLLIN)
        self._is_running = True
        self._ended = [0] * len(COUNTS)
        """What calls that are over had counted."""
        self._plays = Plays()
        self._orders: dict[object, Callable[[Order, list[int]], Order | None]] = {
            "open": self._open,
            "remote": self._remote,
            "tap": self._tap,
            "play": self._play,
            "stop-play": self._stop_play,
            "close": self._close,
            "table": self._table,
            "stats": self._stats,
        }

    def run(self) -> None:
        """Forward until the control socket closes. After every round it sleeps a moment, so that the packets
        of many calls gather: being woken costs as much as forwarding a packet. A packet that comes after a
        longer silence does not wait.
        """
        poll, routes, played = self._epoll.poll, self._routes, self._plays.running
        patience = self._notifier.every_seconds
        beat_at = 0
        while self._is_running:
            wait = min(self._plays.wait(monotonic_ns()), patience) if played else patience
            events = poll(wait, _EVENTS)
            now = monotonic_ns()
            if forward(events, routes, now):
                self._take_order()
            if played:
                self._play_on(now)
            if now >= beat_at:
                self._notifier.beat(f"{len(self._calls)} calls")
                beat_at = now + int(patience * 1e9)
            sleep(GATHER_SECONDS)

    def _take_order(self) -> None:
        """Take one order from the control socket, if there is one, and answer it."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, len(LABELS))
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._is_running = False
            return
        answer = self._obey(data, descriptors)
        if answer is not None:
            self._tell(answer)

    def _tell(self, answer: Order) -> None:
        with contextlib.suppress(BlockingIOError):  # a broker that does not read gets no answer: it times out
            self._control.send(json.dumps(answer, separators=(",", ":")).encode())

    def _obey(self, data: bytes, descriptors: list[int]) -> Order | None:
        """The answer; None: it comes later."""
        order: Order = {}
        try:
            order = decode(data)
            act = self._orders.get(order.get("op"))
            if act is None:
                raise OrderError(f"unknown order {order.get('op')!r}")
            told = act(order, descriptors)
            return None if told is None else {"seq": order.get("seq"), "ok": True, **told}
        except (OrderError, OSError, ValueError, KeyError) as error:
            return {"seq": order.get("seq"), "ok": False, "error": str(error)}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _open(self, order: Order, descriptors: list[int]) -> Order:
        session = session_of(order)
        if session in self._calls:
            raise OrderError("this session is open already")
        if order.get("labels") != list(LABELS) or len(descriptors) != len(LABELS):
            raise OrderError(f"open needs the sockets {', '.join(LABELS)}")
        call = Call(session, [socket.socket(fileno=descriptor) for descriptor in descriptors])
        descriptors.clear()
        self._calls[session] = call
        self._plot(call)
        return {}

    def _remote(self, order: Order, _: list[int]) -> Order:
        call = self._call(order)
        call.aim(remotes_of(order))
        if call.is_joined:
            self._settle(call)
        return {}

    def _settle(self, call: Call) -> None:
        now = monotonic_ns()
        for stream in call.streams:
            stream.settle(now)
        self._plot(call)
        if not call.is_registered:
            for stream in call.streams:
                self._epoll.register(stream.socket, select.EPOLLIN)
        call.is_registered = True

    def _plot(self, call: Call) -> None:
        """Put the call's routes where the loop finds them."""
        for stream in call.streams:
            descriptor = stream.socket.fileno()
            self._routes += [None] * (descriptor + 1 - len(self._routes))
            self._routes[descriptor] = stream.route()

    def _tap(self, order: Order, _: list[int]) -> Order:
        call = self._call(order)
        call.tap(level_of(order), self._ring, keys_of(order))
        self._plot(call)
        return {}

    def _play(self, order: Order, descriptors: list[int]) -> None:
        """Answered when it is over. `sides`: who hears it; the packets for each come in a file."""
        call, sides = self._call(order), hearers_of(order)
        if not call.is_joined or len(descriptors) != len(sides) or call.session in self._plays.running:
            raise OrderError("play needs a call with two ends, and a file of packets for each side")
        sounds = [unpacked(os.pread(it, _SOUND_BYTES, 0)) for it in descriptors]
        voices = list(zip(map(call.towards, sides), sounds, strict=True))
        self._plays.begin(Play(monotonic_ns() + LEAD_NS, call.session, order.get("seq"), voices))
        self._plot(call)

    def _stop_play(self, order: Order, _: list[int]) -> Order:
        if play := self._plays.stop(session_of(order)):
            self._settle_play(play)
        return {}

    def _play_on(self, now: int) -> None:
        for play in self._plays.turn(now):
            self._settle_play(play)

    def _settle_play(self, play: Play) -> None:
        """Nobody is muted any more; whoever ordered it has the answer when it is over."""
        if (call := self._calls.get(play.session)) is not None:
            self._plot(call)
        if play.is_over:
            self._tell(play.answer())

    def _close(self, order: Order, _: list[int]) -> Order:
        call = self._call(order)
        self._stop_play(order, [])
        del self._calls[call.session]
        self._ended = [sum(pair) for pair in zip(self._ended, call.counts(), strict=True)]
        for stream in call.streams:
            with contextlib.suppress(OSError):  # it is not registered before both sides are known
                self._epoll.unregister(stream.socket)
            self._routes[stream.socket.fileno()] = None
            stream.socket.close()
        return {}

    def _table(self, order: Order, _: list[int]) -> Order:
        after = order.get("after", -1)
        sessions = sorted(session for session in self._calls if session > after)
        return {
            "calls": [self._calls[session].row() for session in sessions[:PAGE]],
            "more": len(sessions) > PAGE,
        }

    def _stats(self, _order: Order, _: list[int]) -> Order:
        totals = zip(self._ended, *(call.counts() for call in self._calls.values()), strict=True)
        return {
            "calls": len(self._calls),
            "dropped": self._ring.dropped,
            "locked": self._ring.locked,
            **worst(call.reports for call in self._calls.values()),
            **dict(zip(COUNTS, map(sum, totals), strict=True)),
        }

    def _call(self, order: Order) -> Call:
        call = self._calls.get(session_of(order))
        if call is None:
            raise OrderError("no such session")
        return call


def run(control: socket.socket, ring_fd: int, notifier: Notifier) -> None:
    """Forward media until `control` (SOCK_SEQPACKET, connected) closes."""
    Worker(control, RingWriter(ring_fd), notifier).run()
