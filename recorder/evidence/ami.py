"""Asterisk's manager interface (AMI), from version 13 on: bytes in, bytes and statements out.

The manager user needs `read = call` and `write = call,reporting`. A channel of the trunk is recognised by the
endpoint in its name, and asked for its Call-ID (`CHANNEL(pjsip,call-id)`, `SIPCALLID`), which is the one that
crosses us. Who is connected with it follows from BridgeEnter, BridgeLeave, LocalBridge, Hold, ChanSpyStart
and Hangup; BlindTransfer and AttendedTransfer make whatever was known have to be said anew.

Events and responses are written by two threads of Asterisk, so a response may overtake an event that came
before. We take it that it does not overtake two: what is true after the second of two pings was true when the
first one was sent. What comes later all the same has the horizon to come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from recorder.evidence.statements import Broken, Statement
from recorder.evidence.switchboard import Switchboard
from sip_hooks.events import conversation_of

_LONGEST = 65_536  # bytes of one event
_CALL_ID = {"PJSIP": "CHANNEL(pjsip,call-id)", "SIP": "SIPCALLID"}
_CONFERENCES = ("confbridge", "meetme")
_ENDS = ("Local",)

Fields = Mapping[str, str]


class AmiReader:
    """One connection. `trunk`: the endpoints of the trunk, as channel names have them."""

    def __init__(self, user: str, secret: str, trunk: tuple[str, ...]) -> None:
        self._login = (user, secret)
        self._trunk = frozenset(trunk)
        self._board = Switchboard()
        self._buffer = b""
        self._sending: list[str] = []
        self._has_banner = False
        self._is_in = False
        self._pings: dict[str, tuple[datetime, int]] = {}
        self._count = 0

    @property
    def is_ready(self) -> bool:
        """Whether Asterisk lets us in, so that what is said from now on counts."""
        return self._is_in

    @property
    def state(self) -> str:
        """There is nothing else to say of it."""
        return ""

    def receive(self, data: bytes, now: datetime) -> list[Statement]:
        """Take in bytes. Raises Broken, after which the connection is of no use."""
        self._buffer += data
        if not self._has_banner:
            self._take_banner()
        said: list[Statement] = []
        while self._has_banner and b"\r\n\r\n" in self._buffer:
            block, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            said += self._take(_fields(block), now)
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

    def _take_banner(self) -> None:
        banner, newline, rest = self._buffer.partition(b"\r\n")
        if not newline:
            return
        if not banner.startswith(b"Asterisk Call Manager/"):
            raise Broken("this is no manager interface of Asterisk")
        self._has_banner, self._buffer = True, rest
        user, secret = self._login
        self._act("Login", ActionID="login", Username=user, Secret=secret, Events="call")

    def _take(self, fields: Fields, now: datetime) -> list[Statement]:
        if "response" in fields:
            return self._on_response(fields, now)
        if not self._is_in:
            return []
        event = fields.get("event", "").lower()
        if (act := _EVENTS.get(event)) is not None:
            act(self, fields)
        if event in _TRANSFERS:
            return self._on_transfer(fields, now)
        return self._say(self._board.changed(), now)

    def _say(self, conversations: list[str], at: datetime) -> list[Statement]:
        return [Statement(it, self._board.inside_of(it), at) for it in conversations]

    # --- responses

    def _on_response(self, fields: Fields, now: datetime) -> list[Statement]:
        action, succeeded = fields.get("actionid", ""), fields["response"].lower() == "success"
        if action == "login":
            if not succeeded:
                raise Broken("the manager user or its secret is refused")
            self._is_in = True
            return []
        if action in self._pings:
            since, left = self._pings.pop(action)
            if left > 1:
                self._ping(since, left - 1)
                return []
            return self._say(self._board.calls(), since)
        channel = action.removeprefix("of-")
        if channel != action and (value := fields.get("value", "")):
            self._board.identify(channel, conversation_of(value.encode()))
            return self._say(self._board.changed(), now)
        return []

    def _ping(self, since: datetime, left: int) -> None:
        self._count += 1
        action = f"ping-{self._count}"
        self._pings[action] = since, left
        self._act("Ping", ActionID=action)

    def _act(self, action: str, **fields: str) -> None:
        lines = [f"Action: {action}", *(f"{name}: {value}" for name, value in fields.items())]
        self._sending.append("\r\n".join([*lines, "", ""]))

    # --- events

    def _on_channel(self, fields: Fields) -> None:
        """Newchannel, and whatever else tells what a channel is called."""
        name, id = fields.get("channel", ""), fields.get("uniqueid", "")
        technology, endpoint = _parts(name)
        if fields["event"].lower() == "newchannel":
            self._board.open(id, is_trunk=endpoint in self._trunk, is_end=technology in _ENDS)
        self._board.name(id, (endpoint, fields.get("calleridnum", "")))
        if not self._board.is_identified(id) and technology in _CALL_ID:
            self._act("Getvar", ActionID=f"of-{id}", Channel=name, Variable=_CALL_ID[technology])

    def _on_enter(self, fields: Fields) -> None:
        bridge = fields.get("bridgeuniqueid", "")
        self._board.enter(fields.get("uniqueid", ""), bridge)
        self._on_channel(fields)
        if fields.get("bridgecreator", "").lower() in _CONFERENCES:
            self._board.close_bridge(bridge)
        self._board.count(bridge, _number(fields.get("bridgenumchannels", "")))

    def _on_leave(self, fields: Fields) -> None:
        self._board.leave(fields.get("uniqueid", ""))
        if left := _number(fields.get("bridgenumchannels", "")):
            self._board.count(fields.get("bridgeuniqueid", ""), left)

    def _on_local(self, fields: Fields) -> None:
        self._board.pair(fields.get("localoneuniqueid", ""), fields.get("localtwouniqueid", ""))

    def _on_hold(self, fields: Fields) -> None:
        self._board.hold(fields.get("uniqueid", ""), fields["event"].lower() == "hold")

    def _on_spy(self, fields: Fields) -> None:
        begins = fields["event"].lower() == "chanspystart"
        self._board.spy(fields.get("spyeeuniqueid", ""), fields.get("spyeruniqueid", ""), begins)

    def _on_hangup(self, fields: Fields) -> None:
        self._board.close(fields.get("uniqueid", ""))

    def _on_transfer(self, fields: Fields, now: datetime) -> list[Statement]:
        """Nobody vouches for what was before; what is now is known from the bridges."""
        for name in _TRANSFERRED:
            if name in fields:
                self._board.disturb(fields[name])
        touched = self._board.changed()
        return [Statement(it, None, now) for it in touched] + self._say(touched, now)


_EVENTS = {
    "newchannel": AmiReader._on_channel,
    "newstate": AmiReader._on_channel,
    "newcallerid": AmiReader._on_channel,
    "bridgeenter": AmiReader._on_enter,
    "bridgeleave": AmiReader._on_leave,
    "localbridge": AmiReader._on_local,
    "hold": AmiReader._on_hold,
    "unhold": AmiReader._on_hold,
    "chanspystart": AmiReader._on_spy,
    "chanspystop": AmiReader._on_spy,
    "hangup": AmiReader._on_hangup,
}
_TRANSFERS = ("blindtransfer", "attendedtransfer")
_TRANSFERRED = (
    "transfereruniqueid",
    "transfereeuniqueid",
    "origtransfereruniqueid",
    "secondtransfereruniqueid",
    "transfertargetuniqueid",
)


def _fields(block: bytes) -> Fields:
    """The fields of one event, the names in lower case; of one that is repeated the first."""
    found: dict[str, str] = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _number(text: str) -> int:
    """A count, -1 when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _parts(channel: str) -> tuple[str, str]:
    """Technology and endpoint of a channel's name: PJSIP/201-0000002a."""
    technology, _, rest = channel.partition("/")
    return technology, rest.rpartition("-")[0] or rest
