"""Two phones that hold many calls with each other and repeat what is not answered (RFC 3261 §17.1).

One may be in any number of calls; a Call-ID tells which conversation a request belongs to.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field

from demo.registrar import Message
from soak.media import Address, Conversation
from soak.voice import AGENT, OUTSIDE
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

REPEAT_SECONDS = 0.5
PATIENCE_SECONDS = 8.0
_HOST = "127.0.0.1"


def _is_accepted_invite(message: Message) -> bool:
    return message.start.startswith(b"SIP/2.0 2") and message.first(b"cseq").endswith(b" INVITE")


@dataclass(slots=True)
class Dialog:
    """One phone's end of a call (RFC 3261 §12)."""

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
        self._given_up: set[str] = set()
        self._late: dict[str, asyncio.Task[bool]] = {}

    async def open(self) -> None:
        """Listen and register. RuntimeError: it was refused."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(_HOST, 0))
        await self._register()

    async def close(self) -> None:
        """When calls that were answered too late are hung up, too."""
        await asyncio.gather(*self._late.values())
        self._transport.close()

    @property
    def contact(self) -> str:
        address, port = self._transport.get_extra_info("sockname")
        return f"sip:{self.number}@{address}:{port}"

    async def dial(self, conversation: Conversation, call_id: str, number: str) -> Dialog | None:
        """Call a number; None when nobody answered in time."""
        local = f"<{self._uri(self.number)}>;tag={secrets.token_hex(4)}"
        dialog = Dialog(call_id, local, f"<{self._uri(number)}>", self._uri(number))
        leg = conversation.legs[OUTSIDE]
        invite = dialog.lines("INVITE", f"Contact: <{self.contact}>")
        answer = await self.ask(invite, description(_HOST, leg.port))
        if answer is None or not answer.start.startswith(b"SIP/2.0 2"):
            self._given_up.add(call_id)
            return None
        leg.towards = described(answer)
        self._acknowledge(dialog, answer)
        return dialog

    def _acknowledge(self, dialog: Dialog, answer: Message) -> None:
        dialog.remote = answer.first(b"to").decode()
        dialog.target = uri_in(answer.first(b"contact"))
        dialog.routes = [value.decode() for value in reversed(answer.every(b"record-route"))]
        self._send(dialog.lines("ACK"), new_branch())

    def _answered_late(self, answer: Message) -> None:
        """Nobody waits any more: take the call and end it (RFC 3261 §13.2.2.4)."""
        call_id, local = answer.first(b"call-id").decode(), answer.first(b"from").decode()
        if call_id not in self._given_up:
            return  # an answer said twice
        dialog = Dialog(call_id, local, "", "")
        self._acknowledge(dialog, answer)
        if call_id not in self._late:
            self._late[call_id] = asyncio.create_task(self.hang_up(dialog))

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
        branch = new_branch()
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
            waiting = self._waiting.get(branch_of(message))
            if waiting and not waiting.done() and not message.start.startswith(b"SIP/2.0 1"):
                waiting.set_result(message)
            elif not waiting and _is_accepted_invite(message):
                self._answered_late(message)
            return
        method = message.start.split(b" ")[0]
        dialog = self.dialogs.get(message.first(b"call-id").decode())
        if method == b"INVITE":
            self._take(message, addr)
        elif method == b"BYE":
            status = "200 OK" if dialog else "481 Call/Transaction Does Not Exist"
            self._transport.sendto(reply(message, status), addr)
            if dialog:
                dialog.ended.set()
        elif method == b"INFO":
            self._transport.sendto(reply(message, "200 OK"), addr)

    def _take(self, invite: Message, source: Address) -> None:
        """Answer a call; a repeated INVITE gets what the last one's way back is like."""
        call_id = invite.first(b"call-id").decode()
        conversation = self.awaited.get(call_id)
        if conversation is None:
            self._transport.sendto(reply(invite, "487 Request Terminated"), source)
            return
        dialog = self.dialogs.get(call_id)
        if dialog is None:
            local = f"{invite.first(b'to').decode()};tag={secrets.token_hex(4)}"
            dialog = Dialog(call_id, local, invite.first(b"from").decode(), "")
            self.dialogs[call_id] = dialog
        dialog.target = uri_in(invite.first(b"contact"))
        dialog.routes = [value.decode() for value in invite.every(b"record-route")]
        leg = conversation.legs[AGENT]
        leg.towards = described(invite)
        invite.replace(b"to", dialog.local.encode())
        answer = reply(invite, "200 OK", (f"Contact: <{self.contact}>",), description(_HOST, leg.port))
        self._transport.sendto(answer, source)

    async def _register(self) -> None:
        target = self._uri("").replace("@", "")
        lines = registration(self._uri(self.number), target, self.contact)
        if (challenged := await self.ask(lines)) is not None:
            lines = with_credentials(lines, challenged, self.number, self._password, target)
        answer = await self.ask(lines)
        if answer is None or not answer.start.startswith(b"SIP/2.0 200"):
            raise RuntimeError(f"{self.number} could not register")

    def _uri(self, user: str) -> str:
        return "sip:{}@{}:{}".format(user, *self.server)

    def _send(self, lines: list[str], branch: str, body: bytes = b"") -> None:
        address, port = self._transport.get_extra_info("sockname")
        via = f"Via: SIP/2.0/UDP {address}:{port};branch={branch};rport"
        self._transport.sendto(encoded([lines[0], via, *lines[1:]], body), self.server)
