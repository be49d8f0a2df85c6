"""A small registrar and proxy that stands for the PBX. Registration is challenged, calls are not.

It keeps no transactions (RFC 3261 §16.11): a repeated request, a CANCEL and the ACK of a refusal get the
branch of the first one and so follow it. Every answer goes back to where its request came from. It adds no
Record-Route, so it remembers of each call where it came from and went to, and sends there what belongs to it.

The challenge is the digest of RFC 2069 (MD5, no qop): pyVoIP knows no other. A binding lasts until removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

Address = tuple[str, int]

_COMPACT = {
    b"v": b"via",
    b"f": b"from",
    b"t": b"to",
    b"i": b"call-id",
    b"m": b"contact",
    b"l": b"content-length",
}
_URI = re.compile(rb"sips?:(?:(?P<user>[^@>]*)@)?(?P<host>\[[^\]]+\]|[^:;>? ]+)(?::(?P<port>\d+))?")
_CREDENTIAL = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Datagram:
    """What was seen on the wire: `peer` sent it to the registrar ("in") or got it from there ("out")."""

    direction: Literal["in", "out"]
    peer: Address
    data: bytes


@dataclass(slots=True)
class Message:
    """A SIP message: start line, fields in their order, body. Via and Route are one value per field."""

    start: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> Message:
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        fields: list[tuple[bytes, bytes]] = []
        for line in lines:
            name, _, value = line.partition(b":")
            values = value.split(b",") if _lower(name) in (b"via", b"route") else [value]
            fields += [(name.strip(), one.strip()) for one in values]
        return cls(start, fields, body)

    def first(self, name: bytes) -> bytes:
        return next((value for key, value in self.fields if _lower(key) == name), b"")

    def every(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if _lower(key) == name]

    def replace(self, name: bytes, value: bytes | None) -> None:
        """Put `value` in the place of the first field of this name; None removes it."""
        index = next(i for i, (key, _) in enumerate(self.fields) if _lower(key) == name)
        self.fields[index : index + 1] = [] if value is None else [(self.fields[index][0], value)]

    def encode(self) -> bytes:
        lines = [self.start, *(name + b": " + value for name, value in self.fields)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


@dataclass(frozen=True, slots=True)
class _Call:
    caller_tag: bytes
    dialled: bytes
    caller: Address
    callee: Address
    contact: bytes


@dataclass(slots=True)
class Registrar(asyncio.DatagramProtocol):
    """`accounts`: user → password. `numbers`: dialled number → user, where the two differ.

    Used as an asynchronous context. `address` is then where it listens, `contacts` who is registered, and
    `wire` everything that it received and sent.
    """

    accounts: Mapping[str, str]
    numbers: Mapping[str, str] = field(default_factory=dict)
    address: Address = ("127.0.0.1", 0)
    realm: str = "pbx.example"
    contacts: dict[str, bytes] = field(default_factory=dict)
    wire: list[Datagram] = field(default_factory=list)
    _nonces: set[str] = field(default_factory=set)
    _calls: dict[bytes, _Call] = field(default_factory=dict)
    _transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self.address)
        self.address = self._transport.get_extra_info("sockname")[:2]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        addr = addr[0], addr[1]  # an IPv6 address comes with two numbers more
        self.wire.append(Datagram("in", addr, data))
        sent = self.receive(data, addr) if data.strip(b"\r\n\0") else None
        if sent is not None and self._transport is not None:
            message, destination = sent
            self.wire.append(Datagram("out", destination, message))
            self._transport.sendto(message, destination)

    def receive(self, data: bytes, source: Address) -> tuple[bytes, Address] | None:
        """What is to be sent, and where to, because `data` came from `source`. None: nothing."""
        message = Message.parse(data)
        if message.start.startswith(b"SIP/2.0"):
            return self._return(message)
        via = message.first(b"via")
        own = [p for p in via.split(b";")[1:] if not p.startswith((b"rport", b"received"))]
        stamps = [b"received=" + source[0].encode(), b"rport=" + str(source[1]).encode()]
        message.replace(b"via", b";".join([via.split(b";")[0], *own, *stamps]))
        method = message.start.split(b" ")[0]
        if method == b"REGISTER":
            return self._register(message).encode(), source
        if method == b"OPTIONS":
            return _answer(message, b"200 OK").encode(), source
        return self._forward(message, source)

    def _return(self, response: Message) -> tuple[bytes, Address] | None:
        """A response goes to the next Via, which carries where its request came from."""
        vias = response.every(b"via")
        if len(vias) < 2 or self._sent_by() not in vias[0]:
            return None
        response.replace(b"via", None)
        stamps = _parameters(vias[1])
        return response.encode(), (stamps[b"received"].decode(), int(stamps[b"rport"]))

    def _forward(self, request: Message, source: Address) -> tuple[bytes, Address] | None:
        method, target, version = request.start.split(b" ")
        hops = int(request.first(b"max-forwards") or 70)
        if hops == 0:
            return _answer(request, b"483 Too Many Hops").encode(), source
        call = self._call(method, target, request, source)
        if call is None:
            return None if method == b"ACK" else (_answer(request, b"404 Not Found").encode(), source)
        destination = call.callee if _tag(request.first(b"from")) == call.caller_tag else call.caller
        if target == call.dialled or _place(target) is None:
            target = call.contact
        if routes := request.every(b"route"):
            destination = _place(routes[0]) or destination
        request.start = b" ".join((method, target, version))
        if request.first(b"max-forwards"):
            request.replace(b"max-forwards", str(hops - 1).encode())
        branch = b"z9hG4bK" + _digest(request.first(b"via"), request.first(b"call-id")).encode()
        request.fields.insert(0, (b"Via", b"SIP/2.0/UDP " + self._sent_by() + b";branch=" + branch))
        return request.encode(), destination

    def _call(self, method: bytes, target: bytes, request: Message, source: Address) -> _Call | None:
        """The call that a request belongs to; a first INVITE to somebody who is registered begins one."""
        call_id = request.first(b"call-id")
        if method == b"INVITE" and not _tag(request.first(b"to")):
            user = _user(target)
            contact = self.contacts.get(self.numbers.get(user, user), b"")
            callee = _place(contact)
            if callee is None:
                return None
            self._calls[call_id] = _Call(_tag(request.first(b"from")), target, source, callee, contact)
        return self._calls.get(call_id)

    def _register(self, request: Message) -> Message:
        user = _user(request.first(b"to"))
        if not self._is_authentic(user, request):
            challenge = self._challenge()
            return _answer(request, b"401 Unauthorized", [(b"WWW-Authenticate", challenge)])
        contact = request.first(b"contact")
        lasts = _parameters(contact).get(b"expires") or request.first(b"expires") or b"3600"
        if lasts == b"0":
            self.contacts.pop(user, None)
            return _answer(request, b"200 OK")
        self.contacts[user] = contact.partition(b"<")[2].partition(b">")[0] or contact.partition(b";")[0]
        return _answer(request, b"200 OK", [(b"Contact", contact), (b"Expires", lasts)])

    def _challenge(self) -> bytes:
        nonce = secrets.token_hex(16)
        self._nonces.add(nonce)
        return f'Digest realm="{self.realm}", nonce="{nonce}", algorithm=MD5'.encode()

    def _is_authentic(self, user: str, request: Message) -> bool:
        given = dict[str, str]()
        for name, quoted, plain in _CREDENTIAL.findall(request.first(b"authorization").decode("latin-1")):
            given[name.lower()] = quoted or plain
        if (
            user not in self.accounts
            or given.get("username") != user
            or given.get("nonce") not in self._nonces
        ):
            return False
        secret = _digest(user.encode(), self.realm.encode(), self.accounts[user].encode())
        asked = _digest(request.start.split(b" ")[0], given.get("uri", "").encode())
        expected = _digest(secret.encode(), given["nonce"].encode(), asked.encode())
        return secrets.compare_digest(expected, given.get("response", ""))

    def _sent_by(self) -> bytes:
        host, port = self.address
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode()


def _answer(request: Message, status: bytes, extra: list[tuple[bytes, bytes]] | None = None) -> Message:
    """A response of our own, RFC 3261 §8.2.6."""
    copied = (b"via", b"from", b"to", b"call-id", b"cseq")
    fields = [(name, value) for name, value in request.fields if _lower(name) in copied]
    answer = Message(b"SIP/2.0 " + status, [*fields, *(extra or []), (b"Content-Length", b"0")], b"")
    if not _tag(request.first(b"to")):
        answer.replace(b"to", request.first(b"to") + b";tag=" + secrets.token_hex(4).encode())
    return answer


def _lower(name: bytes) -> bytes:
    name = name.strip().lower()
    return _COMPACT.get(name, name)


def _digest(*parts: bytes) -> str:
    return hashlib.md5(b":".join(parts), usedforsecurity=False).hexdigest()


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """The `;name=value` parameters that follow a Via's sent-by or the `>` of an address."""
    pairs = (part.partition(b"=") for part in value.rpartition(b">")[2].split(b";")[1:])
    return {name.strip().lower(): content.strip() for name, _, content in pairs}


def _tag(value: bytes) -> bytes:
    return _parameters(value).get(b"tag", b"")


def _user(uri: bytes) -> str:
    match = _URI.search(uri)
    return (match["user"] or b"").decode("latin-1") if match else ""


def _place(uri: bytes) -> Address | None:
    """Host and port of a URI; None when it names no port: then it is an address of this PBX."""
    match = _URI.search(uri)
    return (match["host"].decode().strip("[]"), int(match["port"])) if match and match["port"] else None
