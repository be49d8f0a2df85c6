"""One media socket of a call: receive, check the source, check the packet, forward it, tap it.

This is the hot path: 100 packets a second and call. Every packet is received into one buffer that all
streams of the process share, and sent on from there. Nothing is allocated per packet but what the socket
calls return.

Until a side's remote is final its socket is unconnected, since early media and forks come from several
places: each source address is compared with all announced ones. Then the socket is connected, so that the
kernel compares, and what had been queued before is drained with the check still on. A stray is never
answered by us; towards a connected port the kernel answers as for any closed port. With several announced
remotes the last one is sent to.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
from collections.abc import Callable

from recorder.relay.protocol import Address
from recorder.ring import RingWriter

LIMIT = 4096
"""A datagram of this many bytes or more is no audio packet and may be cut: dropped as malformed."""

_BUFFER = bytearray(LIMIT)
_VIEW = memoryview(_BUFFER)
_PREFIXES = [_VIEW[:length] for length in range(LIMIT + 1)]
_DRAIN = 1024

REFUSED, AUDIO, CONTROL = 0, 1, 2
_RTCP_TYPES = range(192, 224)  # RFC 5761 §4: RTCP packet types, also where RTP and RTCP share a port
_RTP_MINIMUM, _RTCP_MINIMUM = 12, 8  # RFC 3550 §5.1, §6.4

_libc = ctypes.CDLL(None, use_errno=True)
_UNSPECIFIED = bytes(16)  # a sockaddr of family AF_UNSPEC


def kinds(payload_types: frozenset[int] | None, is_rtp: bool) -> bytes:
    """A table over a packet's second byte: refused, audio or control. None: any payload type."""
    table = bytearray(256)
    if is_rtp:
        for payload_type in range(128) if payload_types is None else payload_types:
            table[payload_type] = table[payload_type | 128] = AUDIO
    for packet_type in _RTCP_TYPES:
        table[packet_type] = CONTROL
    return bytes(table)


def _nowhere(_packet: memoryview) -> int:
    return 0


class Stream:
    """One of a call's four sockets. `opposite` is where its packets leave: RTP to RTP, RTCP to RTCP."""

    __slots__ = (
        "_deliver",
        "_is_connected",
        "_is_rtp",
        "_kinds",
        "_minimum",
        "_receive",
        "_receive_from",
        "_sources",
        "_tap",
        "errors",
        "foreign",
        "malformed",
        "opposite",
        "packets",
        "pump",
        "refused",
        "session",
        "side",
        "socket",
    )

    def __init__(self, endpoint: socket.socket, session: int, side: int, is_rtp: bool) -> None:
        endpoint.setblocking(False)
        self.socket = endpoint
        self.session = session
        self.side = side
        self.opposite = self
        self.packets = self.foreign = self.malformed = self.refused = self.errors = 0
        self._receive = endpoint.recv_into
        self._receive_from = endpoint.recvfrom_into
        self._is_rtp = is_rtp
        self._minimum = _RTP_MINIMUM if is_rtp else _RTCP_MINIMUM
        self._kinds = kinds(None, is_rtp)
        self._sources: frozenset[Address] = frozenset()
        self._deliver: Callable[[memoryview], int] = _nowhere
        self._tap: RingWriter | None = None
        self._is_connected = False
        self.pump: Callable[[int], object] = self._pump_checked

    def aim(self, remotes: tuple[Address, ...], final: bool, payload_types: frozenset[int] | None) -> None:
        """Accept packets from these addresses only, and let the opposite stream send to the last of them.

        A final remote to which the kernel has no way leaves the socket unconnected, and is counted: the next
        order may name a better one.
        """
        self._sources = frozenset(remotes)
        self._kinds = kinds(payload_types, self._is_rtp)
        self.pump = self._pump_checked
        self._is_connected = False
        self.opposite._deliver = self._sender(remotes)
        if final:
            self._connect(remotes[0])
        else:
            _disconnect(self.socket)

    def _connect(self, remote: Address) -> None:
        try:
            self.socket.connect(remote)
        except OSError as error:
            self._note(error)
            _disconnect(self.socket)  # else it would stay connected to the remote before
            return
        self.opposite._deliver = self.socket.send
        self._is_connected = True

    def settle(self, now: int) -> None:
        """Pass on what was queued before the socket was connected; from then on the kernel checks."""
        if self._is_connected and self.pump != self._pump_connected:
            for _ in range(_DRAIN):
                if not self._pump_checked(now):
                    break
            self.pump = self._pump_connected

    def tap(self, ring: RingWriter | None) -> None:
        """Copy audio packets into the ring from now on, or not."""
        self._tap = ring

    def _sender(self, remotes: tuple[Address, ...]) -> Callable[[memoryview], int]:
        if not remotes:
            return _nowhere
        send_to, target = self.socket.sendto, remotes[-1]
        return lambda packet: send_to(packet, target)

    def _pump_connected(self, now: int) -> None:
        try:
            length = self._receive(_BUFFER)
        except OSError as error:
            self._note(error)
        else:
            self._relay(length, now)

    def _pump_checked(self, now: int) -> bool:
        """As `_pump_connected`, for an unconnected socket. False: nothing was there."""
        try:
            length, source = self._receive_from(_BUFFER)
        except BlockingIOError:
            return False
        except OSError as error:
            self._note(error)
            return True
        if source in self._sources:
            self._relay(length, now)
        else:
            self.foreign += 1
        return True

    def _relay(self, length: int, now: int) -> None:
        if length < self._minimum or length >= LIMIT or _BUFFER[0] >> 6 != 2:
            self.malformed += 1
            return
        kind = self._kinds[_BUFFER[1]]
        if kind == REFUSED:
            self.refused += 1
            return
        self.packets += 1
        packet = _PREFIXES[length]
        try:
            self._deliver(packet)
        except OSError as error:
            self.opposite._note(error)
        tap = self._tap
        if tap is not None and kind == AUDIO:
            tap.write(self.session, self.side, now, packet)

    def _note(self, error: OSError) -> None:
        """Count; ECONNREFUSED of a phone that is not there yet is as little fatal as a full send buffer."""
        if not isinstance(error, BlockingIOError):
            self.errors += 1


def _disconnect(endpoint: socket.socket) -> None:
    """Undo connect(2), keeping the bound address and port; Python's socket cannot say AF_UNSPEC."""
    with contextlib.suppress(OSError):  # it was not connected
        endpoint.getpeername()
        _libc.connect(endpoint.fileno(), _UNSPECIFIED, len(_UNSPECIFIED))
