"""Asterisk's manager interface as its documentation has it: events as text, and a connection to a reader.

No real Asterisk has been asked: Debian 13 has none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from recorder.evidence.ami import AmiReader
from recorder.evidence.statements import Statement
from sip_hooks.events import conversation_of

BANNER = b"Asterisk Call Manager/9.0.0\r\n"
START = datetime(2026, 1, 1, 9, tzinfo=UTC)
CALL_ID = "7f1c4d@198.51.100.5"
CALL = conversation_of(CALL_ID.encode())
_ACTION = re.compile(r"Action: (\S+)\r\n(.*?)\r\n\r\n", re.DOTALL)


def event(name: str, **fields: str) -> bytes:
    """One event."""
    return "\r\n".join(
        [f"Event: {name}", "Privilege: call,all", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
    ).encode()


def channel(name: str, id: str, number: str = "", prefix: str = "") -> dict[str, str]:
    """The fields of a channel, as every event about one has them."""
    found = {
        "Channel": name,
        "ChannelState": "6",
        "ChannelStateDesc": "Up",
        "CallerIDNum": number or "<unknown>",
        "CallerIDName": "<unknown>",
        "ConnectedLineNum": "<unknown>",
        "Context": "from-internal",
        "Exten": "s",
        "Uniqueid": id,
        "Linkedid": "1.1",
    }
    return {prefix + key: value for key, value in found.items()}


def made(name: str, id: str, number: str = "") -> bytes:
    """A channel is made."""
    return event("Newchannel", **channel(name, id, number))


def entered(
    name: str, id: str, bridge: str = "b1", number: str = "", count: int = 2, creator: str = "<unknown>"
) -> bytes:
    """A channel enters a bridge in which there are `count` then."""
    return event("BridgeEnter", **_bridge(bridge, count, creator), **channel(name, id, number))


def left(name: str, id: str, bridge: str = "b1", count: int = 1) -> bytes:
    """A channel leaves a bridge in which there are `count` then."""
    return event("BridgeLeave", **_bridge(bridge, count), **channel(name, id))


def hung_up(name: str, id: str) -> bytes:
    """A channel is gone."""
    return event("Hangup", **channel(name, id), Cause="16")


def _bridge(bridge: str, count: int, creator: str = "<unknown>") -> dict[str, str]:
    return {
        "BridgeUniqueid": bridge,
        "BridgeType": "basic",
        "BridgeTechnology": "simple_bridge",
        "BridgeCreator": creator,
        "BridgeName": "<unknown>",
        "BridgeNumChannels": str(count),
    }


def responses(sent: bytes, call_ids: dict[str, str], refuse: bool = False) -> bytes:
    """What Asterisk answers to actions. `call_ids`: by channel name."""
    answers = []
    for name, rest in _ACTION.findall(sent.decode()):
        fields = dict(line.split(": ", 1) for line in rest.split("\r\n"))
        lines = ["Response: Error" if refuse else "Response: Success", f"ActionID: {fields['ActionID']}"]
        if name == "Getvar":
            lines += [f"Variable: {fields['Variable']}", f"Value: {call_ids.get(fields['Channel'], '')}"]
        lines += ["Ping: Pong", "Timestamp: 1767258000.000000"] if name == "Ping" else []
        answers.append("\r\n".join([*lines, "", ""]))
    return "".join(answers).encode()


class Line:
    """A reader that is logged in, and Asterisk at the other end. Each time a second passes."""

    def __init__(self) -> None:
        self.reader = AmiReader("doelband", "secret", ("provider",))
        self.now = START
        self.call_ids = {"PJSIP/provider-00000001": CALL_ID}
        self.said: list[Statement] = []
        self.answers = True
        self.receive(BANNER)

    def receive(self, data: bytes) -> list[Statement]:
        """Let bytes arrive, and answers to whatever is asked then; returns what is said."""
        self.now += timedelta(seconds=1)
        said = list(self.reader.receive(data, self.now))
        while (sent := self.reader.to_send()) and self.answers:
            said += self.reader.receive(responses(sent, self.call_ids), self.now)
        self.said += said
        return said

    @property
    def inside(self) -> frozenset[str] | None:
        """Who is connected with the call, as it was said last."""
        assert {it.conversation for it in self.said} <= {CALL}
        return self.said[-1].inside if self.said else None
