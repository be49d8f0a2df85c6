"""One media socket of a call: receive, check the source, check the packet, forward it, tap it.

This is the hot path: 100 packets a second and call. Every packet is received into one buffer that all
streams of the process share, and sent on from there. Nothing is allocated per packet but what the socket
calls return. What a packet's way needs lies in one tuple per stream, its route, and `forward` is the one
function that packets pass: attributes and method calls would cost more than all checks.

Until a side's remote is final its socket is unconnected, since early media and forks come from several
places: each source address is compared with all announced ones. Then the socket is connected, so that the
kernel compares, and what had been queued before is drained with the check still on. A stray is never
answered by us; towards a connected port the kernel answers as for any closed port. With several announced
remotes the last one is sent to.

A party that sends more packets than any codec needs is held to a rate, so that its flood neither reaches the
other party nor takes the ring's room from other calls. Up to `limit` a packet costs one comparison; whoever
reaches it is given more as time goes by.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
from collections.abc import Callable, Iterable, Sequence
from time import monotonic_ns

from recorder.relay.latch import Latch
from recorder.relay.protocol import Address
from recorder.relay.reports import RECEIVER, SENDER
from recorder.ring import RingWriter

LIMIT = 4096
"""A datagram of this many bytes or more is no audio packet and may be cut: dropped as malformed."""

_BUFFER = bytearray(LIMIT)
_VIEW = memoryview(_BUFFER)
_PREFIXES = [_VIEW[:length] for length in range(LIMIT + 1)]
_DRAIN = 1024

_FOREIGN = -1
COUNTS = ("packets", "foreign", "malformed", "refused", "errors", "excess")
"""What a stream counts: packets passed on; from elsewhere, no RTP, not agreed on; errors of its socket; more
than a party may send.
"""

PACKETS_PER_SECOND = 250
"""That one socket passes on in the long run: packets of 5 ms, and keys beside them."""
BURST = 250
"""What a network held back for seconds may come at once."""

REFUSED, AUDIO, CONTROL = 0, 1, 2
_RTCP_TYPES = range(192, 224)  # RFC 5761 §4: RTCP packet types, also where RTP and RTCP share a port
_RTP_MINIMUM, _RTCP_MINIMUM = 12, 8  # RFC 3550 §5.1, §6.4
_EDGE = 2
"""So many packets before and after the number 0 pass where all others are muted."""

_libc = ctypes.CDLL(None, use_errno=True)
_UNSPECIFIED = bytes(16)  # a sockaddr of family AF_UNSPEC


def kinds(payload_types: frozenset[int] | None, is_rtp: bool, tapped: frozenset[int] | None = None) -> bytes:
    """A table over a packet's second byte: refused, audio (to be tapped) or control (not to be). None: any
    payload type.
    """
    table = bytearray(256)
    if is_rtp:
        for payload_type in range(128) if payload_types is None else payload_types:
            kind = AUDIO if tapped is None or payload_type in tapped else CONTROL
            table[payload_type] = table[payload_type | 128] = kind
    for packet_type in _RTCP_TYPES:
        table[packet_type] = CONTROL
    return bytes(table)


_REPORTS = bytearray(kinds(None, is_rtp=False))
"""As kinds: of a socket of RTCP whose reports are read."""
for _kind in (SENDER, RECEIVER):
    _REPORTS[_kind] = AUDIO


def _nowhere(_packet: memoryview) -> int:
    return 0


Tap = Callable[[int, int, int, memoryview], bool]
"""Sees a packet: session, side, instant in ns, packet."""


class Stream:
    """One of a call's four sockets. `opposite` is where its packets leave: RTP to RTP, RTCP to RTCP."""

    def __init__(self, endpoint: socket.socket, session: int, side: int, is_rtp: bool) -> None:
        endpoint.setblocking(False)
        self.socket = endpoint
        self.session = session
        self.side = side
        self.opposite = self
        self.packets = self.foreign = self.malformed = self.refused = self.errors = self.excess = 0
        self.limit = BURST
        self._limited_at = 0
        self._is_rtp = is_rtp
        self._payload_types: frozenset[int] | None = None
        self._tapped: frozenset[int] | None = None
        self._kinds = kinds(None, is_rtp)
        self._sources: frozenset[Address] = frozenset()
        self._deliver: Callable[[memoryview], int] = _nowhere
        self._tap: RingWriter | None = None
        self._latch: Latch | None = None
        self._learnt_for: tuple[object, ...] = ()
        self._read: Tap | None = None
        self._is_connected = False
        self._is_drained = False
        self._is_muted = False
        self._source = b""

    def aim(
        self,
        remotes: tuple[Address, ...],
        final: bool,
        payload_types: frozenset[int] | None,
        learn: str = "",
    ) -> None:
        """Accept packets from these addresses only, and let the opposite stream send to the last of them; or
        from the place that is learned at the address `learn`, and send there.

        A final remote to which the kernel has no way leaves the socket unconnected, and is counted: the next
        order may name a better one.
        """
        self._sources = frozenset(remotes)
        self._payload_types = payload_types
        self._kinds = kinds(payload_types, self._is_rtp, self._tapped)
        self._is_connected = False
        self._await_place(learn)
        self.opposite._deliver = self._answer if self._latch else self._sender(remotes)
        if final and not learn:
            self._connect(remotes[0])
        else:
            _disconnect(self.socket)
            self._keep_to_place()

    def _await_place(self, learn: str) -> None:
        """What was learned stays as long as the side says the same."""
        said = (learn, self._sources)
        if said != self._learnt_for:
            self._latch = Latch(learn, self._sources) if learn else None
        self._learnt_for = said

    def _answer(self, packet: memoryview) -> int:
        """Send to this stream's party where it was learned to be, or nowhere."""
        place = self._latch.place if self._latch else None
        return self.socket.sendto(packet, place) if place else 0

    def _connect(self, remote: Address) -> None:
        try:
            self.socket.connect(remote)
        except OSError as error:
            self.note(error)
            _disconnect(self.socket)  # else it would stay connected to the remote before
            return
        self.opposite._deliver = self.socket.send
        self._is_connected = True
        self._is_drained = False

    def settle(self, now: int) -> None:
        """Pass on what was queued before the socket was connected; from then on the kernel checks."""
        for _ in range(_DRAIN):
            if not self._is_connected or self._is_drained:
                break
            forward([(0, 0)], [self.route()], now)
        self._is_drained = True

    def route(self) -> Route:
        """The way of this stream's packets as it is now; any other method makes it out of date."""
        receive = self.socket.recv_into if self._is_connected and self._is_drained else self._receive_checked
        if self._read is not None:
            return receive, self._deliver, _REPORTS, _RTCP_MINIMUM, self._read, self
        minimum = _RTP_MINIMUM if self._is_rtp else _RTCP_MINIMUM
        tap = None if self._tap is None else self._tap.write
        deliver = self._hush if self._is_muted else self._deliver
        return receive, deliver, self._kinds, minimum, tap, self

    def counts(self) -> tuple[int, ...]:
        """As COUNTS."""
        return self.packets, self.foreign, self.malformed, self.refused, self.errors, self.excess

    def tap(self, ring: RingWriter | None, only: frozenset[int] | None = None) -> None:
        """Copy audio packets into the ring from now on, or not; or packets of these payload types only."""
        self._tap = ring
        self._tapped = only
        self._kinds = kinds(self._payload_types, self._is_rtp, only)

    def show(self, read: Tap) -> None:
        """Show the reports among this stream's RTCP packets to somebody."""
        self._read = read

    def mute(self, is_muted: bool) -> None:
        """Keep this party's audio from the other, or no more. What is heard of it (the tap) stays."""
        self._is_muted = is_muted
        self._source = b""

    def say(self, packet: memoryview) -> bool:
        """Send a packet of ours where this party's go; whether anybody is there. Raises OSError."""
        return self._deliver(packet) == len(packet)

    def _hush(self, packet: memoryview) -> int:
        """Muted: no audio passes but what a receiver must have seen to be able to open what follows under
        SRTP (RFC 3711 §3.3.1): the first packet of a source, and those where its numbers begin anew.
        """
        number, source = packet[2] << 8 | packet[3], bytes(packet[8:12])
        is_midway = _EDGE <= number < 65536 - _EDGE
        if source == self._source and is_midway and packet[1] not in _RTCP_TYPES:
            return 0
        self._source = source
        return self._deliver(packet)

    def refuse(self, length: int) -> None:
        """Count a packet that is none, or not from where it should be."""
        if length == _FOREIGN:
            self.foreign += 1
        else:
            self.malformed += 1

    def admits(self, kind: int, now: int) -> bool:
        """Raise the limit by what has become due since it was raised last. False, and counted: nothing yet,
        or a kind that was not agreed on.
        """
        if kind == REFUSED:
            self.refused += 1
            return False
        due = (now - self._limited_at) * PACKETS_PER_SECOND // 1_000_000_000
        if due < 1:
            self.excess += 1
            return False
        self.limit = self.packets + min(due, BURST)
        self._limited_at = now
        return True

    def note(self, error: OSError) -> None:
        """Count; ECONNREFUSED of a phone that is not there yet is as little fatal as a full send buffer."""
        if not isinstance(error, BlockingIOError):
            self.errors += 1

    def _sender(self, remotes: tuple[Address, ...]) -> Callable[[memoryview], int]:
        if not remotes:
            return _nowhere
        send_to, target = self.socket.sendto, remotes[-1]
        return lambda packet: send_to(packet, target)

    def _receive_checked(self, buffer: bytearray) -> int:
        """As recv_into(2), for an unconnected socket: the length, or _FOREIGN."""
        try:
            length, source = self.socket.recvfrom_into(buffer)
        except BlockingIOError:
            self._is_drained = True
            raise
        return length if self._is_of_party(source, length) else _FOREIGN

    def _is_of_party(self, source: Address, length: int) -> bool:
        if self._latch is None:
            return source in self._sources
        if self._latch.place is not None:
            return source == self._latch.place
        kind = _BUFFER[1]
        is_agreed = self._kinds[kind] != REFUSED and kind not in _RTCP_TYPES
        if length < _RTP_MINIMUM or _BUFFER[0] >> 6 != 2 or not is_agreed:
            return False
        is_learned = self._latch.admits(source, _VIEW, monotonic_ns())
        self._keep_to_place()
        return is_learned

    def _keep_to_place(self) -> None:
        """Let the kernel drop what comes from anywhere else; if it cannot, we still do."""
        if self._latch is not None and self._latch.place is not None:
            with contextlib.suppress(OSError):
                self.socket.connect(self._latch.place)


Route = tuple[
    Callable[[bytearray], int],  # receives
    Callable[[memoryview], int],  # delivers
    bytes | bytearray,  # kinds of packet
    int,  # least length
    Tap | None,
    Stream,
]


def forward(events: Iterable[tuple[int, int]], routes: Sequence[Route | None], now: int) -> bool:
    """Take one packet from each descriptor that has one, and send it on. `routes` is indexed by descriptor.
    Returns whether a descriptor without a route was among them.
    """
    others = False
    for descriptor, _ in events:
        route = routes[descriptor]
        if route is None:
            others = True
            continue
        receive, deliver, kinds_of, minimum, tap, stream = route
        try:
            length = receive(_BUFFER)
        except OSError as error:
            stream.note(error)
            continue
        if length < minimum or length >= LIMIT or _BUFFER[0] >> 6 != 2:
            stream.refuse(length)
            continue
        kind = kinds_of[_BUFFER[1]]
        if (kind == REFUSED or stream.packets >= stream.limit) and not stream.admits(kind, now):
            continue
        stream.packets += 1
        packet = _PREFIXES[length]
        try:
            deliver(packet)
        except OSError as error:
            stream.opposite.note(error)
        if tap is not None and kind == AUDIO:
            tap(stream.session, stream.side, now, packet)
    return others


def _disconnect(endpoint: socket.socket) -> None:
    """Undo connect(2), keeping the bound address and port; Python's socket cannot say AF_UNSPEC."""
    with contextlib.suppress(OSError):  # it was not connected
        endpoint.getpeername()
        _libc.connect(endpoint.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
