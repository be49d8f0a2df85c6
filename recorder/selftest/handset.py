"""A telephone that stays in its calls: it speaks and listens, holds (RFC 3264 §8.4), and transfers (RFC 3515,
RFC 3891).

What becomes of a REFER is the PBX's affair. One that is a proxy hands it to the other telephone, which then
dials by itself; one that ends calls connects them anew. A handset does its part of either.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from recorder.probe.dialog import Dialog, description
from recorder.probe.telephone import PATIENCE_SECONDS, Account, Telephone
from recorder.rtp import RtpError, parse
from recorder.selftest.speech import SAMPLES, Speech
from sip_hooks.address import UNSPECIFIED
from sip_hooks.headers import parse_name_addr, uri_in
from sip_hooks.message import Message
from sip_hooks.sdp import MediaEnd, describe
from sip_hooks.settings import Address
from sip_hooks.uri import unescape

PACKET_SECONDS = 0.02
_BACK = {"sendonly": "recvonly", "inactive": "inactive"}


class NotDone(Exception):
    """Something that a test needs did not come about: what was tried, and what came."""


class Ear(asyncio.DatagramProtocol):
    """The media socket of one call. `audio`: the payloads that came, one after the other."""

    def __init__(self) -> None:
        self.audio = bytearray()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        with suppress(RtpError):
            header = parse(data)
            self.audio += data[header.start : header.end]

    def error_received(self, exc: Exception) -> None:
        """Whoever is gone hears nothing."""


@dataclass(slots=True, eq=False)
class Call:
    """One call of one handset. `outcome`: the final status of its transfer, 0 before there is one."""

    dialog: Dialog
    ear: Ear
    media: asyncio.DatagramTransport
    told: str
    towards: MediaEnd | None = None
    is_over: bool = False
    outcome: int = 0
    sent: int = 0
    _source: int = field(default_factory=lambda: secrets.randbits(32))

    def description(self, direction: str = "sendrecv") -> bytes:
        port = self.media.get_extra_info("sockname")[1]
        return description(self.told, port, direction, self.dialog.number + 1)

    def learn(self, body: bytes) -> str:
        """Where the other party wants its media, as it says now; the direction in which it says so."""
        end = describe(body).end if body else None
        self.towards = end or self.towards
        return end.direction if end else "sendrecv"

    async def speak(self, speech: Speech) -> None:
        """Say this, 20 ms after 20 ms."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for index, word in enumerate(speech.words):
            await asyncio.sleep(begin + index * PACKET_SECONDS - loop.time())
            end = self.towards
            if end is not None and end.rtp_port and end.address not in UNSPECIFIED and not self.is_over:
                kind = end.codecs[0].payload_type if end.codecs else 8
                stamp = self.sent * SAMPLES & 0xFFFFFFFF
                header = struct.pack("!BBHII", 0x80, kind, self.sent & 0xFFFF, stamp, self._source)
                self.media.sendto(header + word, (end.address, end.rtp_port))
            self.sent += 1


class Handset(Telephone):
    """`account` at the proxy `server`, as Telephone. It takes every call, and one that replaces another."""

    def __init__(self, account: Account, server: Address, media: tuple[str, str]) -> None:
        super().__init__(account, server, media)
        self.calls: list[Call] = []
        self._news = asyncio.Event()
        self._referred: set[tuple[str, int]] = set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        for call in self.calls:
            call.media.close()

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something that a message brings about is so. Raises NotDone."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not is_so():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise NotDone(f"{what}, for {PATIENCE_SECONDS:.0f} s") from None

    async def newest(self, before: int = 0) -> Call:
        """The call that has come since there were so many, when its caller has acknowledged it."""

        def is_there() -> bool:
            return len(self.calls) > before and self.calls[-1].dialog.id.encode() in self._acknowledged

        await self.until(is_there, f"no call came to {self.account.user}")
        return self.calls[-1]

    async def dial(self, target: str, *extra: str) -> Call:
        """Call a URI, and return when it is answered. Raises NotDone."""
        call = await self._new_call(Dialog(target, f"<{target}>", self._own()))
        answer = await self._ask(
            call.dialog, "INVITE", (f"Contact: <{self.contact}>", *extra), call.description()
        )
        if answer is None or not 200 <= answer.status < 300:
            call.is_over = True
            said = str(answer.status) if answer else "no answer"
            raise NotDone(f"{self.account.user} called {user_of(target)}: {said}")
        self._confirm(call.dialog, answer)
        call.learn(answer.body)
        return call

    async def hold(self, call: Call) -> None:
        """Let the other party hear nothing. Raises NotDone."""
        extra = (f"Contact: <{self.contact}>",)
        answer = await self._ask(call.dialog, "INVITE", extra, call.description("sendonly"))
        if answer is None or not 200 <= answer.status < 300:
            raise NotDone(f"{self.account.user} held a call: {answer.status if answer else 'no answer'}")
        self._confirm(call.dialog, answer)
        call.learn(answer.body)

    async def transfer(self, call: Call, target: str, consultation: Call | None = None) -> None:
        """Send the other party to this URI, or into the place of our own call there. Raises NotDone."""
        uri = target
        if consultation is not None:
            it = consultation.dialog
            tags = f"%3Bto-tag%3D{_tag(it.remote)}%3Bfrom-tag%3D{_tag(it.local)}"
            uri = f"{target}?Replaces={it.id.replace('@', '%40')}{tags}"
        extra = (f"Contact: <{self.contact}>", f"Refer-To: <{uri}>", f"Referred-By: <{self.uri()}>")
        answer = await self._ask(call.dialog, "REFER", extra)
        if answer is None or not 200 <= answer.status < 300:
            said = answer.status if answer else "no answer"
            raise NotDone(f"{self.account.user} transferred to {user_of(target)} (REFER): {said}")
        await self.until(lambda: call.is_over or bool(call.outcome), "nobody said what became of the REFER")
        if call.outcome >= 300:
            raise NotDone(f"the transfer to {user_of(target)} failed: {call.outcome}")

    async def hang_up(self, call: Call) -> None:
        """Leave a call that is not over."""
        if not call.is_over:
            call.is_over = True
            await self._ask(call.dialog, "BYE", ())

    # --- what it is asked

    def _take(self, request: Message, source: Address) -> None:
        call = next((it for it in self.calls if it.dialog.id.encode() == request.call_id), None)
        if call is None or request.method == b"ACK" or not request.to_tag:
            super()._take(request, source)
        elif request.method in (b"INVITE", b"UPDATE"):
            self._negotiate(call, request, source)
        else:
            self._heed(call, request, source)
        if call is not None and request.method == b"ACK":
            call.learn(request.body)
        self._news.set()

    def _negotiate(self, call: Call, request: Message, source: Address) -> None:
        said = call.learn(request.body)
        body = call.description(_BACK.get(said, "sendrecv"))
        is_asked = request.method == b"INVITE" or bool(request.body)
        self._reply(request, source, body=body if is_asked else b"")

    def _heed(self, call: Call, request: Message, source: Address) -> None:
        is_referred = request.method == b"REFER"
        self._reply(request, source, status="202 Accepted" if is_referred else "200 OK")
        if request.method == b"BYE":
            call.is_over = True
        elif request.method == b"NOTIFY" and request.body.startswith(b"SIP/2.0 "):
            status = request.body[8:11]
            call.outcome = int(status) if status.isdigit() and int(status) >= 200 else 0
        elif is_referred and (call.dialog.id, request.cseq[0]) not in self._referred:
            self._referred.add((call.dialog.id, request.cseq[0]))
            self._begin(self._follow(call, request))

    async def _follow(self, call: Call, refer: Message) -> None:
        """Do as we are told: dial, and say what becomes of it (RFC 3515 §2.4.4)."""
        wanted = parse_name_addr(refer.first(b"refer-to") or b"").uri
        pairs = [it.partition(b"=") for it in wanted.headers.split(b"&") if it]
        extra = [f"{name.decode('latin-1')}: {unescape(it).decode('latin-1')}" for name, _, it in pairs]
        if by := refer.first(b"referred-by"):
            extra.append(f"Referred-By: {by.decode('latin-1')}")
        await self._tell(call, "SIP/2.0 100 Trying", "active;expires=60")
        said = "200 OK"
        try:
            await self.dial(wanted.raw.partition(b"?")[0].decode("latin-1"), *extra)
        except NotDone:
            said = "503 Service Unavailable"
        self._news.set()
        await self._tell(call, f"SIP/2.0 {said}", "terminated;reason=noresource")

    async def _tell(self, call: Call, said: str, state: str) -> None:
        extra = ("Event: refer", f"Subscription-State: {state}", f"Contact: <{self.contact}>")
        kind = "Content-Type: message/sipfrag;version=2.0"
        await self._ask(call.dialog, "NOTIFY", (*extra, kind), f"{said}\r\n".encode())

    def _ring(self, invite: Message, source: Address) -> None:
        key = invite.call_id + invite.from_tag
        if key not in self._answered:
            self._answered[key] = secrets.token_hex(6).encode()
            self._begin(self._pick_up(invite, source, self._answered[key]))

    async def _pick_up(self, invite: Message, source: Address, tag: bytes) -> None:
        local, remote = (invite.first(it) or b"" for it in (b"to", b"from"))
        dialog = Dialog(
            uri_in(invite.first(b"contact") or b"").raw.decode("latin-1"),
            remote.decode("latin-1"),
            f"{local.decode('latin-1')};tag={tag.decode()}",
            invite.call_id.decode("latin-1"),
            [it.decode("latin-1") for it in invite.all(b"record-route")],
        )
        replaced = (invite.first(b"replaces") or b"").partition(b";")[0].decode("latin-1")
        old = next((it for it in self.calls if replaced and it.dialog.id == replaced), None)
        call = await self._new_call(dialog)
        call.learn(invite.body)
        if old is not None:
            self._begin(self.hang_up(old))
        await self._answer(invite, source, tag, call.description())

    async def _new_call(self, dialog: Dialog) -> Call:
        loop = asyncio.get_running_loop()
        media, ear = await loop.create_datagram_endpoint(Ear, local_addr=(self._media[0], 0))
        self.calls.append(Call(dialog, ear, media, self._media[1]))
        return self.calls[-1]


def user_of(uri: str) -> str:
    """Whom a URI calls."""
    return uri_in(uri.encode()).identity()


def _tag(value: str) -> str:
    return value.partition("tag=")[2].partition(";")[0]
