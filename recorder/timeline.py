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

Packets come one by one or in blocks. What is true of nearly every block of nearly every call, that each
packet follows the one before it, is found out for all its packets at once, and they stay together until they
are written. A block of which it is not true is taken apart, and its packets go the way of single ones: the
outcome is the same for both ways.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from recorder.jitter import Jitter
from recorder.packets import Block, Column, Packet, Silence, joined
from recorder.runs import MAX_BEHIND, OVERTAKEN, TOLERANCE, Run
from storage.frames import Frames, frames, in_order
from storage.records import CLOCK_RATE, LEGS, Audio, Gap, Quality

__all__ = ["MAX_BEHIND", "MAX_SOURCES", "OVERTAKEN", "TOLERANCE", "Block", "Packet", "Silence", "Timeline"]

Placed = Audio | Gap | Frames

MAX_SOURCES = 8
"""How many SSRCs of a leg are remembered while they are silent; one that comes back later begins anew."""


class _Leg:
    def __init__(self, channel: int, start: int) -> None:
        self._channel = channel
        self._runs: dict[int, Run] = {}
        self._past: list[Run] = []
        self._new: list[Block] = []  # since the last commit
        self._admitted: list[Block] = []  # of one kind and the only run, behind what that holds
        self.end = start
        self.late = self.duplicated = self.kept = self._gaps = self._missing = 0
        self._jitter = Jitter()  # of runs that are forgotten
        self._received = self._lost = 0  # of runs that are forgotten

    def hold_block(self, block: Block) -> None:
        self._new.append(block)

    def hold(self, packet: Packet) -> None:
        self._take_apart()
        self._hold(packet)

    def _hold(self, packet: Packet) -> None:
        run = self._runs.get(packet.ssrc)
        if run is None or not run.continues(packet):
            if run is not None:
                self._past.append(run)
            elif len(self._runs) == MAX_SOURCES:
                self._past.append(self._runs.pop(next(iter(self._runs))))
            run = self._runs[packet.ssrc] = Run(packet.sequence, packet.rate)
        if not run.hold(packet):
            self.duplicated += 1
            packet.wipe()

    def _admit(self) -> None:
        """See whether what has come as blocks can stay so."""
        new, self._new = self._new, []
        for number, block in enumerate(new):
            admitted = self._admitted_of(block)
            if admitted is None:
                self._unpack()
                for packet in itertools.chain.from_iterable(it.packets() for it in new[number:]):
                    self._hold(packet)
                return
            self._admitted.append(admitted)

    def _admitted_of(self, block: Block) -> Block | None:
        if self._past or (self._admitted and self._admitted[0].kind != block.kind):
            return None
        if not self._runs:
            self._runs[block.kind.ssrc] = Run(int(block.sequences[0]), block.kind.rate)
        run = self._only_run()
        return run.admitted(block) if run is not None and block.kind.ssrc in self._runs else None

    def _only_run(self) -> Run | None:
        """The one run that there is."""
        return next(iter(self._runs.values())) if len(self._runs) == 1 and not self._past else None

    def _unpack(self, until: float = float("inf")) -> None:
        """What was admitted as blocks goes on one by one: what arrived up to then."""
        if (run := self._only_run()) is not None:
            for block in self._taken(until):
                run.hold_admitted(block)

    def _taken(self, until: float) -> list[Block]:
        """Those that were admitted and arrived up to then."""
        taken: list[Block] = []
        while self._admitted and self._admitted[0].arrivals[0] <= until:
            block = self._admitted.pop(0)
            if block.arrivals[-1] > until:
                block, rest = block.split(int(np.argmax(block.arrivals > until)))
                self._admitted.insert(0, rest)
            taken.append(block)
        return taken

    def _take_apart(self) -> None:
        self._admit()
        self._unpack()

    def commit(self, until: int) -> list[Placed]:
        self._admit()
        run = self._only_run()
        if run is None:
            return [*self._release(until)]
        if run.held:
            self._unpack(until)
            if not run.is_steady(until):
                self._unpack()
            return [*self._release(until)]
        due = self._taken(until)
        return self._release_blocks(run, joined(due), until) if due else []

    def _release_blocks(self, run: Run, block: Block, until: int) -> list[Placed]:
        positions = run.place(block, self._admitted, self.end)
        if positions is None:
            self._admitted.insert(0, block)
            self._unpack()
            return [*self._release(until)]
        return self._write_block(block, positions)

    def _write_block(self, block: Block, positions: Column) -> list[Placed]:
        kind = block.kind
        rows = frames(self._channel, kind.payload_type, positions, block.timestamps, block.payloads)
        block.wipe()
        self.kept += block.size
        ends = np.concatenate(([self.end], positions[:-1] + kind.span))
        records: list[Placed] = []
        cuts = sorted({0, *np.flatnonzero(positions > ends).tolist(), block.size})
        for start, stop in itertools.pairwise(cuts):
            self.end = int(ends[start])
            records += self._gap(int(positions[start]))
            records.append(rows.part(start, stop))
        self.end = int(positions[-1]) + kind.span
        return records

    def _gap(self, position: int) -> list[Audio | Gap]:
        if position > self.end:
            self._gaps += 1
            self._missing += position - self.end
        return self.pad(position)

    def _release(self, until: int) -> list[Audio | Gap]:
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
        records = self._gap(position)
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
        self._take_apart()
        count = 0
        for run in (*self._past, *self._runs.values()):
            meant = [number for number, (_, packet) in run.held.items() if is_meant(packet)]
            for number in meant:
                run.held.pop(number)[1].wipe()
            count += len(meant)
        return count

    def drop_after(self, tick: int) -> int:
        """Overwrite what arrived at `tick` or later; how many packets that were."""
        is_touched = any(it.arrivals.max() >= tick for it in (*self._admitted, *self._new))
        held = (packet for run in (*self._past, *self._runs.values()) for _, packet in run.held.values())
        if not is_touched and all(packet.arrival < tick for packet in held):
            return 0
        return self.drop_where(lambda packet: packet.arrival >= tick)

    def begin_anew(self) -> None:
        """What follows is not reckoned from what was before, nor is what did not come between missed."""
        self._take_apart()
        self._past += self._runs.values()
        self._runs = {}

    def held(self) -> Iterator[tuple[int, int]]:
        """Of each packet or block: octets, and the arrival of its first."""
        for run in (*self._past, *self._runs.values()):
            yield from ((len(packet.payload), packet.arrival) for _, packet in run.held.values())
        for block in self._blocks():
            yield block.payloads.size, int(block.arrivals[0])

    def _blocks(self) -> Iterable[Block]:
        return (*self._admitted, *self._new)

    def drop(self) -> int:
        self._admit()
        count = 0
        for block in self._admitted:
            count += block.size
            block.wipe()
        self._admitted = []
        for run in (*self._past, *self._runs.values()):
            for _, packet in run.held.values():
                packet.wipe()
                count += 1
            run.held.clear()
        return count

    def quality(self) -> Quality:
        self._admit()
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

    def hold_block(self, channel: int, block: Block) -> None:
        """Take in many packets, as if one by one."""
        self._legs[channel].hold_block(block)

    def commit(self, until: int) -> list[Placed]:
        """Release what arrived up to tick `until`, in order of position."""
        first, second = (leg.commit(until) for leg in self._legs)
        return in_order(first, second)

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
        return sum(leg.drop_after(tick) for leg in self._legs)

    def silence(self, channel: int, silence: Silence) -> int:
        """Overwrite what of it is held; how many packets that were. It becomes a gap."""
        return self._legs[channel].drop_where(lambda it: silence.holds(it.ssrc, it.timestamp))

    def begin_anew(self) -> None:
        """After a pause: packets are placed by arrival again."""
        for leg in self._legs:
            leg.begin_anew()

    def held(self) -> tuple[int, int | None]:
        """Octets that are held, and the arrival of the oldest packet among them."""
        held = [it for leg in self._legs for it in leg.held()]
        return sum(octets for octets, _ in held), min((arrival for _, arrival in held), default=None)

    def drop(self) -> int:
        """Overwrite and forget what is held; how many packets that were."""
        return sum(leg.drop() for leg in self._legs)
