"""One history from one seed: an opening, some turns, an end; and what is wrong with what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from recorder.policy import Policy
from simulate import branching, keys, openings, transfers, trunk, turns, uncertain
from simulate.intervals import Interval, is_doubled, length
from simulate.openings import Talk
from simulate.people import policy
from simulate.world import World, leaked, missing

Opening: TypeAlias = Callable[[World], Talk | None]
Turn: TypeAlias = Callable[[Talk], None]

OPENINGS: tuple[Opening, ...] = (
    *([openings.calls_customer] * 9),
    *([openings.customer_calls] * 9),
    openings.calls_never,
    openings.never_calls,
    openings.answered_by_never,
    openings.forwarded_by_never,
    openings.to_never,
    openings.shared_line,
    openings.private,
    openings.emergency,
    uncertain.hidden_inside,
    uncertain.unreadable,
    uncertain.guest,
    uncertain.keyed,
    uncertain.feature_code,
    uncertain.forwards,
    uncertain.room,
    uncertain.queue,
    uncertain.conference,
    branching.forks,
    branching.two_answers,
    branching.redirected,
    branching.cancelled,
    branching.cancelled,
    branching.group,
    branching.twice,
    branching.twice_private,
    branching.twice_among_us,
    branching.twice_masked,
    uncertain.rung_by_unlisted,
    uncertain.rung_late,
    uncertain.displayed_unlisted,
    *([uncertain.claimed] * 2),
    *([trunk.trunk_brings, trunk.trunk_takes] * 2),
)
TURNS: tuple[Turn, ...] = (
    turns.refreshes,
    turns.refreshes,
    turns.glare,
    turns.holds,
    turns.holds,
    turns.connected_line,
    turns.connected_line,
    turns.changes_name,
    turns.becomes_nobody,
    turns.takes_the_phone,
    turns.moves_media,
    turns.changes_unseen,
    turns.becomes_a_conference,
    keys.presses_feature_code,
    keys.presses_feature_code,
    keys.presses_keys,
    keys.becomes_private,
    keys.pauses,
    keys.other_presses,
    keys.presses_around_a_hold,
    keys.beside,
    turns.mentions,
    turns.stops,
    transfers.blind,
    transfers.sent_away,
    transfers.attended,
    transfers.taken_over,
    transfers.three_way,
)


LATEST_SECONDS = 0.8
"""By then everything that came before the end has been told."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one history, in seconds of conversation; by leg what is wrong with it."""

    steps: tuple[str, ...]
    leaked: dict[str, list[Interval]]
    missing: dict[str, list[Interval]]
    wrong: list[str]
    committed: float
    forbidden: float
    owed: float
    hidden: float
    told: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing leaked, nothing is missing and nothing else is wrong."""
        return not self.leaked and not self.missing and not self.wrong


def seeded(seed: int, index: int) -> Random:
    """The chance of one history of a run."""
    return Random(seed * 1_000_003 + index)


def happen(
    chance: Random,
    in_force: Policy | None = None,
    is_told: bool = False,
    among: Sequence[Opening] = OPENINGS,
    then: Sequence[Turn] = (),
) -> Outcome:
    """Let one history happen and judge it. `then`: only these turns."""
    world = World(chance, in_force or policy(), is_told)
    opening = chance.choice(among)
    steps = [opening.__name__]
    talk = opening(world)
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 3))):
        if talk is None or not talk.is_up:
            break
        turn = chance.choice(then or (trunk.TURNS if talk.is_on_trunk else TURNS))
        steps.append(turn.__name__)
        turn(talk)
        world.wait(chance.choice((0.1, 1.0, 5.0)))
    if talk is not None and talk.is_up:
        world.wait(world.witness.lateness if talk.is_on_trunk else 0.0)
        turns.hang_up(talk)
    world.wait(LATEST_SECONDS)
    return judged(world, tuple(steps))


def judged(world: World, steps: tuple[str, ...]) -> Outcome:
    """What the oracle says of it."""
    kept, demands = world.committed(), world.demands()
    leaks = {leg: found for leg, it in demands.items() if (found := leaked(it, kept.get(leg, [])))}
    lacks = {leg: found for leg, it in demands.items() if (found := missing(it, kept.get(leg, [])))}
    return Outcome(
        steps,
        leaks,
        lacks if not world.proxy.media_fails else {},
        list(_wrong(world, kept)),
        sum(map(length, kept.values())),
        sum(length(it.forbidden) for it in demands.values()),
        sum(length(it.owed) for it in demands.values()),
        sum(length(it.hidden) for it in demands.values()),
        world.told,
    )


def _wrong(world: World, kept: dict[str, list[Interval]]) -> Iterator[str]:
    """What frames do not show."""
    private = {it.leg for it in world.entries if it.word == "private"}
    yield from (f"{leg}: anchored" for leg in private & set(map(world.leg_of, world.proxy.conversations)))
    yield from (f"{leg}: given up" for leg in world.given_up)
    yield from (f"{leg}: kept twice" for leg, found in kept.items() if is_doubled(found))
    others = {row.purpose for row in world.proxy.media.clips.values()} - {"coaching"}
    yield from (f"kept for {purpose}" for purpose in sorted(others))
