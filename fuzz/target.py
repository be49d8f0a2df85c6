"""What the messages are thrown at: all of signalling but its sockets, on a clock that the run moves.

Every message goes through framing, parser, validator and editor by themselves, then as a datagram or in
pieces over a connection into the engine, and what the engine reports into the calls of the recorder, whose
effects are carried out as the service does it.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from recorder.calls import Calls
from recorder.config import parse as configuration
from recorder.effects import Effect, Forward, OpenMedia, TellCapture
from recorder.policy import Policy
from recorder.rules import compile_rules
from sip_hooks import reading
from sip_hooks.edits import Edits
from sip_hooks.engine import Engine, EngineSettings, Listener, Packet
from sip_hooks.errors import SipError
from sip_hooks.events import ForwardCall
from sip_hooks.framing import Deframer
from sip_hooks.identity import identities
from sip_hooks.message import Message, parse
from sip_hooks.sdp import describe, rewrite
from sip_hooks.validity import validate
from tests.recorder.schemes import CONFIGURATION

PHONE, PBX = ("192.0.2.31", 5060), ("192.0.2.20", 5060)
_US = "192.0.2.10"
_LISTENERS = (
    Listener("udp", "both", _US, 5060),
    Listener("tcp", "phones", _US, 5060, transport="tcp"),
    Listener("tls", "phones", _US, 5061, transport="tls"),
)
_START = datetime(2026, 1, 1, tzinfo=UTC)
_SILENT_SECONDS = 600.0
_KEPT = 24  # packets that the other ends may still answer


class WrongError(Exception):
    """Signalling did something that no message may make it do."""


@cache
def _policy() -> Policy:
    scheme = configuration(CONFIGURATION, "fuzz.toml", Path("/")).scheme()
    retention = {it.name: it.retention for it in scheme.purposes}
    return Policy(compile_rules(scheme), True, "ab" * 32, retention, timedelta(seconds=2), {4: _US})


class Target:
    """Signalling of one installation, the scheme of the recorder's tests in force and signed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sent: deque[Packet] = deque(maxlen=_KEPT)
        self.recordings = 0
        self._open: dict[int, list[dict[str, Any]]] = {}  # by session, what capture was told to begin
        self._drawn = count(1)
        settings = EngineSettings(
            _LISTENERS, PBX, frozenset({_US}), (20000, 20999), b"k" * 32, silent_limit_seconds=_SILENT_SECONDS
        )
        self.engine = Engine(settings, self._draw, self._utc)
        self.calls = Calls(_policy(), self._draw, lambda below: 0)

    def begin(self) -> None:
        """An episode begins: what is drawn from now on does not depend on what came before."""
        self._drawn = count(1000)

    def take(self, chance: Random, data: bytes, packet: Packet | None = None) -> None:
        """Take one message, over whatever transport; `packet` is what it answers, if it does."""
        inspect(data, is_thorough=chance.random() < 0.25)
        if packet is not None:
            self.engine.receive_datagram(data, packet.destination, packet.listener, self.now)
        elif (way := chance.random()) < 0.7:
            source = PBX if chance.random() < 0.3 else PHONE
            self.engine.receive_datagram(data, source, "udp", self.now)
        else:
            self._stream(chance, data, "tcp" if way < 0.85 else "tls")
        self.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while (at := self.engine.next_timer()) is not None and at <= end:
            self.now = max(self.now, at)
            self.engine.handle_timer(self.now)
            self.settle()
        self.now = end

    def rest(self) -> dict[str, int]:
        """What is left of everything when nobody has said anything for longer than any timer runs."""
        self.wait(_SILENT_SECONDS + 3600.0)
        self.sent.clear()
        reading.forget()  # what is remembered is bounded; what else grows is looked for
        left = {
            "calls": self.engine.calls,
            "transactions": self.engine.transactions,
            "connections": self.engine.connections,
            "sessions": len(self.calls),
        }
        return {name: number for name, number in left.items() if number}

    def _stream(self, chance: Random, data: bytes, listener: str) -> None:
        """Over a connection of its own, in up to four pieces, and closed."""
        source = PHONE[0], 1024 + chance.randrange(60000)
        self.engine.connected(listener, source)
        cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randrange(4)))
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self.engine.receive_stream(data[start:end], source, listener, self.now)
            self.settle()
        self.engine.disconnected(listener, source, self.now)

    def settle(self) -> None:
        """Let those above act on what has happened, and take what leaves."""
        while (event := self.engine.next_event()) is not None:
            self._carry_out(self.calls.on_event(event, self._utc(self.now)))
        self.sent.extend(self.engine.packets_to_send())
        for listener, address in self.engine.connections_to_close():
            self.engine.disconnected(listener, address, self.now)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Forward(call, strip, media):
                    self.engine.execute(ForwardCall(call, strip, media), self.now)
                case OpenMedia(call, number, _):
                    port = 20000 + next(self._drawn) % 249 * 4
                    self._carry_out(self.calls.media_opened(call, number, (port, port + 2)))
                case TellCapture(message):
                    self._capture(message)
                case _:
                    pass

    def _capture(self, message: dict[str, Any]) -> None:
        """Capture opens every clip and closes it when it is told to."""
        if message["op"] == "begin":
            self._open[message["session"]] = message["recordings"]
            self.recordings += len(message["recordings"])
        elif message["op"] in ("finish", "taint", "stop"):
            for plan in self._open.pop(message["session"], []):
                closed = {"event": "closed", "recording": plan["recording"]}
                self._carry_out(self.calls.on_capture(closed))

    def _draw(self, size: int) -> bytes:
        return (next(self._drawn) * 0x9E3779B97F4A7C15 % (1 << 8 * size)).to_bytes(size, "big")

    def _utc(self, now: float) -> datetime:
        return _START + timedelta(seconds=now)


def inspect(data: bytes, is_thorough: bool) -> None:
    """Frame, parse, validate, read and edit one message by itself. What is wrong with it is a SipError.

    `is_thorough`: what it is after the edits is read again.
    """
    for _ in Deframer().feed(data):
        pass
    try:
        message = parse(data)
    except SipError:
        return
    problem = validate(message)
    identities(message)
    try:
        rewrite(message.body, "192.0.2.10", (20000, 20001))
    except SipError:
        if describe(message.body).end is not None:
            raise WrongError("a description that can be read cannot be rewritten") from None
    if problem is None:
        edited = _edited(message)
        if is_thorough:
            _compare(message, edited)


def _edited(message: Message) -> bytes:
    """As a proxy edits it."""
    edits = Edits(message)
    edits.remove_first_via()
    edits.insert_top(b"Via", b"SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx")
    edits.set_body(b"v=0\r\n")
    return edits.apply()


def _compare(message: Message, edited: bytes) -> None:
    """All that was not edited reads as before."""
    after = parse(edited)
    if validate(after) is not None or after.body[:5] != b"v=0\r\n":
        raise WrongError("a valid message is not valid any more when it has been edited")
    if identities(after).named != identities(message).named and message.content_type[:8] != b"message/":
        raise WrongError("an edit changed who the parties are")
