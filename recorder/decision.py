"""Whether a call is recorded, and why: the vocabulary of the decision and the way opinions are weighed.

Rules (`recorder.rules`) look at the facts of a call and give opinions. An opinion is a reason; what a
reason does is one row of `EFFECTS`. Every rule is asked. One veto outweighs all permits, and a purpose is
recorded only if every permit names it. Silence refrains. Neither rules nor opinions have an order.

`decide` is pure. The session replaces the facts at every event, decides afresh and acts on the difference.
What is said of the parties only grows during a call (identities are united, disturbances are kept), so a veto
is never taken back. Doubts and newcomers come and go: they make wait, and no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from recorder.said import Heard, Rung


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


class Action(StrEnum):
    """What is to be done for one purpose, the strongest first. Only RECORD lets audio into a clip."""

    REFRAIN = "refrain"
    HOLD = "hold"
    ANNOUNCE = "announce"
    RECORD = "record"


class Kind(StrEnum):
    """What sort of call it is, the strongest first."""

    PRIVATE = "private"
    EMERGENCY = "emergency"
    PRIVILEGED = "privileged"
    RELATED = "related"
    INTERNAL = "internal"
    UNLISTED = "unlisted"
    UNAPPROVED = "unapproved"
    UNCERTAIN = "uncertain"
    BUSINESS = "business"


class Outcome(StrEnum):
    """What the ledger says of a call if nothing changes any more, the strongest first.

    none: nothing was wanted from this call. suppressed: on a flagged line, and kept out for a reason.
    failed: wanted and not possible, worth an alarm. pending: it may still be recorded. recording: it is.
    """

    NONE = "none"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    PENDING = "pending"
    RECORDING = "recording"


class Reason(StrEnum):
    """Codes; prose is made where they are shown."""

    PRIVATE_PREFIX = "private-prefix"
    EMERGENCY_NUMBER = "emergency-number"
    EXCLUDED = "excluded"
    WITHHELD_ELSEWHERE = "withheld-elsewhere"
    INTERNAL_CALL = "internal-call"
    BETWEEN_US = "between-our-own-numbers"
    NO_AGENT = "no-enrolled-agent"
    AGENT_ONLY_CLAIMED = "agent-only-claimed"
    SEVERAL_AGENTS = "several-agents"
    ANOTHER_OF_US = "another-number-on-our-side"
    NO_LINE = "no-flagged-line"
    AGENT_NOT_ON_LINE = "agent-not-on-line"
    UNAPPROVED = "scheme-not-approved"
    INSIDE_ANONYMOUS = "inside-party-anonymous"
    OUTSIDE_UNKNOWN = "outside-party-unknown"
    FEATURE_CODE = "feature-code"
    NO_EVIDENCE = "no-evidence"
    NO_EVIDENCE_SOURCE = "no-evidence-source"
    ALREADY_ANCHORED = "already-anchored"
    STOPPED = "stopped"
    DISTURBED = "disturbed"
    DOUBTFUL = "doubtful"
    NEWCOMER = "newcomer-unknown"
    OBSTACLE = "obstacle"
    FAILURE = "failure"
    NOT_PERMITTED = "not-permitted-by-every-line"
    NOBODY_TOLD = "outside-party-not-told"
    ANNOUNCEMENT_UNAVAILABLE = "announcement-unavailable"
    ANNOUNCEMENT_BLOCKED = "announcement-blocked"
    NOT_TOLD_YET = "outside-party-not-told-yet"
    NOT_SAMPLED = "not-sampled"
    NOT_REQUESTED = "not-requested"
    NOT_ANSWERED = "not-answered"
    LINE_ALLOWS = "line-allows"


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


class Effect(NamedTuple):
    """What a reason does to the purposes it concerns."""

    action: Action
    kind: Kind
    outcome: Outcome


EFFECTS: Mapping[Reason, Effect] = MappingProxyType(
    {
        # never: the call is not ours to keep                                         KSF 2.1, 3.9
        Reason.PRIVATE_PREFIX: Effect(Action.REFRAIN, Kind.PRIVATE, Outcome.NONE),
        Reason.EMERGENCY_NUMBER: Effect(Action.REFRAIN, Kind.EMERGENCY, Outcome.NONE),
        Reason.EXCLUDED: Effect(Action.REFRAIN, Kind.PRIVILEGED, Outcome.NONE),
        Reason.WITHHELD_ELSEWHERE: Effect(Action.REFRAIN, Kind.RELATED, Outcome.NONE),
        # outside the scheme                                                          KSF 1.3, 3.2
        Reason.INTERNAL_CALL: Effect(Action.REFRAIN, Kind.INTERNAL, Outcome.NONE),
        Reason.BETWEEN_US: Effect(Action.REFRAIN, Kind.INTERNAL, Outcome.NONE),
        Reason.NO_AGENT: Effect(Action.REFRAIN, Kind.UNLISTED, Outcome.NONE),
        Reason.SEVERAL_AGENTS: Effect(Action.REFRAIN, Kind.UNLISTED, Outcome.NONE),
        Reason.ANOTHER_OF_US: Effect(Action.REFRAIN, Kind.UNLISTED, Outcome.NONE),
        Reason.NO_LINE: Effect(Action.REFRAIN, Kind.UNLISTED, Outcome.NONE),
        Reason.AGENT_NOT_ON_LINE: Effect(Action.REFRAIN, Kind.UNLISTED, Outcome.NONE),
        Reason.UNAPPROVED: Effect(Action.REFRAIN, Kind.UNAPPROVED, Outcome.SUPPRESSED),
        # not yet certain who speaks                                                  never-record: 1
        Reason.AGENT_ONLY_CLAIMED: Effect(Action.HOLD, Kind.UNCERTAIN, Outcome.PENDING),
        Reason.INSIDE_ANONYMOUS: Effect(Action.HOLD, Kind.UNCERTAIN, Outcome.PENDING),
        Reason.OUTSIDE_UNKNOWN: Effect(Action.HOLD, Kind.UNCERTAIN, Outcome.PENDING),
        Reason.FEATURE_CODE: Effect(Action.REFRAIN, Kind.UNCERTAIN, Outcome.SUPPRESSED),
        Reason.NO_EVIDENCE: Effect(Action.HOLD, Kind.UNCERTAIN, Outcome.PENDING),
        Reason.NO_EVIDENCE_SOURCE: Effect(Action.REFRAIN, Kind.UNCERTAIN, Outcome.SUPPRESSED),
        Reason.DOUBTFUL: Effect(Action.HOLD, Kind.UNCERTAIN, Outcome.PENDING),
        Reason.NEWCOMER: Effect(Action.HOLD, Kind.UNCERTAIN, Outcome.PENDING),
        # a business call, and something in the way
        Reason.ALREADY_ANCHORED: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.NONE),
        Reason.STOPPED: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        Reason.DISTURBED: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        Reason.OBSTACLE: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.FAILED),
        Reason.FAILURE: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.FAILED),
        Reason.NOT_PERMITTED: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        # the outside party is told before recording starts                           KSF 6.6
        Reason.NOBODY_TOLD: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        Reason.ANNOUNCEMENT_UNAVAILABLE: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        Reason.ANNOUNCEMENT_BLOCKED: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        Reason.NOT_TOLD_YET: Effect(Action.ANNOUNCE, Kind.BUSINESS, Outcome.PENDING),
        # the purpose does not want every call                                        KSF p. 3, 3.5
        Reason.NOT_SAMPLED: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
        Reason.NOT_REQUESTED: Effect(Action.HOLD, Kind.BUSINESS, Outcome.SUPPRESSED),
        # early media belongs to nobody yet; the winning answer decides
        Reason.NOT_ANSWERED: Effect(Action.HOLD, Kind.BUSINESS, Outcome.PENDING),
        Reason.LINE_ALLOWS: Effect(Action.RECORD, Kind.BUSINESS, Outcome.RECORDING),
    }
)

WITHHELD = frozenset(
    {Kind.PRIVATE, Kind.EMERGENCY, Kind.PRIVILEGED, Kind.RELATED, Kind.INTERNAL, Kind.UNLISTED}
)
"""The verdicts of these kinds name no line, no agent and no purpose, so that nobody can write them down."""

NEVER = frozenset({Kind.PRIVATE, Kind.EMERGENCY, Kind.PRIVILEGED, Kind.RELATED, Kind.INTERNAL})
"""The kinds of calls that are never recorded again once they were of this kind, whatever follows."""

_CONCERNS_ALL = frozenset({Kind.PRIVATE, Kind.EMERGENCY, Kind.PRIVILEGED})


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
    good, None for the whole call.
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
    asked: tuple[CallFacts, Rules] | None = field(default=None, compare=False, repr=False)

    @property
    def concerns_all(self) -> bool:
        """Whether it keeps out all that belongs to the call: private, an emergency, somebody privileged, a
        call among us, or one of us besides the agent who is not listed.
        """
        is_of_agent = Reason.ANOTHER_OF_US in self.reasons and Reason.NO_AGENT not in self.reasons
        return self.kind in _CONCERNS_ALL or Reason.BETWEEN_US in self.reasons or is_of_agent

    def recorded(self) -> tuple[str, ...]:
        """The names of the purposes to record for, sorted."""
        return tuple(sorted(name for name, it in self.purposes.items() if it.action is Action.RECORD))

    def because_of(self, reason: Reason, alone: bool = False) -> set[str]:
        """The purposes of which this is a reason, or the only one."""
        found = self.purposes.items()
        return {name for name, it in found if reason in it.reasons and not (alone and len(it.reasons) > 1)}


# Where each stands: the strongest first.
_ACTION = {it: place for place, it in enumerate(Action)}.__getitem__
_KIND = {it: place for place, it in enumerate(Kind)}.__getitem__
_OUTCOME = {it: place for place, it in enumerate(Outcome)}.__getitem__
_REASON = {it: place for place, it in enumerate(Reason)}.__getitem__


def decide(facts: CallFacts, rules: Rules, before: Verdict | None = None) -> Verdict:
    """Ask every rule and weigh the opinions. Unknown means not recorded: without a permit, unlisted.

    A verdict depends on nothing but facts and rules, so `before` is returned where it was of the same.
    """
    asked = facts, rules
    if before is not None and before.asked == asked:
        return before
    opinions = {opinion for rule in rules for opinion in rule(facts)}
    permits = [it for it in opinions if EFFECTS[it.reason].action is Action.RECORD]
    kinds = {EFFECTS[it.reason].kind for it in opinions} | (set() if permits else {Kind.UNLISTED})
    kind = min(kinds, key=_KIND)
    strip = max((it.strip for it in opinions), default=0)
    if kind in WITHHELD:
        own = (it.reason for it in opinions if EFFECTS[it.reason].kind is kind)
        none = MappingProxyType[str, PurposeVerdict]({})
        return Verdict(kind, strip, False, None, None, none, _sorted(own), (), Outcome.NONE, asked)
    names = sorted({name for permit in permits for name in permit.purposes or ()})
    found = {name: _reasons_for(name, opinions, permits) for name in names}
    purposes = {name: PurposeVerdict(_action(found[name]), found[name]) for name in names}
    return Verdict(
        kind=kind,
        strip=strip,
        anchor=any(it.action is not Action.REFRAIN for it in purposes.values()),
        line=min((it.line for it in permits if it.line), default=None),
        agent=min((it.agent for it in permits if it.agent), default=None),
        purposes=MappingProxyType(purposes),
        reasons=_sorted(reason for reasons in found.values() for reason in reasons),
        details=tuple(sorted({detail for it in opinions for detail in it.details})),
        outcome=max((it.outcome for it in purposes.values()), key=_OUTCOME, default=Outcome.NONE),
        asked=asked,
    )


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
