"""The SIP engine: bytes and time in, packets and events out; it does no I/O (sans-IO).

    engine.receive_datagram(data, source, listener, now)      a datagram arrived
    engine.connected(listener, address)                       a connection is there, from either end
    engine.receive_stream(data, source, listener, now)        bytes arrived over a connection
    engine.disconnected(listener, address, now)               a connection has gone, or could not be made
    engine.handle_timer(now)                                  the moment of next_timer() has come
    engine.execute(command, now)                              those above decided
    engine.next_event()                                       what they are to be told, None when nothing
    engine.packets_to_send()                                  what is to leave, in order
    engine.connections_to_close()                             then: what is to be closed
    engine.next_timer()                                       when to call handle_timer

`now` is in seconds of a monotonic clock. After each call with `now` the events are to be taken and acted on
first, then the packets: an event is always about something that has not left yet. A packet of a TCP or TLS
listener whose destination has no connection asks for one to be made.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import datetime

from sip_hooks.errors import SipError
from sip_hooks.events import Anchor, Command, Event
from sip_hooks.flows import Flow
from sip_hooks.forwarding import respond
from sip_hooks.framing import PING, PONG, Broken, Deframer
from sip_hooks.message import parse
from sip_hooks.proxy import Proxy
from sip_hooks.routing import Router
from sip_hooks.settings import Address, EngineSettings, Listener, Packet

__all__ = ["Engine", "EngineSettings", "Listener", "Packet"]


PATIENCE_SECONDS = 32.0
"""How long a message may take to arrive over a connection, from its first byte to its last."""


class Engine:
    """A transaction-stateful, record-routing, byte-transparent proxy.

    `new_id` returns that many random bytes. `utc` says which aware UTC instant a monotonic `now` is.
    `counters` counts what is dropped or refused; it holds no address and no number.
    """

    def __init__(
        self,
        settings: EngineSettings,
        new_id: Callable[[int], bytes],
        utc: Callable[[float], datetime],
    ) -> None:
        self._proxy = Proxy(settings, new_id, utc)
        self._router = Router(settings)
        self._listeners = {listener.name: listener for listener in settings.listeners}
        self._streams: dict[Flow, Deframer] = {}
        self._closing: list[Flow] = []
        self._partial: dict[Flow, float] = {}  # since when each waits for the rest of a message; oldest first
        self._new_id = new_id
        self._ready: list[Packet] = []
        self.counters: Counter[str] = self._proxy.counters
        self.received: Counter[str] = Counter()
        """Messages that could be read: "request", "response"."""
        self.sent = 0

    @property
    def calls(self) -> int:
        """How many passes are known, those that ended a moment ago included."""
        return len(self._proxy.passes)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._streams)

    @property
    def transactions(self) -> int:
        """How many transactions are known."""
        return len(self._proxy.layer)

    def receive_datagram(self, data: bytes, source: Address, listener: str, now: float) -> None:
        """Act on one datagram that arrived at the listener of that name. Never raises on its contents."""
        self._receive(data, source, self._listeners[listener], now)
        self._settle(now)

    def connected(self, listener: str, address: Address) -> None:
        """Take a connection between that listener and `address`; a new one replaces an old one."""
        flow = listener, address
        self._streams[flow] = Deframer()
        self._proxy.flows.open(flow)

    def receive_stream(self, data: bytes, source: Address, listener: str, now: float) -> None:
        """Act on what arrived over a connection. Never raises on its contents."""
        stream = self._streams.get((listener, source))
        if stream is None:
            return
        on, pinged = self._listeners[listener], False
        for found in stream.feed(data):
            self._partial.pop((listener, source), None)
            if isinstance(found, Broken):
                self._refuse(found, source, on, now)
            elif found == PING:
                self.counters["keep-alives"] += 1
                pinged = True
            else:
                self._receive(found, source, on, now)
        if pinged:
            self._proxy.layer.send(PONG, source, on)
        if stream.is_within_message:
            self._partial.setdefault((listener, source), now)
        self._settle(now)

    def disconnected(self, listener: str, address: Address, now: float) -> None:
        """A connection has gone, or one that was asked for could not be made."""
        self._forget((listener, address), now)
        self._settle(now)

    def connections_to_close(self) -> list[Flow]:
        """Return and forget the connections that are to be closed when all packets have left."""
        closing, self._closing = self._closing, []
        return closing

    def handle_timer(self, now: float) -> None:
        """Let everything happen that is due at `now`."""
        for flow in [it for it, since in self._partial.items() if since + PATIENCE_SECONDS <= now]:
            self.counters["messages never finished"] += 1
            self._closing.append(flow)
            self._forget(flow, now)
        self._proxy.handle_timer(now)
        self._settle(now)

    def execute(self, command: Command, now: float) -> None:
        """Carry out a command. One that comes too late or names no call is counted and ignored."""
        self._proxy.forward_call(command, now)
        self._settle(now)

    def restore(self, anchors: Mapping[int, Anchor]) -> None:
        """Say which media was there before this engine, by its reference: what is left of calls in progress.

        A call whose media is not among them goes on too, its descriptions untouched.
        """
        self._proxy.restorer.anchors = anchors

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken."""
        events = self._proxy.events
        return events.popleft() if events else None

    def packets_to_send(self) -> list[Packet]:
        """Return and forget the packets that are to leave, in order."""
        packets, self._ready = self._ready, []
        self.sent += len(packets)
        return packets

    def next_timer(self) -> float | None:
        """Return the monotonic second at which `handle_timer` is wanted, None for never."""
        due = self._proxy.layer.timers.next()
        oldest = next(iter(self._partial.values()), None)
        if oldest is None or (due is not None and due <= oldest + PATIENCE_SECONDS):
            return due
        return oldest + PATIENCE_SECONDS

    def _receive(self, data: bytes, source: Address, listener: Listener, now: float) -> None:
        if not data.strip(b"\r\n\0"):
            self.counters["keep-alives"] += 1
            return
        try:
            message = parse(data)
            self.received["request" if message.is_request else "response"] += 1
            if message.is_request:
                self._proxy.receive_request(message, source, listener, now)
            else:
                self._proxy.receive_response(message, now)
        except SipError:
            self.counters["unreadable datagrams"] += 1

    def _refuse(self, broken: Broken, source: Address, listener: Listener, now: float) -> None:
        """Say why and hang up (§18.3). Nobody knows what an answer would answer when Via is missing."""
        self.counters["broken streams"] += 1
        try:
            request = parse(broken.head)
            if request.is_request and request.method != b"ACK" and request.field(b"via") is not None:
                tag = self._new_id(8).hex().encode()
                answer = respond(request, broken.status, broken.reason, source, tag)
                self._proxy.layer.send(answer, source, listener)
        except SipError:
            self.counters["unreadable streams"] += 1
        self._closing.append((listener.name, source))
        self._forget((listener.name, source), now)

    def _forget(self, flow: Flow, now: float) -> None:
        self._streams.pop(flow, None)
        self._partial.pop(flow, None)
        self._proxy.flows.close(flow)
        self._proxy.layer.lose(flow, now)

    def _settle(self, now: float) -> None:
        """Sort what leaves from what comes back: a dialog that crosses us twice in a row needs no socket."""
        pending = deque(self._take())
        while pending:
            packet = pending.popleft()
            leaving = self._listeners[packet.listener]
            own = self._router.listener_at(packet.destination, leaving.transport)
            if own is None:
                self._ready.append(packet)
                continue
            self._receive(packet.data, leaving.advertised, own, now)
            pending.extendleft(reversed(self._take()))

    def _take(self) -> list[Packet]:
        packets = self._proxy.layer.packets
        taken, packets[:] = packets[:], []
        return taken
