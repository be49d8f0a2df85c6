"""What really goes over the loopback wire, and whether a proxy changed more than it may.

Of everything that leaves the proxy the listed edits are undone; what is left must be what came in, byte for
byte. This knows SIP only as lines of text: it shares no code with the proxy.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

Address = tuple[str, int]
_ETHERTYPE_IP, _UDP, _ETHERNET_BYTES = 0x0800, 17, 14
_TRYING = b"SIP/2.0 100 "  # hop by hop
_COMPACT = {b"v": b"via", b"i": b"call-id", b"l": b"content-length", b"m": b"contact"}


def missing() -> str:
    """Why the wire cannot be watched here; empty when it can."""
    try:
        _open().close()
    except PermissionError:
        return "watching the loopback wire needs root"
    return ""


@dataclass(frozen=True, slots=True)
class Datagram:
    source: Address
    destination: Address
    data: bytes


class Wire:
    """Inside its context, keeps every SIP message from or to `proxy`."""

    def __init__(self, proxy: Address) -> None:
        self.proxy = proxy
        self.seen: list[Datagram] = []
        self._thread = threading.Thread(target=self._listen, name="wire")
        self._stop = threading.Event()
        self._socket = _open()
        self._socket.settimeout(0.1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def methods(self) -> set[str]:
        """The methods of the requests that came in so far."""
        starts = (it.data.split(b" ")[0] for it in self.seen if it.destination == self.proxy)
        return {start.decode() for start in starts if start != b"SIP/2.0"}

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                frame, origin = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            # Each is seen twice on loopback: when it leaves and when it arrives.
            found = None if origin[2] == socket.PACKET_OUTGOING else _datagram(frame)
            if found and self.proxy in (found.source, found.destination) and b"SIP/2.0" in found.data:
                self.seen.append(found)


def strange(seen: Iterable[Datagram], proxy: Address, prefix: str) -> list[str]:
    """All that is wrong with how the proxy passed these on: made up, swallowed, or changed; [] if nothing."""
    own = "{}:{}".format(*proxy).encode()
    came = {_key(it): it for it in (_split(one.data) for one in seen if one.destination == proxy)}
    findings = []
    passed = set()
    for message in map(_split, dict.fromkeys(it.data for it in seen if it.source == proxy)):
        key, passes = _origin(message, came)
        if key is not None:
            passed.add(key)
            before, after = _undone(came[key], message, passes, own, prefix.encode())
            if before != after:
                findings.append(f"changed:\n{before!r}\n{after!r}")
        elif not message.start.startswith(_TRYING):
            findings.append(f"made up: {message.start!r}")
    swallowed = (it for key, it in came.items() if key not in passed)
    findings += [f"swallowed: {it.start!r}" for it in swallowed if not it.start.startswith(_TRYING)]
    return findings


@dataclass(frozen=True, slots=True)
class _Message:
    start: bytes
    lines: tuple[bytes, ...]
    body: bytes

    @property
    def is_request(self) -> bool:
        return not self.start.startswith(b"SIP/2.0")

    def every(self, name: bytes) -> list[bytes]:
        return [line for line in self.lines if _name(line) == name]

    def without(self, unwanted: Iterable[bytes]) -> _Message:
        """Without the first occurrence of each of these lines."""
        lines = list(self.lines)
        for line in unwanted:
            lines.remove(line)
        return replace(self, lines=tuple(lines))

    def with_line(self, old: bytes, new: bytes) -> _Message:
        index = self.lines.index(old)
        return replace(self, lines=(*self.lines[:index], new, *self.lines[index + 1 :]))


Key = tuple[bytes, ...]


def _key(message: _Message) -> Key:
    """Which message of which transaction this is: method or status, Call-ID, CSeq, branches of its Vias."""
    kind = message.start.split(b" ")[0 if message.is_request else 1]
    call, number = (message.every(name)[0].partition(b":")[2].strip() for name in (b"call-id", b"cseq"))
    return (kind, call, number, *re.findall(rb"branch=([^;,\s]+)", b" ".join(message.every(b"via"))))


def _origin(left: _Message, came: Mapping[Key, _Message]) -> tuple[Key | None, int]:
    """Which message that came this one is, and in how many passes it crossed the proxy.

    Two, when it belongs to a call that crossed through the PBX, which keeps itself out of its dialog.
    """
    key = _key(left)
    for passes in (1, 2):
        if left.is_request:
            found = [it for it in came if it == key[:3] + key[3 + passes :]]
        else:
            found = [it for it in came if it[:3] + it[3 + passes :] == key]
        if found:
            return found[0], passes
    return None, 0


def _undone(came: _Message, left: _Message, passes: int, own: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    """Both, with the listed edits undone in the one that left, or marked in both where they replace."""
    if left.is_request:
        left = _without_vias(left, passes, own)
        came, left = _without_source(came), _without_source(left)
        left = _with_hops(came, left, passes)
        came, left = _without_routes(came, left, own)
        if _may_be_retargeted(came, left, own, prefix):
            left = replace(left, start=came.start)
    else:
        came = _without_vias(came, passes, own)
    added = [line for line in left.every(b"record-route") if own in line and line not in came.lines]
    left = left.without(added)
    return _encoded(_marked(came)), _encoded(_marked(left))


def _without_vias(message: _Message, passes: int, own: bytes) -> _Message:
    for _ in range(passes):
        line = message.every(b"via")[0]
        first, comma, rest = line.partition(b",")  # some phones answer with all Vias in one field
        assert own in first
        name = first[: first.index(b"SIP/2.0")]
        message = message.with_line(line, name + rest.lstrip()) if comma else message.without([line])
    return message


def _without_source(message: _Message) -> _Message:
    """Without what RFC 3581 lets a server write into the Via on top."""
    via = message.every(b"via")[0]
    return message.with_line(via, re.sub(rb";received=[^;,\s]*", b"", re.sub(rb"(;rport)=\d+", rb"\1", via)))


def _with_hops(came: _Message, left: _Message, passes: int) -> _Message:
    """Max-Forwards, counted down by one a pass; from 71 where there was none."""
    (line,) = left.every(b"max-forwards")
    before = came.every(b"max-forwards")
    hops = int(before[0].split(b":")[1]) if before else 71
    assert int(line.split(b":")[1]) == hops - passes
    return left.with_line(line, before[0]) if before else left.without([line])


def _without_routes(came: _Message, left: _Message, own: bytes) -> tuple[_Message, _Message]:
    """Our own Routes, taken off; and Routes that the sender should have written, put in."""
    if not came.every(b"route"):
        return came, left.without(left.every(b"route"))
    for line in came.every(b"route"):
        head, _, value = line.partition(b":")
        rest = re.sub(rb"^(\s*<[^>]*" + re.escape(own) + rb"[^>]*>,?)+", b"", value)
        came = came.with_line(line, head + b":" + rest) if rest.strip() else came.without([line])
    return came, left


def _may_be_retargeted(came: _Message, left: _Message, own: bytes, prefix: bytes) -> bool:
    """A Contact token, the private prefix, or a phone that wrote no Route and not the Contact it was told."""
    before, after = (it.start.split(b" ")[1] for it in (came, left))
    is_token = re.fullmatch(rb"sip:[a-z2-7]{30,}@" + re.escape(own), before) is not None
    is_stripped = before.replace(b":" + prefix, b":", 1) == after
    is_routeless = b";tag=" in came.every(b"to")[0] and not came.every(b"route")
    return is_token or is_stripped or is_routeless


def _marked(message: _Message) -> _Message:
    """With a mark in the place of what may be replaced: addresses in SDP, lengths, a REGISTER's Contact."""
    for line in message.every(b"content-length"):
        assert int(line.split(b":")[1]) == len(message.body)
        message = message.with_line(line, re.sub(rb"\d+", b"@", line))
    if b"REGISTER" in message.every(b"cseq")[0]:
        for line in message.every(b"contact"):
            message = message.with_line(line, re.sub(rb"<sip:[^>]*>", b"<@>", line))
    body = re.sub(rb"(?m)^c=IN IP4 \S+", b"c=IN IP4 @", message.body)
    body = re.sub(rb"(?m)^m=audio \d+", b"m=audio @", body)
    return replace(message, body=re.sub(rb"(?m)^a=rtcp:[^\r]*", b"a=rtcp:@", body))


def _split(data: bytes) -> _Message:
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    return _Message(start, tuple(lines), body)


def _encoded(message: _Message) -> bytes:
    return b"\r\n".join((message.start, *message.lines, b"", message.body))


def _name(line: bytes) -> bytes:
    name = line.partition(b":")[0].strip().lower()
    return _COMPACT.get(name, name)


def _open() -> socket.socket:
    """Sees every frame on loopback (packet(7))."""
    endpoint = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_IP))
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    endpoint.bind(("lo", _ETHERTYPE_IP))
    return endpoint


def _datagram(frame: bytes) -> Datagram | None:
    packet = frame[_ETHERNET_BYTES:]
    if len(packet) < 28 or packet[9] != _UDP:
        return None
    start = (packet[0] & 0x0F) * 4
    ports = struct.unpack_from("!HH", packet, start)
    addresses = (socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]))
    (length,) = struct.unpack_from("!H", packet, start + 4)
    source, destination = zip(addresses, ports, strict=True)
    return Datagram(source, destination, packet[start + 8 : start + length])
