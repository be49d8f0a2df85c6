"""Who says who speaks inside the PBX: a source of evidence for calls on the trunk, and how late it says so.

What happens inside is told after `lateness`, in order. Who asks is answered after twice of that, with what
was true on the way. When it falls silent nothing arrives any more, and after four seconds it is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TypeAlias

from recorder.evidence.statements import LOST_AFTER
from simulate.link import Link
from simulate.people import Person

LATENESS = (0.02, 0.3, 0.8, 3.0)
Inside: TypeAlias = tuple[Person, ...]


class Witness:
    """`say(leg, inside, at)` hears what it says, as of when; `lose()` that it is lost."""

    def __init__(
        self, link: Link, chance: Random, say: Callable[[str, Inside, float], None], lose: Callable[[], None]
    ) -> None:
        self._link, self._say, self._lose = link, say, lose
        self.lateness = chance.choice(LATENESS)
        self._inside: dict[str, Inside] = {}
        self._is_silent = False

    def connect(self, leg: str, *inside: Person) -> None:
        """From now on these are connected with a call on the trunk."""
        self._inside[leg] = inside
        self._link.later(self.lateness, partial(self._tell, leg, inside, None))

    def ask(self) -> None:
        """Have everything said anew, as of now."""
        self._link.later(self.lateness, partial(self._answer, self._link.now))

    def fall_silent(self) -> None:
        """Nothing comes any more."""
        self._is_silent = True
        self._link.later(LOST_AFTER.total_seconds(), self._lose)

    def _answer(self, asked_at: float) -> None:
        for leg, inside in self._inside.items():
            self._link.later(self.lateness, partial(self._tell, leg, inside, asked_at))

    def _tell(self, leg: str, inside: Inside, at: float | None) -> None:
        if not self._is_silent:
            self._say(leg, inside, self._link.now if at is None else at)
