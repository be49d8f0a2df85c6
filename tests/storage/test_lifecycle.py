"""The table of architecture.md, every cell of it."""

from __future__ import annotations

import itertools

import pytest

from storage.errors import IllegalStep, Refused
from storage.lifecycle import State, Step, after, diagram

LEGAL = {
    "open": {"pause": "paused", "seal": "sealed", "shred": "erasing"},
    "paused": {"resume": "open", "seal": "sealed", "shred": "erasing"},
    "sealed": {"shred": "erasing"},
    "erasing": {"shred": "erasing", "bury": "erased"},
    "erased": {},
}


@pytest.mark.parametrize(("state", "step"), [*itertools.product(State, Step)])
def test_every_step_from_every_state(state: State, step: Step) -> None:
    expected = LEGAL[state].get(step)
    if expected is None:
        with pytest.raises(IllegalStep) as refusal:
            after(state, step)
        assert (refusal.value.state, refusal.value.step) == (state, step)
    else:
        assert after(state, step) == expected


def test_a_refused_step_says_why_and_what_to_do() -> None:
    with pytest.raises(Refused, match=r"bury a recording that is sealed: nothing was changed"):
        after(State.SEALED, Step.BURY)


def test_the_diagram_has_each_legal_step_once() -> None:
    lines = diagram().splitlines()
    for state, steps in LEGAL.items():
        for step, target in steps.items():
            assert lines.count(f"    {state.upper()} --> {target.upper()}: {step}") == 1
    assert len(lines) == 3 + sum(map(len, LEGAL.values()))
