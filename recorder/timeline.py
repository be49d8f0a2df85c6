"""Both legs of a call on one clock: 8000 ticks a second from the recording's start.

A packet is held until it is older than the commit horizon. Held packets put themselves in order, and what the
later ones look like decides where an earlier one belongs:

    anchor      An SSRC's first packet stands where it arrived, less what it came late by compared with those
                that followed. From there on the RTP timestamp places every packet.
    re-anchor   A timestamp that runs more than 250 ms ahead of arrival, or stays behind it by more in all
                packets held, has jumped: the packet is placed by arrival again. A burst after a stall does
                not count: its packets come late, and those after it do not.
    drift       Clocks differ: where the promptest of the last packets does not arrive when its place is due,
                the places of those that follow move by so much (`recorder.drift`).
    end         What is written is never moved: a new anchor lies at or behind the leg's end, and a packet
    that
                belongs wholly before it is late and dropped.

Ticks that no packet covers become gaps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from recorder.drift import Drift
from recorder.jitter import Jitter
from recorder.rtp import Unwrapper
from storage.records import CLOCK_RATE, LEGS, Audio, Gap, Quality

TOLERANCE = CLOCK_RATE // 4
"""250 ms in ticks."""

MAX_SOURCES = 8
"""How many SSRCs of a leg are remembered while they are silent; one that comes back later begins anew."""

MAX_BEHIND = 500
"""So many later packets tell where one belongs: ten seconds. To look at all would cost a flood's square."""

OVERTAKEN = CLOCK_RATE // 10
"""By so many ticks a packet may arrive behind one that was sent later: 100 ms."""

MAX_SEQUENCE_JUMP = 3000
"""Beyond this a sender has begun anew (RFC 3550 §A.1, MAX_DROPOUT)."""


class Silence(NamedTuple):
    """What must not be kept of one source: its packets from one RTP timestamp up to another."""

    ssrc: int
    begin: int
    end: int

    def holds(self, ssrc: int, timestamp: int) -> bool:
        """Whether a packet lies in it."""
        length = (self.end - self.begin) % 0x100000000
        return ssrc == self.ssrc and (timestamp - self.begin) % 0x100000000 <= length


@dataclass(slots=True)
class Packet:
    """One audio packet. `arrival`, and `span`, how long its payload lasts, in ticks of the clip's clock;
    `timestamp` in those of an RTP clock of `rate` Hz.

    A packet without payload is one that must not be kept: it counts as received and leaves a gap.
    """

    arrival: int
    ssrc: int
    sequence: int
    timestamp: int
    payload_type: int
    payload: bytearray = field(repr=False)
    span: int
    rate: int = CLOCK_RATE

    def wipe(self) -> None:
        """Overwrite the audio."""
        self.payload[:] = bytes(len(self.payload))


class _Run:
    """Packets of one SSRC without a break in its numbering, by one clock (RFC 7160)."""

    def __init__(self, packet: Packet) -> None:
        self._sequences = Unwrapper(16, packet.sequence)
        self._timestamps: Unwrapper | None = None  # those of what is kept
        self._rate = packet.rate
        self._anchor: tuple[int, int] | None = None  # timestamp, position
        self._drift = Drift()
        self.jitter = Jitter()
        self.held: dict[int, tuple[int, Packet]] = {}  # by sequence: timestamp, packet
        self.received = 0
        self._first = packet.sequence

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


def _excess(timestamp: int, packet: Packet, later: Iterable[tuple[int, Packet]]) -> int:
    """By how many ticks this packet came later than the promptest of those held behind it; 0 … TOLERANCE."""
    delay = packet.arrival - timestamp
    excesses = (delay - (other.arrival - other_timestamp) for other_timestamp, other in later)
    return max((excess for excess in excesses if 0 <= excess <= TOLERANCE), default=0)


class _Leg:
    def __init__(self, channel: int, start: int) -> None:
        self._channel = channel
        self._runs: dict[int, _Run] = {}
        self._past: list[_Run] = []
        self.end = start
        self.late = self.duplicated = self.kept = self._gaps = self._missing = 0
        self._jitter = Jitter()  # of runs that are forgotten
        self._received = self._lost = 0  # of runs that are forgotten

    def hold(self, packet: Packet) -> None:
        run = self._runs.get(packet.ssrc)
        if run is None or not run.continues(packet):
            if run is not None:
                self._past.append(run)
            elif len(self._runs) == MAX_SOURCES:
                self._past.append(self._runs.pop(next(iter(self._runs))))
            run = self._runs[packet.ssrc] = _Run(packet)
        if not run.hold(packet):
            self.duplicated += 1
            packet.wipe()

    def commit(self, until: int) -> list[Audio | Gap]:
        placed: list[tuple[int, Packet]] = []
        end = self.end
        for run in (*self._past, *self._runs.values()):
            released = run.release(until, end)
            placed += released
            end = max((end, *(position + packet.span for position, packet in released)))
        self._forget()
        placed.sort(key=lambda each: each[0])
        records: list[Audio | Gap] = []
        for position, packet in placed:
            records += self._write(position, packet)
        return records

    def _forget(self) -> None:
        """Keep of runs that are over and written nothing but their counts."""
        for run in self._past:
            if not run.held:
                self._received += run.received
                self._lost += run.lost
                self._jitter.add(run.jitter)
        self._past = [run for run in self._past if run.held]

    def _write(self, position: int, packet: Packet) -> list[Audio | Gap]:
        end = position + packet.span
        if end <= self.end or position < 0:
            self.late += 1
            packet.wipe()
            return []
        if position > self.end:
            self._gaps += 1
            self._missing += position - self.end
        records: list[Audio | Gap] = self.pad(position)
        timestamp, payload = packet.timestamp, bytes(packet.payload)
        records.append(Audio(self._channel, position, timestamp, packet.payload_type, payload))
        packet.wipe()
        self.end = end
        self.kept += 1
        return records

    def pad(self, position: int) -> list[Audio | Gap]:
        """A gap up to a position, if there is one."""
        if position <= self.end:
            return []
        gap = Gap(self._channel, self.end, position - self.end)
        self.end = position
        return [gap]

    def drop_where(self, is_meant: Callable[[Packet], bool]) -> int:
        """Overwrite such of those held; how many packets that were."""
        count = 0
        for run in (*self._past, *self._runs.values()):
            meant = [number for number, (_, packet) in run.held.items() if is_meant(packet)]
            for number in meant:
                run.held.pop(number)[1].wipe()
            count += len(meant)
        return count

    def begin_anew(self) -> None:
        """What follows is not reckoned from what was before, nor is what did not come between missed."""
        self._past += self._runs.values()
        self._runs = {}

    def held(self) -> Iterator[Packet]:
        for run in (*self._past, *self._runs.values()):
            yield from (packet for _, packet in run.held.values())

    def drop(self) -> int:
        count = 0
        for run in (*self._past, *self._runs.values()):
            for _, packet in run.held.values():
                packet.wipe()
                count += 1
            run.held.clear()
        return count

    def quality(self) -> Quality:
        runs = (*self._past, *self._runs.values())
        received = self._received + sum(run.received for run in runs)
        lost = self._lost + sum(run.lost for run in runs)
        return Quality(self._channel, received, lost, self.late, self.duplicated)

    def jitter(self) -> Jitter:
        whole = Jitter()
        for each in (self._jitter, *(run.jitter for run in (*self._past, *self._runs.values()))):
            whole.add(each)
        return whole

    def figures(self) -> dict[str, int]:
        jitter = self.jitter()
        return {
            "gaps": self._gaps,
            "gap-ms": self._missing * 1000 // CLOCK_RATE,
            "jitter-us": round(jitter.mean * 1e6 / CLOCK_RATE),
            "jitter-most-us": round(jitter.most * 1e6 / CLOCK_RATE),
        }


class Timeline:
    """Holds packets of channels 0 and 1 and commits them as records. `start`: where the clip begins, in
    ticks.
    """

    def __init__(self, start: int = 0) -> None:
        self._legs = (_Leg(0, start), _Leg(1, start))

    @property
    def end(self) -> int:
        """Where what was committed ends, in ticks."""
        return max(leg.end for leg in self._legs)

    @property
    def kept(self) -> int:
        """How many packets of audio were committed."""
        return sum(leg.kept for leg in self._legs)

    def hold(self, channel: int, packet: Packet) -> None:
        """Take a packet in; a duplicate of one that is held is dropped."""
        self._legs[channel].hold(packet)

    def commit(self, until: int) -> list[Audio | Gap]:
        """Release what arrived up to tick `until`, in order of position."""
        first, second = (leg.commit(until) for leg in self._legs)
        return sorted((*first, *second), key=lambda record: record.position)

    def close(self, end: int) -> list[Audio | Gap | Quality]:
        """Gaps up to tick `end` on both channels, and how good the reception was; nothing held is written."""
        return [*self.pad(end), *(leg.quality() for leg in self._legs)]

    def figures(self) -> dict[str, int]:
        """What else is known of the reception, as a clip's end has it (docs/clip-format.md)."""
        legs = zip(LEGS, self._legs, strict=True)
        return {f"{name}-{key}": value for name, leg in legs for key, value in leg.figures().items()}

    def jitter(self) -> tuple[float, float]:
        """Of either leg, in seconds."""
        first, second = (leg.jitter().mean / CLOCK_RATE for leg in self._legs)
        return first, second

    def pad(self, position: int) -> list[Audio | Gap]:
        """Gaps up to a tick, on both channels."""
        return [record for leg in self._legs for record in leg.pad(position)]

    def drop_after(self, tick: int) -> int:
        """Overwrite what is held and arrived at `tick` or later; how many packets that were."""
        return sum(leg.drop_where(lambda packet: packet.arrival >= tick) for leg in self._legs)

    def silence(self, channel: int, silence: Silence) -> int:
        """Overwrite what of it is held; how many packets that were. It becomes a gap."""
        return self._legs[channel].drop_where(lambda it: silence.holds(it.ssrc, it.timestamp))

    def begin_anew(self) -> None:
        """After a pause: packets are placed by arrival again."""
        for leg in self._legs:
            leg.begin_anew()

    def held(self) -> tuple[int, int | None]:
        """Octets that are held, and the arrival of the oldest packet among them."""
        packets = [packet for leg in self._legs for packet in leg.held()]
        return sum(len(it.payload) for it in packets), min((it.arrival for it in packets), default=None)

    def drop(self) -> int:
        """Overwrite and forget what is held; how many packets that were."""
        return sum(leg.drop() for leg in self._legs)
