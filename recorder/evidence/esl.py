"""FreeSWITCH's event socket (ESL): bytes in, bytes and statements out.

A channel of the trunk is recognised by the sofia profile in its name; its Call-ID (`variable_sip_call_id`) is
the one that crosses us. Who is connected with it follows from CHANNEL_BRIDGE, CHANNEL_UNBRIDGE, CHANNEL_HOLD,
MEDIA_BUG_START (somebody listens in) and CHANNEL_DESTROY. Conferences bridge nobody, so nobody is certain
there.

As with Asterisk an answer may overtake an event; see `recorder.evidence.ami`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recorder.evidence.statements import Broken, Statement
from recorder.evidence.switchboard import Switchboard
from sip_hooks.events import conversation_of

_LONGEST = 1_000_000  # bytes of one event
_WANTED = (
    "CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HOLD CHANNEL_UNHOLD "
    "CHANNEL_DESTROY CALL_UPDATE MEDIA_BUG_START MEDIA_BUG_STOP"
)
_REFUSALS = ("text/rude-rejection", "text/disconnect-notice")
_NAMES = {
    # A phone called FreeSWITCH: it is whoever it says. FreeSWITCH called a phone: it is whoever was dialled.
    "inbound": ("variable_user_name", "variable_sip_auth_username", "Caller-Caller-ID-Number"),
    "outbound": ("variable_dialed_user", "Caller-Callee-ID-Number", "Caller-Destination-Number"),
}

Event = Mapping[str, Any]


class EslReader:
    """One connection. `trunk`: the sofia profiles of the trunk, as channel names have them."""

    def __init__(self, password: str, trunk: tuple[str, ...]) -> None:
        self._password = password
        self._trunk = frozenset(trunk)
        self._board = Switchboard()
        self._buffer = b""
        self._sending: list[str] = []
        self._is_in = False
        self._pings: deque[tuple[datetime, int]] = deque()

    @property
    def is_ready(self) -> bool:
        """Whether FreeSWITCH lets us in, so that what is said from now on counts."""
        return self._is_in

    @property
    def state(self) -> str:
        """There is nothing else to say of it."""
        return ""

    def receive(self, data: bytes, now: datetime) -> list[Statement]:
        """Take in bytes. Raises Broken, after which the connection is of no use."""
        self._buffer += data
        said: list[Statement] = []
        while (message := self._next()) is not None:
            said += self._take(*message, now)
        if len(self._buffer) > _LONGEST:
            raise Broken("an event does not end")
        return said

    def to_send(self) -> bytes:
        """What is to be written, once."""
        sending, self._sending = self._sending, []
        return "".join(sending).encode()

    def ask(self, now: datetime, conversation: str = "") -> None:
        """Have everything said anew, as of now; and have it shown that somebody is there."""
        self._ping(now, 2)

    def _ping(self, since: datetime, left: int) -> None:
        self._pings.append((since, left))
        self._sending.append("api echo doelband\n\n")

    def _next(self) -> tuple[Mapping[str, str], bytes] | None:
        """The next whole message: its headers and its body."""
        head, end, rest = self._buffer.lstrip(b"\n").partition(b"\n\n")
        if not end:
            return None
        headers = _headers(head)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or len(length) > 7:
            raise Broken("this is no event socket of FreeSWITCH")
        if len(rest) < int(length):
            return None
        body, self._buffer = rest[: int(length)], rest[int(length) :]
        return headers, body

    def _take(self, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Statement]:
        kind = headers.get("content-type", "")
        if kind == "text/event-json":
            return self._on_event(body, now)
        if kind == "api/response":
            return self._on_pong()
        if kind == "auth/request":
            self._sending.append(f"auth {self._password}\n\n")
        elif kind == "command/reply":
            self._on_reply(headers.get("reply-text", ""))
        else:
            raise Broken(_why(kind))
        return []

    def _on_reply(self, text: str) -> None:
        if not text.startswith("+OK"):
            raise Broken("the password is refused, or the events are")
        if "accepted" in text:
            self._sending.append(f"event json {_WANTED}\n\n")
        else:
            self._is_in = True

    def _on_pong(self) -> list[Statement]:
        if not self._pings:
            return []
        since, left = self._pings.popleft()
        if left > 1:
            self._ping(since, left - 1)
            return []
        return self._say(self._board.calls(), since)

    def _say(self, conversations: list[str], at: datetime) -> list[Statement]:
        return [Statement(it, self._board.inside_of(it), at) for it in conversations]

    def _on_event(self, body: bytes, now: datetime) -> list[Statement]:
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            raise Broken("an event cannot be read") from None
        if not isinstance(event, dict):
            raise Broken("an event cannot be read")
        channel = _text(event, "Unique-ID")
        self._learn(channel, event)
        act = _EVENTS.get(_text(event, "Event-Name"))
        if act is not None:
            act(self, channel, event)
        return self._say(self._board.changed(), now)

    def _learn(self, channel: str, event: Event) -> None:
        """What every event about a channel says of it."""
        _, _, path = _text(event, "Channel-Name").partition("/")
        profile, _, address = path.partition("/")
        if _text(event, "Event-Name") == "CHANNEL_CREATE":
            self._board.open(channel, is_trunk=profile in self._trunk, is_end=not path)
        if profile in self._trunk:
            if call_id := _text(event, "variable_sip_call_id"):
                self._board.identify(channel, conversation_of(call_id.encode()))
            return
        names = _NAMES.get(_text(event, "Call-Direction"), ())
        self._board.name(channel, (address.partition("@")[0], *(_text(event, name) for name in names)))

    def _on_bridge(self, _: str, event: Event) -> None:
        one, two = _text(event, "Bridge-A-Unique-ID"), _text(event, "Bridge-B-Unique-ID")
        for channel in (one, two):
            self._board.enter(channel, f"{one} {two}")

    def _on_unbridge(self, _: str, event: Event) -> None:
        for name in ("Bridge-A-Unique-ID", "Bridge-B-Unique-ID"):
            self._board.leave(_text(event, name))

    def _on_hold(self, channel: str, event: Event) -> None:
        self._board.hold(channel, _text(event, "Event-Name") == "CHANNEL_HOLD")

    def _on_bug(self, channel: str, event: Event) -> None:
        if "eavesdrop" in _text(event, "Media-Bug-Function"):
            is_there = _text(event, "Event-Name") == "MEDIA_BUG_START"
            self._board.spy(channel, _text(event, "Media-Bug-Target"), is_there)

    def _on_destroy(self, channel: str, _: Event) -> None:
        self._board.close(channel)


_EVENTS = {
    "CHANNEL_BRIDGE": EslReader._on_bridge,
    "CHANNEL_UNBRIDGE": EslReader._on_unbridge,
    "CHANNEL_HOLD": EslReader._on_hold,
    "CHANNEL_UNHOLD": EslReader._on_hold,
    "MEDIA_BUG_START": EslReader._on_bug,
    "MEDIA_BUG_STOP": EslReader._on_bug,
    "CHANNEL_DESTROY": EslReader._on_destroy,
}


def _headers(head: bytes) -> Mapping[str, str]:
    found = {}
    for line in head.decode("utf-8", "replace").split("\n"):
        name, _, value = line.partition(":")
        found[name.strip().lower()] = value.strip()
    return found


def _why(kind: str) -> str:
    if kind in _REFUSALS:
        return "FreeSWITCH hangs up; does its access list (event_socket.conf.xml) allow our address?"
    return "this is no event socket of FreeSWITCH"


def _text(event: Event, name: str) -> str:
    found = event.get(name, "")
    return found if isinstance(found, str) else ""
