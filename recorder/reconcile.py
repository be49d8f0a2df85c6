"""The PBX's call records against the ledger: which calls on flagged lines did the recorder never see?

Each record is judged by the scheme's rules as a call would be. Private and privileged calls are counted by
day and never listed. The PBX does not see the private prefix, so to it a private call is like any other:
where the ledger counts more such calls of a day than the PBX's records show, as many records without a
row may be those calls. They are then only counted as well, and only what is beyond them is missing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from recorder.account import NOBODY
from recorder.callrecords import Row
from recorder.decision import CallFacts, Direction, Kind, decide
from recorder.numbering import is_number
from recorder.rules import Directory, compile_rules
from recorder.scheme import Scheme
from storage.model import CallOutcome, Withheld, WithheldCount

CUT_SHORT = frozenset({"signalling-lost", "service-stopped"})
"""Rows with one of these reasons do not say how long the call went on."""


class Sort(StrEnum):
    """What sort of call a record is of."""

    FLAGGED = "flagged"
    NO_AGENT_NAMED = "no-agent-named"
    UNANSWERED = "unanswered"
    PRIVATE = "private"
    PRIVILEGED = "privileged"
    EMERGENCY = "emergency"
    INTERNAL = "internal"
    UNLISTED = "unlisted"


_KEPT_OUT = {
    Kind.PRIVATE: Sort.PRIVATE,
    Kind.EMERGENCY: Sort.EMERGENCY,
    Kind.PRIVILEGED: Sort.PRIVILEGED,
    Kind.INTERNAL: Sort.INTERNAL,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A record and what the scheme says of it. `outside`: of a flagged call the other party's last three
    digits.
    """

    row: Row
    sort: Sort
    direction: Direction
    lines: frozenset[str] = frozenset()
    agent: str | None = None
    outside: str = ""

    @property
    def started_at(self) -> datetime:
        return self.row.starts[0]

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(seconds=self.row.lasts)


@dataclass(frozen=True, slots=True)
class Covered:
    """Records of one day and direction without a row, of which some may be private or privileged calls."""

    day: date
    direction: Direction
    records: int
    kept_out: int

    @property
    def missing(self) -> int:
        """How many must be missing even if all calls that were kept out are among them."""
        return max(0, self.records - self.kept_out)


@dataclass(frozen=True, slots=True)
class Report:
    """`missing` are records without a row, `unknown` rows without a record, `uncertain` records of a flagged
    line that name no agent and have no row. `covered` cannot be told from calls that were kept out.
    """

    matched: int
    missing: tuple[Judged, ...]
    covered: tuple[Covered, ...]
    unknown: tuple[CallOutcome, ...]
    uncertain: tuple[Judged, ...]
    sorts: Counter[Sort]
    by_day: Counter[tuple[date, Sort]]

    @property
    def has_findings(self) -> bool:
        return bool(self.missing or self.unknown or any(it.missing for it in self.covered))


class Judge:
    """Judges records by a scheme."""

    def __init__(self, scheme: Scheme) -> None:
        self._rules = compile_rules(scheme)
        self._directory = Directory(scheme)

    def judge(self, row: Row) -> Judged:
        """What the scheme says of one record. The caller is on our side if it is one of ours."""
        is_outbound = self._directory.are_ours(row.caller)
        direction = Direction.OUTBOUND if is_outbound else Direction.INBOUND
        inside, outside = (row.caller, row.callee) if is_outbound else (row.callee, row.caller)
        facts = CallFacts(direction, inside, outside, inside | outside, row.dialled, answered=True)
        kind = decide(facts, self._rules).kind
        if kind in _KEPT_OUT:
            return Judged(row, _KEPT_OUT[kind], direction)
        agents, lines = self._directory.placed(inside)
        if len(agents) > 1 or not lines:
            return Judged(row, Sort.UNLISTED, direction)
        agent = next(iter(agents), None)
        flagged = lines if agent is None else lines & agents[agent]
        if not flagged:
            return Judged(row, Sort.UNLISTED, direction)
        if not row.is_answered:
            return Judged(row, Sort.UNANSWERED, direction)
        sort = Sort.FLAGGED if agent is not None else Sort.NO_AGENT_NAMED
        return Judged(row, sort, direction, flagged, agent, _ending(outside) if agent else "")


def compare(
    records: Iterable[Judged],
    ledger: Iterable[CallOutcome],
    withheld: Iterable[WithheldCount],
    period: tuple[datetime, datetime],
    tolerance: timedelta,
) -> Report:
    """Match records and rows one to one; report those that start within the period (its end excluded)."""
    judged, rows = list(records), [it for it in ledger if "not-answered" not in it.reasons]
    within = [it for it in judged if period[0] <= it.started_at < period[1]]
    pairs = _matched(judged, rows, tolerance)
    ids = {name for index in pairs for name in judged[index].row.ids}
    left = [
        it
        for index, it in enumerate(judged)
        if it.sort in (Sort.FLAGGED, Sort.NO_AGENT_NAMED)
        and index not in pairs
        and not it.row.ids & ids
        and period[0] <= it.started_at < period[1]
    ]
    by_day: Counter[tuple[date, Sort]] = Counter(
        (it.ended_at.date(), it.sort) for it in within if it.sort in (Sort.PRIVATE, Sort.PRIVILEGED)
    )
    certain, covered = _told_apart(left, _Hidden(withheld, by_day, tolerance))
    found = set(pairs.values())
    return Report(
        matched=len(pairs),
        missing=tuple(it for it in certain if it.sort is Sort.FLAGGED),
        covered=covered,
        unknown=tuple(
            it
            for index, it in enumerate(rows)
            if index not in found and period[0] <= it.started_at < period[1]
        ),
        uncertain=tuple(it for it in certain if it.sort is Sort.NO_AGENT_NAMED),
        sorts=Counter(it.sort for it in within),
        by_day=by_day,
    )


def _matched(judged: Sequence[Judged], rows: Sequence[CallOutcome], tolerance: timedelta) -> dict[int, int]:
    """Indices of records with those of their rows, the nearest first; a row within a longer call last."""
    order = sorted(range(len(rows)), key=lambda number: rows[number].started_at)
    starts = [rows[number].started_at for number in order]
    candidates = sorted(
        (*distance, index, number)
        for index, it in enumerate(judged)
        if it.sort in (Sort.FLAGGED, Sort.NO_AGENT_NAMED)
        for number in order[
            bisect_left(starts, it.started_at - tolerance) : bisect_right(
                starts, max(it.row.starts) + timedelta(seconds=it.row.lasts) + tolerance
            )
        ]
        if (distance := _distance(it, rows[number], tolerance)) is not None
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for *_, index, number in candidates:
        if index not in pairs and number not in taken:
            pairs[index] = number
            taken.add(number)
    return pairs


def _distance(it: Judged, row: CallOutcome, tolerance: timedelta) -> tuple[int, float] | None:
    """How far apart they are; None if they are not of one call.

    Who waits in a queue is recorded from when the agent's phone rings: then the row lies within the record.
    """
    if row.line not in it.lines or (it.agent and row.agent not in (it.agent, NOBODY)):
        return None
    apart = min(abs(row.started_at - start) for start in it.row.starts)
    lengths = abs(row.seconds - it.row.seconds) <= tolerance.total_seconds()
    if apart <= tolerance and (lengths or CUT_SHORT & set(row.reasons)):
        return (0 if it.agent else 1), apart.total_seconds()
    ends = max(it.row.starts) + timedelta(seconds=it.row.lasts)
    begins_within = it.started_at - tolerance <= row.started_at <= ends
    ends_within = row.started_at + timedelta(seconds=row.seconds) <= ends + tolerance
    if it.direction is Direction.INBOUND and begins_within and ends_within:
        return 2, apart.total_seconds()
    return None


class _Hidden:
    """How many calls that were kept out the PBX's records do not show, by day."""

    def __init__(
        self, withheld: Iterable[WithheldCount], shown: Counter[tuple[date, Sort]], tolerance: timedelta
    ) -> None:
        self._tolerance = tolerance
        self._left = {
            (it.day, it.kind): max(0, it.count - shown[it.day, Sort(it.kind.value)]) for it in withheld
        }

    def among(self, it: Judged) -> int:
        """Of those, how many may be this record or one like it. The prefix is dialled outbound only."""
        days = {(it.ended_at + slack).date() for slack in (-self._tolerance, self._tolerance)}
        kinds = set(Withheld) if it.direction is Direction.OUTBOUND else {Withheld.PRIVILEGED}
        return sum(self._left.get((day, kind), 0) for day in days for kind in kinds)


def _told_apart(left: Sequence[Judged], hidden: _Hidden) -> tuple[list[Judged], tuple[Covered, ...]]:
    """What certainly is none of the calls that were kept out, and how many flagged ones may be."""
    certain: list[Judged] = []
    covered: Counter[tuple[date, Direction]] = Counter()
    kept_out: dict[tuple[date, Direction], int] = {}
    for it in left:
        key, among = (it.ended_at.date(), it.direction), hidden.among(it)
        if not among:
            certain.append(it)
        elif it.sort is Sort.FLAGGED:
            covered[key] += 1
            kept_out[key] = max(among, kept_out.get(key, 0))
    return certain, tuple(Covered(*key, count, kept_out[key]) for key, count in sorted(covered.items()))


def _ending(names: Iterable[str]) -> str:
    """The last three digits of a number; nothing of a name or of a number that has no more."""
    numbers = sorted((it for it in names if is_number(it)), key=len)
    digits = "".join(it for it in numbers[-1] if it.isdigit()) if numbers else ""
    return digits[-3:] if len(digits) > 3 else ""
