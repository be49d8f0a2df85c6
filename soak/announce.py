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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from soak.clips import Contents, read
from soak.media import Address, Conversation
from soak.service import FIRST_PORT, eventually, serving
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
_ROUNDS = 6
"""In which more calls are held. On a busy machine calls are refused; or a packet of the announcement is late,
which ends it, and nothing is recorded.
"""
_BEGUN_SECONDS = 1.5
"""After its end recording has begun."""
_SLACK = 0.1
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` that are recorded in all, `beside` each other at once, of `shortest` to `longest` seconds."""

    calls: int = 1000
    beside: int = 40
    seed: int = 1
    shortest: float = 4.0
    longest: float = 7.0
    horizon: float = 1.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """`faults` in words. `is_untold`: nobody was told to the end, or answered, and nothing is kept of it."""

    faults: list[str]
    kept: int = 0
    is_untold: bool = False


def judge(call: Conversation, clips: Sequence[Contents], sha256: str) -> Judgement:
    """Weigh one call that is over."""
    told_at = call.legs[OUTSIDE].wrong_at
    if not clips:
        return Judgement([], is_untold=True)
    clip = clips[0]
    faults = [*clip.faults, *("it has another clip" for _ in clips[1:])]
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


@dataclass(slots=True)
class Told:
    """Calls of one run and what was found of them. `look`: reads the clips that it is told the names of."""

    voice: Voice
    sha256: str
    look: Callable[[list[str]], list[Contents]]
    totals: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _read: set[str] = field(default_factory=set)
    _calls: list[Conversation] = field(default_factory=list)

    async def hold(self, address: Address, calls: int, beside: int, seconds: tuple[float, float]) -> None:
        """Hold so many more calls, `beside` each other, of so many seconds at least and at most."""
        over: list[Conversation] = []
        begun = self.totals["calls"]
        traffic = Traffic(self.voice, address, beside, *seconds, over.append, begun + calls, begun)
        await traffic.start()
        await traffic.finish()
        self._calls = over
        self.totals.update(calls=len(over), unanswered=sum(not it.is_answered for it in over))

    def weigh(self, clips: Iterable[str]) -> None:
        """Judge the calls held last by the clips there are, all of them sealed."""
        fresh = [it for it in clips if it not in self._read]
        self._read.update(fresh)
        contents = [
            it for at in range(0, len(fresh), _AT_ONCE) for it in self.look(fresh[at : at + _AT_ONCE])
        ]
        for call in self._calls:
            judgement = judge(call, [it for it in contents if it.call == call.number], self.sha256)
            self.totals.update(recorded=not judgement.is_untold, packets=judgement.kept)
            self.faults += judgement.faults
        strange = len(contents) - sum(it.call in {call.number for call in self._calls} for it in contents)
        if strange or len(contents) < len(fresh):
            self.faults.append(f"{strange} clips are of no call, {len(fresh) - len(contents)} were not read")


def sound(directory: Path) -> str:
    """Write the announcement; its SHA-256."""
    times = np.arange(int(ANNOUNCED_SECONDS * 8000)) / 8000
    file = directory / "told.wav"
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * (300 + 400 * times) * times), 8000)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def run(directory: Path, plan: Plan, first_port: int = FIRST_PORT) -> dict[str, Any]:
    """One whole run in a fresh installation."""
    sha256 = sound(directory)
    with serving(directory, plan.horizon, first_port, otherwise={EXEMPTION: ANNOUNCEMENT.format(sha256)}) as (
        service,
        _,
    ):
        told = Told(Voice(plan.seed), sha256, partial(read, service.config, plan.seed))

        async def calling(calls: int) -> None:
            await told.hold(service.address, calls, plan.beside, (plan.shortest, plan.longest))
            await eventually(service.unsealed, lambda found: not found)

        for _ in range(_ROUNDS):
            if (left := plan.calls - told.totals["recorded"]) > 0:
                asyncio.run(calling(left))
                told.weigh(service.rows())
                sys.stderr.write(f"{dict(told.totals)}, {len(told.faults)} faults\n")
    if told.totals["recorded"] < plan.calls:
        told.faults.append(f"only {told.totals['recorded']} calls were told to the end")
    return {"plan": asdict(plan), "totals": dict(told.totals), "faults": told.faults}
