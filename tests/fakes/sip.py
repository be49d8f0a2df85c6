"""SIP messages as a phone or a PBX writes them, and an engine on a bench, its time in the test's hands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal, TypedDict, TypeVar, Unpack

from sip_hooks.engine import Engine, EngineSettings, Listener, Packet
from sip_hooks.events import Anchor, CallDisturbed, CallOffered, Disturbance, Event, ForwardCall
from sip_hooks.message import parse
from sip_hooks.settings import Address, Transport, Trunk

US: Address = ("10.0.0.1", 5060)
PBX: Address = ("10.0.0.2", 5060)
PHONE: Address = ("10.0.0.9", 5070)
OTHER: Address = ("10.0.0.8", 5080)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ANCHOR = Anchor(("10.0.0.1", 20000), ("10.0.0.1", 20002), 77)

Kind = TypeVar("Kind")

BOTH = (Listener("a", "both", *US),)
TWO = (Listener("in", "phones", "10.0.0.1", 5060), Listener("out", "pbx", "10.1.0.1", 5060))


def sdp(address: str = "10.0.0.9", port: int = 4000, *lines: str) -> bytes:
    """A description of one audio stream."""
    head = (
        "v=0",
        f"o=- 1 1 IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        f"m=audio {port} RTP/AVP 8 0",
    )
    return "".join(f"{line}\r\n" for line in (*head, *lines)).encode()


def request(
    method: str,
    uri: str = "sip:202@pbx.example",
    *,
    branch: str = "z9hG4bKphone1",
    sender: Address = PHONE,
    caller: str = "<sip:201@pbx.example>;tag=a",
    callee: str = "<sip:202@pbx.example>",
    call_id: str = "call-1",
    number: int = 1,
    headers: Sequence[str] = (),
    body: bytes = b"",
) -> bytes:
    """One request, as its sender writes it."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {sender[0]}:{sender[1]};branch={branch}",
        "Max-Forwards: 70",
        f"From: {caller}",
        f"To: {callee}",
        f"Call-ID: {call_id}",
        f"CSeq: {number} {method}",
        *headers,
    ]
    return _message(lines, body)


class Lines(TypedDict, total=False):
    """What a request may say otherwise; see `request`."""

    branch: str
    sender: Address
    caller: str
    callee: str
    call_id: str
    number: int


def invite(
    uri: str = "sip:202@pbx.example",
    *,
    body: bytes | None = None,
    headers: Sequence[str] = (),
    **lines: Unpack[Lines],
) -> bytes:
    """An INVITE with a Contact and an offer."""
    contact = "Contact: <sip:201@10.0.0.9:5070>"
    return request("INVITE", uri, headers=(contact, *headers), body=sdp() if body is None else body, **lines)


def reply(
    to: bytes,
    status: int = 200,
    *,
    tag: str = "b",
    headers: Sequence[str] = ("Contact: <sip:202@10.0.0.8:5080>",),
    body: bytes = b"",
    keep_record_route: bool = True,
) -> bytes:
    """The response of a server to the request it received."""
    message = parse(to)
    lines = [f"SIP/2.0 {status} Whatever"]
    copied = [b"via", b"from", b"to", b"call-id", b"cseq"] + [b"record-route"] * keep_record_route
    for field in message.headers:
        if field.name in copied:
            line = message.raw[field.start : field.end - 2].decode()
            if field.name == b"to" and not message.to_tag and status > 100 and tag:
                line += f";tag={tag}"
            lines.append(line)
    return _message([*lines, *headers], body)


def _message(lines: list[str], body: bytes) -> bytes:
    kind = ["Content-Type: application/sdp"] if body else []
    head = "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


class Bench:
    """An engine, its clock and everything that came out of it."""

    def __init__(
        self,
        listeners: tuple[Listener, ...] = BOTH,
        pbx: Address = PBX,
        media_address: str = "10.0.0.1",
        pbx_transport: Transport = "udp",
        registration: Literal["contact", "path"] = "contact",
        trunk: Trunk | None = None,
        pbx_is_verified: bool = False,
    ) -> None:
        drawn = count(1)
        media = frozenset({media_address})
        self.settings = EngineSettings(
            listeners,
            pbx,
            media,
            (20000, 30000),
            b"k" * 32,
            pbx_transport=pbx_transport,
            pbx_is_verified=pbx_is_verified,
            registration=registration,
            trunk=trunk,
        )
        self.engine = Engine(
            self.settings,
            lambda size: next(drawn).to_bytes(size, "big"),
            lambda now: EPOCH + timedelta(seconds=now),
        )
        self.now = 0.0
        self.events: list[Event] = []

    def receive(self, data: bytes, source: Address = PHONE, listener: str | None = None) -> list[Packet]:
        """Let a datagram arrive; returns what leaves."""
        name = listener or self.settings.listeners[0].name
        self.engine.receive_datagram(data, source, name, self.now)
        return self.settle()

    def connect(self, address: Address, listener: str) -> None:
        """Let a connection be made, from either end."""
        self.engine.connected(listener, address)

    def stream(self, data: bytes, source: Address, listener: str) -> list[Packet]:
        """Let bytes arrive over a connection; returns what leaves."""
        self.engine.receive_stream(data, source, listener, self.now)
        return self.settle()

    def lose(self, address: Address, listener: str) -> list[Packet]:
        """Let a connection end, or not be made; returns what leaves."""
        self.engine.disconnected(listener, address, self.now)
        return self.settle()

    def forward(self, strip: int = 0, media: Anchor | None = None) -> list[Packet]:
        """Answer the latest CallOffered."""
        call = [event.call for event in self.events if isinstance(event, CallOffered)][-1]
        self.engine.execute(ForwardCall(call, strip, media), self.now)
        return self.settle()

    def wait(self, seconds: float) -> list[Packet]:
        """Let time pass, timer by timer; returns what leaves."""
        end, left = self.now + seconds, []
        while (at := self.engine.next_timer()) is not None and at <= end:
            self.now = at
            self.engine.handle_timer(at)
            left += self.settle()
        self.now = end
        return left

    def settle(self) -> list[Packet]:
        """Take events and packets."""
        while (event := self.engine.next_event()) is not None:
            self.events.append(event)
        return self.engine.packets_to_send()

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The events of this kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def call(
        self, *, media: Anchor | None = ANCHOR, offer: bytes | None = None, answer: bytes | None = None
    ) -> bytes:
        """Bring a call from PHONE to the PBX up to its 200; returns the INVITE as the PBX got it."""
        self.receive(invite(body=offer))
        (forwarded,) = self.forward(media=media)
        body = sdp("10.0.0.8", 6000) if answer is None else answer
        self.receive(reply(forwarded.data, body=body), PBX, self.settings.listeners[-1].name)
        return forwarded.data


def only(packets: list[Packet]) -> Packet:
    """The one packet that left."""
    assert len(packets) == 1, [packet.data[:40] for packet in packets]
    return packets[0]


def differences(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """Which lines are gone and which are new; the others must be there in the same order."""
    old, new = before.decode().split("\r\n"), after.decode().split("\r\n")
    gone = list(old)
    added = []
    for line in new:
        if line in gone:
            gone.remove(line)
        else:
            added.append(line)
    kept_old = [line for line in old if line in new]
    kept_new = [line for line in new if line in old]
    assert kept_old == kept_new, "the order of untouched lines changed"
    return gone, added


def field_of(data: bytes, name: str) -> list[str]:
    """All values of one header."""
    return [value.decode() for value in parse(data).all(name.encode())]


def routes_of(data: bytes) -> list[str]:
    """The Routes of the caller's requests within the dialog that this response opened."""
    return [f"Route: {value}" for value in reversed(field_of(data, "record-route"))]


DIALOG = "<sip:202@pbx.example>;tag=b"
TARGET = "sip:202@10.0.0.8:5080"


def answered(bench: Bench) -> tuple[bytes, bytes]:
    """A call that the PBX answered; returns the INVITE as the PBX got it and the 200 as the phone got it."""
    bench.receive(invite())
    forwarded = only(bench.forward(media=ANCHOR)).data
    answer = reply(forwarded, body=sdp("10.0.0.8", 6000))
    return forwarded, only(bench.receive(answer, PBX, bench.settings.listeners[-1].name)).data


def within(
    method: str,
    uri: str = TARGET,
    number: int = 2,
    headers: tuple[str, ...] = (),
    tag: str = "b",
    *,
    branch: str = "",
    body: bytes = b"",
) -> bytes:
    """A request of the caller within the dialog."""
    return request(
        method,
        uri,
        branch=branch or f"z9hG4bK{method}",
        callee=f"<sip:202@pbx.example>;tag={tag}",
        number=number,
        headers=headers,
        body=body,
    )


def from_callee(method: str, headers: tuple[str, ...] = (), body: bytes = b"") -> bytes:
    """A request of the callee within the dialog."""
    return request(
        method,
        "sip:201@10.0.0.9:5070",
        body=body,
        branch="z9hG4bKpbx",
        sender=PBX,
        caller="<sip:202@pbx.example>;tag=b",
        callee="<sip:201@pbx.example>;tag=a",
        headers=headers,
    )


def registered(bench: Bench, phone: tuple[str, int] = PHONE) -> str:
    """Register a phone; returns its Contact as the PBX knows it."""
    contact = f"Contact: <sip:{201 if phone == PHONE else 202}@{phone[0]}:{phone[1]}>"
    data = request("REGISTER", "sip:pbx.example", sender=phone, call_id="r", headers=[contact])
    return field_of(only(bench.receive(data, phone)).data, "contact")[0].strip("<>")


def causes(bench: Bench) -> list[Disturbance]:
    """Why the calls so far were disturbed."""
    return [event.cause for event in bench.of(CallDisturbed)]


def reinvite(answer: bytes, body: bytes, number: int = 2, headers: tuple[str, ...] = ()) -> bytes:
    """A re-INVITE of the caller."""
    lines = (*routes_of(answer), "Contact: <sip:201@10.0.0.9:5070>", *headers)
    return request(
        "INVITE", TARGET, branch=f"z9hG4bKre{number}", callee=DIALOG, number=number, headers=lines, body=body
    )
