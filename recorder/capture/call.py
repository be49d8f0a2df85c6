"""One recording of a call: what is held, when it is committed, how it ends.

finish      what arrived until the end is committed, the clip is sealed as `complete`; without any audio
            it is sealed too, with a length of 0, and reported as failed: no-audio. When the wall clock
            has been set meanwhile, the end is that of the clock of arrivals; when a key was pressed in the
            last second, that is the end: it may have been a code, and nobody has said so yet
taint, stop what is held is overwritten, the clip ends where it was last certain
codec       audio that cannot be kept: as a taint, and reported as failed
discard     what is held is overwritten, and what was written is destroyed
suspension  signalling has gone: packets are held, none is committed, until it comes back or time is up
pause       what arrived before is held, nothing is kept of what arrives until the resume, and from then on
            what is held is committed in its time (`horizon`); the clip has a mark at both instants, and
            what follows lies as much later as it was said
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from recorder.capture.codecs import Codecs, Use
from recorder.capture.horizon import Horizon
from recorder.capture.orders import AGENT, Begin, Told
from recorder.capture.track import ClipVault, Tell, Track
from recorder.continuity import Continuity
from recorder.packets import Block, Column, Kind
from recorder.rtp import Header, Many
from recorder.timeline import Packet, Silence, Timeline
from storage import codecs
from storage.frames import Frames
from storage.records import CLOCK_RATE, LEGS, Announcement, Audio, Codec, Gap, Pause, Quality, Record, Resume

_TICK_NS = 1_000_000_000 // CLOCK_RATE
_CLOCK_STEP = 5 * CLOCK_RATE
"""Ticks. By more than this the wall clock and the clock of arrivals differ only when one of them was set."""
COMPLETE = "complete"


class CapturedRecording:
    """Give it packets with `take`, let it `commit` now and then, end it once with `finish` or `cut`.

    `now` and `now_ns` are one instant on the wall clock and on the clock of the ring's arrivals.
    """

    def __init__(
        self, begin: Begin, tell: Tell, now: datetime, now_ns: int, counts: Counter[str] | None = None
    ) -> None:
        self.begin = begin
        self._counts: Counter[str] = Counter() if counts is None else counts
        self.is_suspended = False
        self._is_paused = False
        self._marks: deque[Pause | Resume] = deque()
        self.refused_codec = False
        self._codecs = begin.codecs
        self._origin_ns = now_ns - (now - begin.started_at) // timedelta(microseconds=1) * 1000
        first = begin.plan.part == 1
        self._timeline = Timeline(0 if first else self._tick(now_ns))
        self._horizon = Horizon(_ticks(begin.horizon))
        self._track = Track(begin.plan, tell)
        self._is_opened = False
        self._is_over = False
        self._is_flushing = False
        self._tell = tell
        self._continuity = Continuity()
        self._announced: list[Announcement] = []
        self.announce(begin.announcements)

    async def open(self, vault: ClipVault) -> None:
        """Open the clip; audio is held meanwhile."""
        await self._track.open(vault)
        self._is_opened = True
        self._write(self._announced)

    @property
    def is_lost(self) -> bool:
        """Whether it has failed."""
        return self._is_opened and not self._track.is_open

    def tell_opened(self) -> None:
        """Tell again which clip is being written."""
        self._track.tell_opened()

    def renegotiate(self, negotiated: tuple[Codecs, Codecs]) -> None:
        """From here on payload types mean something else; the clip is told of codecs it does not know."""
        known = set(self._kept())
        self._codecs = negotiated
        self._write([codec for codec in self._kept() if codec not in known])

    def take(
        self,
        side: int,
        arrival_ns: int,
        header: Header,
        payload: bytearray,
        silence: Silence | None = None,
    ) -> None:
        """Hold a packet of side a (0) or b (1). `payload` is this recording's own copy, and overwritten
        when done. `silence`: what of that side, with this packet, is a key and not to be kept.
        """
        arrival = self._tick(arrival_ns)
        known, number = self._codecs[side], header.payload_type
        use = known.use(number)
        if use is Use.REFUSE and not self._is_paused:
            self.refused_codec = True
        name, rate = known.format(number) if use is Use.KEEP else ("", CLOCK_RATE)
        span = codecs.ticks(name, rate, payload) if name else 0
        if not span or arrival < 0 or self._is_paused:
            payload[:] = bytes(len(payload))
            payload = bytearray()
        elif self.begin.is_watched and self.begin.channels[side] == AGENT:
            self._watch(arrival, header, rate)
        if arrival >= 0 and not self._is_paused:
            self._timeline.hold(
                self.begin.channels[side],
                Packet(arrival, header.ssrc, header.sequence, header.timestamp, number, payload, span, rate),
            )
        if silence is not None:
            self._timeline.silence(self.begin.channels[side], silence)

    def take_many(self, side: int, arrivals_ns: Column, packets: Many) -> None:
        """As `take`, for packets of one source and kind whose headers are plain. `packets.payloads` is this
        recording's own copy.
        """
        number, octets = packets.payload_type, packets.payloads.shape[1]
        known, arrivals = self._codecs[side], (arrivals_ns - self._origin_ns) // _TICK_NS
        name, rate = known.format(number) if known.use(number) is Use.KEEP else ("", CLOCK_RATE)
        span = codecs.ticks(name, rate, bytes(octets)) if name in codecs.BY_LENGTH else 0
        is_watched = self.begin.is_watched and self.begin.channels[side] == AGENT
        if span and not self._is_paused and not is_watched and arrivals[0] >= 0:
            kind = Kind(packets.ssrc, number, span, rate, octets)
            advance = span * rate // CLOCK_RATE if packets.advance == span * rate // CLOCK_RATE else 0
            block = Block(kind, arrivals, packets.sequences, packets.timestamps, packets.payloads, advance)
            self._timeline.hold_block(self.begin.channels[side], block)
            return
        for arrival_ns, header, payload in packets.each(arrivals_ns):
            self.take(side, arrival_ns, header, payload)

    def _watch(self, arrival: int, header: Header, rate: int) -> None:
        """Somebody else may speak on the agent's side: whoever vouched for the agent has to say so anew."""
        if self._continuity.is_broken_by(arrival, header, rate):
            self._tell({"event": "discontinuity", "recording": self.begin.plan.recording_id})

    def commit(self, now_ns: int) -> None:
        """Write what is older than the horizon."""
        if self._is_opened and not self.is_suspended and not self._is_over:
            self._commit(self._horizon.reached(self._tick(now_ns)))

    def pause(self, at: datetime, now_ns: int) -> None:
        """Keep nothing of what arrived from `at` on; in a pause too: what it is about may have begun earlier.
        Ordered at `now_ns`.
        """
        if self._is_over:
            return
        # An order that comes late, or a clock that was set back, may cost what is held.
        certain = self._tick(now_ns)
        tick = max(min(_ticks(at - self.begin.started_at), certain), 0)
        self._timeline.drop_after(tick)
        if not self._is_paused:
            self._is_paused = True
            self._horizon.pause(certain)
            self._marks.append(Pause(tick))
        elif self._marks:
            self._marks[-1] = Pause(min(tick, self._marks[-1].position))

    def resume(self, at: datetime, now_ns: int) -> None:
        """Keep again what arrives from now on."""
        if self._is_paused and not self._is_over:
            self._is_paused = False
            self._continuity = Continuity()
            self._timeline.begin_anew()
            self._horizon.resume(self._tick(now_ns))
            self._marks.append(Resume(self._tick(now_ns)))

    def announce(self, told: Sequence[Told]) -> None:
        """What the outside party has been told, once each: proof of it goes into the clip."""
        start, tick = self.begin.started_at, _ticks
        found = [Announcement(tick(it.began - start), tick(it.ended - start), it.sha256) for it in told]
        new = [it for it in found if it not in self._announced]
        self._announced += new
        self._write(new)

    def _commit(self, until: int) -> None:
        """Write what is older than this, and the marks in between in their places."""
        while self._marks and self._marks[0].position <= until:
            mark = self._marks.popleft()
            self._write(self._timeline.commit(mark.position - 1))
            mark = replace(mark, position=max(mark.position, self._timeline.end))
            self._write([*self._timeline.pad(mark.position), mark])
        self._write(self._timeline.commit(until))

    def held(self, now_ns: int) -> tuple[int, float]:
        """Octets of audio in RAM, and by how many seconds the oldest is past the horizon."""
        octets, oldest = self._timeline.held()
        late = 0 if oldest is None else max(0, self._horizon.reached(self._tick(now_ns)) - oldest)
        return octets, late / CLOCK_RATE

    def jitter(self) -> tuple[float, float]:
        """Of the agent's leg and the outside party's, in seconds."""
        return self._timeline.jitter()

    @property
    def is_open(self) -> bool:
        """Whether its clip is being written."""
        return self._track.is_open

    async def flush(self) -> None:
        """Make durable what was written."""
        if self._is_flushing:  # the disk is slow: one at a time
            return
        self._is_flushing = True
        try:
            await self._track.flush()
        finally:
            self._is_flushing = False

    async def finish(self, ended_at: datetime, now_ns: int, opened: asyncio.Task[None]) -> None:
        """Commit what had arrived by `ended_at`, overwrite the rest, seal. Ordered at `now_ns`."""
        await opened
        end = self._end(ended_at, now_ns)
        self._timeline.drop_after(end + 1)  # for which nothing that belongs into the clip may wait
        self._commit(end)
        self.drop()
        if self._timeline.kept:
            self._write(self._timeline.close(end))
            await self._seal(COMPLETE, self._instant(end), failed=False)
        else:
            await self._seal("no-audio", self.begin.started_at, failed=True)

    async def cut(self, reason: str, opened: asyncio.Task[None], failed: bool = False) -> None:
        """Seal what was committed before; what was held has been dropped (`drop`)."""
        await opened
        end = self._timeline.end
        self._write(self._timeline.close(end))
        await self._seal(reason, self._instant(end), failed)

    async def discard(self) -> None:
        """Destroy what was committed, too. What was held has been dropped (`drop`)."""
        await self._track.discard()

    async def break_off(self, opened: asyncio.Task[None]) -> None:
        """Something went wrong that nobody foresaw: drop what is held, keep what was committed."""
        self.drop()
        await self.cut("internal", opened, failed=True)

    def give_up(self) -> None:
        """Not even an end can be made: report it as failed."""
        self._track.give_up()

    def drop(self) -> int:
        """Overwrite what is held, at once and for good; how many packets that were."""
        self._is_over = True
        return self._timeline.drop()

    async def _seal(self, reason: str, ended_at: datetime, failed: bool) -> None:
        await self._track.finish(reason, ended_at, failed, self._timeline.figures())

    def _write(self, records: Sequence[Record | Frames]) -> None:
        if self._track.is_open:
            for record in records:
                match record:
                    case Frames():
                        self._counts["frames"] += len(record)
                    case Audio():
                        self._counts["frames"] += 1
                    case Gap():
                        self._counts["gaps"] += 1
                    case Quality():
                        self._counts.update(late=record.late, duplicate=record.duplicated)
                        leg = LEGS[record.channel]
                        self._counts.update({f"{leg} received": record.received, f"{leg} lost": record.lost})
        self._track.write(records)

    def _kept(self) -> list[Codec]:
        sides = zip(self._codecs, self.begin.channels, strict=True)
        return [codec for side, channel in sides for codec in side.kept(channel)]

    def _end(self, ended_at: datetime, now_ns: int) -> int:
        told, certain = _ticks(ended_at - self.begin.started_at), self._tick(now_ns)
        return certain if abs(certain - told) > _CLOCK_STEP else min(told, certain)

    def _instant(self, tick: int) -> datetime:
        return self.begin.started_at + timedelta(seconds=tick / CLOCK_RATE)

    def _tick(self, instant_ns: int) -> int:
        return (instant_ns - self._origin_ns) // _TICK_NS


def _ticks(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * CLOCK_RATE // 1_000_000
