"""Timers of RFC 3261 §17 and our own, in one queue. Nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeAlias
from weakref import ref

T1 = 0.5  # round-trip estimate, seconds (§17.1.1.1)
T2 = 4.0  # longest retransmission interval, except of INVITE
T4 = 5.0  # longest time a message lives in the network


class Timer(StrEnum):
    """What a timer is for. The letters are those of RFC 3261 and RFC 6026."""

    A = "retransmit INVITE"
    B = "INVITE unanswered"
    C = "INVITE ringing too long"
    D = "absorb repeated failures"
    E = "retransmit request"
    F = "request unanswered"
    G = "retransmit failure"
    H = "failure unacknowledged"
    I_ = "absorb repeated ACKs"
    J = "absorb repeated requests"
    K = "absorb repeated responses"
    L = "accept repeated INVITEs"
    M = "accept further 2xx"
    TRYING = "answer 100"  # §17.2.1: 200 ms
    CANCELLED = "cancelled and still unanswered"  # §9.1
    HELD = "INVITE waits for ForwardCall"
    SILENCE = "dialog says nothing"
    LINGER = "dialog is over"


_FIRST = {
    Timer.A: T1,
    Timer.B: 64 * T1,
    Timer.C: 300.0,  # §16.6 step 11: more than three minutes
    Timer.D: 64 * T1,
    Timer.E: T1,
    Timer.F: 64 * T1,
    Timer.G: T1,
    Timer.H: 64 * T1,
    Timer.I_: T4,
    Timer.J: 64 * T1,
    Timer.K: T4,
    Timer.L: 64 * T1,
    Timer.M: 64 * T1,
    Timer.TRYING: 0.2,
    Timer.CANCELLED: 64 * T1,
    Timer.LINGER: 64 * T1,
}
_SMALLEST_SWEEP = 64
_CAPPED = frozenset((Timer.E, Timer.G))
_DOUBLING = _CAPPED | {Timer.A}


def delay(timer: Timer, repeats: int) -> float:
    """Return the seconds until `timer` fires when it has fired `repeats` times before."""
    first = _FIRST[timer]
    if not repeats or timer not in _DOUBLING:
        return first
    doubled = first * float(1 << min(repeats, 16))
    return min(doubled, T2) if timer in _CAPPED else doubled


class Timed:
    """Something that timers belong to. `due` holds when each of its running timers fires."""

    __slots__ = ("__weakref__", "due")

    def __init__(self) -> None:
        self.due: dict[Timer, float] = {}


_Entry: TypeAlias = tuple[float, int, "ref[Timed]", Timer]


class TimerQueue:
    """All running timers. Starting a timer again moves it; stopping is removing it from `due`.

    A stopped timer stays in the heap until it comes to the top or the heap has doubled; then all of them are
    swept out. The heap does not hold what they belong to, so that a call of a minute is not kept for the
    hours of its longest timer: whoever starts a timer keeps its owner until it has fired.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._order = count()
        self._sweep_at = _SMALLEST_SWEEP

    def __len__(self) -> int:
        return len(self._heap)

    def start(self, owner: Timed, timer: Timer, at: float) -> None:
        """Let `timer` of `owner` fire at the monotonic second `at`."""
        owner.due[timer] = at
        heappush(self._heap, (at, next(self._order), ref(owner), timer))
        if len(self._heap) >= self._sweep_at:
            self._heap = [entry for entry in self._heap if _is_running(entry)]
            heapify(self._heap)
            self._sweep_at = max(_SMALLEST_SWEEP, 2 * len(self._heap))

    def next(self) -> float | None:
        """Return when the next timer fires."""
        heap = self._heap
        while heap and not _is_running(heap[0]):
            heappop(heap)
        return heap[0][0] if heap else None

    def fired(self, now: float) -> Iterator[tuple[Timed, Timer]]:
        """Yield each timer that is due, in order; it is no longer running then."""
        while (at := self.next()) is not None and at <= now:
            _, _, found, timer = heappop(self._heap)
            if (owner := found()) is not None:
                del owner.due[timer]
                yield owner, timer


def _is_running(entry: _Entry) -> bool:
    at, _, found, timer = entry
    owner = found()
    return owner is not None and owner.due.get(timer) == at
