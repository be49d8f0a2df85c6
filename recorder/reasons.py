"""The vocabulary of the decision: reasons, and what each does to the purposes it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Action(StrEnum):
    """What is to be done for one purpose, the strongest first. Only RECORD lets audio into a clip.

    PAUSE: nothing is in its way but that somebody wants silence for a while.
    """

    REFRAIN = "refrain"
    HOLD = "hold"
    ANNOUNCE = "announce"
    PAUSE = "pause"
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
    PRIVATE_CODE = "private-code"
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
    OBJECTION = "objection"
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
    PAUSED = "paused"
    NOT_ANSWERED = "not-answered"
    LINE_ALLOWS = "line-allows"


class Effect(NamedTuple):
    """What a reason does to the purposes it concerns."""

    action: Action
    kind: Kind
    outcome: Outcome


EFFECTS: Mapping[Reason, Effect] = MappingProxyType(
    {
        # never: the call is not ours to keep                                         KSF 2.1, 3.9
        Reason.PRIVATE_PREFIX: Effect(Action.REFRAIN, Kind.PRIVATE, Outcome.NONE),
        Reason.PRIVATE_CODE: Effect(Action.REFRAIN, Kind.PRIVATE, Outcome.NONE),
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
        Reason.OBJECTION: Effect(Action.REFRAIN, Kind.BUSINESS, Outcome.SUPPRESSED),
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
        # card data
        Reason.PAUSED: Effect(Action.PAUSE, Kind.BUSINESS, Outcome.PENDING),
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

CONCERNS_ALL = frozenset({Kind.PRIVATE, Kind.EMERGENCY, Kind.PRIVILEGED})
"""The kinds that keep out all that belongs to the call."""
