"""Scripted SIP phones and a PBX for the simulator: they retransmit as RFC 3261 asks, and no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal
from zlib import crc32

from sip_hooks.message import Message, parse
from sip_hooks.settings import Address
from tests.fakes.sip import field_of, reply, request, routes_of, sdp
from tests.fakes.wire import Wire

Plot = Literal["talk", "busy", "cancel", "challenge"]
T1, T2 = 0.5, 4.0


@dataclass
class Dialling:
    """One call of a caller."""

    uri: str
    plot: Plot
    call_id: str
    number: int = 1
    outcome: str = ""
    is_cancelled: bool = False


class Agent:
    """A phone: registers, calls, and answers calls as the caller's plot says."""

    def __init__(self, wire: Wire, address: Address, proxy: Address, user: str) -> None:
        self.wire, self.address, self.proxy, self.user = wire, address, proxy, user
        self.calls: dict[str, Dialling] = {}
        self.outcomes: Counter[str] = Counter()
        self._responses: dict[str, bytes] = {}  # the latest response to each INVITE, by Call-ID
        self._cancelled: dict[str, bytes] = {}  # the 487 of each INVITE that rings until it is cancelled
        self._pending: set[str] = set()  # what is repeated until it is answered
        wire.nodes[address] = self.deliver

    @property
    def contact(self) -> str:
        return f"Contact: <sip:{self.user}@{self.address[0]}:{self.address[1]}>"

    def register(self) -> None:
        me = f"<sip:{self.user}@pbx.example>"
        data = request(
            "REGISTER",
            "sip:pbx.example",
            sender=self.address,
            caller=f"{me};tag=r",
            callee=me,
            call_id=f"reg-{self.user}",
            branch=f"z9hG4bKreg{self.user}",
            headers=[self.contact],
        )
        self._repeat(f"REGISTER reg-{self.user}", data)

    def dial(self, uri: str, plot: Plot, call_id: str) -> None:
        """Call somebody; what the called one does is written in the Subject."""
        self.calls[call_id] = Dialling(uri, plot, call_id)
        self._invite(self.calls[call_id])

    def _invite(self, call: Dialling, *headers: str) -> None:
        data = self._request(
            call, "INVITE", call.uri, (self.contact, f"Subject: {call.plot}", *headers), sdp(self.address[0])
        )
        self._repeat(f"INVITE {call.call_id} {call.number}", data)

    def _request(
        self,
        call: Dialling,
        method: str,
        uri: str,
        headers: tuple[str, ...] = (),
        body: bytes = b"",
        tag: str = "",
    ) -> bytes:
        kind = "INVITE" if method in ("CANCEL", "ACK") and not tag else method
        return request(
            method,
            uri,
            sender=self.address,
            branch=f"z9hG4bK{kind}{call.call_id}.{call.number}",
            caller=f"<sip:{self.user}@pbx.example>;tag=from{call.call_id}",
            callee=f"<{call.uri}>" + (f";tag={tag}" if tag else ""),
            call_id=call.call_id,
            number=call.number + (method == "BYE"),
            headers=headers,
            body=body,
        )

    def _repeat(self, name: str, data: bytes, interval: float = T1, left: float = 64 * T1) -> None:
        """Send until `_pending` no longer holds the name (Timers A and E, and the 2xx of §13.3.1.4)."""
        if interval == T1:
            self._pending.add(name)
        if name in self._pending and left > 0:
            self.wire.send(data, self.address, self.proxy)
            longer = 2 * interval if name.startswith("INVITE") else min(2 * interval, T2)
            self.wire.later(interval, lambda: self._repeat(name, data, longer, left - interval))

    def deliver(self, data: bytes, source: Address) -> None:
        message = parse(data)
        if message.is_request:
            self._requested(message, data)
        else:
            self._responded(message, data)

    # --- as a caller

    def _responded(self, response: Message, data: bytes) -> None:
        number, method = response.cseq
        call_id = response.call_id.decode()
        name = f"{method.decode()} {call_id}" + (f" {number}" if method == b"INVITE" else "")
        is_first = name in self._pending
        self._pending.discard(name)
        call = self.calls.get(call_id)
        if call is None or response.status == 100:
            return
        if method == b"BYE" and is_first:
            self._done(call, "talked")
        elif method == b"INVITE" and response.status < 200:
            self._ringing(call)
        elif method == b"INVITE" and response.status < 300:
            self._answered(call, response, data)
        elif method == b"INVITE" and number == call.number:
            self._refused(call, response)

    def _ringing(self, call: Dialling) -> None:
        if call.plot == "cancel" and not call.is_cancelled:
            call.is_cancelled = True
            self._repeat(f"CANCEL {call.call_id}", self._request(call, "CANCEL", call.uri))

    def _answered(self, call: Dialling, response: Message, data: bytes) -> None:
        target = field_of(data, "contact")[0].strip("<>")
        tag, routes = response.to_tag.decode(), tuple(routes_of(data))
        self.wire.send(self._request(call, "ACK", target, routes, tag=tag), self.address, self.proxy)
        if not call.outcome:
            call.outcome = "talking"
            bye = self._request(call, "BYE", target, routes, tag=tag)
            talk = 1.0 + 20.0 * self.wire.random.random()
            self.wire.later(talk, lambda: self._repeat(f"BYE {call.call_id}", bye))

    def _refused(self, call: Dialling, response: Message) -> None:
        ack = self._request(call, "ACK", call.uri).replace(
            f"To: <{call.uri}>".encode(), b"To: " + (response.first(b"to") or b"")
        )
        self.wire.send(ack, self.address, self.proxy)
        if response.status == 407:
            call.number += 1
            self._invite(call, 'Proxy-Authorization: Digest username="x"')
        else:
            self._done(call, str(response.status))

    def _done(self, call: Dialling, outcome: str) -> None:
        if call.outcome in ("", "talking"):
            call.outcome = outcome
            self.outcomes[f"{call.plot} {outcome}"] += 1

    # --- as the called one

    def _requested(self, message: Message, data: bytes) -> None:
        call_id = message.call_id.decode()
        if message.method == b"INVITE":
            self._called(message, data, f"{call_id} {message.cseq[0]}")
        elif message.method == b"ACK":
            self._pending.discard(f"answer {call_id} {message.cseq[0]}")
        else:
            self.wire.send(reply(data, tag="own"), self.address, self.proxy)
            if message.method == b"CANCEL":
                self._withdrawn(f"{call_id} {message.cseq[0]}")

    def _called(self, invite: Message, data: bytes, key: str) -> None:
        if key in self._responses:
            self.wire.send(self._responses[key], self.address, self.proxy)
            return
        plot = invite.first(b"subject")
        if plot == b"challenge" and invite.field(b"proxy-authorization") is None:
            self._final(key, reply(data, 407, tag="challenger"))
            return
        self._responses[key] = reply(data, 180, tag=f"to{key.split()[0]}", headers=[self.contact])
        self.wire.send(self._responses[key], self.address, self.proxy)
        self._ask_later(key, data, plot or b"")

    def _ask_later(self, key: str, data: bytes, plot: bytes) -> None:
        tag = f"to{key.split()[0]}"
        if plot == b"busy":
            answer = reply(data, 486, tag=tag)
        elif plot == b"cancel":
            answer = reply(data, 487, tag=tag)  # rings until it is cancelled
            self._cancelled[key] = answer
            return
        else:
            answer = reply(data, 200, tag=tag, headers=[self.contact], body=sdp(self.address[0], 6000))
        self.wire.later(0.2 + 3 * self.wire.random.random(), lambda: self._final(key, answer))

    def _final(self, key: str, answer: bytes) -> None:
        self._responses[key] = answer
        self._repeat(f"answer {key}", answer)

    def _withdrawn(self, key: str) -> None:
        if (answer := self._cancelled.pop(key, None)) is not None:
            self._final(key, answer)


class Switch(Agent):
    """A PBX: registrar, stateless proxy to registered users, and an agent for all other numbers.

    It adds no Record-Route, so a call between two phones goes through the proxy twice and its BYE passes the
    PBX by.
    """

    def __init__(self, wire: Wire, address: Address, proxy: Address) -> None:
        super().__init__(wire, address, proxy, "trunk")
        self.users: dict[str, str] = {}

    def deliver(self, data: bytes, source: Address) -> None:
        message = parse(data)
        if not message.is_request:
            vias = message.all(b"via")
            if len(vias) > 1:
                before, _, rest = data.partition(b"Via: ")
                self.wire.send(before + rest.partition(b"\r\n")[2], self.address, self.proxy)
                return
        elif message.method == b"REGISTER":
            self._register(message, data)
            return
        elif target := self.users.get(message.request_uri.partition(b":")[2].partition(b"@")[0].decode()):
            self.wire.send(self._forwarded(message, data, target), self.address, self.proxy)
            return
        super().deliver(data, source)

    def _register(self, message: Message, data: bytes) -> None:
        contact = field_of(data, "contact")[0]
        user = (message.first(b"to") or b"").partition(b":")[2].partition(b"@")[0].decode()
        self.users[user] = contact.strip("<>")
        self.wire.send(reply(data, tag="reg", headers=[f"Contact: {contact}"]), self.address, self.proxy)

    def _forwarded(self, message: Message, data: bytes, target: str) -> bytes:
        branch = b"z9hG4bKpbx%08x" % crc32(message.all(b"via")[0])
        via = b"Via: SIP/2.0/UDP %s:%d;branch=%s\r\nVia: " % (
            self.address[0].encode(),
            self.address[1],
            branch,
        )
        return data.replace(message.request_uri, target.encode(), 1).replace(b"Via: ", via, 1)
