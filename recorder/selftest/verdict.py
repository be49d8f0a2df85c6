"""What was seen of a transfer to somebody privileged, and what that proves: nothing was kept, or what was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from recorder.words import in_words
from storage.model import CallOutcome, Clip

Kind: TypeAlias = Literal["blind", "attended"]

_SLACK = timedelta(seconds=1)
"""By how much the end of a call may be seen earlier or later than our telephones saw it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A search of the opened clips. `before`, `after`: words in them that were said before the transfer, and
    by or to the privileged telephone; `refused`: why they could not be opened.
    """

    before: int = 0
    after: int = 0
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One transfer. All instants are the service's clock.

    `certain_until`: when the transfer began, by hold or REFER; `spoke_at`: when the privileged telephone said
    its first word to the customer. `purposes`: for which the call was recorded before. `clips` and `rows`:
    all that began since, whoever's they are; `agents`: who the test's own are. `during`: purposes for which
    these were recorded while the privileged telephone spoke. `counted`: privileged calls that the day has
    more. `grown`: octets by which the files of clips grew since `spoke_at`, by clip; `strays`: those of them
    that the catalogue does not know. `opened`: None if nobody was to listen. `failure`: what did not come
    about, so that nothing is proved.
    """

    kind: Kind
    agents: frozenset[str]
    began: datetime
    certain_until: datetime
    transferred_at: datetime
    spoke_at: datetime
    ended_at: datetime
    horizon: timedelta = timedelta(seconds=2)
    purposes: tuple[str, ...] = ()
    is_heard_before: bool = False
    is_heard_after: bool = False
    during: tuple[str, ...] = ()
    clips: tuple[Clip, ...] = ()
    rows: tuple[CallOutcome, ...] = ()
    counted: int = 0
    grown: Mapping[str, int] = field(default_factory=dict)
    strays: frozenset[str] = frozenset()
    opened: Opened | None = None
    failure: str = ""

    def own_rows(self) -> list[CallOutcome]:
        """Those of our telephones."""
        return [
            it
            for it in self.rows
            if self._is_ours(it.agent, it.started_at, it.started_at + timedelta(seconds=it.seconds))
        ]

    def own_clips(self) -> list[Clip]:
        calls = {it.call for it in self.own_rows()}
        return [
            it
            for it in self.clips
            if it.call in calls or self._is_ours(it.agent, it.started_at, end_of(it) or self.ended_at)
        ]

    def clips_of_before(self) -> list[Clip]:
        """Those of them that were begun before the transfer."""
        return [it for it in self.own_clips() if it.started_at < self.transferred_at]

    def _is_ours(self, agent: str, begin: datetime, end: datetime) -> bool:
        """By the agent; what is said to be another's, because it began at the transfer and ended with it."""
        ends_with_it = self.ended_at - self.horizon - _SLACK <= end <= self.ended_at + _SLACK
        is_like = self.transferred_at <= begin <= self.spoke_at + _SLACK and ends_with_it
        return agent in self.agents or is_like


@dataclass(frozen=True, slots=True)
class Row:
    """One question, and what was seen."""

    question: str
    answer: str
    is_good: bool | None = None  # None: it was not asked


def end_of(clip: Clip) -> datetime | None:
    """The last instant that is in a clip, by its own clock."""
    return None if clip.seconds is None else clip.started_at + timedelta(seconds=clip.seconds)


def kept(seen: Seen) -> tuple[str, ...]:
    """What of the privileged conversation was kept, in words; nothing, when all is as it must be."""
    return tuple(_kept(seen))


def _kept(seen: Seen) -> Iterator[str]:
    for clip in seen.own_clips():
        yield from (
            f"{text} ({clip.id[:8]}, {clip.purpose}, agent {clip.agent})" for text in _over(clip, seen)
        )
    for stray in sorted(seen.strays):
        yield f"a file was written meanwhile that the catalogue does not know ({stray[:8]}.clip)"
    if seen.during:
        yield f"while the privileged telephone spoke, a call was recorded for {', '.join(seen.during)}"
    for row in seen.own_rows():
        if row.started_at >= seen.transferred_at:
            yield f"the ledger has a row of the conversation itself ({row.call[:8]}, agent {row.agent})"
    if seen.opened is not None and seen.opened.after:
        yield f"{seen.opened.after} words of the privileged conversation are in the opened clips"


def _over(clip: Clip, seen: Seen) -> Iterator[str]:
    """What of a clip is from after the last certain instant."""
    end = end_of(clip)
    if clip.started_at >= seen.transferred_at:
        yield "a clip was begun after the transfer"
    elif end is not None and end > seen.certain_until:
        yield f"a clip goes on for {(end - seen.certain_until).total_seconds():.1f} s beyond the transfer"
    if seen.grown.get(clip.id) and _was_sealed(clip, seen):
        yield f"a clip's file grew by {seen.grown[clip.id]} octets after the privileged telephone spoke"


def missing(seen: Seen) -> tuple[str, ...]:
    """What could not be shown, in words, so that the test proves less than it should."""
    return tuple(_missing(seen))


def _missing(seen: Seen) -> Iterator[str]:
    if seen.failure:
        yield f"nothing is proved: {seen.failure}"
        return
    if not seen.is_heard_before:
        yield "agent and customer did not hear each other before the transfer, or the PBX changes audio"
    if not seen.is_heard_after:
        yield "customer and privileged telephone did not hear each other, or the PBX changes audio"
    if seen.counted < 1 and not seen.own_rows():
        yield "the ledger knows nothing of the call, not even by count; see `doelband status`"
    yield from _unclear(seen)


def _unclear(seen: Seen) -> Iterator[str]:
    for clip in seen.clips_of_before():
        if end_of(clip) is None:
            yield f"where clip {clip.id[:8]} ends is not known: it is {clip.state.value}"
        elif not _was_sealed(clip, seen):
            yield f"clip {clip.id[:8]} was sealed only after the privileged telephone spoke"
    if seen.opened is not None and seen.opened.refused:
        yield f"the clips were not opened: {seen.opened.refused}"
    elif seen.opened is not None and not seen.opened.before:
        yield "the opened clips hold nothing of what was said before either: opening them proves nothing"


def rows(seen: Seen) -> tuple[Row, ...]:
    """All that was asked of one transfer, in the order of the call."""
    return tuple(_rows(seen))


def _rows(seen: Seen) -> Iterator[Row]:
    if seen.failure:
        yield Row("Did the call come about?", f"no: {seen.failure}", False)
        return
    yield Row("Was it recorded before?", f"yes, for {', '.join(seen.purposes)}", True)
    good = seen.is_heard_before and seen.is_heard_after
    yield Row("Did each pair hear each other?", "yes" if good else "no", good)
    during = f"yes, for {', '.join(seen.during)}" if seen.during else "no"
    yield Row("Was it recorded while the privileged telephone spoke?", during, not seen.during)
    yield _of_clips(seen)
    yield _of_files(seen)
    yield _of_ledger(seen)
    yield _of_opening(seen)


def _of_clips(seen: Seen) -> Row:
    question, clips = "Does every clip end before that?", seen.own_clips()
    ends = [end for it in clips if (end := end_of(it)) is not None]
    if not clips or len(ends) < len(clips):
        return Row(question, "there is none" if not clips else "that is not known", not clips or None)
    earlier = (seen.certain_until - max(ends)).total_seconds()
    what = "hold" if seen.kind == "attended" else "REFER"
    if earlier < 0:
        return Row(question, f"no: {-earlier:.1f} s after the {what}", False)
    return Row(question, f"yes: {len(clips)}, the last ends {earlier:.1f} s before the {what}", True)


def _of_files(seen: Seen) -> Row:
    question = "Were their files finished before the privileged telephone spoke?"
    clips = seen.clips_of_before()
    grown = sum(seen.grown.get(it.id, 0) for it in clips)
    if not clips:
        return Row(question, "there is none")
    others = len(seen.grown.keys() - {it.id for it in clips})
    beside = f"; {others} files of other calls grew" if others else ""
    if all(_was_sealed(it, seen) for it in clips) and not grown:
        return Row(question, f"yes, and nothing was added since{beside}", True)
    return Row(question, f"no, {grown} octets were added since", False)


def _of_ledger(seen: Seen) -> Row:
    question, found = "What does the ledger say?", seen.own_rows()
    said = [f"{it.outcome.value} ({', '.join(in_words(code) for code in it.reasons)})" for it in found]
    if seen.counted > 0:
        said.append(f"privileged, and so nothing but the day's count: {seen.counted} more")
    is_kept = any(it.started_at >= seen.transferred_at for it in found)
    return Row(question, "; ".join(said) or "nothing", bool(said) and not is_kept)


def _of_opening(seen: Seen) -> Row:
    question, opened = "What is in the clips?", seen.opened
    if opened is None:
        return Row(question, "not looked at: a listener with a grant may (--purpose, --reason)")
    if opened.refused or not opened.before:
        return Row(question, f"not shown: {opened.refused or 'no word that we know'}", False)
    answer = f"{opened.before} words of before, {opened.after or 'none'} of the privileged conversation"
    return Row(question, answer, not opened.after)


def _was_sealed(clip: Clip, seen: Seen) -> bool:
    return clip.sealed_at is not None and clip.sealed_at <= seen.spoke_at
