"""The scenarios by their names: what is played, and what must be seen, with the proxy and without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.end_to_end.interop.stage import Stage

Play = Callable[[Stage], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`expected`: what `play` returns. `recorded`: how many recordings it leaves; None: not looked at."""

    name: str
    expected: str
    play: Play
    recorded: int | None = 0
    only_through: bool = False


SCENARIOS: list[Scenario] = []


def scenario(
    name: str, expected: str, recorded: int | None = 0, only_through: bool = False
) -> Callable[[Play], Play]:
    """Put what is decorated into the list."""

    def listed(play: Play) -> Play:
        SCENARIOS.append(Scenario(name, expected, play, recorded, only_through))
        return play

    return listed
