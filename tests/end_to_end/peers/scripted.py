"""A scripted phone: says exactly the A-law bytes it is given, every 20 ms, and keeps what it hears.

It registers, rings, answers everything, follows the route it was shown (RFC 3261 §12), and may be in several
calls at once. It is the quick and exact one; real phones stand beside it.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from demo.registrar import Message
from sip_hooks.address import family_of, host
from tests.end_to_end.peers.text import (
    branch_of,
    described,
    description,
    encoded,
    new_branch,
    registration,
    reply,
    uri_in,
    with_credentials,
)
from tests.fakes.rtp import PCMA, SAMPLES

Address = tuple[str, int]
PATIENCE_SECONDS = 30.0
_HERE = {4: "127.0.0.1", 6: "::1"}


def bound(address: str, port: int = 0) -> socket.socket:
    """A UDP socket at an address of this machine; 0: at any port."""
    endpoint = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.setblocking(False)
    endpoint.bind((address, port))
    return endpoint


class Ear(asyncio.DatagramProtocol):
    """One call's media socket. `payloads`: by RTP sequence number, A-law. `count`: of all that has come."""

    def __init__(self) -> None:
        self.payloads: dict[int, bytes] = {}
        self.news = asyncio.Event()
        self.count = 0

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.count += 1
        if len(data) > 12 and data[1] & 0x7F == PCMA:
            self.payloads[int.from_bytes(data[2:4], "big")] = data[12:]
            self.news.set()


@dataclass(slots=True)
class Call:
    """One call as one phone lives it."""

    id: str
    phone: Phone
    local: str
    remote: str
    ear: Ear
    media: asyncio.DatagramTransport
    target: str = ""
    routes: list[str] = field(default_factory=list)
    towards: Address = ("", 0)
    number: int = 1
    sent: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def speak(self, alaw: bytes) -> None:
        """Say this, 20 ms after 20 ms, from where the last speech ended."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for index, start in enumerate(range(0, len(alaw), SAMPLES)):
            await asyncio.sleep(begin + index * 0.02 - loop.time())
            header = struct.pack("!BBHII", 0x80, PCMA, self.sent & 0xFFFF, self.sent * SAMPLES, 0x5111F0E5)
            self.media.sendto(header + alaw[start : start + SAMPLES], self.towards)
            self.sent += 1

    async def hears(self, packets: int) -> None:
        """Wait until so many packets have arrived since the beginning."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.ear.payloads) < packets:
                self.ear.news.clear()
                await self.ear.news.wait()

    def heard(self) -> bytes:
        """What has arrived, in the order of its numbers."""
        return b"".join(payload for _, payload in sorted(self.ear.payloads.items()))

    async def hang_up(self) -> None:
        """Send BYE and wait for the answer."""
        await self.request("BYE")
        self.ended.set()

    async def reinvite(self, direction: str = "sendrecv") -> Message:
        """Offer the same media again, on hold or not; returns the 200, which is acknowledged."""
        self.number += 1
        lines = self.lines("INVITE", self.number, (f"Contact: <{self.phone.contact}>",))
        answer = await self.phone.ask(lines, _description(self, direction))
        self.phone.send(self.lines("ACK", self.number))
        self.towards = described(answer)
        return answer

    async def request(self, method: str, *extra: str) -> int:
        """Send a request within the dialog; returns the status of its answer."""
        self.number += 1
        answer = await self.phone.ask(self.lines(method, self.number, extra))
        return int(answer.start.split(b" ")[1])

    def lines(self, method: str, number: int, extra: tuple[str, ...] = ()) -> list[str]:
        """A request within the dialog, without its Via."""
        return [
            f"{method} {self.target} SIP/2.0",
            *(f"Route: {route}" for route in self.routes),
            *("Max-Forwards: 70", f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.id}"),
            f"CSeq: {number} {method}",
            *extra,
        ]


class Phone(asyncio.DatagramProtocol):
    """`number` at `server`. As a context: registered inside. `says`: header fields of its 200 to INVITE.

    Unless it `answers`, it rings until the caller gives up. `bind` makes its sockets. `hidden`: an address
    that its descriptions name instead of its own, as behind a NAT.
    """

    def __init__(
        self,
        number: str,
        password: str,
        server: Address,
        says: tuple[str, ...] = (),
        answers: bool = True,
        bind: Callable[[], socket.socket] | None = None,
        hidden: str = "",
    ) -> None:
        self.number = number
        self.server = server
        self._bind = bind or (lambda: bound(_HERE[family_of(server[0])]))
        self.says = says
        self.hidden = hidden
        self.answers = answers
        self.ringing: dict[str, tuple[Message, Address]] = {}
        self.calls: dict[str, Call] = {}
        self._password = password
        self._transport: asyncio.DatagramTransport
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}
        self._answers: dict[bytes, bytes] = {}  # to requests, by branch and method
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._bind())
        try:
            await self._register()
        except BaseException:
            self._transport.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self.calls.values():
            call.media.close()
        self._transport.close()

    @property
    def contact(self) -> str:
        return f"sip:{self.number}@{self.place}"

    @property
    def place(self) -> str:
        """Where it listens, as a URI has it."""
        address, port = self._transport.get_extra_info("sockname")[:2]
        return f"{host(address)}:{port}"

    async def dial(self, number: str, *extra: str, offers_late: bool = False) -> Call:
        """Call a number; returns when it is answered. RuntimeError: it was refused. `offers_late`: the one
        called describes its media first, in the 200, and this phone answers in the ACK (RFC 3261 §13.2.1).
        `extra`: header fields of the INVITE.
        """
        call = await self._new_call(
            secrets.token_hex(8), f"<{self._uri(self.number)}>;tag={secrets.token_hex(4)}", ""
        )
        call.target, call.remote = self._uri(number), f"<{self._uri(number)}>"
        lines = call.lines("INVITE", 1, (f"Contact: <{self.contact}>", *extra))
        answer = await self.ask(lines, b"" if offers_late else _description(call))
        if not answer.start.startswith(b"SIP/2.0 2"):
            raise RuntimeError(f"{self.number} called and got {answer.start!r}")
        call.remote = answer.first(b"to").decode()
        call.target = uri_in(answer.first(b"contact"))
        call.routes = [value.decode() for value in reversed(answer.every(b"record-route"))]
        call.towards = described(answer)
        self.send(call.lines("ACK", 1), _description(call) if offers_late else b"")
        return call

    async def newest(self, count: int = 1) -> Call:
        """The last of so many calls, when it is up."""

        def there() -> bool:
            return len(self.calls) >= count and bool(list(self.calls.values())[-1].towards[1])

        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            await self._news.wait_for(there)
        return list(self.calls.values())[-1]

    async def taken(self, call_id: str) -> Call:
        """This phone's end of a call that another one made, when it has been acknowledged."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            await self._news.wait_for(lambda: call_id in self.calls and self.calls[call_id].towards[1])
        return self.calls[call_id]

    def request_lines(self, method: str, number: str, *extra: str) -> list[str]:
        """A request outside of any dialog, without its Via."""
        return [
            f"{method} {self._uri(number)} SIP/2.0",
            "Max-Forwards: 70",
            f"From: <{self._uri(self.number)}>;tag={secrets.token_hex(4)}",
            f"To: <{self._uri(number)}>",
            f"Call-ID: {secrets.token_hex(8)}",
            f"CSeq: 1 {method}",
            *extra,
        ]

    async def ask(self, lines: list[str], body: bytes = b"") -> Message:
        """Send a request and return its final answer. On loopback nothing is lost, so it is sent once."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        branch = self.send(lines, body)
        self._waiting[branch] = answer
        return await asyncio.wait_for(answer, PATIENCE_SECONDS)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = Message.parse(data)
        if message.start.startswith(b"SIP/2.0"):
            branch = branch_of(message)
            if not message.start.startswith(b"SIP/2.0 1") and branch in self._waiting:
                answer = self._waiting[branch]
                if not answer.done():
                    answer.set_result(message)
            return
        task = asyncio.create_task(self._take(message, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, request: Message, source: Address) -> None:
        method = request.start.split(b" ")[0]
        if method == b"ACK":
            await self._acknowledged(request)
            return
        key = branch_of(request) + method
        if key not in self._answers:
            self._answers[key] = b""  # being made
            self._answers[key] = await self._answer(method, request, source)
        if self._answers[key]:
            self._transport.sendto(self._answers[key], source)

    async def _answer(self, method: bytes, request: Message, source: Address) -> bytes:
        call = self.calls.get(request.first(b"call-id").decode())
        if method == b"INVITE" and call is None:
            return await self._ring(request, source)
        if method == b"INVITE" and call is not None:
            call.towards = described(request)
            back = "recvonly" if b"a=sendonly" in request.body else "sendrecv"
            return reply(request, "200 OK", (f"Contact: <{self.contact}>",), _description(call, back))
        if method == b"BYE" and call is not None:
            call.ended.set()
        if method == b"CANCEL":
            invite, towards = self.ringing.pop(request.first(b"call-id").decode())
            self._transport.sendto(reply(invite, "487 Request Terminated"), towards)
            if call is not None:
                call.ended.set()
        return reply(request, "200 OK")

    async def _ring(self, invite: Message, source: Address) -> bytes:
        to = f"{invite.first(b'to').decode()};tag={secrets.token_hex(4)}"
        call = await self._new_call(invite.first(b"call-id").decode(), to, invite.first(b"from").decode())
        call.target = uri_in(invite.first(b"contact"))
        call.routes = [value.decode() for value in invite.every(b"record-route")]
        call.towards = described(invite) if invite.body else call.towards
        invite.replace(b"to", to.encode())
        self._transport.sendto(reply(invite, "180 Ringing", (f"Contact: <{self.contact}>",)), source)
        if not self.answers:
            self.ringing[call.id] = invite, source
            return b""
        return reply(invite, "200 OK", (f"Contact: <{self.contact}>", *self.says), _description(call))

    async def _acknowledged(self, ack: Message) -> None:
        call = self.calls.get(ack.first(b"call-id").decode())
        if call is not None and ack.body:
            call.towards = described(ack)
        async with self._news:
            self._news.notify_all()

    async def _new_call(self, call_id: str, local: str, remote: str) -> Call:
        loop = asyncio.get_running_loop()
        media, ear = await loop.create_datagram_endpoint(Ear, sock=self._bind())
        call = Call(call_id, self, local, remote, ear, media)
        self.calls[call_id] = call
        async with self._news:
            self._news.notify_all()
        return call

    async def _register(self) -> None:
        target = self._uri("").replace("@", "")
        lines = registration(self._uri(self.number), target, self.contact)
        challenged = await self.ask(lines)
        answer = await self.ask(with_credentials(lines, challenged, self.number, self._password, target))
        if not answer.start.startswith(b"SIP/2.0 200"):
            raise RuntimeError(f"{self.number} registered and got {answer.start!r}")

    def _uri(self, user: str) -> str:
        return f"sip:{user}@{host(self.server[0])}:{self.server[1]}"

    def send(self, lines: list[str], body: bytes = b"") -> bytes:
        """Send a request, without its Via; returns its branch."""
        branch = new_branch()
        via = f"Via: SIP/2.0/UDP {self.place};branch={branch};rport"
        self._transport.sendto(encoded([lines[0], via, *lines[1:]], body), self.server)
        return branch.encode()


async def converse(
    caller: Phone, callee: Phone, number: str, said: tuple[bytes, bytes], *, offers_late: bool = False
) -> tuple[Call, Call]:
    """One call: both say their piece at once, hear the other's to its end, the caller hangs up."""
    call = await caller.dial(number, offers_late=offers_late)
    taken = await callee.taken(call.id)
    await asyncio.gather(call.speak(said[0]), taken.speak(said[1]))
    await asyncio.gather(call.hears(taken.sent), taken.hears(call.sent))
    await call.hang_up()
    await asyncio.wait_for(taken.ended.wait(), PATIENCE_SECONDS)
    return call, taken


def _description(call: Call, direction: str = "sendrecv") -> bytes:
    address, port = call.media.get_extra_info("sockname")[:2]
    return description(call.phone.hidden or address, port, direction)
