"""From what the signalling reports to what the decision asks: the facts of one call, which only grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from recorder.decision import CallFacts, Direction, Doubt, Newcomer, Vouching
from recorder.numbering import is_number
from recorder.said import Rung
from recorder.scheme import SAMPLE_SCALE
from sip_hooks.events import (
    CallAnswered,
    CallDisturbed,
    CallOffered,
    CallProgressed,
    CallRedirected,
    Disturbance,
    Event,
    Side,
    TransferEnded,
)
from sip_hooks.identity import NAMES_OTHERS, ONLY_SHOWN, SAYS_ANEW, Identity, Role

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

_NOBODY = frozenset(("",))
_OF_ITSELF = frozenset(("p-asserted-identity", "p-preferred-identity"))
"""Headers that say of whoever sent the message who that is, and of nobody else. Not Contact: some phones
answer with that of whoever called.
"""
_Place: TypeAlias = Literal["inside", "outside"]


class Lots:
    """What the passes of one conversation have in common: a lot for each purpose, drawn once, whatever else
    speaks for or against; which of them counts the conversation, should it be kept out; and what we call each
    of them (`passes`), those that are over too.

    `draw(n)` returns a whole number below n, each as likely as any other.
    """

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._drawn: dict[str, int] = {}
        self._counted_by: str | None = None
        self.passes: set[str] = set()

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
    contacts = [it for it in offered.identities if it.header == "contact"]
    for cause in offered.disturbances:
        facts = disturbed(facts, cause, contacts if cause is Disturbance.CONFERENCE else ())
    # Its own telephone speaks for the caller, and where a call is sent tells who is called.
    believed = {"from", "contact", "remote-party-id"} if outbound else {"request-uri", "account"}
    return with_identities(facts, offered.identities, believed=_OF_ITSELF | believed)


def told(facts: CallFacts, event: Event) -> CallFacts:
    """What an event within the call says of its parties; nothing if it is of another kind."""
    match event:
        case CallProgressed():
            return rung(facts, event.to_tag, event.identities)
        case CallRedirected():
            return with_identities(facts, event.identities, may_permit=False)
        case CallAnswered():
            return answered(facts, event.to_tag, event.identities)
        case CallDisturbed():
            return disturbed(facts, event.cause, event.identities)
        case TransferEnded():
            return transferred(facts, event.is_done)
    return facts


def with_identities(
    facts: CallFacts,
    identities: Iterable[Identity],
    may_permit: bool = True,
    believed: frozenset[str] = _OF_ITSELF,
) -> CallFacts:
    """The same facts and these identities: a party is the union of all that any header ever said of it.

    What a ringing fork, a redirection or a disturbance says can forbid, never permit (`may_permit`). What the
    other party may have written of ours is but claimed; it says so in another header than those `believed`.
    Of a call that has more names than are kept nobody knows who speaks.
    A Contact that only repeats what the other party is called tells nothing of its own: some phones answer
    with the Contact of the one who called (pyVoIP does).
    """
    identities = tuple(identities)
    sides, heard, everyone = [facts.inside, facts.outside], list(facts.hearsay), facts.everyone
    ours = our_role(facts)
    for identity in identities:
        names, of = _names_of(identity), identity.role != ours
        everyone = _with(everyone, names)
        if identity.header in ONLY_SHOWN:
            heard[of] = _with(heard[of], names)
        elif may_permit and identity.header not in NAMES_OTHERS and not _is_echo(identity, sides[not of]):
            sides[of] = _with(sides[of], names)
    if len(everyone) > MOST_NAMES:
        return _with_too_many(facts)
    claimed = _claimed(facts, identities, believed) if may_permit else facts.claimed
    now = everyone, *sides, *heard, claimed
    if now == (facts.everyone, facts.inside, facts.outside, *facts.hearsay, facts.claimed):
        return facts
    return facts._replace(
        inside=sides[0], outside=sides[1], everyone=everyone, claimed=claimed, hearsay=(heard[0], heard[1])
    )


def _with(known: frozenset[str], names: frozenset[str]) -> frozenset[str]:
    return known if names <= known else known | names


def _claimed(facts: CallFacts, identities: Iterable[Identity], believed: frozenset[str]) -> frozenset[str]:
    """What nothing but the other party's word says of ours, these identities included."""
    claims, sure = set(facts.claimed), set(_NOBODY)
    for it in identities:
        if it.role == our_role(facts):
            if it.header in believed:
                sure |= _names_of(it)
            else:
                claims |= _names_of(it) - facts.inside
    return frozenset(claims - sure)


def rung(facts: CallFacts, to_tag: str, identities: Iterable[Identity]) -> CallFacts:
    """A fork rings, and says who is called. It can only forbid; if that fork answers, as hearsay as well."""
    identities = tuple(identities)
    facts = with_identities(facts, identities, may_permit=False)
    ours = our_role(facts)
    said: dict[tuple[_Place, str], frozenset[str]] = {}
    for it in identities:
        side: _Place = "inside" if it.role == ours else "outside"
        if it.header not in NAMES_OTHERS and not _is_echo(
            it, facts.outside if it.role == ours else facts.inside
        ):
            said[side, it.header] = said.get((side, it.header), frozenset()) | _names_of(it)
    found = facts.rung | {Rung(to_tag, side, header, names) for (side, header), names in said.items()}
    facts = facts._replace(rung=found) if len(found) <= MOST_NAMES else _with_too_many(facts)
    if facts.fork is None:
        return facts
    return facts._replace(hearsay=_hearsay(facts, facts.rung, facts.fork), rung=frozenset())


def answered(facts: CallFacts, to_tag: str, identities: Iterable[Identity]) -> CallFacts:
    """A fork answers: who it is, is whom it names now and, where it names nobody, whom it named before. Whom
    the call is with now is who the parties are until a header says otherwise.
    """
    identities = tuple(identities)
    named = {(it.role == our_role(facts), it.header) for it in identities if it.header in SAYS_ANEW}
    left = (it for it in facts.rung if (it.side == "inside", it.header) not in named)
    is_ours = facts.direction is Direction.INBOUND
    believed = _OF_ITSELF | {"remote-party-id"} if is_ours else _OF_ITSELF
    facts = with_identities(facts, identities, believed=believed)
    inside, outside = heard = _hearsay(facts, left, to_tag)
    settled = facts.inside | inside, facts.outside | outside
    return facts._replace(rung=frozenset(), fork=to_tag, hearsay=heard, settled=settled)


def _hearsay(facts: CallFacts, rung: Iterable[Rung], fork: str) -> tuple[frozenset[str], frozenset[str]]:
    """Of what was said before the answer the winning fork's counts, and what no fork can be told of."""
    inside, outside = facts.hearsay
    for it in rung:
        if it.to_tag in ("", fork) and it.side == "inside":
            inside = _with(inside, it.names - facts.inside)
        elif it.to_tag in ("", fork):
            outside = _with(outside, it.names - facts.outside)
    return inside, outside


def _with_too_many(facts: CallFacts) -> CallFacts:
    return facts._replace(disturbances=facts.disturbances | {Disturbance.UNREADABLE.value})


def _names_of(identity: Identity) -> frozenset[str]:
    return frozenset((identity.value, identity.address)) - _NOBODY


def _is_echo(identity: Identity, other: frozenset[str]) -> bool:
    return identity.header == "contact" and _names_of(identity) <= other


def vouched(facts: CallFacts, inside: frozenset[str] | None) -> CallFacts:
    """A source of evidence says who speaks inside on the trunk side, None that it does not know (any more).

    Whoever it ever named stays named: who comes later makes a second agent, or an exclusion.
    """
    if facts.vouching not in (Vouching.AWAITED, Vouching.GIVEN):
        return facts
    if inside is None:
        return facts._replace(vouching=Vouching.AWAITED)
    inside_now, everyone = facts.inside | inside, facts.everyone | inside
    claimed = facts.claimed - inside
    return facts._replace(vouching=Vouching.GIVEN, inside=inside_now, everyone=everyone, claimed=claimed)


def our_role(facts: CallFacts) -> Role:
    """Which of the two parties is ours."""
    return "caller" if facts.direction is Direction.OUTBOUND else "callee"


def with_newcomers(facts: CallFacts, identities: Iterable[Identity]) -> CallFacts:
    """A message within the answered call says who the parties are now.

    What each header says takes the place of what it said before. Who was there at the answer is no newcomer,
    unless somebody else came between: then who comes back is weighed by what was known at the answer.
    """
    named: dict[tuple[_Place, str], frozenset[str]] = {}
    ours = our_role(facts)
    for identity in identities:
        if identity.header not in NAMES_OTHERS:
            side: _Place = "inside" if identity.role == ours else "outside"
            found = _new_names(facts, identity, side)
            named[side, identity.header] = named.get((side, identity.header), frozenset()) | found
    kept = {it for it in facts.newcomers if (it.side, it.header) not in named}
    new = {Newcomer(side, header, names) for (side, header), names in named.items() if names}
    facts = _untold_if_new(facts, frozenset(kept | new))
    return with_identities(facts, identities)


def _new_names(facts: CallFacts, identity: Identity, side: _Place) -> frozenset[str]:
    settled = facts.settled[side == "outside"]
    if not _is_among(identity, settled):
        return _names_of(identity)
    followed = {it.header for it in facts.newcomers if it.side == side}
    is_back = identity.header in followed or (bool(followed) and identity.header in SAYS_ANEW)
    return settled if is_back else frozenset()


def _untold_if_new(facts: CallFacts, newcomers: frozenset[Newcomer]) -> CallFacts:
    """Another outside party than before has been told nothing yet."""
    before, after = ({it for it in found if it.side == "outside"} for found in (facts.newcomers, newcomers))
    if before != after:
        facts = facts._replace(told=frozenset(), untold=frozenset())
    return facts._replace(newcomers=newcomers)


def disturbed(facts: CallFacts, cause: Disturbance, identities: Iterable[Identity]) -> CallFacts:
    """Something has happened that puts the parties or the media in doubt, or may."""
    if doubt := RAISES.get(cause):
        facts = facts._replace(doubts=facts.doubts | {doubt})
    elif cause not in HARMLESS:
        facts = facts._replace(disturbances=facts.disturbances | {cause.value})
    if cause is Disturbance.CONFERENCE:
        names = {it.value for it in identities} or {""}  # a room without a name is in no list
        rooms = facts.rooms | names
        facts = facts._replace(rooms=rooms) if len(rooms) <= MOST_NAMES else _with_too_many(facts)
    if cause is Disturbance.IDENTITY_CHANGED:
        is_answered = facts.fork is not None
        return with_newcomers(facts, identities) if is_answered else rung(facts, "", identities)
    if cause is Disturbance.SECOND_ANSWER:  # whom it names is there, too
        return rung(facts, "", identities)
    return with_identities(facts, identities, may_permit=False)


def transferred(facts: CallFacts, is_done: bool) -> CallFacts:
    """What became of a transfer: one party is another now, or all is as it was."""
    facts = facts._replace(doubts=facts.doubts - {Doubt.TRANSFER})
    return facts._replace(disturbances=facts.disturbances | {Disturbance.REFER.value}) if is_done else facts


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
