"""Telephones that insist: both ends of many calls, which repeat what is not answered as RFC 3261 §17 says.

Each call is INVITE, 180, 200, ACK, then INFO and BYE with their 200s. Whatever comes after the 200 belongs to
a call that runs; one of these that gets no answer for 64 * T1, or another one than 200, has failed in a
dialog. A call that is refused (503) is over, and so is one whose INVITE nobody answers.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

T1, T2 = 0.5, 4.0
_PATIENCE = 64 * T1
_COPIED = (b"via:", b"record-route:", b"from:", b"to:", b"call-id:", b"cseq:")
_BODY = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
)


class Packet(NamedTuple):
    """To be sent to the proxy, from the caller's port or the callee's."""

    data: bytes
    is_caller: bool


@dataclass(slots=True)
class Tally:
    """What became of the calls of one stretch of time. Delays: INVITE to 200, in seconds."""

    seconds: float = 0.0
    offered: int = 0
    answered: int = 0
    refused: int = 0
    unanswered: int = 0
    failed: int = 0  # another answer than 200 and 503
    in_dialog: int = 0
    in_dialog_failed: int = 0
    repeated: int = 0
    last_refused: float = 0.0  # since the beginning
    delays: list[float] = field(default_factory=list, repr=False)

    def row(self) -> dict[str, float]:
        """For JSON."""
        ordered = sorted(self.delays) or [0.0]
        counts = ("offered", "answered", "refused", "unanswered", "failed", "in_dialog", "in_dialog_failed")
        return {
            "seconds": round(self.seconds, 2),
            **{name: getattr(self, name) for name in (*counts, "repeated")},
            "answered_per_second": round(self.answered / max(self.seconds, 1e-9), 1),
            "last_refused": round(self.last_refused, 2),
            "delay_ms_p50": round(1000 * ordered[len(ordered) // 2], 1),
            "delay_ms_p99": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 1),
        }


@dataclass(slots=True)
class _Call:
    """The caller's half; `waits_for` is the method of the request that is not answered yet."""

    number: int
    began: float
    waits_for: bytes = b"INVITE"
    packet: bytes = b""
    repeats: int = 0
    sent_at: float = 0.0
    dialog: tuple[bytes, bytes, bytes] | None = None  # Request-URI, Routes, To


class Callers:
    """Every call under way, without sockets and without a clock: `packets` are to be sent, in order.

    The caller has `phone_port`, the callee `pbx_port`.
    """

    def __init__(self, phone_port: int, pbx_port: int) -> None:
        self.phone_port, self.pbx_port = phone_port, pbx_port
        self.packets: list[Packet] = []
        self._calls: dict[int, _Call] = {}
        self._answers: dict[int, tuple[bytes, float]] = {}  # not acknowledged yet, since when
        self._due: list[tuple[float, int, bytes]] = []
        self._next = 1
        self._hold = 0.0
        self._rate = 0.0
        self._at_once = 0
        self._began = 0.0
        self.tally = Tally()

    def load(self, now: float, *, rate: float = 0.0, at_once: int = 0, hold: float = 0.0) -> Tally:
        """From now on make calls: `rate` a second whatever becomes of them, or always `at_once`.

        Each lasts `hold` seconds. Returns what will be counted; calls that are under way go on.
        """
        self.tally = Tally()
        self._hold, self._rate, self._at_once, self._began = hold, rate, at_once, now
        for _ in range(at_once - len(self._calls)):
            self._begin(now)
        return self.tally

    @property
    def under_way(self) -> int:
        """How many calls have not ended."""
        return max(len(self._calls), len(self._answers))

    def act(self, now: float) -> None:
        """Begin the calls and repeat the messages that are due."""
        self.tally.seconds = now - self._began
        while self._rate and self.tally.offered < self.tally.seconds * self._rate:
            self._begin(now)
        while self._due and self._due[0][0] <= now:
            _, number, what = heapq.heappop(self._due)
            self._fire(number, what, now)

    def next_at(self) -> float:
        """When `act` is wanted next; infinity for never."""
        begins = self._began + (self.tally.offered + 1) / self._rate if self._rate else float("inf")
        return min(begins, self._due[0][0] if self._due else float("inf"))

    # --- the caller

    def _begin(self, now: float) -> None:
        call = _Call(self._next, now)
        self._calls[call.number] = call
        self._next += 1
        self.tally.offered += 1
        self._request(call, b"INVITE", now)

    def _request(self, call: _Call, method: bytes, now: float) -> None:
        call.waits_for, call.repeats, call.sent_at = method, 0, now
        call.packet = self._written(call, method)
        self._say(call.packet)
        heapq.heappush(self._due, (call.sent_at + T1, call.number, method))

    def _written(self, call: _Call, method: bytes, branch: bytes = b"") -> bytes:
        opens = method == b"INVITE" or bool(branch)
        uri, routes, to = call.dialog if call.dialog and not branch else (b"sip:202@127.0.0.1", b"", b"")
        body = _BODY if method == b"INVITE" else b""
        number = {b"INFO": 2, b"BYE": 3}.get(method, 1)
        lines = (
            b"%s %s SIP/2.0" % (method, uri),
            b"Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bK%s%d"
            % (self.phone_port, branch or method.lower(), call.number),
            routes + b"Max-Forwards: 70",
            b"From: <sip:230@127.0.0.1>;tag=f%d" % call.number,
            to or b"To: <sip:202@127.0.0.1>",
            b"Call-ID: %d@callers" % call.number,
            b"CSeq: %d %s" % (number, method),
            *((b"Contact: <sip:t%d@127.0.0.1:%d>" % (call.number, self.phone_port),) if opens else ()),
            *((b"Content-Type: application/sdp",) if body else ()),
            b"Content-Length: %d\r\n\r\n" % len(body),
        )
        return b"\r\n".join(lines) + body

    def hear_caller(self, data: bytes, now: float) -> None:
        """A response arrived at the caller."""
        number, method = _named(data)
        if method and (call := self._calls.get(number)) is not None:
            self._answered(call, method, int(data[8:11]), data, now)
        elif method == b"INVITE" and data[8:9] == b"2":
            self.tally.repeated += 1

    def _answered(self, call: _Call, method: bytes, status: int, data: bytes, now: float) -> None:
        if method == b"INVITE":
            self._invited(call, status, data, now)
        elif method == call.waits_for and status >= 200:
            self.tally.in_dialog += 1
            self.tally.in_dialog_failed += status != 200
            if method == b"INFO":
                self._request(call, b"BYE", now)
            else:
                self._over(call, now)

    def _invited(self, call: _Call, status: int, data: bytes, now: float) -> None:
        if status < 200:
            call.waits_for = b"200" if call.waits_for == b"INVITE" else call.waits_for
        elif status >= 300:
            ack = self._written(call, b"ACK", b"invite")
            self._say(ack.replace(b"To: <sip:202@127.0.0.1>", _line(data, b"to:")))
            self.tally.refused += status == 503
            self.tally.failed += status != 503
            self.tally.last_refused = now - self._began
            self._over(call, now)
        else:
            is_first = call.dialog is None
            call.dialog = _uri(_line(data, b"contact:")), _routes(data), _line(data, b"to:")
            self._say(self._written(call, b"ACK"))
            if is_first:
                self.tally.answered += 1
                self.tally.delays.append(now - call.began)
                call.waits_for = b""
                heapq.heappush(self._due, (now + self._hold, call.number, b"TALKED"))

    def _over(self, call: _Call, now: float) -> None:
        del self._calls[call.number]
        if self._at_once > len(self._calls):
            self._begin(now)

    def _fire(self, number: int, what: bytes, now: float) -> None:
        if what == b"ANSWER":
            self._repeat_answer(number, now)
        elif (call := self._calls.get(number)) is None:
            return
        elif what == b"TALKED":
            self._request(call, b"INFO", now)
        elif call.waits_for == what:
            self._repeat(call, now)

    def _repeat(self, call: _Call, now: float) -> None:
        if now - call.sent_at >= _PATIENCE:
            is_new = call.waits_for == b"INVITE"
            self.tally.unanswered += is_new
            self.tally.in_dialog += not is_new
            self.tally.in_dialog_failed += not is_new
            self._over(call, now)
            return
        call.repeats += 1
        self.tally.repeated += 1
        self._say(call.packet)
        longest = _PATIENCE if call.waits_for == b"INVITE" else T2
        heapq.heappush(self._due, (now + min(T1 * 2.0**call.repeats, longest), call.number, call.waits_for))

    # --- the callee

    def hear_callee(self, data: bytes, now: float) -> None:
        """A request arrived at the callee."""
        number, method = _named(data)
        if method == b"ACK":
            self.tally.in_dialog += self._answers.pop(number, None) is not None
        elif method == b"INVITE":
            if number not in self._answers:
                self._answers[number] = self._response(data, 200), now
                heapq.heappush(self._due, (now + T1, number, b"ANSWER"))
                self._reply(self._response(data, 180))
            self._reply(self._answers[number][0])
        elif method:
            self._reply(self._response(data, 200))

    def _repeat_answer(self, number: int, now: float) -> None:
        if (found := self._answers.get(number)) is None:
            return
        answer, since = found
        if now - since >= _PATIENCE:
            del self._answers[number]
            self.tally.in_dialog += 1
            self.tally.in_dialog_failed += 1
            return
        self._reply(answer)
        heapq.heappush(self._due, (now + min(max(T1, now - since), T2), number, b"ANSWER"))

    def _say(self, data: bytes) -> None:
        self.packets.append(Packet(data, is_caller=True))

    def _reply(self, data: bytes) -> None:
        self.packets.append(Packet(data, is_caller=False))

    def _response(self, request: bytes, status: int) -> bytes:
        lines = [b"SIP/2.0 %d Whatever" % status]
        lines += [it for it in request.split(b"\r\n") if it.lower().startswith(_COPIED)]
        is_invite = request.startswith(b"INVITE")
        tagged = [
            it + b";tag=b" if it.lower().startswith(b"to:") and b";tag=" not in it else it for it in lines
        ]
        body = _BODY if is_invite and status == 200 else b""
        tagged += [b"Contact: <sip:202@127.0.0.1:%d>" % self.pbx_port] * is_invite
        tagged += [b"Content-Type: application/sdp"] * bool(body)
        return b"\r\n".join([*tagged, b"Content-Length: %d\r\n\r\n" % len(body)]) + body


def _named(data: bytes) -> tuple[int, bytes]:
    """Which call a message is of, and the method in its CSeq; b"" for what is none of ours."""
    at, cseq = data.find(b"\r\nCall-ID: "), data.find(b"\r\nCSeq: ")
    number = data[at + 11 : data.find(b"@callers", at)] if at >= 0 else b""
    if not number.isdigit() or cseq < 0:
        return 0, b""
    return int(number), data[cseq + 8 : data.find(b"\r", cseq + 2)].split(b" ")[-1]


def _line(data: bytes, name: bytes) -> bytes:
    return next((it for it in data.split(b"\r\n") if it.lower().startswith(name)), b"")


def _uri(contact: bytes) -> bytes:
    return contact.partition(b"<")[2].partition(b">")[0]


def _routes(data: bytes) -> bytes:
    found = [it[13:].strip() for it in data.split(b"\r\n") if it.lower().startswith(b"record-route:")]
    return b"".join(b"Route: " + it + b"\r\n" for it in reversed(found))
