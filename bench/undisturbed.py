"""Overload on a clock that runs while the engine works, and else jumps to what comes next.

The engine is as busy as it would be alone on a machine, however busy this one is. What it lacks of
`bench/overload.py` is the process around it: sockets, decisions, books.

    python -m bench.undisturbed [SECONDS]
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import count

from bench.callers import Callers, Tally
from sip_hooks.engine import Engine, EngineSettings, Listener
from sip_hooks.events import CallOffered, ForwardCall
from sip_hooks.settings import Address, Limits

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "127.0.0.1"
US, PHONE, PBX = (HOST, 5060), (HOST, 5070), (HOST, 5080)
ON_THE_WAY = 0.001
AT_ONCE = 8
TIMES = 3.0


class Line:
    """An engine, and telephones at both of its ends."""

    def __init__(self) -> None:
        drawn = count(1)
        settings = EngineSettings(
            (Listener("a", "both", *US),), PBX, frozenset(), (1, 2), b"k" * 32, limits=Limits(0, 0)
        )
        self.engine = Engine(
            settings,
            lambda size: next(drawn).to_bytes(size, "big"),
            lambda now: EPOCH + timedelta(seconds=now),
        )
        self.callers = Callers(PHONE[1], PBX[1])
        self.now = 0.0
        self._wire: list[tuple[float, int, bytes, Address, Address]] = []
        self._order = count()

    def load(self, seconds: float, *, rate: float = 0.0, at_once: int = 0, hold: float = 0.0) -> Tally:
        tally = self.callers.load(self.now, rate=rate, at_once=at_once, hold=hold)
        until = self.now + seconds
        while self.now < until:
            self._turn(until)
        return tally

    def _turn(self, until: float) -> None:
        self.callers.act(self.now)
        for packet in self.callers.packets:
            self._send(packet.data, PHONE if packet.is_caller else PBX, US)
        self.callers.packets.clear()
        while self._wire and self._wire[0][0] <= self.now:
            at, _, data, source, destination = heapq.heappop(self._wire)
            if destination == US:
                self.engine.arrive(data, source, "a", at)
            elif destination == PHONE:
                self.callers.hear_caller(data, at)
            else:
                self.callers.hear_callee(data, at)
        has_worked, seconds = self.spend()
        self.now += seconds
        if not has_worked:
            self.now = max(self.now, min(until, self._next_at()))

    def spend(self) -> tuple[bool, float]:
        """Work. Returns whether there was anything to do, and the seconds that it took."""
        began = time.process_time()
        has_worked = self.work()
        return has_worked, time.process_time() - began

    def work(self) -> bool:
        """What the transport does with one message."""
        if self.is_timer_due():
            self.engine.handle_timer(self.now)
            has_worked = True
        else:
            has_worked = self.engine.work(self.now)
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, CallOffered):
                self.engine.execute(ForwardCall(event.call, 0, None), self.now)
        for packet in self.engine.packets_to_send():
            self._send(packet.data, US, packet.destination)
        return has_worked

    def is_timer_due(self) -> bool:
        due = self.engine.next_timer()
        return due is not None and due <= self.now

    def _send(self, data: bytes, source: Address, destination: Address) -> None:
        heapq.heappush(self._wire, (self.now + ON_THE_WAY, next(self._order), data, source, destination))

    def _next_at(self) -> float:
        wire = self._wire[0][0] if self._wire else float("inf")
        due = self.engine.next_timer()
        return min(wire, self.callers.next_at(), float("inf") if due is None else due)


def rush(line: Line, warm_up: float, seconds: float, hold: float) -> dict[str, Tally]:
    """Find the capacity, let three times as much arrive, then half of it, then nothing."""
    line.load(warm_up, at_once=AT_ONCE)
    found = {"capacity": line.load(warm_up, at_once=AT_ONCE)}
    rate = found["capacity"].answered / found["capacity"].seconds
    line.load(2 * hold, rate=TIMES * rate, hold=hold)
    found["overload"] = line.load(seconds, rate=TIMES * rate, hold=hold)
    found["recovery"] = line.load(2.0, rate=rate / 2, hold=hold)
    found["rest"] = line.load(hold + 2.0)
    return found


if __name__ == "__main__":
    parts = rush(Line(), 5.0, float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, 2.0)
    sys.stdout.write(json.dumps({name: tally.row() for name, tally in parts.items()}, indent=2) + "\n")
