"""The dialogs of a back-to-back user agent: what each leg sends and hears. Its dial plan is in b2bua.py.

It keeps no transactions: on loopback nothing is lost.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from demo.registrar import Address, Message, Registrar
from tests.end_to_end.peers.text import (
    branch_of,
    described_in,
    description,
    encoded,
    new_branch,
    reply,
    uri_in,
)
from tests.fakes.rtp import PCMA, SAMPLES

DOMAIN = "pbx.example"
PATIENCE_SECONDS = 30.0

Telling = Literal["re-INVITE", "UPDATE", "nothing"]


@dataclass(slots=True)
class Leg:
    """One dialog of the PBX with one party. `sdp`: how that party last described itself."""

    id: str
    user: str
    local: str
    remote: str
    towards: Address
    target: str = ""
    routes: list[str] = field(default_factory=list)
    number: int = 1
    branch: str = ""
    sdp: bytes = b""
    invite: tuple[Message, Address] | None = None
    """What is still to be answered."""
    other: Leg | None = None
    music: asyncio.Task[None] | None = None
    is_up: bool = False
    is_over: bool = False

    def has(self, replaces: str) -> bool:
        """Whether a Replaces header means this dialog (RFC 3891 §3)."""
        id, *parameters = replaces.split(";")
        return id == self.id and all(
            it.partition("=")[2] in self.local + self.remote for it in parameters if "-tag" in it
        )


@dataclass(slots=True)
class _Wire(asyncio.DatagramProtocol):
    agent: UserAgent

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.agent.take(data, (addr[0], addr[1]))


@dataclass(slots=True)
class UserAgent:
    """Both ends of calls, as a context. `tells`: how a party learns that somebody else is there now.

    `music`: A-law that a party hears when nobody else is there. `faults`: what went wrong in here.
    """

    address: Address
    registrar: Registrar
    tells: Telling = "re-INVITE"
    music: bytes = b"\xd5" * SAMPLES
    legs: list[Leg] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    _transport: asyncio.DatagramTransport | None = None
    _media: asyncio.DatagramTransport | None = None
    _waiting: dict[bytes, asyncio.Future[Message]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Wire(self), local_addr=self.address)
        self._media, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(self.address[0], 0)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for leg in self.legs:
            self._silence(leg)
        for task in self._tasks:
            task.cancel()
        for transport in (self._transport, self._media):
            if transport is not None:
                transport.close()

    def take(self, data: bytes, source: Address) -> None:
        """What came from somebody."""
        if not data.strip(b"\r\n\0"):
            return
        message = Message.parse(data)
        if message.start.startswith(b"SIP/2.0"):
            waiting = self._waiting.get(branch_of(message))
            if waiting and not waiting.done() and not message.start.startswith(b"SIP/2.0 1"):
                waiting.set_result(message)
        elif message.start.split(b" ")[0] in (b"REGISTER", b"OPTIONS"):
            sent = self.registrar.receive(data, source)
            if sent is not None:
                self._send(*sent)
        else:
            self._begin(self._request(message, source))

    def leg_of(self, user: str) -> Leg:
        """The newest leg of a party that is not over."""
        return next(leg for leg in reversed(self.legs) if leg.user == user and not leg.is_over)

    async def connect(self, one: Leg, other: Leg, tells: Telling | None = None) -> None:
        """Let two parties that are up meet, and tell each of the other."""
        one.other, other.other = other, one
        answer = await self.offer(other, one.sdp, one.user, tells)
        await self.offer(one, answer, other.user, tells)

    async def offer(self, leg: Leg, sdp: bytes, shown: str = "", tells: Telling | None = None) -> bytes:
        """Send media elsewhere (re-INVITE), and say who is there; returns the answer."""
        self._silence(leg)
        tells = tells or self.tells
        names = self._names(shown) if shown and tells == "re-INVITE" else ()
        answer = await self._ask(leg, "INVITE", names, _sendrecv(sdp))
        self._within(leg, "ACK", leg.number)
        leg.sdp = answer.body
        if shown and tells == "UPDATE":
            await self._ask(leg, "UPDATE", self._names(shown))
        return answer.body

    async def name(self, leg: Leg, shown: str, tells: Telling) -> None:
        """Say that somebody else is there now; the media stays where it is."""
        other = leg.other
        assert other is not None
        if tells == "UPDATE":
            await self._ask(leg, "UPDATE", self._names(shown))
        else:
            await self.offer(leg, other.sdp, shown, tells)

    async def play_music(self, leg: Leg) -> None:
        """Music instead of the other party (re-INVITE to the PBX's own media)."""
        await self.offer(leg, self._own_description())
        self._play(leg)

    async def call(self, user: str, caller: Leg, *extra: str) -> Leg | None:
        """Ring a subscriber for a party; the leg when it has answered, None when it has not."""
        leg = self._new_leg(user, caller)
        names = (*self._names(caller.user), *extra)
        answer = await self._ask(leg, "INVITE", names, _sendrecv(caller.sdp))
        if not answer.start.startswith(b"SIP/2.0 2"):
            self._within(leg, "ACK", leg.number, branch=leg.branch)
            leg.is_over = True
            return None
        leg.remote = answer.first(b"to").decode()
        leg.target = uri_in(answer.first(b"contact"))
        leg.routes = [value.decode() for value in reversed(answer.every(b"record-route"))]
        leg.sdp, leg.is_up = answer.body, True
        self._within(leg, "ACK", leg.number)
        return leg

    async def hang_up(self, leg: Leg) -> None:
        """End one leg."""
        self._silence(leg)
        if not leg.is_over:
            leg.is_over = True
            await self._ask(leg, "BYE")

    async def _request(self, request: Message, source: Address) -> None:
        """What a request does."""
        raise NotImplementedError

    def _accept(self, leg: Leg, sdp: bytes, feature: str = "", shown: str = "") -> None:
        assert leg.invite is not None
        self._answer(*leg.invite, "200 OK", _sendrecv(sdp), self._names(shown) if shown else (), feature)
        leg.is_up = True

    def _answer(
        self,
        request: Message,
        source: Address,
        status: str,
        body: bytes = b"",
        extra: tuple[str, ...] = (),
        feature: str = "",
    ) -> None:
        self._send(reply(request, status, (f"Contact: <{self._contact()}>{feature}", *extra), body), source)

    def _new_leg(self, user: str, caller: Leg) -> Leg:
        target = self.registrar.contacts[user].decode()
        local, remote = f"<sip:{caller.user}@{DOMAIN}>;tag={secrets.token_hex(4)}", f"<sip:{user}@{DOMAIN}>"
        leg = Leg(secrets.token_hex(8), user, local, remote, _place(target), target, other=caller)
        self.legs.append(leg)
        return leg

    async def _ask(self, leg: Leg, method: str, extra: tuple[str, ...] = (), body: bytes = b"") -> Message:
        """A request within, or opening, a dialog, and its final answer."""
        leg.number += 1
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[self._within(leg, method, leg.number, extra, body)] = answer
        return await asyncio.wait_for(answer, PATIENCE_SECONDS)

    def _cancel(self, leg: Leg) -> None:
        self._within(leg, "CANCEL", leg.number, branch=leg.branch)

    def _within(
        self,
        leg: Leg,
        method: str,
        number: int,
        extra: tuple[str, ...] = (),
        body: bytes = b"",
        branch: str = "",
    ) -> bytes:
        branch = branch or new_branch()
        leg.branch = branch if method == "INVITE" else leg.branch
        lines = [
            f"{method} {leg.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address[0]}:{self.address[1]};branch={branch};rport",
            *(f"Route: {route}" for route in leg.routes),
            *("Max-Forwards: 70", f"From: {leg.local}", f"To: {leg.remote}", f"Call-ID: {leg.id}"),
            *(f"CSeq: {number} {method}", f"Contact: <{self._contact()}>", *extra),
        ]
        self._send(encoded(lines, body), leg.towards)
        return branch.encode()

    def _names(self, user: str) -> tuple[str, ...]:
        return (f"P-Asserted-Identity: <sip:{user}@{DOMAIN}>",)

    def _contact(self) -> str:
        return f"sip:pbx@{self.address[0]}:{self.address[1]}"

    def _own_description(self) -> bytes:
        assert self._media is not None
        return description(*self._media.get_extra_info("sockname")[:2])

    def _play(self, leg: Leg) -> None:
        self._silence(leg)
        leg.music = asyncio.create_task(self._playing(described_in(leg.sdp)))

    def _silence(self, leg: Leg) -> None:
        if leg.music is not None:
            leg.music.cancel()
            leg.music = None

    async def _playing(self, towards: Address) -> None:
        assert self._media is not None
        loop, number, source = asyncio.get_running_loop(), 0, secrets.randbits(32)
        begin = loop.time()
        while True:
            start = number * SAMPLES % (len(self.music) - SAMPLES + 1)
            header = struct.pack("!BBHII", 0x80, PCMA, number & 0xFFFF, number * SAMPLES, source)
            self._media.sendto(header + self.music[start : start + SAMPLES], towards)
            number += 1
            await asyncio.sleep(begin + number * 0.02 - loop.time())

    def _send(self, data: bytes, towards: Address) -> None:
        assert self._transport is not None
        self._transport.sendto(data, towards)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            self.faults.append(fault)


def user_in(value: bytes) -> str:
    """The user of the URI in a header or start line."""
    match = re.search(rb"sip:([^@;>]*)@", value)
    return match[1].decode() if match else ""


def _place(uri: str) -> Address:
    host, port = re.findall(r"@([^:;>]+):(\d+)", uri)[0]
    return host, int(port)


def _sendrecv(sdp: bytes) -> bytes:
    """A description that is not on hold."""
    return re.sub(rb"a=(sendonly|recvonly|inactive)", b"a=sendrecv", sdp)
