"""What must be in the clips of a call, given what was killed while it ran; and what is missing or wrong.

A call that was set up while a process was away may be recorded or not: it goes on, and what there is of it is
right. Of every other, all must be there but

    capture      what was said from horizon + 2 s before the kill until it was back
    signalling   what was said later than horizon + 2 s before the kill: recordings end there
    everything   the same; the call has lost its media, too
    relay        what was said while it was away: what its sockets cannot hold is lost
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from soak.clips import Contents
from soak.media import Conversation
from soak.voice import AGENT, OUTSIDE
from tests.fakes.rtp import SAMPLES

Kind = Literal["capture", "relay", "signalling", "everything"]
GAP_SECONDS = 3.0
ALLOWED_SECONDS = 2.0
"""What an open clip may lose on top of the commit horizon."""

_SLACK = 0.5
_LENGTH = 1.0


@dataclass(slots=True)
class Outage:
    """A kill, and when all processes ran and knew each other again."""

    kind: Kind
    at: float
    until: float = math.inf

    def touches(self, begin: float, end: float) -> bool:
        return self.at - _SLACK < end and begin < self.until + _SLACK

    def excuses(self, said_at: float, horizon: float) -> bool:
        """Whether a packet that was said then may be missing."""
        if self.kind == "relay":
            return self.at - _SLACK < said_at < self.until + _SLACK
        is_late = said_at > self.at - horizon - ALLOWED_SECONDS
        return is_late and (self.kind != "capture" or said_at < self.until + _SLACK)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`faults` in words; how many packets must be there, are there, were said and heard; the longest silence.

    `is_whole`: nothing was killed while it ran. `is_passed_by`: its media took another way than through us,
    since there were no ports for it in time; then it is not recorded.
    """

    faults: list[str]
    must: int
    kept: int
    said: int
    heard: int
    gap: float
    is_whole: bool
    is_passed_by: bool


def is_settled(call: Conversation, outages: Iterable[Outage], horizon: float, before: float) -> bool:
    """Whether the call, and every outage that touches it, was over before an instant of the clock."""
    return call.ended_at < before and all(it.until <= before for it in _touching(call, outages, horizon))


def judge(
    call: Conversation, clips: Sequence[Contents], outages: Sequence[Outage], horizon: float
) -> Judgement:
    """Weigh one call that is over."""
    touching = _touching(call, outages, horizon)
    is_weak = any(it.touches(call.dialled_at, call.answered_at) for it in touching)
    faults = [fault for clip in clips for fault in clip.faults]
    faults += _answers(call, touching, is_weak)
    faults += _chain(clips)
    faults += _hearing(call, touching, is_weak)
    is_passed_by = call.is_answered and not call.is_anchored
    if is_passed_by and clips:
        faults.append("it is recorded, although its media took another way")
    must = kept = 0
    for channel in (AGENT, OUTSIDE):
        there = [index for clip in clips for index in clip.indices[channel]]
        wanted = set() if is_weak or is_passed_by else _wanted(call.legs[channel].sent_at, touching, horizon)
        must, kept = must + len(wanted), kept + len(there)
        if len(set(there)) != len(there):
            faults.append("a packet was recorded twice")
        if missing := wanted.difference(there):
            faults.append(
                f"{len(missing)} of {len(wanted)} packets of channel {channel} that must be kept miss, "
                f"between {min(missing)} and {max(missing)} of {len(call.legs[channel].sent_at)}"
            )
    is_whole = call.is_answered and not touching
    if is_whole and not is_passed_by:
        faults += _wholeness(call, clips)
    killed = "; ".join(
        f"{it.kind} killed at {it.at - call.answered_at:.1f} s, back at {it.until - call.answered_at:.1f} s"
        for it in touching
    )
    return Judgement(
        [f"call {call.number} ({killed or 'nothing killed'}): {fault}" for fault in faults],
        must,
        kept,
        sum(len(leg.sent_at) for leg in call.legs),
        sum(len(leg.heard) for leg in call.legs),
        max(leg.longest_gap for leg in call.legs),
        is_whole,
        is_passed_by and not is_weak,
    )


def _touching(call: Conversation, outages: Iterable[Outage], horizon: float) -> list[Outage]:
    return [it for it in outages if it.touches(call.dialled_at, call.ended_at + horizon + ALLOWED_SECONDS)]


def _answers(call: Conversation, touching: Sequence[Outage], is_weak: bool) -> Iterable[str]:
    if not call.is_answered and not is_weak:
        yield "nobody answered, although nothing was killed"
    if call.is_answered and not call.is_hung_up and not touching:
        yield "hanging up was not answered, although nothing was killed"


def _chain(clips: Sequence[Contents]) -> Iterable[str]:
    ordered = sorted(clips, key=lambda it: it.part)
    if len({it.recording for it in clips}) > 1:
        yield "it has more than one recording"
    for before, after in pairwise(ordered):
        if after.previous != before.clip or after.part != before.part + 1:
            yield f"part {after.part} does not follow part {before.part}"
    if ordered and (ordered[0].part, ordered[0].previous) != (1, None):
        yield "its first part is missing"


def _hearing(call: Conversation, touching: Sequence[Outage], is_weak: bool) -> Iterable[str]:
    """What the parties themselves notice."""
    has_lost_media = any(it.kind == "everything" and it.at < call.ended_at for it in touching)
    for leg, other in (call.legs, call.legs[::-1]):
        if leg.wrong:
            yield f"{leg.wrong} packets were heard twice, or were somebody else's"
        if has_lost_media or is_weak:
            continue
        if leg.longest_gap > GAP_SECONDS:
            yield f"nothing was heard for {leg.longest_gap:.1f} s"
        excused = any(it.kind == "relay" for it in touching)
        if len(leg.heard) != len(other.sent_at) and not excused:
            yield f"{len(other.sent_at) - len(leg.heard)} of {len(other.sent_at)} packets did not arrive"


def _wanted(sent_at: array[float], touching: Sequence[Outage], horizon: float) -> set[int]:
    return {index for index, at in enumerate(sent_at) if not any(it.excuses(at, horizon) for it in touching)}


def _wholeness(call: Conversation, clips: Sequence[Contents]) -> Iterable[str]:
    """Of a call in which nothing was killed: one complete clip, as long as the call, without a hole."""
    if [it.ending for it in clips] != ["complete"]:
        yield f"its clips end as {[it.ending for it in clips]}"
        return
    (clip,) = clips
    seconds = call.ended_at - call.answered_at
    if clip.seconds is None or abs(clip.seconds - seconds) > _LENGTH:
        yield f"it lasted {seconds:.1f} s, its clip {clip.seconds}"
    for channel in (AGENT, OUTSIDE):
        places = {
            position - index * SAMPLES
            for position, index in zip(clip.positions[channel], clip.indices[channel], strict=True)
        }
        if len(places) > 1:
            yield f"the packets of channel {channel} are not where they belong"
