"""What is done first and what is refused when more arrives than can be done (RFC 6357, RFC 7339 §5.10).

Messages wait here from their arrival until they are acted on. Running calls go first. Of what opens something
new, whatever has waited for longer than its limit is refused: so no rate has to be known or set, a slower
machine refuses sooner, and when the load falls the queue is empty within one limit. The limits lie below T1
(500 ms), so that a phone is answered before it repeats itself, and a REGISTER is refused later than a call.

A refusal costs a fraction of what the call would have: it opens no transaction. What was refused is
remembered instead: a repeated INVITE is owed the same answer, or a phone that has given up would ring
somebody. The ACK is known by the tag of the answer.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import NamedTuple
from zlib import crc32

from sip_hooks.settings import Address, Listener
from sip_hooks.transaction import ServerKey
from sip_hooks.urgency import Urgency

LIMITS = {Urgency.CALL: 0.2, Urgency.OUTSIDE: 0.4}
"""Seconds after which each is refused. Nothing else ever is."""
MOST_WAITING = 4096  # of each that may be refused; what comes after them is dropped
MOST_RUNNING = 16384  # of all others; who sends more than it may has no part in what is beyond MOST_WAITING
MOST_REFUSED = 65536
REMEMBERED_SECONDS = 32.0  # as long as an INVITE may be repeated (64 * T1)
SHEDDING_SECONDS = 5.0
"""For so long after the last refusal this counts as overload."""
SOURCE = "source"
"""Why else a request is refused: its source has sent more than it may."""
_SHORTEST_RETRY, _LONGEST_RETRY = 2, 6  # seconds; spread, or all would come back at once
_IN_TURN = (Urgency.OUTSIDE, Urgency.CALL)


class Arrival(NamedTuple):
    """A message that waits, since `at`. `is_over`: its source has sent more than it may."""

    data: bytes
    source: Address
    listener: Listener
    at: float
    urgency: Urgency
    is_over: bool = False


class Overload:
    """The messages that wait, and what was refused. `tag` begins the To tag of every refusal."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._queues: dict[Urgency, deque[Arrival]] = {it: deque() for it in Urgency}
        self._sources: Counter[tuple[str, Address]] = Counter()  # of the calls that wait
        self._turn = 0
        self._refused: OrderedDict[ServerKey, float] = OrderedDict()
        self._shed_at = float("-inf")
        self._slowest = (0.0, 0.0, 0.0)  # since when, the longest wait since then, and before then
        self.refused: Counter[str] = Counter({Urgency.CALL.value: 0, Urgency.OUTSIDE.value: 0, SOURCE: 0})
        """How many requests were refused: by their urgency in overload, else SOURCE."""

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def put(self, arrival: Arrival) -> bool:
        """Let a message wait. Returns False, and drops it, where too many of its kind wait already.

        A CANCEL stays behind the INVITE of its sender: it would find nothing to cancel.
        """
        queue = self._queues[arrival.urgency]
        sender = arrival.listener.name, arrival.source
        if arrival.urgency is Urgency.RUNNING:
            if sender in self._sources and arrival.data.startswith(b"CANCEL "):
                queue = self._queues[Urgency.CALL]
            may_be_emergency = arrival.data.startswith(b"INVITE ")
            if len(queue) >= (MOST_WAITING if arrival.is_over and not may_be_emergency else MOST_RUNNING):
                return False
        elif len(queue) >= MOST_WAITING:
            return False
        elif arrival.urgency is Urgency.CALL:
            self._sources[sender] += 1
        queue.append(arrival)
        return True

    def take(self, now: float) -> Arrival | None:
        """Return the message to act on next: of running calls the oldest, then the others in turn."""
        queue = self._queues[Urgency.RUNNING]
        if not queue:
            self._turn ^= 1
            first, second = _IN_TURN[self._turn], _IN_TURN[self._turn ^ 1]
            queue = self._queues[first] or self._queues[second]
        if not queue:
            return None
        arrival = queue.popleft()
        if arrival.urgency is Urgency.CALL:
            self._leave((arrival.listener.name, arrival.source))
        self._note_wait(now - arrival.at, now)
        return arrival

    def is_late(self, arrival: Arrival, now: float) -> bool:
        """Whether a message has waited for too long to be let through."""
        return now - arrival.at > LIMITS.get(arrival.urgency, float("inf"))

    def is_shedding(self, now: float) -> bool:
        """Whether requests were refused a moment ago."""
        return now - self._shed_at < SHEDDING_SECONDS

    def longest_wait(self, now: float) -> float:
        """How long, in seconds, a message has waited at most in the last ten seconds, or a few less."""
        self._note_wait(0.0, now)
        return max(self._slowest[1:])

    def was_refused(self, key: ServerKey) -> bool:
        """Whether a request is the repetition of one that was refused."""
        return key in self._refused

    def remembers(self, now: float) -> bool:
        """Whether anything was refused that may be repeated still."""
        refused, oldest = self._refused, now - REMEMBERED_SECONDS
        while refused and (len(refused) > MOST_REFUSED or next(iter(refused.values())) < oldest):
            refused.popitem(last=False)
        return bool(refused)

    def refuse(self, key: ServerKey, why: str, now: float) -> tuple[bytes, tuple[bytes, bytes]]:
        """Remember a refusal. Returns the To tag and the Retry-After of its answer."""
        self.refused[why] += 1
        if why != SOURCE:
            self._shed_at = now
        self._refused[key] = now
        spread = crc32(repr(key).encode())
        after = _SHORTEST_RETRY + spread % (_LONGEST_RETRY - _SHORTEST_RETRY + 1)
        return self._tag + b"%08x" % spread, (b"Retry-After", b"%d" % after)

    def acknowledges(self, data: bytes) -> bool:
        """Whether a message is the ACK of a refusal: nobody needs it."""
        return data.startswith(b"ACK ") and self._tag in data

    def _leave(self, sender: tuple[str, Address]) -> None:
        self._sources[sender] -= 1
        if not self._sources[sender]:
            del self._sources[sender]

    def _note_wait(self, seconds: float, now: float) -> None:
        since, longest, before = self._slowest
        if now - since >= SHEDDING_SECONDS:
            since, longest, before = now, 0.0, longest if now - since < 2 * SHEDDING_SECONDS else 0.0
        self._slowest = since, max(longest, seconds), before
