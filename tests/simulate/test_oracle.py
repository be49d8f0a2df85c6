"""What the oracle demands of histories that are written down by hand."""

from __future__ import annotations

from random import Random

import pytest

from simulate.intervals import Interval, without
from simulate.link import PERFECT
from simulate.openings import outward
from simulate.oracle import Entry, demands
from simulate.people import ANNA, CUSTOMERS, policy
from simulate.world import World

LEG, END, HORIZON = "leg", 60.0, 2.0


def judge(*history: tuple[float, str] | tuple[float, str, bool]) -> tuple[list[Interval], list[Interval]]:
    """What may be kept at all of the first minute, and what must be."""
    found = demands((Entry(it[0], LEG, *it[1:]) for it in history), END, HORIZON)[LEG]
    return without([(0.0, END)], found.forbidden), found.owed


@pytest.mark.parametrize(
    ("history", "allowed", "owed"),
    [
        ([(10, "answered"), (50, "ended")], [(10, 50)], [(10, 50)]),
        ([(10, "answered"), (30, "named", True)], [(10, 28)], [(10, 28)]),
        ([(10, "answered"), (30, "change")], [(10, 60)], [(10, 28)]),
        ([(10, "answered"), (30, "stopped")], [(10, 28)], [(10, 28)]),
        ([(10, "answered"), (20, "doubt"), (40, "clear")], [(10, 20), (40, 60)], [(10, 18), (40, 60)]),
        (
            [(10, "answered"), (20, "doubt"), (25, "doubt"), (40, "clear")],
            [(10, 20)],
            [(10, 18)],
        ),
        ([(5, "nameless"), (10, "answered"), (20, "known")], [(20, 60)], [(20, 60)]),
        ([(5, "nameless"), (8, "nameless"), (10, "answered"), (20, "known")], [(20, 60)], [(20, 60)]),
        ([(10, "answered"), (20, "doubt"), (30, "known")], [(10, 20)], [(10, 18)]),
        ([(10, "answered"), (20, "nameless"), (30, "clear")], [(10, 20)], [(10, 18)]),
        ([(10, "answered"), (20, "private")], [], []),
        ([(10, "answered"), (20, "barred")], [], []),
        ([(5, "ended"), (10, "answered")], [], []),
    ],
)
def test_what_a_history_demands(
    history: list[tuple[float, str]], allowed: list[Interval], owed: list[Interval]
) -> None:
    assert judge(*history) == (allowed, owed)


def test_who_speaks_and_is_not_shown_is_hidden_and_nothing_is_owed_after() -> None:
    history = [Entry(0, LEG, "answered"), Entry(20, LEG, "speak", True), Entry(30, LEG, "speak")]
    found = demands(history, END, HORIZON)[LEG]
    assert found.hidden == [(20, 30)] and found.owed == [(0, 18)]


@pytest.mark.parametrize("is_deaf", [False, True], ids=["told once", "told again and again"])
def test_of_a_call_that_was_given_up_before_its_answer_nothing_is_owed(is_deaf: bool) -> None:
    """The PBX was silent for half a minute, the caller has been told, and then somebody answers. A caller who
    does not hear that is told again, which decides nothing anew.
    """
    world = World(Random(1), policy())
    world.link._quality = PERFECT
    caller, called = outward(world, ANNA, CUSTOMERS[0].dialled)
    assert called is not None and called.invite is not None
    if is_deaf:
        world.node(caller.agent.address, lambda data: None)
    world.wait(33.0)
    assert caller.is_over is not is_deaf
    called.respond(called.invite, 200, (), called.sdp, [world.word(caller.leg, "answered")])
    world.wait(5.0)
    assert world.demands()[caller.leg].owed == [] and world.committed() == {}
    assert not world.given_up
