"""One run of the purge: look at the clock, judge what is due, destroy it, report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from purge.erase import DayKeys, Erased, Eraser, Tell, silent
from purge.verdict import Action, ClockVerdict, Verdict, judge
from purge.witness import Observation, observe
from storage.blobs import Blobs
from storage.catalog import Catalogue
from storage.clock import Clock
from storage.lifecycle import State
from storage.model import Clip, ClipFilter

ACTOR = "purge"
NOTHING = Erased((), (), 0)
_LIVE = frozenset(State) - {State.ERASED}


@dataclass(frozen=True, slots=True)
class Judged:
    """A clip whose deadline has passed by at least one of the clocks, or whose destruction has begun."""

    clip: str
    purpose: str
    deadline_day: date
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Report:
    """What a run saw and did. When the clock is not trusted, nothing was judged, and nothing destroyed whose
    deadline it is about. `withdrawn`: clips of withdrawn calls that could not be destroyed yet.
    """

    at: datetime
    is_dry_run: bool
    clock: ClockVerdict
    judged: tuple[Judged, ...] = ()
    erased: Erased = NOTHING
    withdrawn: tuple[str, ...] = ()


async def sweep(
    catalogue: Catalogue,
    blobs: Blobs,
    day_keys: DayKeys,
    clock: Clock,
    dry_run: bool = False,
    actor: str = ACTOR,
    tell: Tell = silent,
) -> Report:
    """Destroy what is due and what was withdrawn, and finish what an earlier run has begun. A dry run only
    judges.

    Raises StorageError when catalogue or key service fail; the next run goes on from there.
    """
    eraser = Eraser(catalogue, blobs, day_keys, clock, actor, tell)
    withdrawn = () if dry_run else tuple(await eraser.finish_withdrawn())
    seen = await observe(catalogue, clock, actor, dry_run)
    at = seen.witnesses.os_at
    if not seen.verdict.is_trusted:
        return Report(at, dry_run, seen.verdict, withdrawn=withdrawn)
    judged = [_judged(clip, seen) for clip in await _candidates(catalogue, seen)]
    if dry_run:
        return Report(at, True, seen.verdict, tuple(judged))
    await eraser.condemn([each.clip for each in judged if each.verdict.action is Action.DESTROY])
    if (destroying := seen.witnesses.for_destroying()) is None:
        return Report(at, False, seen.verdict, tuple(judged), await eraser.finish(), withdrawn)
    erased = await eraser.finish(await day_keys.past_days(destroying.date()))
    await catalogue.audit.forget_texts(destroying.date())
    return Report(at, False, seen.verdict, tuple(judged), erased, withdrawn)


async def _candidates(catalogue: Catalogue, seen: Observation) -> list[Clip]:
    latest = seen.witnesses.for_reading().date()
    due = await catalogue.clips.find(ClipFilter(states=_LIVE, due_before=latest))
    begun = await catalogue.clips.find(ClipFilter(states=frozenset({State.ERASING})))
    known = {clip.id for clip in due}
    return due + [clip for clip in begun if clip.id not in known]


def _judged(clip: Clip, seen: Observation) -> Judged:
    return Judged(
        clip.id, clip.purpose, clip.deadline_day, judge(clip.deadline_day, clip.state, seen.witnesses)
    )
