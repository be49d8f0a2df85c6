"""The connections of TCP and TLS listeners: accepting, connecting, writing.

A connection to the next hop is made when something is to be sent there, and kept. What is sent meanwhile
waits for it, `CONNECT_SECONDS` at most. All that a peer can do wrong ends in a closed connection and a count.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from sip_hooks.address import canonical
from sip_hooks.flows import Flow
from sip_hooks.settings import Address, EngineSettings, Listener, Packet
from sip_hooks.sources import source_of

CONNECT_SECONDS = 4.0  # TLS handshake included; shorter than a caller's patience
HANDSHAKE_SECONDS = 10.0
UNANSWERED_MILLISECONDS = 10_000  # what the other end has not acknowledged by then ends the connection
MOST_CONNECTIONS = 8192
KEPT_FREE = 64  # beside those, for PBX and trunk, however many others there are
MOST_UNSENT = 1 << 20  # bytes waiting for a peer that does not read
MOST_WAITING = 256  # messages waiting for a connection
_BACKOFF_SECONDS = 0.2
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Encryption:
    """What TLS needs, by the name of the listener. What has none in `clients` connects to nobody."""

    servers: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    clients: Mapping[str, ssl.SSLContext] = field(default_factory=dict)
    pbx_name: str = ""  # whom the PBX's certificate has to name, "" for its address


class Hub(Protocol):
    """Who is told."""

    def opened(self, flow: Flow) -> None:
        """A connection is there."""

    def received(self, flow: Flow, data: bytes) -> None:
        """Bytes arrived over it."""

    def closed(self, flow: Flow) -> None:
        """It has gone, or was not made."""


class Streams:
    """All connections. `encryption` counts for every connection that is made from now on."""

    def __init__(
        self, settings: EngineSettings, encryption: Encryption, hub: Hub, counters: Counter[str]
    ) -> None:
        self.encryption = encryption
        self.counters = counters
        self._listeners = {it.name: it for it in settings.listeners}
        self._pbx, self._trunk = settings.pbx[0], settings.trunk
        self._most_of_a_source = settings.limits.connections
        self._of_sources: Counter[str] = Counter()  # connections, those being made included
        self._hub = hub
        self._connections: dict[Flow, _Connection] = {}
        self._waiting: dict[Flow, list[bytes]] = {}  # for a connection that is being made
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, listener: Listener) -> None:
        """Listen. Raises OSError."""
        listening = bound(listener, socket.SOCK_STREAM)
        self._sockets.append(listening)
        listening.listen(_BACKLOG)
        self._spawn(self._accept(listener, listening))

    def close(self) -> None:
        """Close every connection and socket; nothing more is reported."""
        for task in self._tasks:
            task.cancel()
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.abort()
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    def send(self, packet: Packet) -> None:
        """Send over the connection that is there, or make one."""
        flow = packet.listener, packet.destination
        if (connection := self._connections.get(flow)) is not None:
            connection.write(packet.data)
        elif (waiting := self._waiting.get(flow)) is None:
            self._waiting[flow] = [packet.data]
            self._spawn(self._connect(flow))
        elif len(waiting) < MOST_WAITING:
            waiting.append(packet.data)
        else:
            self.counters["messages too many for a connection being made"] += 1

    def hang_up(self, flow: Flow) -> None:
        """Close a connection when everything has left."""
        if (connection := self._connections.pop(flow, None)) is not None:
            connection.hang_up()

    def made(self, connection: _Connection) -> None:
        """A connection is there, from either end. An older one between the same addresses is dead."""
        if (old := self._connections.get(connection.flow)) is not None:
            old.abort()
        self._connections[connection.flow] = connection
        self._hub.opened(connection.flow)
        for data in self._waiting.pop(connection.flow, ()):
            connection.write(data)

    def received(self, connection: _Connection, data: bytes) -> None:
        """Bytes arrived."""
        if self._connections.get(connection.flow) is connection:
            self._hub.received(connection.flow, data)

    def lost(self, connection: _Connection) -> None:
        """A connection has gone."""
        self._leave(connection.source)
        if self._connections.get(connection.flow) is connection:
            del self._connections[connection.flow]
            self._hub.closed(connection.flow)

    async def _accept(self, listener: Listener, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError:  # no descriptor is left: others have to be closed first
                self.counters["connections not accepted"] += 1
                await asyncio.sleep(_BACKOFF_SECONDS)
                continue
            address = _named(peer)
            if address is None or len(self._connections) + len(self._tasks) >= self._room(listener, address):
                self.counters["connections refused"] += 1
                accepted.close()
            elif self._is_one_too_many(listener, address):
                self.counters["connections over the limit of a source"] += 1
                accepted.close()
            else:
                self._spawn(self._take(listener, accepted, address))

    def _room(self, listener: Listener, address: Address) -> int:
        """How many connections there may be before this one."""
        return MOST_CONNECTIONS + (0 if self._is_limited(listener, address) else KEPT_FREE)

    def _is_one_too_many(self, listener: Listener, address: Address) -> bool:
        """Whether a source has as many connections as it may have."""
        most = self._most_of_a_source
        is_limited = self._is_limited(listener, address)
        return bool(most) and is_limited and self._of_sources[source_of(address[0])] >= most

    def _is_limited(self, listener: Listener, address: Address) -> bool:
        """Whether it is a phone, or a stranger at the trunk's listener."""
        if listener.side == "trunk":
            return self._trunk is None or not self._trunk.admits(address)
        return listener.side == "phones" or (listener.side == "both" and address[0] != self._pbx)

    async def _take(self, listener: Listener, accepted: socket.socket, address: Address) -> None:
        _watch(accepted)
        source = source_of(address[0])
        self._of_sources[source] += 1
        protocol = partial(_Connection, self, (listener.name, address), source)
        encrypted = listener.transport == "tls"
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                accepted,
                ssl=self.encryption.servers[listener.name] if encrypted else None,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if encrypted else None,
            )
        except OSError:  # ssl.SSLError is one, and so is a timeout
            self.counters["failed handshakes"] += 1
            self._leave(source)
            accepted.close()

    def _leave(self, source: str) -> None:
        if self._of_sources[source] > 1:
            self._of_sources[source] -= 1
        else:
            del self._of_sources[source]

    async def _connect(self, flow: Flow) -> None:
        listener = self._listeners[flow[0]]
        is_encrypted = listener.transport == "tls"
        context = self.encryption.clients.get(listener.name) if is_encrypted else None
        try:
            if is_encrypted and context is None:
                raise ConnectionError("phones are not connected to over TLS")
            async with asyncio.timeout(CONNECT_SECONDS):
                connecting = bound(listener, socket.SOCK_STREAM, port=0)
                await self._finish(connecting, flow, context)
        except OSError as error:
            self.counters[_why(error)] += 1
            if self._waiting.pop(flow, None) is not None:  # else the other end has connected meanwhile
                self._hub.closed(flow)

    async def _finish(self, connecting: socket.socket, flow: Flow, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            _watch(connecting)
            await loop.sock_connect(connecting, flow[1])
            await loop.create_connection(
                partial(_Connection, self, flow),
                sock=connecting,
                ssl=context,
                server_hostname=(self.encryption.pbx_name or flow[1][0]) if context else None,
            )
        except BaseException:
            connecting.close()
            raise

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Connection(asyncio.Protocol):
    """One connection, from either end. `source` is who has made it, "" for ourselves."""

    def __init__(self, owner: Streams, flow: Flow, source: str = "") -> None:
        self._owner = owner
        self.flow = flow
        self.source = source

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        """A phone that waits for our acknowledgement with its next message (Nagle) gets it at once.

        Else a 200 comes 40 ms after the first words. Linux forgets the option, so it is set each time.
        """
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._owner.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self)

    def write(self, data: bytes) -> None:
        """Send. A peer that does not read what it is sent is given up."""
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self._owner.counters["peers that do not read"] += 1
            self._transport.abort()
        else:
            self._transport.write(data)

    def hang_up(self) -> None:
        """Close when everything has left."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def bound(listener: Listener, kind: socket.SocketKind, port: int | None = None) -> socket.socket:
    """Return a socket at a listener's address. Raises OSError.

    An IPv6 socket is for IPv6 only, so that an IPv4 listener may have the same port beside it.
    """
    made = socket.socket(socket.AF_INET6 if listener.family == 6 else socket.AF_INET, kind)
    try:
        if listener.family == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a run before linger
        made.setblocking(False)
        made.bind((listener.address, listener.port if port is None else port))
    except OSError:
        made.close()
        raise
    return made


def _watch(connection: socket.socket) -> None:
    """A dead peer is noticed: soon when it is sent something, in minutes when not."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 120)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MILLISECONDS)


def _named(peer: tuple[str, int]) -> Address | None:
    """An address as we write it; None for a link-local one, which cannot be named in an answer."""
    try:
        return canonical(peer[0]), peer[1]
    except ValueError:
        return None


def _why(error: OSError) -> str:
    return (
        "certificates not trusted"
        if isinstance(error, ssl.SSLCertVerificationError)
        else "failed connections"
    )
