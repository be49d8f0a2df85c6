"""The SIP engine: bytes and time in, packets and events out; it does no I/O (sans-IO).

    engine.arrive(data, source, listener, at)                 a datagram has been waiting since `at`
    engine.connected(listener, address)                       a connection is there, from either end
    engine.arrive_stream(data, source, listener, at)          bytes arrived over a connection
    engine.work(now)                                          act on the most urgent message that waits
    engine.disconnected(listener, address, now)               a connection has gone, or could not be made
    engine.handle_timer(now)                                  the moment of next_timer() has come
    engine.execute(command, now)                              those above decided
    engine.next_event()                                       what they are to be told, None when nothing
    engine.packets_to_send()                                  what is to leave, in order
    engine.connections_to_close()                             then: what is to be closed
    engine.next_timer()                                       when to call handle_timer

`receive_datagram` and `receive_stream` do both at once. `now` is in seconds of a monotonic clock. After each
call with `now` the events are to be taken and acted on first, then the packets: an event is always about
something that has not left yet. A packet of a TCP or TLS listener whose destination has no connection asks
for one to be made.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sip_hooks.errors import SipError
from sip_hooks.events import Anchor, Command, Event
from sip_hooks.flows import Flow
from sip_hooks.forwarding import respond
from sip_hooks.framing import PING, PONG, Broken, Deframer, measured
from sip_hooks.message import Message, parse
from sip_hooks.overload import SOURCE, Arrival, Overload
from sip_hooks.proxy import Proxy
from sip_hooks.settings import Address, EngineSettings, Listener, Packet, Transport
from sip_hooks.sources import Sources
from sip_hooks.transaction import ServerKey, server_key, trying_key
from sip_hooks.urgency import Urgency, urgency

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
        self._router = self._proxy.router
        self._listeners = {listener.name: listener for listener in settings.listeners}
        self._streams: dict[Flow, Deframer] = {}
        self._closing: list[Flow] = []
        self._partial: dict[Flow, float] = {}  # since when each waits for the rest of a message; oldest first
        self._new_id = new_id
        self.overload = Overload(b"db" + new_id(8).hex().encode())
        self.sources = Sources(settings.limits)
        self.is_emergency: Callable[[str], bool] = lambda user: False
        """Whether a number or user, as it was dialled, is an emergency service: its call gets through."""
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

    def arrive(self, data: bytes, source: Address, listener: str, at: float) -> None:
        """Let one datagram wait that arrived at the listener of that name. Never raises on its contents."""
        self._arrive(data, source, self._listeners[listener], at)

    def work(self, now: float) -> bool:
        """Act on one message that waits. Returns whether there was one."""
        arrival = self.overload.take(now)
        if arrival is None:
            return False
        self._receive(arrival, now)
        self._settle(now)
        return True

    def receive_datagram(self, data: bytes, source: Address, listener: str, now: float) -> None:
        """Act on one datagram at once."""
        self.arrive(data, source, listener, now)
        while self.work(now):
            pass

    def connected(self, listener: str, address: Address) -> None:
        """Take a connection between that listener and `address`; a new one replaces an old one."""
        flow = listener, address
        self._streams[flow] = Deframer()
        self._proxy.flows.open(flow)

    def receive_stream(self, data: bytes, source: Address, listener: str, now: float) -> None:
        """Act on what arrived over a connection at once."""
        self.arrive_stream(data, source, listener, now)
        while self.work(now):
            pass

    def arrive_stream(self, data: bytes, source: Address, listener: str, at: float) -> None:
        """Let the messages wait that are complete now. Never raises on their contents."""
        stream = self._streams.get((listener, source))
        if stream is None:
            return
        on, pinged = self._listeners[listener], False
        for found in stream.feed(data):
            self._partial.pop((listener, source), None)
            if isinstance(found, Broken):
                self._refuse(found, source, on, at)
            elif found == PING:
                self.counters["keep-alives"] += 1
                pinged = True
            else:
                self._arrive(found, source, on, at)
        if pinged:
            self._proxy.layer.send(PONG, source, on)
        if stream.is_within_message:
            self._partial.setdefault((listener, source), at)
        self._settle(at)

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

    def aim(self, order: Sequence[Address], now: float, transport: Transport | None = None) -> None:
        """Say which servers are the PBX, the best first: its name was resolved. See `Targets.set`."""
        self._router.targets.set(order, now, transport)

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

    def _arrive(self, data: bytes, source: Address, listener: Listener, at: float) -> None:
        if not data.strip(b"\r\n\0"):
            self.counters["keep-alives"] += 1
        elif self.overload.acknowledges(data):
            self.counters["ACKs of refusals"] += 1
        else:
            how = urgency(data, self.is_emergency)
            is_limited = self._router.is_limited(listener, source)
            is_over = is_limited and not self.sources.allows(source[0], how is not Urgency.RUNNING, at)
            if not self.overload.put(Arrival(data, source, listener, at, how, is_over)):
                self.counters["dropped in overload"] += 1

    def _receive(self, arrival: Arrival, now: float) -> None:
        trying = trying_key(arrival.data)
        if trying is not None and self._proxy.layer.hear_trying(trying, now):
            self.received["response"] += 1
            return
        try:
            message = parse(arrival.data)
            self.received["request" if message.is_request else "response"] += 1
            if arrival.urgency is Urgency.RUNNING:
                if arrival.is_over and not self._is_running(message):
                    self.counters["dropped over the limit of a source"] += 1
                    return
            elif self._shed(message, arrival, now):
                return
            if message.is_request:
                self._proxy.receive_request(message, arrival.source, arrival.listener, now)
            else:
                self._proxy.receive_response(message, now)
        except SipError:
            self.counters["unreadable datagrams"] += 1

    def _is_running(self, message: Message) -> bool:
        """Whether a message belongs to something that runs, or begins an emergency call."""
        if not message.is_request:
            return self._proxy.layer.awaits(message)
        begins = message.method == b"INVITE" and not message.to_tag
        return begins or self._is_known(message, server_key(message, message.method))

    def _is_known(self, request: Message, key: ServerKey) -> bool:
        """Whether a request repeats one that was let through, or its call crosses us already (a spiral)."""
        return self._proxy.layer.has(key) or self._proxy.passes.has(request.call_id)

    def _shed(self, request: Message, arrival: Arrival, now: float) -> bool:
        """Refuse a request that has waited for too long, whose source sends too much, or that was refused."""
        overload = self.overload
        is_late = overload.is_late(arrival, now)
        if not (is_late or arrival.is_over or overload.remembers(now)):
            return False
        key = server_key(request, request.method)
        is_due = is_late or arrival.is_over
        if not overload.was_refused(key) and (not is_due or self._is_known(request, key)):
            return False
        tag, retry = overload.refuse(key, SOURCE if arrival.is_over else arrival.urgency.value, now)
        answer = respond(request, 503, b"Service Unavailable", arrival.source, tag, (retry,))
        self._proxy.layer.send(answer, arrival.source, arrival.listener)
        return True

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
        if not self._proxy.layer.packets:
            return
        pending = deque(self._take())
        while pending:
            packet = pending.popleft()
            leaving = self._listeners[packet.listener]
            own = self._router.listener_at(packet.destination, leaving.transport)
            if own is None:
                is_whole = not leaving.is_stream
                self._ready.append(packet if is_whole else packet._replace(data=measured(packet.data)))
                continue
            self._receive(Arrival(packet.data, leaving.advertised, own, now, Urgency.RUNNING), now)
            pending.extendleft(reversed(self._take()))

    def _take(self) -> list[Packet]:
        packets = self._proxy.layer.packets
        taken, packets[:] = packets[:], []
        return taken
