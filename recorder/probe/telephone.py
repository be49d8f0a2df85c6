"""A telephone that does what a probe needs: it registers, calls, takes calls, and notes how they came.

It speaks UDP with our own proxy on the loopback interface, where nothing is lost, so it repeats nothing but
its 200 to an INVITE, which the PBX may lose.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from recorder.probe.dialog import Dialog, belonging, description, encoded, new_branch
from sip_hooks.address import host
from sip_hooks.digest import Login, credentials
from sip_hooks.errors import SipError
from sip_hooks.headers import tag_in, uri_in
from sip_hooks.message import Message, parse
from sip_hooks.settings import Address

PATIENCE_SECONDS = 8.0
_REPEATED_AFTER_SECONDS = (0.5, 1.0, 2.0)
_PLAIN = "-_.!~*'()&=+$,;?/"  # of a user, RFC 3261 §25.1
_COPIED = (b"via", b"record-route", b"from", b"to", b"call-id", b"cseq")
_CHALLENGED = {
    401: (b"www-authenticate", "Authorization"),
    407: (b"proxy-authenticate", "Proxy-Authorization"),
}


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the PBX: its address of record is `user`@`domain`."""

    user: str
    domain: str
    login: Login = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class Arrived:
    """An INVITE that reached the telephone, and from where."""

    invite: Message
    source: Address


class Telephone(asyncio.DatagramProtocol):
    """`account` at the proxy `server`. As a context: its sockets are open inside.

    `media`: an address of ours, and what its session descriptions say instead; what arrives is thrown away.
    """

    def __init__(self, account: Account, server: Address, media: tuple[str, str]) -> None:
        self.account = account
        self.arrived: list[Arrived] = []
        self.server = server
        self._media = media
        self._acknowledged: set[bytes] = set()
        self._answered: dict[bytes, bytes] = {}  # tags, by Call-ID and From tag
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._registration = Dialog(f"sip:{account.domain}", f"<{self.uri()}>", self._own())
        self._sip: asyncio.DatagramTransport
        self._rtp: asyncio.DatagramTransport

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._sip, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.server[0], 0))
        try:
            nothing = asyncio.DatagramProtocol
            self._rtp, _ = await loop.create_datagram_endpoint(nothing, local_addr=(self._media[0], 0))
        except OSError:
            self._sip.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        self._sip.close()
        self._rtp.close()

    @property
    def contact(self) -> str:
        address, port = self._sip.get_extra_info("sockname")[:2]
        return f"sip:{self.account.user}@{host(address)}:{port}"

    def uri(self, user: str = "") -> str:
        """A user of its PBX, itself when none is named."""
        return f"sip:{quote(user or self.account.user, safe=_PLAIN)}@{self.account.domain}"

    async def register(self, seconds: int, login: Login | None = None) -> Message | None:
        """Register, or with 0 take it back; return the last answer, None when there is none."""
        lines = (f"Contact: <{self.contact}>", f"Expires: {seconds}")
        answer = await self._ask(self._registration, "REGISTER", lines, login=login)
        if answer is not None and answer.status == 423 and (least := answer.first(b"min-expires")):
            lines = (lines[0], f"Expires: {least.decode('latin-1')}")
            answer = await self._ask(self._registration, "REGISTER", lines, login=login)
        return answer

    async def options(self) -> Message | None:
        """Ask the PBX what it can do."""
        dialog = Dialog(f"sip:{self.account.domain}", f"<sip:{self.account.domain}>", self._own())
        return await self._ask(dialog, "OPTIONS", ("Accept: application/sdp",))

    async def call(self, user: str) -> Message | None:
        """Call somebody; what was answered is hung up again. Returns the final answer, None for none."""
        dialog = Dialog(self.uri(user), f"<{self.uri(user)}>", self._own())
        answer = await self._ask(dialog, "INVITE", (f"Contact: <{self.contact}>",), self._description())
        if answer is not None and 200 <= answer.status < 300:
            self._confirm(dialog, answer)
            await self._ask(dialog, "BYE", ())
        return answer

    def datagram_received(self, data: bytes, addr: Address) -> None:
        try:
            message = parse(data)
            branch = message.top_via.branch or b""
        except SipError:
            return
        if message.is_request:
            self._take(message, (addr[0], addr[1]))
        elif message.status >= 200 and (waiting := self._waiting.get(branch)) and not waiting.done():
            waiting.set_result(message)

    def error_received(self, exc: Exception) -> None:
        """A port that is closed shows itself by silence."""

    # --- what it asks

    async def _ask(
        self, dialog: Dialog, method: str, extra: Sequence[str], body: bytes = b"", login: Login | None = None
    ) -> Message | None:
        """Send a request, once more with credentials if they are asked for."""
        answer = await self._send(dialog, method, extra, body)
        if answer is None or answer.status not in _CHALLENGED:
            return answer
        asking, giving = _CHALLENGED[answer.status]
        challenges = [it.value for it in answer.fields(asking)]
        who = login or self.account.login
        given = credentials(challenges, method, dialog.target, who, secrets.token_hex(8))
        if given is None:
            return answer
        return await self._send(dialog, method, (*extra, f"{giving}: {given}"), body)

    async def _send(
        self, dialog: Dialog, method: str, extra: Sequence[str], body: bytes = b""
    ) -> Message | None:
        lines, branch = dialog.lines(method, extra), new_branch()
        waiting: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[branch] = waiting
        self._write(lines, branch, body)
        try:
            answer = await asyncio.wait_for(waiting, PATIENCE_SECONDS)
        except TimeoutError:
            if method == "INVITE":
                self._write(belonging("CANCEL", lines, dialog.remote), branch)
            return None
        finally:
            del self._waiting[branch]
        if method == "INVITE" and answer.status >= 300:
            self._write(belonging("ACK", lines, (answer.first(b"to") or b"").decode("latin-1")), branch)
        return answer

    def _confirm(self, dialog: Dialog, answer: Message) -> None:
        """Learn from a 2xx to INVITE who has answered and by which way, and acknowledge it."""
        dialog.remote = (answer.first(b"to") or b"").decode("latin-1")
        dialog.routes = [it.decode("latin-1") for it in reversed(answer.all(b"record-route"))]
        if (contact := answer.first(b"contact")) is not None:
            dialog.target = uri_in(contact).raw.decode("latin-1")
        self._write(dialog.lines("ACK", ()), new_branch())

    def _write(self, lines: Sequence[str], branch: bytes, body: bytes = b"") -> None:
        address, port = self._sip.get_extra_info("sockname")[:2]
        via = f"Via: SIP/2.0/UDP {host(address)}:{port};branch={branch.decode()};rport"
        self._sip.sendto(encoded([lines[0], via, *lines[1:]], body), self.server)

    # --- what it is asked

    def _take(self, request: Message, source: Address) -> None:
        if request.method == b"ACK":
            self._acknowledged.add(request.call_id)
        elif request.method == b"INVITE" and not request.to_tag:
            self._ring(request, source)
        else:
            self._reply(request, source)

    def _ring(self, invite: Message, source: Address) -> None:
        key = invite.call_id + invite.from_tag
        if key in self._answered:
            return
        self._answered[key] = secrets.token_hex(6).encode()
        self.arrived.append(Arrived(invite, source))
        self._begin(self._answer(invite, source, self._answered[key], self._description()))

    async def _answer(self, invite: Message, source: Address, tag: bytes, body: bytes) -> None:
        for pause in _REPEATED_AFTER_SECONDS:
            self._reply(invite, source, tag, body)
            await asyncio.sleep(pause)
            if invite.call_id in self._acknowledged:
                return

    def _reply(
        self, request: Message, source: Address, tag: bytes = b"", body: bytes = b"", status: str = "200 OK"
    ) -> None:
        lines = [f"SIP/2.0 {status}"]
        for it in request.headers:
            if it.name in _COPIED:
                mark = f";tag={tag.decode()}" if it.name == b"to" and tag and not tag_in(it.value) else ""
                lines.append(f"{it.name.decode().title()}: {it.value.decode('latin-1')}{mark}")
        self._sip.sendto(encoded([*lines, f"Contact: <{self.contact}>"], body), source)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _own(self) -> str:
        return f"<{self.uri()}>;tag={secrets.token_hex(6)}"

    def _description(self) -> bytes:
        return description(self._media[1], self._rtp.get_extra_info("sockname")[1])
