"""A thousand calls over a bad network: 10 % loss, doubled and reordered datagrams, and none hangs."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import count

import pytest

from sip_hooks.engine import Engine, EngineSettings
from sip_hooks.events import Anchor, CallAnswered, CallEnded, CallOffered, Event, ForwardCall, MediaNegotiated
from sip_hooks.settings import Address
from tests.fakes.agents import Agent, Plot, Switch
from tests.fakes.sip import BOTH, EPOCH, PBX, US
from tests.fakes.wire import Wire

PLOTS: tuple[Plot, ...] = ("talk", "talk", "talk", "challenge", "busy", "cancel")
PHONES = 20


@dataclass
class Proxy:
    """The engine as a node of the wire; it anchors every call that is not anchored yet."""

    wire: Wire
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        drawn, ports = count(1), count(20000, 4)
        settings = EngineSettings(BOTH, PBX, frozenset({US[0]}), (20000, 60000), b"k" * 32)
        self.engine = Engine(
            settings,
            lambda size: next(drawn).to_bytes(size, "big"),
            lambda now: EPOCH + timedelta(seconds=now),
        )
        self._ports = ports
        self._alarm: float | None = None
        self.wire.nodes[US] = self.deliver

    def deliver(self, data: bytes, source: Address) -> None:
        self.engine.receive_datagram(data, source, "a", self.wire.now)
        self._settle()

    def _settle(self) -> None:
        while (event := self.engine.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, CallOffered):
                port = next(self._ports) % 40000 + 20000
                media = None if event.already_anchored else Anchor((US[0], port), (US[0], port + 2), port)
                self.engine.execute(ForwardCall(event.call, 0, media), self.wire.now)
        for packet in self.engine.packets_to_send():
            self.wire.send(packet.data, US, packet.destination)
        at = self.engine.next_timer()
        if at is not None and (self._alarm is None or at < self._alarm):
            self._alarm = at
            self.wire.later(at - self.wire.now, lambda: self._ring(at))

    def _ring(self, at: float) -> None:
        if self._alarm == at:
            self._alarm = None
        self.engine.handle_timer(self.wire.now)
        self._settle()


def dial(index: int, switch: Switch, phones: list[Agent]) -> None:
    """Start one call: every third goes out, comes in, or connects two phones."""
    phone, other = phones[index % PHONES], phones[(index * 7 + 3) % PHONES]
    caller, uri = (
        (phone, f"sip:0{600000000 + index}@pbx.example"),
        (switch, switch.users[other.user]),
        (phone, f"sip:{other.user}@pbx.example"),
    )[index % 3]
    caller.dial(uri, PLOTS[index // 3 % len(PLOTS)], f"call{index}")


def simulate(calls: int, seed: int, loss: float) -> tuple[Wire, Proxy, list[Agent]]:
    """Register the phones and let so many calls happen."""
    wire = Wire(seed, loss, doubling=0.05)
    proxy = Proxy(wire)
    switch = Switch(wire, PBX, US)
    phones = [Agent(wire, (f"10.0.1.{index}", 5060), US, str(200 + index)) for index in range(PHONES)]
    for phone in phones:
        phone.register()
    for index in range(calls):
        wire.later(40.0 + index * 0.1, partial(dial, index, switch, phones))
    wire.run()
    return wire, proxy, [switch, *phones]


def check(calls: int, seed: int, loss: float) -> str:
    wire, proxy, agents = simulate(calls, seed, loss)
    outcomes = sum((agent.outcomes for agent in agents), Counter[str]())
    assert set(outcomes) == {"talk talked", "challenge talked", "busy 486", "cancel 487"}
    assert sum(outcomes.values()) == calls
    check_events(proxy.events)
    assert (proxy.engine.calls, proxy.engine.transactions) == (0, 0)
    return wire.transcript


def check_events(events: list[Event]) -> None:
    """Every pass is offered once and ends once, last; the relay knows both ends of what was answered."""
    offered = [event.call for event in events if isinstance(event, CallOffered)]
    ended = [event.call for event in events if isinstance(event, CallEnded)]
    assert sorted(offered) == sorted(ended)
    assert len(set(offered)) == len(offered)
    anchored = {
        event.call for event in events if isinstance(event, CallOffered) and not event.already_anchored
    }
    answered = {event.call for event in events if isinstance(event, CallAnswered)}
    complete = {
        event.call
        for event in events
        if isinstance(event, MediaNegotiated) and event.answered and event.caller and event.callee
    }
    assert complete == answered & anchored
    last = {event.call: event for event in events}
    assert all(isinstance(event, CallEnded) for event in last.values())


def test_a_thousand_calls_over_a_bad_network_come_to_their_end() -> None:
    check(1000, seed=1, loss=0.1)


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2])
def test_the_same_seed_gives_the_same_datagrams(loss: float) -> None:
    assert check(60, seed=7, loss=loss) == check(60, seed=7, loss=loss)


def test_what_is_over_is_gone_without_the_garbage_collector() -> None:
    """Else memory grows until it comes, which takes minutes, and then it stops the loop."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        world = simulate(calls=60, seed=5, loss=0.1)
        gc.collect()
        left = {type(it).__name__ for it in gc.garbage if type(it).__module__.startswith("sip_hooks")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert world[1].events
    assert not left
