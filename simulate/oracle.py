"""What must not be in a clip, and what must: written from what is said and shown, in no word of the code.

A history is a list of entries, each about one leg: one dialog, however often it crosses the proxy.

    speak     from now on these people speak on the leg, and nobody else (the truth; nobody is told)
    answered  a message that answers the call reached the proxy
    ended     a message that ends it
    named     a message that names these people, in any header, reached the proxy
    doubt     a message after which others may speak: transfer, hold, take-over, feature code
    perhaps   a message after which others may speak if another follows; nothing is owed until it is harmless
    clear     a message that ends the doubt: the transfer failed, the held call goes on with the same people
    nameless  a message that shows a place and no person: a queue, a parking slot, a feature code
    known     a message that names who is there, and it is somebody who may be recorded
    change    somebody else who may be recorded came in; from here on nothing is owed
    private   the call is private, or an emergency: its media does not even come near us
    told      the outside party has heard to its end what has to be announced before anything is kept
    barred    not a frame of the call may be kept, not even of what was before
    stopped   somebody who may has ended the recording for good, or it is ended by what nobody understands
    witnessed a call on the trunk: who speaks inside is said by a witness, and no message shows it

Never: a frame before the answer or after the end; a frame of a private call; a frame of a leg on which
somebody who is never recorded was named, from one horizon before on; a frame in doubt, or of nameless people;
on the trunk a frame of somebody who is never recorded, whatever is shown.
Where the outside party is told first: a frame of anybody before that was heard to its end.
Owed: all frames of agent and customer from the answer to the end, but those one horizon before and all after
somebody is named or comes in, and those one horizon before and all during doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from simulate.intervals import Interval, without, without_last


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a history. `never`: whether anybody concerned may never be recorded."""

    at: float
    leg: str
    word: str
    never: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """Of one leg: what must not be committed, and what must."""

    forbidden: list[Interval]
    owed: list[Interval]
    hidden: list[Interval]  # somebody who may never be recorded speaks, and no message shows it


def demands(
    history: Iterable[Entry],
    end: float,
    horizon: float,
    trunk_horizon: float = 5.0,
    is_told_first: bool = False,
) -> dict[str, Demand]:
    """Judge each leg. `is_told_first`: nothing may be kept of whom nothing was announced to."""
    legs: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(history, key=lambda entry: entry.at):
        legs[entry.leg].append(entry)
    on_trunk = {leg for leg, entries in legs.items() if any(it.word == "witnessed" for it in entries)}
    return {
        leg: _judge(
            entries, end, trunk_horizon if leg in on_trunk else horizon, leg in on_trunk, is_told_first
        )
        for leg, entries in legs.items()
    }


def _judge(
    entries: list[Entry], end: float, horizon: float, is_witnessed: bool, is_told_first: bool
) -> Demand:
    def first(*words: str, never: bool = False) -> float:
        return min((it.at for it in entries if it.word in words and it.never >= never), default=end)

    everything = (-horizon, end)
    if any(it.word in ("private", "barred") for it in entries):
        return Demand([everything], [], [])
    answered, over = max(first("answered"), first("told") if is_told_first else 0), first("ended")
    named = first("named", never=True)
    uncertain = doubts(entries, end)
    spoken = [*(it for it in entries if it.word == "speak"), Entry(end, "", "speak")]
    bad = [(one.at, next.at) for one, next in pairwise(spoken) if one.never]
    shown = [*uncertain, *([(named - horizon, end)] if named < end else [])]
    silent = [(-horizon, answered), (over, end)]
    forbidden = [*silent, *uncertain, *(bad if is_witnessed else ())]
    forbidden += [(at - horizon, end) for at in (named, first("stopped")) if at < end]
    untold = _untold(entries, end) if is_told_first else {}
    forbidden += untold.get("change", [])
    nothing_more = min(named, first("change", "stopped"), *(it for it, _ in bad))
    until = min(over, nothing_more - horizon if nothing_more < over else over)
    pauses = [*uncertain, *_waits(entries, end), *untold.get("known", [])]
    owed = without([(answered, until)], [(start - horizon, stop) for start, stop in pauses])
    if is_witnessed:  # what is held is dropped in each doubt there, and once more when it ends
        return Demand(forbidden, without_last(owed, horizon), [])
    return Demand(forbidden, owed if answered < end else [], without(bad, shown))


def doubts(entries: list[Entry], end: float) -> list[Interval]:
    """When it is not certain who speaks on a leg; `entries` in order of time."""
    found: list[Interval] = []
    since: dict[str, list[float]] = {"doubt": [], "nameless": []}
    for entry in entries:
        if entry.word in since:
            since[entry.word].append(entry.at)
        elif entry.word == "clear" and since["doubt"]:
            found.append((since["doubt"].pop(), entry.at))
        elif entry.word == "known":
            found += [(at, entry.at) for at in since["nameless"]]
            since["nameless"] = []
    return found + [(at, end) for left in since.values() for at in left]


def _untold(entries: list[Entry], end: float) -> dict[str, list[Interval]]:
    """From each word that may tell of somebody else until that one has been told."""
    told = [it.at for it in entries if it.word == "told"]
    found: dict[str, list[Interval]] = {"change": [], "known": []}
    for entry in entries:
        if entry.word in found:
            found[entry.word].append((entry.at, min((at for at in told if at > entry.at), default=end)))
    return found


def _waits(entries: list[Entry], end: float) -> list[Interval]:
    over = [it.at for it in entries if it.word == "harmless"]
    begun = [it.at for it in entries if it.word == "perhaps"]
    return [(at, min((it for it in over if it >= at), default=end)) for at in begun]
