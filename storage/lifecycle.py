"""The life of a clip: one table.

    OPEN     pause→PAUSED   seal→SEALED   shred→ERASING
    PAUSED   resume→OPEN    seal→SEALED   shred→ERASING
    SEALED   shred→ERASING
    ERASING  shred→ERASING  bury→ERASED
    ERASED   –

A hold is not a state: it is one of the things that the purge's verdict weighs. The catalogue takes every
step inside the transaction that records it. Start-up needs two queries: OPEN and PAUSED are sealed as
truncated, ERASING is finished by the next purge.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from storage.errors import IllegalStep


class State(StrEnum):
    OPEN = "open"  # being written
    PAUSED = "paused"  # being written, silent for now
    SEALED = "sealed"  # finished; bytes never change again
    ERASING = "erasing"  # condemned: nobody may open it any more
    ERASED = "erased"  # gone; a tombstone stands


class Step(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    SEAL = "seal"
    SHRED = "shred"
    BURY = "bury"


TABLE: Mapping[State, Mapping[Step, State]] = {
    State.OPEN: {Step.PAUSE: State.PAUSED, Step.SEAL: State.SEALED, Step.SHRED: State.ERASING},
    State.PAUSED: {Step.RESUME: State.OPEN, Step.SEAL: State.SEALED, Step.SHRED: State.ERASING},
    State.SEALED: {Step.SHRED: State.ERASING},
    State.ERASING: {Step.SHRED: State.ERASING, Step.BURY: State.ERASED},
    State.ERASED: {},
}

UNFINISHED = frozenset({State.OPEN, State.PAUSED})


def after(state: State, step: Step) -> State:
    """The state that `step` leads to. Raises IllegalStep where the table has no such row."""
    try:
        return TABLE[state][step]
    except KeyError:
        raise IllegalStep(state, step) from None


def diagram() -> str:
    """The table as a Mermaid state diagram, for docs/recording-lifecycle.md."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.OPEN.name}"]
    for state, steps in TABLE.items():
        lines += [f"    {state.name} --> {target.name}: {step}" for step, target in steps.items()]
    lines.append(f"    {State.ERASED.name} --> [*]")
    return "\n".join(lines) + "\n"
