"""Two phones that hold many calls with each other and repeat what is not answered (RFC 3261 §17.1).

One may be in any number of calls; a Call-ID tells which conversation a request belongs to.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass, field

from demo.registrar import Message
from soak.media import Address, Conversation
from soak.voice import AGENT, OUTSIDE
from tests.fakes.rtp import PCMA

REPEAT_SECONDS = 0.5
PATIENCE_SECONDS = 8.0
_HOST = "127.0.0.1"


@dataclass(slots=True)
class Dialog:
    """One phone's end of a call (RFC 3261 §12)."""

    conversation: Conversation
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str] = field(default_factory=list)
    number: int = 1
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def lines(self, method: str, *extra: str) -> list[str]:
        """A request of this dialog, without its Via."""
        return [
            f"{method} {self.target} SIP/2.0",
            *(f"Route: {route}" for route in self.routes),
            *("Max-Forwards: 70", f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.call_id}"),
            f"CSeq: {self.number} {method}",
            *extra,
        ]


class Telephone(asyncio.DatagramProtocol):
    """`number` at `server`. `awaited`: the conversations that may be called in for, by Call-ID."""

    def __init__(self, number: str, password: str, server: Address) -> None:
        self.number, self.server = number, server
        self.awaited: dict[str, Conversation] = {}
        self.dialogs: dict[str, Dialog] = {}
        self._password = password
        self._transport: asyncio.DatagramTransport
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}

    async def open(self) -> None:
        """Listen and register. RuntimeError: it was refused."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(_HOST, 0))
        await self._register()

    def close(self) -> None:
        self._transport.close()

    @property
    def contact(self) -> str:
        address, port = self._transport.get_extra_info("sockname")
        return f"sip:{self.number}@{address}:{port}"

    async def dial(self, conversation: Conversation, call_id: str, number: str) -> Dialog | None:
        """Call a number; None when nobody answered in time."""
        local = f"<{self._uri(self.number)}>;tag={secrets.token_hex(4)}"
        dialog = Dialog(conversation, call_id, local, f"<{self._uri(number)}>", self._uri(number))
        leg = conversation.legs[OUTSIDE]
        invite = dialog.lines("INVITE", f"Contact: <{self.contact}>")
        answer = await self.ask(invite, _description(leg.port))
        if answer is None or not answer.start.startswith(b"SIP/2.0 2"):
            return None
        dialog.remote = answer.first(b"to").decode()
        dialog.target = _uri_in(answer.first(b"contact"))
        dialog.routes = [value.decode() for value in reversed(answer.every(b"record-route"))]
        leg.towards = _described(answer)
        self._send(dialog.lines("ACK"), _branch_new())
        return dialog

    async def hang_up(self, dialog: Dialog, patience: float = PATIENCE_SECONDS) -> bool:
        """Send BYE; whether it was answered."""
        dialog.number += 1
        answer = await self.ask(dialog.lines("BYE"), patience=patience)
        return answer is not None and answer.start.startswith(b"SIP/2.0 200")

    async def ask(
        self, lines: list[str], body: bytes = b"", patience: float = PATIENCE_SECONDS
    ) -> Message | None:
        """Send a request, again and again until its final answer; None when there was none in time."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        branch = _branch_new()
        self._waiting[branch.encode()] = answer
        try:
            async with asyncio.timeout(patience):
                pause = REPEAT_SECONDS
                while True:
                    self._send(lines, branch, body)
                    done, _ = await asyncio.wait([answer], timeout=pause)
                    if done:
                        return answer.result()
                    pause *= 2
        except TimeoutError:
            return None
        finally:
            del self._waiting[branch.encode()]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = Message.parse(data)
        if message.start.startswith(b"SIP/2.0"):
            waiting = self._waiting.get(_branch(message))
            if waiting and not waiting.done() and not message.start.startswith(b"SIP/2.0 1"):
                waiting.set_result(message)
            return
        method = message.start.split(b" ")[0]
        dialog = self.dialogs.get(message.first(b"call-id").decode())
        if method == b"INVITE":
            self._take(message, addr)
        elif method == b"BYE":
            status = "200 OK" if dialog else "481 Call/Transaction Does Not Exist"
            self._transport.sendto(_reply(message, status), addr)
            if dialog:
                dialog.ended.set()

    def _take(self, invite: Message, source: Address) -> None:
        """Answer a call; a repeated INVITE gets what the last one's way back is like."""
        call_id = invite.first(b"call-id").decode()
        conversation = self.awaited.get(call_id)
        if conversation is None:
            self._transport.sendto(_reply(invite, "487 Request Terminated"), source)
            return
        dialog = self.dialogs.get(call_id)
        if dialog is None:
            local = f"{invite.first(b'to').decode()};tag={secrets.token_hex(4)}"
            dialog = Dialog(conversation, call_id, local, invite.first(b"from").decode(), "")
            self.dialogs[call_id] = dialog
        dialog.target = _uri_in(invite.first(b"contact"))
        dialog.routes = [value.decode() for value in invite.every(b"record-route")]
        leg = conversation.legs[AGENT]
        leg.towards = _described(invite)
        invite.replace(b"to", dialog.local.encode())
        answer = _reply(invite, "200 OK", (f"Contact: <{self.contact}>",), _description(leg.port))
        self._transport.sendto(answer, source)

    async def _register(self) -> None:
        own, target = f"<{self._uri(self.number)}>", self._uri("").replace("@", "")
        lines = [
            f"REGISTER {target} SIP/2.0",
            *("Max-Forwards: 70", f"From: {own};tag={secrets.token_hex(4)}", f"To: {own}"),
            *(f"Call-ID: {secrets.token_hex(8)}", "CSeq: 1 REGISTER", f"Contact: <{self.contact}>"),
        ]
        challenge = await self.ask(lines)
        if challenge is not None:
            lines[5] = "CSeq: 2 REGISTER"
            lines.append(self._credentials(challenge.first(b"www-authenticate").decode(), target))
        answer = await self.ask(lines)
        if answer is None or not answer.start.startswith(b"SIP/2.0 200"):
            raise RuntimeError(f"{self.number} could not register")

    def _credentials(self, challenge: str, target: str) -> str:
        realm, nonce = (re.findall(f'{name}="([^"]*)"', challenge)[0] for name in ("realm", "nonce"))
        secret = _md5(self.number, realm, self._password)
        response = _md5(secret, nonce, _md5("REGISTER", target))
        return (
            f'Authorization: Digest username="{self.number}", realm="{realm}", nonce="{nonce}", '
            f'uri="{target}", response="{response}", algorithm=MD5'
        )

    def _uri(self, user: str) -> str:
        return "sip:{}@{}:{}".format(user, *self.server)

    def _send(self, lines: list[str], branch: str, body: bytes = b"") -> None:
        address, port = self._transport.get_extra_info("sockname")
        via = f"Via: SIP/2.0/UDP {address}:{port};branch={branch};rport"
        self._transport.sendto(_encoded([lines[0], via, *lines[1:]], body), self.server)


def _description(port: int) -> bytes:
    lines = ("v=0", f"o=- 1 1 IN IP4 {_HOST}", "s=-", f"c=IN IP4 {_HOST}", "t=0 0")
    media = (f"m=audio {port} RTP/AVP {PCMA}", "a=ptime:20", "a=sendrecv")
    return "".join(f"{line}\r\n" for line in (*lines, *media)).encode()


def _described(message: Message) -> Address:
    address = re.findall(rb"c=IN IP4 (\S+)", message.body)[0].decode()
    return address, int(re.findall(rb"m=audio (\d+)", message.body)[0])


def _reply(request: Message, status: str, extra: tuple[str, ...] = (), body: bytes = b"") -> bytes:
    lines = [f"SIP/2.0 {status}"]
    for name in (b"via", b"record-route", b"from", b"to", b"call-id", b"cseq"):
        lines += [f"{name.decode().title()}: {value.decode()}" for value in request.every(name)]
    return _encoded([*lines, *extra], body)


def _encoded(lines: list[str], body: bytes) -> bytes:
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", ""]).encode() + body


def _branch(message: Message) -> bytes:
    branch: bytes = re.findall(rb"branch=([^;,\s]+)", message.first(b"via"))[0]
    return branch


def _branch_new() -> str:
    return f"z9hG4bK{secrets.token_hex(8)}"


def _uri_in(value: bytes) -> str:
    return value.partition(b"<")[2].partition(b">")[0].decode()


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()
