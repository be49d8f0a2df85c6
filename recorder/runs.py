"""The packets of one source as its numbers and its clock go on: which wait, and where they belong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from copy import copy

import numpy as np

from recorder.drift import Drift
from recorder.jitter import Jitter
from recorder.packets import Block, Column, Packet
from recorder.rtp import Unwrapper
from storage.records import CLOCK_RATE

TOLERANCE = CLOCK_RATE // 4
"""250 ms in ticks."""

MAX_BEHIND = 500
"""So many later packets tell where one belongs: ten seconds. To look at all would cost a flood's square."""

OVERTAKEN = CLOCK_RATE // 10
"""By so many ticks a packet may arrive behind one that was sent later: 100 ms."""

MAX_SEQUENCE_JUMP = 3000
"""Beyond this a sender has begun anew (RFC 3550 §A.1, MAX_DROPOUT)."""


class Run:
    """Packets of one SSRC without a break in its numbering, by one clock (RFC 7160)."""

    def __init__(self, sequence: int, rate: int) -> None:
        self._sequences = Unwrapper(16, sequence)
        self._timestamps: Unwrapper | None = None  # those of what is kept
        self._rate = rate
        self._anchor: tuple[int, int] | None = None  # timestamp, position
        self._drift = Drift()
        self.jitter = Jitter()
        self.held: dict[int, tuple[int, Packet]] = {}  # by sequence: timestamp, packet
        self.received = 0
        self._first = sequence

    @property
    def lost(self) -> int:
        return max(0, self._sequences.highest - self._first + 1 - self.received)

    def continues(self, packet: Packet) -> bool:
        if packet.payload and self._timestamps and packet.rate != self._rate:
            return False
        distance = abs((packet.sequence - self._sequences.highest + 0x8000) % 0x10000 - 0x8000)
        return distance <= MAX_SEQUENCE_JUMP

    def hold(self, packet: Packet) -> bool:
        """False: there is such a packet already."""
        sequence = self._sequences.extend(packet.sequence)
        if sequence in self.held:
            return False
        self.received += 1
        if packet.payload:
            self.held[sequence] = (self._ticks(packet), packet)
        return True

    def _ticks(self, packet: Packet) -> int:
        """Its timestamp, unwrapped, on a clock of the clip's rate."""
        if self._timestamps is None:
            self._timestamps, self._rate = Unwrapper(32, packet.timestamp), packet.rate
        return self._timestamps.extend(packet.timestamp) * CLOCK_RATE // self._rate

    def admitted(self, block: Block) -> Block | None:
        """A block in which each packet follows the one before, the first of them the last one held, so that
        all of them could be held: with numbers and timestamps that do not wrap. None: it is not like that.
        """
        if self._timestamps is None:
            before = int(block.timestamps[0])
        elif block.kind.rate == self._rate:
            before = self._timestamps.highest
        else:
            return None
        after = self._sequences.highest
        if not self.received:
            after = self._first - 1
        found = _onwards(block, after, before)
        if found is None:
            return None
        sequences, timestamps = found
        self._sequences.highest = int(sequences[-1])
        self._timestamps = self._timestamps or Unwrapper(32, before)
        self._timestamps.highest = int(timestamps[-1])
        self._rate = block.kind.rate
        self.received += block.size
        return block._replace(sequences=sequences, timestamps=timestamps)

    def hold_admitted(self, block: Block) -> None:
        """Its packets wait as if they had come one by one."""
        numbers, rate = block.sequences.tolist(), block.kind.rate
        for sequence, packet in zip(numbers, block.packets(), strict=True):
            timestamp = packet.timestamp
            packet.timestamp %= 0x100000000
            self.held[sequence] = (timestamp * CLOCK_RATE // rate, packet)

    def place(self, block: Block, behind: Sequence[Block], end: int) -> Column | None:
        """Where the packets of an admitted block belong, one behind the other, behind `end`. `behind`: what
        was admitted after it. None, and nothing is changed: they have to be looked at one by one.
        """
        ticks, rate = block.timestamps, block.kind.rate
        if rate != CLOCK_RATE:
            ticks = ticks * CLOCK_RATE // rate
        if self._anchor is None:
            drift, anchor = Drift(), self._first_anchor(block, behind, end)
        else:
            drift = copy(self._drift)
            anchor = self._anchor[0], self._anchor[1] + drift.step(block.kind.span // 4)
        positions = ticks + (anchor[1] - anchor[0])
        delays = block.arrivals - positions
        first, least = int(positions[0]), int(delays.min())
        is_prompt = least >= -TOLERANCE and delays.max() <= TOLERANCE
        is_onwards = block.advance or np.all(positions[1:] > positions[:-1])
        if not (is_prompt and is_onwards and first >= 0 and first + block.kind.span > end):
            return None
        self.jitter.note((block.arrivals - ticks).tolist())
        drift.note(int(block.arrivals[-1]), least, block.size)
        self._anchor, self._drift = anchor, drift
        return positions

    @staticmethod
    def _first_anchor(block: Block, behind: Sequence[Block], end: int) -> tuple[int, int]:
        ticks = np.concatenate([it.timestamps * CLOCK_RATE // it.kind.rate for it in (block, *behind)])
        delays = np.concatenate([it.arrivals for it in (block, *behind)]) - ticks
        excesses = delays[0] - delays[1 : MAX_BEHIND + 1]
        fitting = excesses[(excesses >= 0) & (excesses <= TOLERANCE)]
        return int(ticks[0]), max(end, int(block.arrivals[0]) - int(fitting.max(initial=0)))

    def is_steady(self, until: int) -> bool:
        """Whether what was sent later does not matter to what is to be released."""
        if self._anchor is None or self._drift.is_due:
            return not self.held
        origin = self._anchor[1] - self._anchor[0]
        due = itertools.takewhile(lambda row: row[1].arrival <= until, self.held.values())
        return all(abs(packet.arrival - timestamp - origin) <= TOLERANCE for timestamp, packet in due)

    def release(self, until: int, end: int) -> list[tuple[int, Packet]]:
        """Give up what arrived up to `until`, each with its position; but not before what was sent earlier
        and has been overtaken.
        """
        placed: list[tuple[int, Packet]] = []
        due = self._due(until)
        self.jitter.note(packet.arrival - timestamp for timestamp, packet in map(self.held.__getitem__, due))
        sequences = sorted(due)
        if sequences:
            self._follow(self.held[sequences[0]][1].span // 4)
        for sequence in sequences:
            timestamp, packet = self.held.pop(sequence)
            position = self._place(sequence, timestamp, packet, end)
            placed.append((position, packet))
            end = max(end, position + packet.span)
        if placed:
            lateness = min(packet.arrival - position for position, packet in placed)
            self._drift.note(placed[-1][1].arrival, lateness, len(placed))
        return placed

    def _due(self, until: int) -> list[int]:
        """In order of arrival, in which they are held: it costs what is given up, not what is held."""
        due, overtaken = list[int](), float("inf")
        for sequence, (_, packet) in self.held.items():
            if packet.arrival <= until:
                due.append(sequence)
            elif packet.arrival <= until + OVERTAKEN:
                overtaken = min(overtaken, sequence)
            else:
                break
        return [sequence for sequence in due if sequence < overtaken]

    def _follow(self, most: int) -> None:
        """What is released now has moved by what the clocks differ; back by no more than `most`."""
        if self._anchor is not None:
            self._anchor = self._anchor[0], self._anchor[1] + self._drift.step(most)

    def _place(self, sequence: int, timestamp: int, packet: Packet, end: int) -> int:
        if self._anchor is None or self._has_jumped(self._anchor, packet, timestamp, self._behind(sequence)):
            excess = _excess(timestamp, packet, self._behind(sequence))
            self._anchor, self._drift = (timestamp, max(end, packet.arrival - excess)), Drift()
        return self._anchor[1] + timestamp - self._anchor[0]

    def _behind(self, sequence: int) -> Iterator[tuple[int, Packet]]:
        """Those held that were sent after it."""
        behind = (row for later, row in self.held.items() if later > sequence)
        return itertools.islice(behind, MAX_BEHIND)

    @staticmethod
    def _has_jumped(
        anchor: tuple[int, int], packet: Packet, timestamp: int, later: Iterable[tuple[int, Packet]]
    ) -> bool:
        origin = anchor[1] - anchor[0]
        delay = packet.arrival - timestamp - origin
        if delay < -TOLERANCE:
            return True
        if delay <= TOLERANCE:
            return False
        return all(other.arrival - other_timestamp - origin > TOLERANCE for other_timestamp, other in later)


def _onwards(block: Block, sequence: int, timestamp: int) -> tuple[Column, Column] | None:
    """Numbers and timestamps that do not wrap, of packets that follow one with these. None: they do not."""
    step = (int(block.sequences[0]) - sequence) % 0x10000
    ahead = (int(block.timestamps[0]) - timestamp) % 0x100000000
    if not 1 <= step <= MAX_SEQUENCE_JUMP or ahead >= 0x80000000:
        return None
    first_number, first_timestamp = sequence + step, timestamp + ahead
    if block.advance:
        return (
            block.sequences + (first_number - int(block.sequences[0])),
            block.timestamps + (first_timestamp - int(block.timestamps[0])),
        )
    steps, advances = np.diff(block.sequences) % 0x10000, np.diff(block.timestamps) % 0x100000000
    if len(steps) and (steps.min() < 1 or steps.max() > MAX_SEQUENCE_JUMP or advances.max() >= 0x80000000):
        return None
    return (
        np.concatenate(([first_number], first_number + steps.cumsum())),
        np.concatenate(([first_timestamp], first_timestamp + advances.cumsum())),
    )


def _excess(timestamp: int, packet: Packet, later: Iterable[tuple[int, Packet]]) -> int:
    """By how many ticks this packet came later than the promptest of those held behind it; 0 … TOLERANCE."""
    delay = packet.arrival - timestamp
    excesses = (delay - (other.arrival - other_timestamp) for other_timestamp, other in later)
    return max((excess for excess in excesses if 0 <= excess <= TOLERANCE), default=0)
