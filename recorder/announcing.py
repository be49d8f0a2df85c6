"""Whom an announcement is played to in one call, and what becomes of it.

One file is played at a time, each once to the same outside party. Whatever comes in between (the verdict no
longer waits for this file; other media, codecs or keys) ends it for good: that party has not been told. If
somebody else is there meanwhile, it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from recorder.announcement import Hearer
from recorder.decision import CallFacts, Newcomer
from recorder.effects import Effect, Play, StopPlaying
from recorder.ends import Ends
from recorder.facts import our_role
from recorder.policy import Announcement, Policy
from recorder.said import Heard

Side = Literal["a", "b"]
INTERRUPTED = "announcement-interrupted"
NO_CODEC = "announcement-codec"


class Announcing:
    """What is played in one call now, if anything is."""

    def __init__(self, call: str, ends: Ends) -> None:
        self._call = call
        self._ends = ends
        self._playing: Play | None = None
        self._to: frozenset[Newcomer] = frozenset()  # to whom, if not to who was there at the answer
        self._count = 0

    def follow(
        self, purposes: Iterable[str], facts: CallFacts, policy: Policy, session: int | None
    ) -> tuple[CallFacts, list[Effect]]:
        """Begin, go on or break off, when nothing but an announcement stands in the way of these purposes."""
        meant = {it.sha256: it for name in purposes if (it := policy.announcements.get(name))}
        playing, others = self._playing, frozenset(it for it in facts.newcomers if it.side == "outside")
        stopped: list[Effect] = []
        if playing is not None:
            announced = meant.get(playing.sha256)
            is_same = announced is not None and self._hearers(announced, facts) == playing.hearers
            if is_same and others == self._to:
                return facts, []
            stopped = self.stop()
            if others == self._to:
                return _untold(facts, playing.sha256, INTERRUPTED), stopped
        new = min(meant.keys() - {it.sha256 for it in facts.told}, default=None)
        if new is None or session is None:
            return facts, stopped
        hearers = self._hearers(meant[new], facts)
        if not all(it.codecs for it in hearers):
            return _untold(facts, new, NO_CODEC), stopped
        self._count += 1
        self._to = others
        self._playing = Play(self._call, session, self._count, new, hearers)
        return facts, [*stopped, self._playing]

    def over(self, number: int, told: Heard | str, facts: CallFacts) -> CallFacts:
        """It was heard whole, or why it was not. What had been broken off before changes nothing any more."""
        playing = self._playing
        if playing is None or playing.number != number:
            return facts
        self._playing = None
        if isinstance(told, str):
            return _untold(facts, playing.sha256, told)
        return facts._replace(told=facts.told | {told})

    def stop(self) -> list[Effect]:
        """Nothing is to be played any more."""
        playing, self._playing = self._playing, None
        return [] if playing is None else [StopPlaying(playing.session)]

    def _hearers(self, announced: Announcement, facts: CallFacts) -> tuple[Hearer, ...]:
        sides: tuple[Side, ...] = ("b", "a") if our_role(facts) == "caller" else ("a", "b")
        return self._ends.hearers(sides if announced.to_agent else sides[:1])


def _untold(facts: CallFacts, sha256: str, why: str) -> CallFacts:
    return facts._replace(untold=facts.untold | {(sha256, why)})
