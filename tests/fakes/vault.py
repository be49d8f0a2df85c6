"""A vault that keeps clips in memory and fails when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from storage.frames import Frames
from storage.records import Audio, Record
from storage.vault import ClipPlan


@dataclass
class FakeSealed:
    size: int
    seconds: float
    chunks: int = 1


@dataclass
class FakeClip:
    """Set `failing` to make every later call raise it."""

    plan: ClipPlan
    clip_id: str
    records: list[Record] = field(default_factory=list)
    ended: tuple[str, datetime] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    flushes: int = 0
    failing: Exception | None = None
    is_discarded: bool = False

    @property
    def part(self) -> int:
        return self.plan.part

    def write(self, record: Record | Frames) -> None:
        self._check()
        self.records += record.records() if isinstance(record, Frames) else [record]

    async def flush(self) -> None:
        self._check()
        self.flushes += 1

    def has_flushed(self, times: int) -> bool:
        return self.flushes == times

    async def discard(self) -> None:
        self.is_discarded = True
        self.records.clear()

    async def finish(self, reason: str, ended_at: datetime, counts: Mapping[str, int]) -> FakeSealed:
        self._check()
        self.ended, self.counts = (reason, ended_at), counts
        return FakeSealed(len(self.records), (ended_at - self.plan.started_at).total_seconds())

    def audio(self, channel: int) -> list[tuple[int, bytes]]:
        """(position, payload) of a channel."""
        return [
            (it.position, it.payload)
            for it in self.records
            if isinstance(it, Audio) and it.channel == channel
        ]

    def _check(self) -> None:
        assert self.ended is None, "nothing is written to a sealed clip"
        if self.failing is not None:
            raise self.failing


class FakeVault:
    """`refusals`: what opening a clip for a purpose raises. Clear `is_ready` to let openings hang."""

    def __init__(self) -> None:
        self.clips: list[FakeClip] = []
        self.refusals: dict[str, Exception] = {}
        self.settled = 0
        self.is_ready = asyncio.Event()
        self.is_ready.set()

    async def begin(self, plan: ClipPlan) -> FakeClip:
        await self.is_ready.wait()
        if plan.purpose in self.refusals:
            raise self.refusals[plan.purpose]
        clip = FakeClip(plan, f"{len(self.clips) + 1:032x}")
        self.clips.append(clip)
        return clip

    async def settle(self) -> None:
        self.settled += 1
