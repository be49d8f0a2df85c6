"""`make soak announce`: calls whose outside party is told before anything is recorded (KSF 6.6).

Both parties talk from the answer on, without a pause, and every packet of theirs is like no other. Nothing
that either said before the outside party had heard the last of the announcement may be in a clip, what was
said later must be, and each clip carries the proof of what was played.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from soak.clips import Contents, read
from soak.media import Address, Conversation
from soak.service import eventually, serving
from soak.traffic import Traffic
from soak.voice import AGENT, OUTSIDE, Voice
from storage.records import CLOCK_RATE

ANNOUNCED_SECONDS = 1.0
EXEMPTION = (
    'frequency_justification = "Four calls a month are the fewest from which a pattern shows."\n'
    'announcement_exemption = "Callers are told by the PBX\'s welcome message."'
)
ANNOUNCEMENT = (
    'frequency_justification = "Four calls a month are the fewest from which a pattern shows."\n'
    'announcement = "told.wav"\nannouncement_sha256 = "{}"'
)
UNTOLD = 0.01
"""So many of the calls may not be told on a busy machine: a packet that is late ends the announcement, and
the call is not recorded.
"""
_BEGUN_SECONDS = 1.5
"""After its end recording has begun."""
_SLACK = 0.1
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` in all, `beside` each other at once, each of `shortest` to `longest` seconds."""

    calls: int = 1000
    beside: int = 40
    seed: int = 1
    shortest: float = 4.0
    longest: float = 7.0
    horizon: float = 1.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """`faults` in words. `is_untold`: it was not told to the end, and nothing is kept of it."""

    faults: list[str]
    kept: int = 0
    is_untold: bool = False


def judge(call: Conversation, clips: Sequence[Contents], sha256: str) -> Judgement:
    """Weigh one call that is over."""
    told_at = call.legs[OUTSIDE].wrong_at
    if not clips:
        faults = [] if call.is_answered else ["nobody answered"]
        return Judgement(_of(call, faults), is_untold=True)
    (clip,) = clips
    faults = list(clip.faults)
    if told_at is None:
        return Judgement(_of(call, [*faults, "it is recorded, and nobody heard an announcement"]))
    for channel in (AGENT, OUTSIDE):
        sent = call.legs[channel].sent_at
        early = [index for index in clip.indices[channel] if sent[index] < told_at]
        if early:
            faults.append(f"{len(early)} packets of channel {channel} are from before the announcement's end")
        due = {index for index, at in enumerate(sent) if at > told_at + _BEGUN_SECONDS}
        if missing := due.difference(clip.indices[channel]):
            faults.append(
                f"{len(missing)} of {len(due)} packets of channel {channel} miss that were said later"
            )
    faults += _proof(clip, sha256)
    return Judgement(_of(call, faults), sum(map(len, clip.indices)))


def _of(call: Conversation, faults: list[str]) -> list[str]:
    return [f"call {call.number}: {fault}" for fault in faults]


def _proof(clip: Contents, sha256: str) -> list[str]:
    """What the clip has to say of the announcement."""
    if [it.sha256.hex() for it in clip.announced] != [sha256]:
        return [f"it proves {len(clip.announced)} announcements, or others"]
    (proof,) = clip.announced
    first = min((it[0] for it in clip.positions if it), default=0)
    length = (proof.end - proof.start) / CLOCK_RATE
    if proof.end > first or abs(length - ANNOUNCED_SECONDS) > _SLACK:
        return [f"it proves {length:.2f} s of an announcement that ended {proof.end - first} ticks too late"]
    return []


async def held(
    address: Address, voice: Voice, calls: int, beside: int, shortest: float, longest: float
) -> list[Conversation]:
    """Hold so many calls; all of them are over."""
    over: list[Conversation] = []
    traffic = Traffic(voice, address, beside, shortest, longest, over.append, calls)
    await traffic.start()
    await traffic.finish()
    return over


def sound(directory: Path) -> str:
    """Write the announcement; its SHA-256."""
    times = np.arange(int(ANNOUNCED_SECONDS * 8000)) / 8000
    file = directory / "told.wav"
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * (300 + 400 * times) * times), 8000)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def weighed(calls: Sequence[Conversation], contents: Sequence[Contents], sha256: str) -> dict[str, Any]:
    """What a report says of calls and clips; `faults` is empty if all held."""
    judged = [judge(call, [it for it in contents if it.call == call.number], sha256) for call in calls]
    totals = Counter[str]()
    for it in judged:
        totals.update(calls=1, recorded=not it.is_untold, untold=it.is_untold, packets_kept=it.kept)
    faults = [fault for it in judged for fault in it.faults]
    faults += [f"clip {it.clip} is of no call" for it in contents if it.call is None]
    if totals["untold"] > UNTOLD * totals["calls"]:
        faults.append(f"{totals['untold']} calls were not told to the end")
    return {"totals": dict(totals), "faults": faults}


def run(directory: Path, plan: Plan) -> dict[str, Any]:
    """One whole run in a fresh installation."""
    sha256 = sound(directory)
    with serving(directory, plan.horizon, otherwise={EXEMPTION: ANNOUNCEMENT.format(sha256)}) as (service, _):

        async def calling() -> list[Conversation]:
            voice = Voice(plan.seed)
            over = await held(service.address, voice, plan.calls, plan.beside, plan.shortest, plan.longest)
            sys.stderr.write(f"{len(over)} calls are over; looking at their clips\n")
            await eventually(service.unsealed, lambda found: not found)
            return over

        calls = asyncio.run(calling())
        clips = list(service.rows())
        contents = [
            it
            for at in range(0, len(clips), _AT_ONCE)
            for it in read(service.config, plan.seed, clips[at : at + _AT_ONCE])
        ]
    report = weighed(calls, contents, sha256)
    if unread := len(clips) - len(contents):
        report["faults"].append(f"{unread} clips were not read")
    return {"plan": asdict(plan), **report}
