"""Histories over all paths: nothing of who must stay out is kept, and what is owed is kept."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulate import transfers, turns, uncertain
from simulate.dialogue import Asked
from simulate.history import OPENINGS, Opening, Outcome, Turn, happen, judged, seeded
from simulate.openings import calls_customer, customer_calls
from simulate.people import policy
from simulate.world import World

SLICES, HISTORIES = 40, 250


def told(seed: int, index: int, outcome: Outcome) -> str:
    """How to look at a history that does not hold."""
    return f"make simulate SEED={seed} ONLY={index}: {outcome.steps} {outcome.leaked} {outcome.missing}"


@pytest.mark.parametrize("part", range(SLICES))
def test_no_frame_of_who_must_stay_out_is_kept_and_none_that_is_owed_is_missing(part: int) -> None:
    committed = owed = 0.0
    for index in range(part * HISTORIES, (part + 1) * HISTORIES):
        outcome = happen(seeded(1, index))
        assert outcome.holds, told(1, index, outcome)
        committed += outcome.committed
        owed += outcome.owed
    assert committed >= owed > HISTORIES / 2, "a run in which nothing is recorded proves nothing"


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_draw_that_hypothesis_finds_leaks(chance: Random) -> None:
    outcome = happen(chance)
    assert outcome.holds, outcome


def test_a_seed_gives_the_same_history_message_by_message() -> None:
    first, second = (happen(seeded(3, 5), is_told=True) for _ in range(2))
    assert first.told and first == second


@pytest.mark.parametrize("opening", [*dict.fromkeys(OPENINGS)], ids=lambda it: it.__name__)
def test_every_opening_leads_to_an_answer(opening: Opening) -> None:
    """An opening whose calls never come about would prove nothing."""
    told = [happen(seeded(2, index), is_told=True, among=[opening]).told for index in range(5)]
    assert any("answered" in line for each in told for line in each)


@pytest.mark.parametrize(
    ("opening", "turn"),
    [
        (uncertain.rung_by_unlisted, turns.refreshes),
        (uncertain.rung_late, turns.refreshes),
        (uncertain.displayed_unlisted, turns.refreshes),
        (calls_customer, transfers.three_way),
        (uncertain.feature_code, turns.connected_line),
        (uncertain.queue, turns.connected_line),
    ],
    ids=lambda it: it.__name__,
)
def test_paths_hold_on_which_something_has_leaked(opening: Opening, turn: Turn) -> None:
    for index in range(60):
        outcome = happen(seeded(4, index), among=[opening], then=[turn])
        assert outcome.holds, told(4, index, outcome)


def test_a_queue_that_comes_back_after_it_connected_somebody_is_nobody_again() -> None:
    for index in range(60):
        outcome = happen(
            seeded(10, index), among=[uncertain.queue], then=[turns.connected_line, turns.becomes_nobody]
        )
        assert outcome.holds, told(10, index, outcome)


def test_a_transfer_that_fails_settles_nothing_that_a_request_from_outside_has_begun() -> None:
    """How one REFER ended was taken for the end of another, which had only named the call (RFC 4538)."""
    for index in range(100):
        outcome = happen(seeded(9, index), among=[customer_calls], then=[transfers.blind, turns.mentions])
        assert outcome.holds, told(9, index, outcome)


@pytest.mark.parametrize("turn", [turns.moves_media, turns.holds, transfers.attended, transfers.three_way])
def test_what_is_refused_because_the_other_end_asks_for_something_itself_has_not_happened(turn: Turn) -> None:
    for index in range(4):
        world = World(seeded(3, index), policy())
        talk = customer_calls(world)
        assert talk is not None
        talk.phone.asked.append(Asked("INVITE", 99, "", ()))  # that never arrives anywhere
        talk.far.asked.append(Asked("INVITE", 99, "", ()))
        turn(talk)
        turns.hang_up(talk)
        outcome = judged(world, (turn.__name__,))
        assert outcome.holds, told(3, index, outcome)
