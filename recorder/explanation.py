"""What would become of a call with a number, and why: the rules are asked about calls that nobody makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recorder.decision import CallFacts, Direction, Reason, Rules, Verdict, decide
from recorder.numbering import forms, number_set, possible_forms
from recorder.scheme import Agent, Exclusion, Line, Scheme

SOMEBODY = "+999000000000"
"""A caller or callee of whom nothing is listed: no country has that code (E.164)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One imagined call, answered and undisturbed. `ours` and `theirs`: who speaks on which side.

    `speaks`: every reason that any rule gives; the verdict keeps only those that decide.
    """

    direction: Direction
    ours: tuple[str, ...]
    theirs: str
    verdict: Verdict
    speaks: tuple[Reason, ...]


def excluded_by(scheme: Scheme, identity: str) -> list[tuple[Exclusion, str]]:
    """Every exclusion that this identity falls under, with the pattern that says so."""
    return [
        (it, pattern)
        for it in scheme.exclusions
        for pattern in (*it.numbers, *it.aliases)
        if _holds(scheme, (pattern,), identity)
    ]


def roles(scheme: Scheme, identity: str) -> tuple[list[Agent], list[Line], bool]:
    """Whose extension this is, whose number or range, and whether it is one of our own numbers."""
    agents = [it for it in scheme.agents if _holds(scheme, it.extensions, identity)]
    lines = [it for it in scheme.lines if _holds(scheme, it.numbers, identity)]
    return agents, lines, bool(agents or lines) or _holds(scheme, scheme.numbering.internal, identity)


def is_emergency(scheme: Scheme, identity: str) -> bool:
    """Whether this is an emergency number, as it is or with a prefix."""
    return _holds(scheme, scheme.numbering.emergency, identity)


def is_room(scheme: Scheme, identity: str) -> bool:
    """Whether this is a conference room in which everybody may be recorded."""
    return number_set(scheme.rooms, scheme.numbering).holds(forms(identity, scheme.numbering))


def imagine(
    scheme: Scheme, rules: Rules, is_approved: bool, caller: str, callee: str | None = None
) -> list[Case]:
    """The calls that a number can be in: from it and to it; or from `caller` to `callee`.

    Where the other party is not given it is somebody outside, or the first agent of each line. A call to a
    line's number is taken by the first agent of the line. Lots are drawn, and nobody asks on demand.
    """
    if callee is not None:
        pairs = [(caller, callee)]
    elif roles(scheme, caller)[2]:
        pairs = [(caller, SOMEBODY), (SOMEBODY, caller)]
    else:
        ours = list(dict.fromkeys(_reached(scheme, line) for line in scheme.lines)) or [SOMEBODY]
        pairs = [pair for it in ours for pair in ((caller, it), (it, caller))]
    draws = {it.name: 0 for it in scheme.purposes}
    found = [it for one, other in pairs for it in _directions(scheme, one, other)]
    return [_case(rules, is_approved, draws, *it) for it in found]


def _reached(scheme: Scheme, line: Line) -> str:
    """The extension of the line's first agent; without one, the line's first number."""
    agents = (it.extensions[0] for it in scheme.agents if line.name in it.lines)
    return next(agents, line.numbers[0])


def _directions(
    scheme: Scheme, caller: str, callee: str
) -> Iterator[tuple[Direction, tuple[str, ...], str, str]]:
    """Direction, our side, their side, what is dialled."""
    is_out, is_in = roles(scheme, caller)[2], roles(scheme, callee)[2]
    if is_out or not is_in:
        yield Direction.OUTBOUND, (caller,), callee, callee
    if is_in or not is_out:
        yield Direction.INBOUND, _answering(scheme, callee), caller, callee


def _answering(scheme: Scheme, callee: str) -> tuple[str, ...]:
    """The number that is called and, where it is a line's, the extension that takes the call."""
    agents, lines, _ = roles(scheme, callee)
    if agents or not lines:
        return (callee,)
    return tuple(dict.fromkeys((callee, _reached(scheme, lines[0]))))


def _case(
    rules: Rules,
    is_approved: bool,
    draws: Mapping[str, int],
    direction: Direction,
    ours: tuple[str, ...],
    theirs: str,
    dialled: str,
) -> Case:
    facts = CallFacts(
        direction=direction,
        inside=frozenset(ours),
        outside=frozenset({theirs}),
        everyone=frozenset({*ours, theirs}),
        dialled=dialled,
        answered=True,
        approved=is_approved,
        draws=draws,
    )
    speaks = {opinion.reason for rule in rules for opinion in rule(facts)}
    if len(speaks) > 1:
        speaks.discard(Reason.LINE_ALLOWS)
    order = list(Reason)
    return Case(direction, ours, theirs, decide(facts, rules), tuple(sorted(speaks, key=order.index)))


def _holds(scheme: Scheme, patterns: tuple[str, ...], identity: str) -> bool:
    found = possible_forms(identity, scheme.numbering)
    return number_set(patterns, scheme.numbering).holds(found)
