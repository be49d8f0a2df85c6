"""The books of a soak run: every call, every clip, and what is wrong with them."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field

from soak.clips import Contents, read
from soak.media import Conversation
from soak.service import Service
from soak.verdict import Judgement, Outage, is_settled, judge

SETTLED_SECONDS = 20.0
"""A call is judged so long after its end and after all that was killed was back: its clips are sealed."""
PASSED_BY = 0.01
"""So many of the calls may find no media ports within 50 ms, as on a busy machine, and go on unrecorded."""
_LOOK_SECONDS = 2.0
_AT_ONCE = 100
_LOW = 10  # nice(2)


@dataclass(slots=True)
class Totals:
    """Sums over all judged calls."""

    calls: int = 0
    whole: int = 0
    passed_by: int = 0
    packets_due: int = 0
    packets_kept: int = 0
    packets_said: int = 0
    packets_heard: int = 0
    clips: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, judgement: Judgement) -> None:
        self.calls += 1
        self.whole += judgement.is_whole
        self.passed_by += judgement.is_passed_by
        self.packets_due += judgement.must
        self.packets_kept += judgement.kept
        self.packets_said += judgement.said
        self.packets_heard += judgement.heard
        self.faults += judgement.faults


class Books:
    """Reads clips as they are sealed, in another process, and judges calls when they are settled."""

    def __init__(self, service: Service, seed: int, horizon: float, clock: Callable[[], float]) -> None:
        self.totals = Totals()
        self.outages: list[Outage] = []
        self.gaps: dict[str, float] = defaultdict(float)
        """The longest silence in a call that lived through a kill, by kind; "none" without one."""
        self._service, self._seed, self._horizon, self._clock = service, seed, horizon, clock
        self._ended: list[Conversation] = []
        self._clips: dict[str, list[Contents]] = defaultdict(list)  # by recording
        self._recordings: dict[int, set[str]] = defaultdict(set)  # by call
        self._read: set[str] = set()
        self._executor: Executor = ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=functools.partial(os.nice, _LOW)
        )

    def ended(self, conversation: Conversation) -> None:
        """A call is over."""
        self._ended.append(conversation)

    async def keep(self) -> None:
        """Read and judge, until cancelled."""
        while True:
            await self.read()
            self.judge(self._clock() - SETTLED_SECONDS)
            await asyncio.sleep(_LOOK_SECONDS)

    @staticmethod
    def finish(keeping: asyncio.Task[None]) -> None:
        """End the task of `keep`. Raises what ended it before."""
        if keeping.done():
            keeping.result()
        keeping.cancel()

    async def close(self) -> None:
        """Everything is sealed: read and judge what is left, and compare with the catalogue."""
        for _ in range(10_000):
            if not await self.read():
                break
        self.judge(float("inf"))
        rows = await asyncio.to_thread(self._service.rows)
        unread = [clip for clip in rows if clip not in self._read]
        self.totals.faults += [f"clip {clip} was never read: {rows[clip][0]}" for clip in unread]
        self.totals.faults += [f"a clip of call {it}, which was judged already" for it in self._recordings]
        self.totals.faults += [fault for clips in self._clips.values() for it in clips for fault in it.faults]
        self._executor.shutdown()
        if self.totals.passed_by > self.totals.calls * PASSED_BY:
            self.totals.faults.append(f"{self.totals.passed_by} calls got no media ports in time")

    def shut(self) -> None:
        """Read nothing more, whatever happened."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def read(self) -> bool:
        """Read some sealed clips that have not been read; False: there were none, or none could be."""
        rows = await asyncio.to_thread(self._service.rows)
        fresh = [it for it, (state, _) in rows.items() if state == "sealed" and it not in self._read]
        reading = functools.partial(read, self._service.config, self._seed, fresh[:_AT_ONCE])
        contents = await asyncio.get_running_loop().run_in_executor(self._executor, reading) if fresh else []
        for it in contents:
            self._read.add(it.clip)
            self.totals.clips += 1
            self._clips[it.recording].append(it)
            if it.call is not None:
                self._recordings[it.call].add(it.recording)
        return bool(contents)

    def judge(self, before: float) -> None:
        """Judge the calls that were settled at an instant of the clock."""
        settled = [it for it in self._ended if is_settled(it, self.outages, self._horizon, before)]
        self._ended = [it for it in self._ended if it not in settled]
        for call in settled:
            recordings = self._recordings.pop(call.number, set())
            clips = [clip for it in recordings for clip in self._clips.pop(it, [])]
            judgement = judge(call, clips, self.outages, self._horizon)
            self.totals.add(judgement)
            kinds: set[str] = {it.kind for it in self.outages if it.touches(call.answered_at, call.ended_at)}
            for kind in (kinds or {"none"}) if call.is_answered and "everything" not in kinds else ():
                self.gaps[kind] = max(self.gaps[kind], judgement.gap)
