"""The engine on real sockets: with `streams` and `datagrams` the only file here that knows asyncio.

Order is all it adds: whatever the engine reports is handed to `on_event` before any packet of that moment
leaves. What has arrived is taken in before anything is acted on, and acted on for a slice of time before
others have their turn, so that the engine sees what is most urgent (`sip_hooks.overload`). It logs nothing;
what is dropped is counted in `engine.counters`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sip_hooks.datagrams import Datagrams
from sip_hooks.engine import Engine, EngineSettings
from sip_hooks.events import Anchor, Command, Event
from sip_hooks.flows import Flow
from sip_hooks.settings import Address
from sip_hooks.settings import Transport as SipTransport
from sip_hooks.streams import Encryption, Streams

SLICE_SECONDS = 0.005
"""For so long messages are acted on before sockets, timers and the rest of the process have their turn."""


class Transport:
    """Binds the listeners, feeds the engine, and tells `on_event` what happens.

    `on_event` is called synchronously and may call `execute`. `utc` returns the current aware UTC instant.
    """

    def __init__(
        self,
        settings: EngineSettings,
        on_event: Callable[[Event], None],
        utc: Callable[[], datetime],
        new_id: Callable[[int], bytes] = secrets.token_bytes,
        encryption: Encryption | None = None,
    ) -> None:
        self.engine = Engine(settings, new_id, lambda now: utc())
        self._settings = settings
        self._on_event = on_event
        self._sockets: dict[str, Datagrams] = {}
        self._streams = Streams(settings, encryption or Encryption(), self, self.engine.counters)
        self._alarm: asyncio.TimerHandle | None = None
        self._is_settling = False
        self._is_working = False
        self._is_open = False

    async def open(self) -> None:
        """Bind every listener. Raises OSError, with nothing left open, when one cannot be bound."""
        self._is_open = True
        try:
            for listener in self._settings.listeners:
                if listener.is_stream:
                    self._streams.open(listener)
                    continue
                self._sockets[listener.name] = Datagrams(listener, self, self.engine.counters)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close every socket; nothing more is sent or reported."""
        self._is_open = False
        if self._alarm is not None:
            self._alarm.cancel()
        self._streams.close()
        for transport in self._sockets.values():
            transport.close()
        self._sockets.clear()

    def encrypt(self, encryption: Encryption) -> None:
        """Use these certificates for every connection that is made from now on."""
        self._streams.encryption = encryption

    def heed(self, is_emergency: Callable[[str], bool]) -> None:
        """Let calls through, whatever happens, in which this holds for a number or a user."""
        self.engine.is_emergency = is_emergency

    def aim(self, order: Sequence[Address], transport: SipTransport | None = None) -> None:
        """Say which servers are the PBX, the best first, and over what they are spoken to."""
        self.engine.aim(order, self._now(), transport)

    def is_shedding(self) -> bool:
        """Whether requests were refused a moment ago, because more arrives than can be done."""
        return self.engine.overload.is_shedding(self._now())

    def longest_wait(self) -> float:
        """How long, in seconds, a message has waited at most in the last ten seconds."""
        return self.engine.overload.longest_wait(self._now())

    def restore(self, anchors: Mapping[int, Anchor]) -> None:
        """Say which media is left of calls in progress, by its reference; see `Engine.restore`."""
        self.engine.restore(anchors)

    def execute(self, command: Command) -> None:
        """Carry out a command and send what comes of it."""
        self.engine.execute(command, self._now())
        self._settle()

    def arrived(self, data: bytes, source: Address, listener: str, at: float) -> None:
        """Take in one datagram that has been waiting since `at`."""
        self.engine.arrive(data, source, listener, at)

    def work(self) -> None:
        """Act on what has been taken in: at once, and if that takes long in slices."""
        if not self._is_working:
            self._is_working = True
            self._work()

    def _work(self) -> None:
        """What comes of one slice leaves together: whoever gets it is woken once."""
        self._is_working = False
        now = self._now()
        until = now + SLICE_SECONDS
        while now < until and self.engine.work(now):
            self._tell()
            now = self._now()
        self._settle()
        if now >= until and self._is_open:
            self._is_working = True
            asyncio.get_running_loop().call_soon(self._work)

    def opened(self, flow: Flow) -> None:
        """A connection is there."""
        self.engine.connected(*flow)

    def received(self, flow: Flow, data: bytes) -> None:
        """Bytes arrived over a connection."""
        listener, source = flow
        self.engine.arrive_stream(data, source, listener, self._now())
        self._settle()
        self.work()

    def closed(self, flow: Flow) -> None:
        """A connection has gone, or was not made."""
        self.engine.disconnected(*flow, self._now())
        self._settle()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _settle(self) -> None:
        """Report all events, then send all packets, then set the alarm; the outermost call does it."""
        if self._is_settling:
            return
        self._tell()
        for packet in self.engine.packets_to_send():
            if (transport := self._sockets.get(packet.listener)) is not None:
                transport.send(packet.data, packet.destination)
            elif self._is_open:
                self._streams.send(packet)
        for flow in self.engine.connections_to_close():
            self._streams.hang_up(flow)
        self._set_alarm()

    def _tell(self) -> None:
        self._is_settling = True
        try:
            while (event := self.engine.next_event()) is not None:
                self._report(event)
        finally:
            self._is_settling = False

    def _report(self, event: Event) -> None:
        """Calls are fail-open: whatever goes wrong above, the message goes on."""
        try:
            self._on_event(event)
        except Exception as error:
            self.engine.counters["failed reports"] += 1
            context = {"message": f"{type(event).__name__} could not be acted on", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _set_alarm(self) -> None:
        """One that comes too early only sets the next: that is cheaper than to move it each time."""
        at = self.engine.next_timer()
        if self._alarm is not None:
            if at is None or self._alarm.when() <= at:
                return
            self._alarm.cancel()
        self._alarm = None
        if at is not None and self._is_open:
            self._alarm = asyncio.get_running_loop().call_at(at, self._alarmed)

    def _alarmed(self) -> None:
        self._alarm = None
        self.engine.handle_timer(self._now())
        self._settle()
