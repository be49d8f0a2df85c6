"""Whether a call is recorded, and why: what is known of it, and the way opinions are weighed.

Rules (`recorder.rules`) look at the facts of a call and give opinions. An opinion is a reason; what a
reason does is one row of `EFFECTS` (`recorder.reasons`). One veto outweighs all permits, and a purpose is
recorded only if every permit names it. Silence refrains. Opinions have no order; rules about who is there are
asked first, and alone where they keep the call out (`recorder.asking`).

`decide` is pure. The session replaces the facts at every event, decides afresh and acts on the difference.
What is said of the parties only grows during a call (identities are united, disturbances are kept), so a veto
is never taken back. Doubts, newcomers and pauses come and go: they make wait, and no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from types import MappingProxyType
from typing import Literal, NamedTuple

from recorder.asking import SAYING_WHO, parted
from recorder.reasons import CONCERNS_ALL, EFFECTS, NEVER, WITHHELD, Action, Effect, Kind, Outcome, Reason
from recorder.said import Heard, Rung

__all__ = [
    "BESIDES",
    "EFFECTS",
    "NEVER",
    "WITHHELD",
    "Action",
    "CallFacts",
    "Direction",
    "Doubt",
    "Effect",
    "Kind",
    "Newcomer",
    "Opinion",
    "Outcome",
    "PurposeVerdict",
    "Reason",
    "Rule",
    "Rules",
    "Verdict",
    "Vouching",
    "Withdrawn",
    "decide",
]

Withdrawn = Literal["private-code", "objection"]
"""By whom a call was taken out of our hands: our own party, or the other one."""


class Direction(StrEnum):
    """Seen from our own people: outbound is from phones or PBX to whoever is outside."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class Vouching(StrEnum):
    """Whether somebody besides signalling says who speaks inside. On the trunk side signalling does not show
    it: a transfer inside the PBX is invisible there.
    """

    NOT_NEEDED = "not-needed"
    IMPOSSIBLE = "impossible"
    AWAITED = "awaited"
    GIVEN = "given"


class Doubt(StrEnum):
    """Why it is not certain now who speaks on a leg, or will be after a moment. Each may be settled."""

    ON_HOLD = "on-hold"  # a party does not listen: music, or somebody else, until it does again
    TRANSFER = "transfer"  # a REFER was sent, and has not failed (yet)
    MOVED = "moved"  # the other party's media goes elsewhere, and nobody says to whom
    TAKEOVER = "takeover"  # Replaces names this dialog, or came with its INVITE
    CONSULTATION = "consultation"  # dialled while another call of that telephone is on hold; never settled
    COMPANY = "company"  # its telephone speaks in another call as well, and who is there is not certain
    CONFERENCE = "conference"  # a conference server speaks (RFC 4579 §5.2 isfocus); never settled
    KEYS = "keys"  # the agent has pressed a code of the PBX, or what may become one


class Newcomer(NamedTuple):
    """Somebody whom a header names since the answer, in the place of whom it named before."""

    side: Literal["inside", "outside"]
    header: str
    names: frozenset[str]

    def __repr__(self) -> str:
        return f"Newcomer({self.side!r}, {self.header!r})"


BESIDES = frozenset({Doubt.CONSULTATION, Doubt.COMPANY})
"""Doubts that rest on other calls: they say nothing of who speaks in this one."""


class CallFacts(NamedTuple):
    """All that is known about one call at one moment. Nothing that names a party appears in its repr.

    Identities are bare users ("201", "+31201234567") and addresses ("user@host") as they came.
    `inside` is our own side: the caller's headers of an outbound call, the called ones of an inbound call.
    `outside` is the other party's headers (From or To, P-Asserted-Identity, Remote-Party-ID, Contact …).
    `claimed` is what of `inside` nothing but the other party's messages say: To of a call to us, for one.
    `everyone` is every identity in any header, Diversion, History-Info and Referred-By included.
    `hearsay`: who our own side and the other one are said to be by what is no evidence: by the fork that
    answered, while it rang, and on a display. `rung`: by fork what is said before an answer; `fork` answered.
    `dialled` is the Request-URI user, unescaped; `anonymous` says that the caller withheld itself.
    `vouching`: whether anybody besides signalling says who speaks inside.
    `withheld_elsewhere`: another pass of the same conversation is private, privileged or internal.
    `obstacles` make media impossible to anchor or to keep, `failures` are our own.
    `rooms`: what every conference server that has spoken calls its room.
    `doubts` come and go (Doubt); `newcomers` are who a header names now and did not at the answer, when it
    was `settled` who our own side and the other one were.
    `draws`: by purpose a whole number below scheme.SAMPLE_SCALE, drawn by lot whatever else is known.
    `requested`: the purposes for which somebody has asked; `stopped`: those that somebody has ended for
    good, None for the whole call. `paused`: somebody wants silence for a while; `withdrawn`: nothing of
    it may be kept, for good.
    `told`: what the present outside party has been told; `untold`: files that it has not heard whole, and why
    not, as a code.
    """

    direction: Direction
    inside: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()
    everyone: frozenset[str] = frozenset()
    dialled: str = ""
    anonymous: bool = False
    vouching: Vouching = Vouching.NOT_NEEDED
    answered: bool = False
    approved: bool = False
    already_anchored: bool = False
    withheld_elsewhere: bool = False
    obstacles: frozenset[str] = frozenset()
    disturbances: frozenset[str] = frozenset()
    doubts: frozenset[Doubt] = frozenset()
    rooms: frozenset[str] = frozenset()
    newcomers: frozenset[Newcomer] = frozenset()
    settled: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    failures: frozenset[str] = frozenset()
    draws: Mapping[str, int] = MappingProxyType({})
    requested: frozenset[str] = frozenset()
    stopped: frozenset[str] | None = frozenset()
    paused: bool = False
    withdrawn: Withdrawn | None = None
    hearsay: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    rung: frozenset[Rung] = frozenset()
    fork: str | None = None
    told: frozenset[Heard] = frozenset()
    untold: frozenset[tuple[str, str]] = frozenset()
    claimed: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without whatever names a party."""
        shown = ((name, it) for name, it in self._asdict().items() if name not in _NAMING)
        return f"CallFacts({', '.join(f'{name}={it!r}' for name, it in shown)})"


_NAMING = frozenset(
    ("inside", "outside", "claimed", "everyone", "dialled", "rooms", "settled", "hearsay", "rung", "fork")
)


class Opinion(NamedTuple):
    """What one rule says. `purposes` is what it is about; None means all of them.

    `strip` is how many leading characters of the dialled user are ours and must not reach the PBX;
    `details` are the obstacles, disturbances or failures behind the reason.
    """

    reason: Reason
    purposes: frozenset[str] | None = None
    line: str | None = None
    agent: str | None = None
    strip: int = 0
    details: tuple[str, ...] = ()

    def concerns(self, purpose: str) -> bool:
        return self.purposes is None or purpose in self.purposes


Rule = Callable[[CallFacts], Iterable[Opinion]]
Rules = tuple[Rule, ...]
_WHO = itemgetter(*map(CallFacts._fields.index, SAYING_WHO))


@dataclass(frozen=True, slots=True)
class PurposeVerdict:
    """The action for one purpose and the reasons for it."""

    action: Action
    reasons: tuple[Reason, ...]

    @property
    def outcome(self) -> Outcome:
        """The strongest reason decides."""
        return min((EFFECTS[it].outcome for it in self.reasons), key=_OUTCOME)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about one call.

    `anchor` matters at the first offer only: whether the call's media shall pass through us. `line`, `agent`
    and `purposes` are empty for the kinds in WITHHELD, and `reasons` says nothing but the kind's own reason.
    `outcome` is that of the purpose that got furthest. `asked`: what it was decided on.
    """

    kind: Kind
    strip: int
    anchor: bool
    line: str | None
    agent: str | None
    purposes: Mapping[str, PurposeVerdict]
    reasons: tuple[Reason, ...]
    details: tuple[str, ...]
    outcome: Outcome
    asked: tuple[tuple[object, ...], Rules] | None = field(default=None, compare=False, repr=False)

    @property
    def concerns_all(self) -> bool:
        """Whether it keeps out all that belongs to the call: private, an emergency, somebody privileged, a
        call among us, or one of us besides the agent who is not listed.
        """
        is_of_agent = Reason.ANOTHER_OF_US in self.reasons and Reason.NO_AGENT not in self.reasons
        return self.kind in CONCERNS_ALL or Reason.BETWEEN_US in self.reasons or is_of_agent

    def recorded(self) -> tuple[str, ...]:
        """The names of the purposes to record for, sorted."""
        return tuple(sorted(name for name, it in self.purposes.items() if it.action is Action.RECORD))

    def because_of(self, reason: Reason, alone: bool = False) -> set[str]:
        """The purposes of which this is a reason, or the only one but for a pause, which passes."""
        found = {name: {*it.reasons} for name, it in self.purposes.items() if reason in it.reasons}
        return {name for name, reasons in found.items() if not alone or reasons <= {reason, Reason.PAUSED}}


# Where each stands: the strongest first.
_ACTION = {it: place for place, it in enumerate(Action)}.__getitem__
_KIND = {it: place for place, it in enumerate(Kind)}.__getitem__
_OUTCOME = {it: place for place, it in enumerate(Outcome)}.__getitem__
_REASON = {it: place for place, it in enumerate(Reason)}.__getitem__


def decide(facts: CallFacts, rules: Rules, before: Verdict | None = None) -> Verdict:
    """Ask the rules and weigh their opinions. Unknown means not recorded: without a permit, unlisted.

    A verdict depends on nothing but facts and rules, so `before` is returned where it was of the same.
    """
    who, asked = (_WHO(facts), rules), (facts, rules)
    if before is not None and before.asked in (who, asked):
        return before
    of_who, others = parted(rules)
    opinions = {opinion for rule in of_who for opinion in rule(facts)}
    kinds = {EFFECTS[it.reason].kind for it in opinions}
    if not kinds.isdisjoint(WITHHELD):  # whatever others say is weaker
        return _withheld(min(kinds, key=_KIND), opinions, who)
    opinions |= {opinion for rule in others for opinion in rule(facts)}
    permits = [it for it in opinions if EFFECTS[it.reason].action is Action.RECORD]
    kinds = {EFFECTS[it.reason].kind for it in opinions} | (set() if permits else {Kind.UNLISTED})
    kind = min(kinds, key=_KIND)
    if kind in WITHHELD:
        return _withheld(kind, opinions, asked)
    names = sorted({name for permit in permits for name in permit.purposes or ()})
    found = {name: _reasons_for(name, opinions, permits) for name in names}
    purposes = {name: PurposeVerdict(_action(found[name]), found[name]) for name in names}
    return Verdict(
        kind=kind,
        strip=max((it.strip for it in opinions), default=0),
        anchor=any(it.action is not Action.REFRAIN for it in purposes.values()),
        line=min((it.line for it in permits if it.line), default=None),
        agent=min((it.agent for it in permits if it.agent), default=None),
        purposes=MappingProxyType(purposes),
        reasons=_sorted(reason for reasons in found.values() for reason in reasons),
        details=tuple(sorted({detail for it in opinions for detail in it.details})),
        outcome=max((it.outcome for it in purposes.values()), key=_OUTCOME, default=Outcome.NONE),
        asked=asked,
    )


def _withheld(kind: Kind, opinions: set[Opinion], asked: tuple[tuple[object, ...], Rules]) -> Verdict:
    """The verdict on a call that is kept out: it says nothing but why."""
    own = _sorted(it.reason for it in opinions if EFFECTS[it.reason].kind is kind)
    strip = max((it.strip for it in opinions), default=0)
    none = MappingProxyType[str, PurposeVerdict]({})
    return Verdict(kind, strip, False, None, None, none, own, (), Outcome.NONE, asked)


def _reasons_for(purpose: str, opinions: set[Opinion], permits: list[Opinion]) -> tuple[Reason, ...]:
    """What speaks against this purpose, or the permit if nothing does."""
    against = {it.reason for it in opinions if it not in permits and it.concerns(purpose)}
    if not all(permit.concerns(purpose) for permit in permits):
        against.add(Reason.NOT_PERMITTED)
    return _sorted(against or {Reason.LINE_ALLOWS})


def _sorted(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(set(reasons), key=_REASON))


def _action(reasons: tuple[Reason, ...]) -> Action:
    return min((EFFECTS[it].action for it in reasons), key=_ACTION)
