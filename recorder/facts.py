"""From what the signalling reports to what the decision asks: the facts of one call, which only grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from recorder.decision import CallFacts, Direction, Doubt, Newcomer, Vouching
from recorder.numbering import is_number
from recorder.scheme import SAMPLE_SCALE
from sip_hooks.events import CallOffered, Disturbance, Side
from sip_hooks.identity import NAMES_OTHERS, Identity, Role

MOST_NAMES = 256
"""Of one call: each is weighed again at every event, so somebody who names thousands would halt all calls."""

NAME_CHARACTERS = 128
"""The most that is kept of a party's name: it goes into one message to the capture process."""

RAISES: Mapping[Disturbance, Doubt] = MappingProxyType(
    {
        Disturbance.HOLD: Doubt.ON_HOLD,  # from the offer on; what is answered tells whether it came to that
        Disturbance.REINVITE_CHANGED: Doubt.MOVED,  # the same
        Disturbance.REFER: Doubt.TRANSFER,
        Disturbance.REPLACES: Doubt.TAKEOVER,
        Disturbance.CONFERENCE: Doubt.CONFERENCE,
    }
)
"""What may pass."""
HARMLESS = frozenset(
    {
        Disturbance.UPDATE,  # what it says of parties and media is reported by itself
        Disturbance.IDENTITY_CHANGED,  # the newcomers are judged
    }
)
"""What is judged by what it says, and not for what it is. All other disturbances are for good."""


class Lots:
    """What the passes of one conversation have in common: a lot for each purpose, drawn once, whatever else
    speaks for or against; and which of them counts the conversation, should it be kept out.

    `draw(n)` returns a whole number below n, each as likely as any other.
    """

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._drawn: dict[str, int] = {}
        self._counted_by: str | None = None

    def drawn(self, purposes: Iterable[str]) -> Mapping[str, int]:
        """The lots of these purposes and of all before; those that were not drawn yet are drawn now."""
        for purpose in sorted(set(purposes) - self._drawn.keys()):
            self._drawn[purpose] = self._draw(SAMPLE_SCALE)
        return MappingProxyType(dict(self._drawn))

    def is_counted_by(self, call: str) -> bool:
        """Whether it is this pass that counts: the first that asks."""
        self._counted_by = self._counted_by or call
        return self._counted_by == call


def first_facts(
    offered: CallOffered,
    approved: bool,
    withheld_elsewhere: bool,
    draws: Mapping[str, int],
    is_trunk_witnessed: bool = False,
) -> CallFacts:
    """What is known when the INVITE arrives."""
    on_trunk = Vouching.AWAITED if is_trunk_witnessed else Vouching.IMPOSSIBLE
    outbound = Side.PHONES is offered.from_side or Side.TRUNK is offered.to_side
    facts = CallFacts(
        direction=Direction.OUTBOUND if outbound else Direction.INBOUND,
        dialled=offered.dialled,
        anonymous=offered.anonymous,
        vouching=on_trunk if offered.is_trunk_leg else Vouching.NOT_NEEDED,
        approved=approved,
        withheld_elsewhere=withheld_elsewhere,
        already_anchored=offered.already_anchored,
        obstacles=frozenset(it.value for it in said.obstacles)
        if (said := offered.description)
        else frozenset(),
        draws=draws,
    )
    for cause in offered.disturbances:
        facts = disturbed(facts, cause, ())
    return with_identities(facts, offered.identities)


def with_identities(facts: CallFacts, identities: Iterable[Identity], may_permit: bool = True) -> CallFacts:
    """The same facts and these identities: a party is the union of all that any header ever said of it.

    What a ringing fork, a redirection or a disturbance says can forbid, never permit (`may_permit`).
    Of a call that has more names than are kept nobody knows who speaks.
    A Contact that only repeats what the other party is called tells nothing of its own: some phones answer
    with the Contact of the one who called (pyVoIP does).
    """
    inside, outside, everyone = set(facts.inside), set(facts.outside), set(facts.everyone)
    ours = our_role(facts)
    for identity in identities:
        names = {name for name in (identity.value, identity.address) if name}
        everyone |= names
        own, other = (inside, outside) if identity.role == ours else (outside, inside)
        is_echo = identity.header == "contact" and names <= other
        if may_permit and identity.header not in NAMES_OTHERS and not is_echo:
            own |= names
    if len(everyone) > MOST_NAMES:
        return replace(facts, disturbances=facts.disturbances | {Disturbance.UNREADABLE.value})
    return replace(facts, inside=frozenset(inside), outside=frozenset(outside), everyone=frozenset(everyone))


def vouched(facts: CallFacts, inside: frozenset[str] | None) -> CallFacts:
    """A source of evidence says who speaks inside on the trunk side, None that it does not know (any more).

    Whoever it ever named stays named: who comes later makes a second agent, or an exclusion.
    """
    if facts.vouching not in (Vouching.AWAITED, Vouching.GIVEN):
        return facts
    if inside is None:
        return replace(facts, vouching=Vouching.AWAITED)
    inside_now, everyone = facts.inside | inside, facts.everyone | inside
    return replace(facts, vouching=Vouching.GIVEN, inside=inside_now, everyone=everyone)


def our_role(facts: CallFacts) -> Role:
    """Which of the two parties is ours."""
    return "caller" if facts.direction is Direction.OUTBOUND else "callee"


def settled(facts: CallFacts) -> CallFacts:
    """The call is answered: whom it is with now is who the parties are until a header says otherwise."""
    return replace(facts, settled=(facts.inside, facts.outside))


def with_newcomers(facts: CallFacts, identities: Iterable[Identity]) -> CallFacts:
    """A message within the answered call says who the parties are now.

    What each header says takes the place of what it said before; who was there at the answer is no newcomer.
    """
    named: dict[tuple[Literal["inside", "outside"], str], set[str]] = {}
    ours = our_role(facts)
    for identity in identities:
        if identity.header not in NAMES_OTHERS:
            side: Literal["inside", "outside"] = "inside" if identity.role == ours else "outside"
            known = facts.settled[side == "outside"]
            found = named.setdefault((side, identity.header), set())
            found |= set() if _is_among(identity, known) else {identity.value, identity.address} - {""}
    kept = {it for it in facts.newcomers if (it.side, it.header) not in named}
    new = {Newcomer(side, header, frozenset(names)) for (side, header), names in named.items() if names}
    return with_identities(replace(facts, newcomers=frozenset(kept | new)), identities)


def disturbed(facts: CallFacts, cause: Disturbance, identities: Iterable[Identity]) -> CallFacts:
    """Something has happened that puts the parties or the media in doubt, or may."""
    if doubt := RAISES.get(cause):
        facts = replace(facts, doubts=facts.doubts | {doubt})
    elif cause not in HARMLESS:
        facts = replace(facts, disturbances=facts.disturbances | {cause.value})
    if cause is Disturbance.IDENTITY_CHANGED and any(facts.settled):
        return with_newcomers(facts, identities)
    return with_identities(facts, identities, may_permit=False)


def transferred(facts: CallFacts, is_done: bool) -> CallFacts:
    """What became of a transfer: one party is another now, or all is as it was."""
    facts = replace(facts, doubts=facts.doubts - {Doubt.TRANSFER})
    return replace(facts, disturbances=facts.disturbances | {Disturbance.REFER.value}) if is_done else facts


def _is_among(identity: Identity, known: frozenset[str]) -> bool:
    """A number is the same at every host, a name is not; where a message goes is read by its user alone."""
    by_user = identity.header in ("contact", "request-uri") or is_number(identity.value)
    return (identity.value if by_user or not identity.address else identity.address) in known


def parties(facts: CallFacts) -> dict[str, str]:
    """Who speaks on which leg, for the sealed part of a clip: the most telling name of each side."""
    return {
        "agent": _most_telling(facts.inside)[:NAME_CHARACTERS],
        "outside": _most_telling(facts.outside)[:NAME_CHARACTERS],
    }


def _most_telling(names: frozenset[str]) -> str:
    """A number before a name, a bare user before an address, the longer before the shorter."""
    return max(sorted(names), key=lambda it: (it.lstrip("+").isdigit(), "@" not in it, len(it)), default="")
