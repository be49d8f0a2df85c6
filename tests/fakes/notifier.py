"""A PBX that tells its dialogs (RFC 4235) over one connection, as Kamailio does, and a reader there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from recorder.evidence.dialogs import DialogReader
from recorder.evidence.statements import Statement
from recorder.evidence.subscription import Watcher
from sip_hooks.digest import Login
from sip_hooks.events import conversation_of
from sip_hooks.framing import Deframer
from sip_hooks.message import Message, parse

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
CALL_ID = "7f1c4d@198.51.100.5"
CALL = conversation_of(CALL_ID.encode())
OTHER_ID = "other@198.51.100.5"
NAMESPACE = "urn:ietf:params:xml:ns:dialog-info"
HELD = '<target uri="sip:201@192.0.2.31"><param pname="+sip.rendering" pval="no"/></target>'
FOCUS = '<target uri="sip:201@192.0.2.31"><param pname="isfocus" pval="true"/></target>'


def dialog(
    state: str = "confirmed",
    call_id: str = CALL_ID,
    name: str = "sip:201@pbx.example",
    more: str = "",
    id: str = "1",
) -> str:
    """One dialog of somebody's."""
    said = f"<local><identity>{name}</identity>{more}</local>"
    return (
        f'<dialog id="{id}" call-id="{call_id}" direction="recipient"><state>{state}</state>{said}</dialog>'
    )


def document(*dialogs: str, version: int = 1, state: str = "full") -> bytes:
    """All of them in one document."""
    head = (
        f'<dialog-info xmlns="{NAMESPACE}" version="{version}" state="{state}" entity="sip:201@pbx.example">'
    )
    return f'<?xml version="1.0"?>\n{head}{"".join(dialogs)}</dialog-info>'.encode()


def in_lines(*lines: str, body: bytes = b"") -> bytes:
    """A message."""
    return "".join(f"{line}\r\n" for line in (*lines, f"Content-Length: {len(body)}", "")).encode() + body


def response(request: Message, status: str, *more: str, tag: str = "") -> bytes:
    """Its answer."""
    copied = [f"{it.name.decode()}: {it.value.decode()}" for it in request.headers if it.name in _COPIED]
    to = f"to: {(request.first(b'to') or b'').decode()}" + (f";tag={tag}" if tag else "")
    return in_lines(f"SIP/2.0 {status}", to, *copied, *more)


_COPIED = (b"via", b"from", b"call-id", b"cseq")


@dataclass(slots=True)
class Told:
    """A subscription, as the PBX has it."""

    subscribe: Message
    tag: str
    number: int = 0

    def notify(self, body: bytes, state: str = "active;expires=600", **changes: str) -> bytes:
        """The next NOTIFY of it, or one with another call_id, tag, to_tag, number, event or kind."""
        self.number += 1
        kind = changes.get("kind", "application/dialog-info+xml") if body else ""
        return in_lines(
            "NOTIFY sip:doelband@192.0.2.11:40000;transport=tcp SIP/2.0",
            f"Via: SIP/2.0/TCP 192.0.2.20;branch=z9hG4bK{self.tag}{self.number}",
            f"From: <sip:201@pbx.example>;tag={changes.get('tag', self.tag)}",
            f"To: <sip:doelband@pbx.example>;tag={changes.get('to_tag', self.subscribe.from_tag.decode())}",
            f"Call-ID: {changes.get('call_id', self.subscribe.call_id.decode())}",
            f"CSeq: {changes.get('number', str(self.number))} NOTIFY",
            f"Event: {changes.get('event', 'dialog')}",
            f"Subscription-State: {state}",
            *([f"Content-Type: {kind}"] if kind else []),
            body=body,
        )


@dataclass(slots=True)
class Notifier:
    """The PBX. `dialogs`: what every extension is in; nobody else is in any. `says`: instead of that, to
    whoever subscribes. `refusals`: how it refuses looks and watches.
    """

    dialogs: dict[str, list[str]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    says: bytes | None = None
    is_mute: bool = False
    asks_for_password: bool = True
    watches: dict[str, list[Told]] = field(default_factory=dict)
    asked: list[Message] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    _deframer: Deframer = field(default_factory=Deframer)

    def take(self, data: bytes) -> bytes:
        """What it answers to all that comes."""
        said = b""
        for found in self._deframer.feed(data):
            assert isinstance(found, bytes)
            message = parse(found)
            if message.is_request:
                self.asked.append(message)
                said += b"" if self.is_mute else self._answer(message)
            else:
                self.answered.append(message.status)
        return said

    def _answer(self, request: Message) -> bytes:
        if request.method != b"SUBSCRIBE":
            return response(request, "200 OK", tag="x")
        if self.asks_for_password and request.field(b"authorization") is None:
            return response(
                request, "401 Unauthorized", 'WWW-Authenticate: Digest realm="pbx", nonce="n"', tag="x"
            )
        extension = request.target.user.decode()
        is_look = request.first(b"expires") == b"0"
        if refusal := self.refusals.get("look" if is_look else "watch"):
            return response(request, refusal, "Min-Expires: 3600", tag="x")
        told = Told(request, f"{extension}{len(self.asked)}")
        body = document(*self.dialogs[extension]) if extension in self.dialogs else b""
        body = self.says if self.says is not None else body
        if not is_look:
            self.watches.setdefault(extension, []).append(told)
            return response(request, "200 OK", "Expires: 600", tag=told.tag) + told.notify(body)
        return response(request, "200 OK", "Expires: 0", tag=told.tag) + told.notify(
            body, "terminated;reason=timeout"
        )

    def looks(self, extension: str = "201") -> int:
        """How often it was asked once, with the right words."""
        asked = (it for it in self.asked if it.method == b"SUBSCRIBE" and it.first(b"expires") == b"0")
        known = (it for it in asked if it.field(b"authorization") is not None or not self.asks_for_password)
        return sum(it.target.user.decode() == extension for it in known)


class Line:
    """A reader and the PBX at the other end of its connection."""

    def __init__(self, *extensions: str, dialogs: dict[str, list[str]] | None = None) -> None:
        self.extensions = extensions or ("201",)
        self.pbx = Notifier(dialogs or {})
        self.now = START
        self.said: list[Statement] = []
        self._drawn = 0
        watcher = Watcher(Login("doelband", "secret"), "pbx.example", ("192.0.2.11", 40000))
        self.reader = DialogReader(watcher, lambda: self.extensions, self._draw)

    def _draw(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")

    def passes(self, seconds: float = 2) -> list[Statement]:
        """So much time goes by in which nothing comes."""
        self.now += timedelta(seconds=seconds)
        return self.comes(b"")

    def comes(self, data: bytes) -> list[Statement]:
        """Bytes come, and the PBX answers whatever is asked then; returns what is said."""
        said = list(self.reader.receive(data, self.now))
        while answer := self.pbx.take(self.reader.to_send()):
            said += self.reader.receive(answer, self.now)
        self.said += said
        return said

    def tells(self, extension: str, *dialogs: str, **how: str) -> list[Statement]:
        """Something changes at an extension, and the PBX tells so in the next document."""
        self.pbx.dialogs[extension] = list(dialogs)
        told = self.pbx.watches[extension][-1]
        return self.comes(told.notify(document(*dialogs, version=told.number + 1), **how))

    def inside(self, conversation: str = CALL) -> frozenset[str] | None:
        """Who is said to speak in a conversation, as it was said last."""
        return next((it.inside for it in reversed(self.said) if it.conversation == conversation), None)
