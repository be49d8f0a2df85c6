"""The calls between PBX and trunk: what a source of evidence says of them, and what makes it say so anew.

A transfer inside the PBX is invisible on the trunk. What it may leave there is a discontinuity: a re-INVITE
or an UPDATE that is no pure refresh, hold, INFO, another SSRC, a jump of timestamps, another codec. So each
of these takes back what was vouched for, and only what is true as of a later instant counts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from recorder.decision import CallFacts, Direction
from recorder.evidence.statements import Statement
from sip_hooks.events import CallDisturbed, CallOffered, Event, KeysPressed, MediaNegotiated

SETTLED_AFTER = timedelta(milliseconds=500)
"""What changes a dialog has crossed its other pass by then: a phone vouches for nothing that is younger."""
_TAIL = 6  # digits that are compared, for countries and prefixes write the beginning differently
_SHORTEST = 3
_DIGITS = frozenset("0123456789")


def may_be_one(one: CallFacts, other: CallFacts) -> bool:
    """Whether the outside party of two calls may be the same, so that they may be two halves of one call.

    For keeping out only: a prefix too many, a country code too few or a hidden number are no difference.
    """
    ours, theirs = _tails(one), _tails(other)
    if (not ours or one.anonymous) and (not theirs or other.anonymous):
        return True
    return bool(ours & theirs)


def _tails(facts: CallFacts) -> set[str]:
    """The ends of all numbers that the outside party may have."""
    dialled = {facts.dialled} if facts.direction is Direction.OUTBOUND else set()
    numbers = ("".join(filter(_DIGITS.__contains__, it.partition("@")[0])) for it in facts.outside | dialled)
    return {it[-_TAIL:] for it in numbers if len(it) >= _SHORTEST}


@dataclass(slots=True)
class _Leg:
    conversation: str
    certain_after: datetime


class TrunkLegs:
    """All calls on the trunk that run."""

    def __init__(self) -> None:
        self._legs: dict[str, _Leg] = {}

    def offer(self, event: CallOffered) -> None:
        """A call begins; nothing that is said of before counts."""
        if event.is_trunk_leg:
            self._legs[event.call] = _Leg(event.conversation, event.at)

    def is_disturbed_by(self, event: Event) -> bool:
        """Whether what was vouched for counts no longer. Nothing is taken for harmless."""
        return event.call in self._legs and isinstance(event, (CallDisturbed, KeysPressed, MediaNegotiated))

    def disturb(self, call: str, at: datetime) -> None:
        """Something happened after which it has to be said anew who speaks inside."""
        self._legs[call].certain_after = max(at, self._legs[call].certain_after)

    def meant_by(self, statement: Statement) -> str | None:
        """The call that a statement is about, None if it counts for none: too old, or about more than one.

        That nobody is certain any more counts whatever its age.
        """
        calls = [call for call, leg in self._legs.items() if leg.conversation == statement.conversation]
        if len(calls) != 1:
            return None
        is_fresh = statement.at >= self._legs[calls[0]].certain_after
        return calls[0] if is_fresh or statement.inside is None else None

    def is_settled(self, call: str, at: datetime) -> bool:
        """Whether nothing has happened for a while after which it has to be said anew who speaks inside."""
        return at >= self._legs[call].certain_after + SETTLED_AFTER

    def __contains__(self, call: str) -> bool:
        return call in self._legs

    def all(self) -> list[str]:
        """All of them."""
        return list(self._legs)

    def forget(self, call: str) -> None:
        """A call is over."""
        self._legs.pop(call, None)


class Dialogs:
    """The answered passes of each dialog that runs.

    A dialog is known by its Call-ID and by the tag of whoever answered it (RFC 3261 §12). One that crosses us
    on both sides of the PBX is the phone's own: no other device can come into it unseen. A PBX that has a
    dialog of its own on each side answers with a tag of its own, also where it keeps the Call-ID.
    """

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, str]] = {}
        self._passes: dict[tuple[str, str], set[str]] = {}

    def answer(self, call: str, conversation: str, to_tag: str) -> None:
        """A pass is answered."""
        self._of[call] = conversation, to_tag
        self._passes.setdefault((conversation, to_tag), set()).add(call)

    def passes(self, call: str) -> set[str]:
        """All passes of the dialog of this one, itself among them; none while it is not answered."""
        return set(self._passes.get(self._of.get(call, ("", "")), ()))

    def leave(self, call: str) -> None:
        """A pass is over. What it was a pass of is known until it is forgotten."""
        dialog = self._of.get(call, ("", ""))
        if found := self._passes.get(dialog):
            found.discard(call)
            if not found:
                del self._passes[dialog]

    def forget(self, call: str) -> None:
        """Nothing more will come of a pass."""
        self.leave(call)
        self._of.pop(call, None)
