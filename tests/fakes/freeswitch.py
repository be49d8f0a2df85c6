"""FreeSWITCH's event socket as its documentation has it. No real one has been asked: Debian has none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from recorder.evidence.esl import EslReader
from recorder.evidence.statements import Statement
from sip_hooks.events import conversation_of

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
GREETING = b"Content-Type: auth/request\n\n"
CALL_ID = "9a31-77@198.51.100.5"
CALL = conversation_of(CALL_ID.encode())


def reply(text: str) -> bytes:
    """The reply to a command."""
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()


def event(name: str, **fields: str) -> bytes:
    """One event; underscores stand for hyphens in the names of fields, but for variables."""
    named = {k if k.startswith("variable_") else k.replace("_", "-"): v for k, v in fields.items()}
    body = json.dumps({"Event-Name": name, **named}).encode()
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%s" % (len(body), body)


def trunk(name: str, **more: str) -> bytes:
    """An event about the channel of a call from the provider."""
    fields = {
        "Unique_ID": "uuid-trunk",
        "Channel_Name": "sofia/external/+31612345678@198.51.100.5",
        "Call_Direction": "inbound",
        "Caller_Caller_ID_Number": "+31612345678",
        "Caller_Destination_Number": "+31201234567",
        "variable_sip_call_id": CALL_ID,
    }
    return event(name, **fields | more)


def phone(name: str, extension: str = "201", **more: str) -> bytes:
    """An event about the channel of a phone that FreeSWITCH called."""
    fields = {
        "Unique_ID": f"uuid-{extension}",
        "Channel_Name": f"sofia/internal/{extension}@192.0.2.101:5060",
        "Call_Direction": "outbound",
        "Caller_Caller_ID_Number": "+31612345678",
        "Caller_Callee_ID_Number": extension,
        "Caller_Destination_Number": extension,
        "variable_dialed_user": extension,
        "variable_sip_call_id": f"inside-{extension}",
    }
    return event(name, **fields | more)


def between(name: str = "CHANNEL_BRIDGE", extension: str = "201") -> bytes:
    """Trunk and phone are bridged, or no more."""
    ends = {"Bridge_A_Unique_ID": "uuid-trunk", "Bridge_B_Unique_ID": f"uuid-{extension}"}
    return trunk(name, **ends)


class Line:
    """A reader that is let in, and FreeSWITCH at the other end. Each time a second passes."""

    def __init__(self) -> None:
        self.reader = EslReader("ClueCon", ("external",))
        self.now = START
        self.said: list[Statement] = []
        self.receive(GREETING)

    def receive(self, data: bytes) -> list[Statement]:
        """Let bytes arrive, and replies to whatever is asked then; returns what is said."""
        self.now += timedelta(seconds=1)
        said = list(self.reader.receive(data, self.now))
        while sent := self.reader.to_send():
            said += self.reader.receive(replies(sent), self.now)
        self.said += said
        return said

    @property
    def inside(self) -> frozenset[str] | None:
        """Who is connected with the call, as it was said last."""
        assert {it.conversation for it in self.said} <= {CALL}
        return self.said[-1].inside if self.said else None


def replies(sent: bytes, refuse: bool = False) -> bytes:
    """What FreeSWITCH replies to commands."""
    answers = []
    for command in sent.decode().split("\n\n"):
        if command.startswith("auth "):
            answers.append(reply("-ERR invalid" if refuse else "+OK accepted"))
        elif command.startswith("event json "):
            answers.append(reply("+OK event listener enabled json"))
        elif command.startswith("api echo "):
            answers.append(b"Content-Type: api/response\nContent-Length: 8\n\ndoelband")
    return b"".join(answers)
