"""Where the outside party has to be told first, nothing from before the end of that is kept (KSF 6.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder import facts as told
from recorder.decision import CallFacts, Newcomer
from simulate import transfers, turns
from simulate.history import Turn, happen, seeded
from simulate.openings import calls_customer, customer_calls
from simulate.people import announcing

HISTORIES = 150


@pytest.mark.parametrize("part", range(4))
def test_nothing_from_before_its_end_is_kept_and_what_follows_is(part: int) -> None:
    committed = owed = 0.0
    for index in range(part * HISTORIES, (part + 1) * HISTORIES):
        outcome = happen(seeded(4, index), announcing())
        assert outcome.holds, (index, outcome)
        committed += outcome.committed
        owed += outcome.owed
    assert committed >= owed > HISTORIES / 4, "a run in which nothing is recorded proves nothing"


@pytest.mark.parametrize("turn", [turns.holds, transfers.blind, turns.moves_media, turns.connected_line])
def test_what_comes_while_it_is_played_or_after_it_keeps_out_what_it_must(turn: Turn) -> None:
    outcomes = [
        happen(seeded(5, index), announcing(), among=[customer_calls], then=[turn]) for index in range(40)
    ]
    assert all(it.holds for it in outcomes)
    assert any(it.committed for it in outcomes) and any(not it.committed for it in outcomes)


def test_a_rule_that_is_taken_out_is_missed() -> None:
    rules = announcing().rules
    kept = tuple(it for it in rules if not it.__qualname__.endswith("not_heard"))
    assert len(kept) == len(rules) - 1
    outcomes = (
        happen(seeded(6, it), replace(announcing(), rules=kept), among=[calls_customer]) for it in range(50)
    )
    assert any(it.leaked for it in outcomes)


def test_somebody_new_who_is_not_told_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(facts: CallFacts, newcomers: frozenset[Newcomer]) -> CallFacts:
        return facts._replace(newcomers=newcomers)

    monkeypatch.setattr(told, "_untold_if_new", careless)
    outcomes = (
        happen(seeded(6, it), announcing(), among=[customer_calls], then=[turns.connected_line])
        for it in range(50)
    )
    assert any(it.leaked for it in outcomes)
