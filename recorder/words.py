"""Reason codes in words, for people: the one place where prose is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from recorder.decision import Doubt, Reason
from sip_hooks.events import Disturbance
from sip_hooks.sdp import Obstacle

REASONS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.PRIVATE_PREFIX: "the agent dialled the private prefix",
        Reason.PRIVATE_CODE: "the agent said during the call that it is private",
        Reason.EMERGENCY_NUMBER: "an emergency number",
        Reason.EXCLUDED: "somebody in the call is never recorded ([[exclusions]])",
        Reason.WITHHELD_ELSEWHERE: "another leg of the same conversation is kept out",
        Reason.INTERNAL_CALL: "the other party is one of our own numbers",
        Reason.BETWEEN_US: "both parties are our own numbers",
        Reason.NO_AGENT: "nobody on our side is an enrolled agent ([[agents]])",
        Reason.AGENT_ONLY_CLAIMED: "nobody but the other party says that the telephone is an agent's (To)",
        Reason.SEVERAL_AGENTS: "more than one enrolled agent is on our side",
        Reason.ANOTHER_OF_US: "somebody else of us is in the call beside the agent",
        Reason.NO_LINE: "no number on our side is on a flagged line ([[lines]])",
        Reason.AGENT_NOT_ON_LINE: "the agent is not on this line",
        Reason.UNAPPROVED: "the works council's signature does not cover the scheme",
        Reason.INSIDE_ANONYMOUS: "our own party withholds who it is",
        Reason.OUTSIDE_UNKNOWN: "it is not certain that the other party is outside",
        Reason.FEATURE_CODE: "a code of the PBX was dialled, by which nobody is called",
        Reason.NO_EVIDENCE: "nobody says who speaks inside the PBX now",
        Reason.NO_EVIDENCE_SOURCE: "nobody can say who speaks inside the PBX ([trunk] evidence)",
        Reason.ALREADY_ANCHORED: "the call crosses us twice and is recorded at the other crossing",
        Reason.OBJECTION: "the other party objected to being recorded",
        Reason.STOPPED: "somebody stopped the recording",
        Reason.DISTURBED: "something happened after which it is not certain who speaks",
        Reason.DOUBTFUL: "it was not certain who speaks",
        Reason.NEWCOMER: "who came into the call later is neither known to be outside nor the agent",
        Reason.OBSTACLE: "the media could not be recorded",
        Reason.FAILURE: "something of ours failed",
        Reason.NOT_PERMITTED: "not every line of the call permits this purpose",
        Reason.NOBODY_TOLD: "nobody tells the other party that it is recorded",
        Reason.ANNOUNCEMENT_UNAVAILABLE: "it is not said which content the announcement has "
        "(announcement_sha256)",
        Reason.ANNOUNCEMENT_BLOCKED: "the announcement was broken off, or could not be played",
        Reason.NOT_TOLD_YET: "the other party has to hear the announcement to its end first",
        Reason.NOT_SAMPLED: "the lot was not drawn",
        Reason.NOT_REQUESTED: "nobody has asked for it",
        Reason.PAUSED: "somebody has paused the recording for a while",
        Reason.NOT_ANSWERED: "it is not answered",
        Reason.LINE_ALLOWS: "the line allows it and nothing speaks against it",
    }
)

OBSTACLES: Mapping[Obstacle, str] = MappingProxyType(
    {
        Obstacle.MULTIPART: "it is not clear which part of a body describes the media",
        Obstacle.ENCRYPTED_BODY: "the media description is encrypted",
        Obstacle.UNREADABLE: "a description or an identity could not be read",
        Obstacle.NO_AUDIO: "no audio came over RTP",
        Obstacle.SEVERAL_MEDIA: "there is more than one audio stream",
        Obstacle.ICE: "the media cannot but take a way of its own (ICE)",
        Obstacle.SRTP: "the media is encrypted under keys that cannot be used (SRTP)",
        Obstacle.DTLS: "the media is encrypted (DTLS-SRTP)",
        Obstacle.CLAIMED: "a party named a media port of ours that no call was given",
    }
)

DISTURBANCES: Mapping[Disturbance, str] = MappingProxyType(
    {
        Disturbance.REFER: "a transfer (REFER)",
        Disturbance.REPLACES: "the call took another one over (Replaces)",
        Disturbance.JOIN: "somebody joined the call (Join)",
        Disturbance.HOLD: "the call was put on hold",
        Disturbance.UPDATE: "the call was changed (UPDATE)",
        Disturbance.IDENTITY_CHANGED: "a party changed its identity",
        Disturbance.REINVITE_CHANGED: "the media was negotiated anew (re-INVITE)",
        Disturbance.SECOND_ANSWER: "a second telephone answered",
        Disturbance.INFO: "a message within the call (INFO) of which we do not know what it does",
        Disturbance.KEYS: "keys may have been pressed that may be codes of the PBX ([feature_codes])",
        Disturbance.AUTH_INT: "the PBX protects descriptions against change (auth-int)",
        Disturbance.UNANCHORED: "the media no longer passes through us",
        Disturbance.CONFERENCE: "the other end is a conference",
        Disturbance.UNREADABLE: "a description or an identity could not be read",
    }
)

DOUBTS: Mapping[Doubt, str] = MappingProxyType(
    {
        Doubt.ON_HOLD: "the call was on hold",
        Doubt.TRANSFER: "one party was transferring the other (REFER)",
        Doubt.MOVED: "the other party's media was led elsewhere, and nobody said to whom",
        Doubt.CONSULTATION: "it was dialled while another call was on hold",
        Doubt.COMPANY: "its telephone spoke in another call too, in which somebody was not certain",
        Doubt.CONFERENCE: "the other end is a conference",
        Doubt.KEYS: "the agent pressed what may be a code of the PBX ([feature_codes])",
        Doubt.TAKEOVER: "the call took another one over, or another one took it over (Replaces)",
    }
)

FAILURES: Mapping[str, str] = MappingProxyType(
    {
        "no-media-address": "there is no media address for the IP version of a party ([media])",
        "no-media-ports": "no media ports could be had; see the log",
        "not-anchored": "the media did not pass through us when the call began",
        "codec": "the parties use no codec that can be kept",
        "announcement-interrupted": "hold, a transfer or other media came while the announcement was played",
        "announcement-codec": "the announcement cannot be made in a codec that the parties agreed upon",
        "announcement-file": "the announcement's file is not as the configuration says; see the log",
        "announcement-failed": "the announcement could not be played to its end; see the log",
        "internal-error": "a fault of our own in signalling; see the log",
        "internal": "a fault of our own in capture; see the log",
        "unforeseen": "a fault of our own in capture; see the log",
        "interrupted": "the service was stopped during the call",
        "service-stopped": "the service was stopped during the call",
        "signalling-lost": "signalling ended during the call",
        "capture-lost": "capture ended before the recording did",
        "capture": "capture failed; see the log",
        "no-audio": "no audio came over RTP",
        "no-day-key": "there is no key for the deadline's day; see `doelband status`",
        "storage": "the storage failed; see the log",
        "storage-too-slow": "the storage was too slow",
        "disk-full": "the disk was full",
        "disk-low": "the disk was nearly full",
        "paused-before": "it is paused already, and asking again makes the pause no longer",
        "not-paused": "it is not paused",
        "not-recorded": "it is not recorded, and will not be",
        "stopped-before": "it was stopped before, and a recording is never taken up again",
        "order-refused": "capture did not understand the order; see the log",
        "withdrawn": "nothing of the call may be kept",
        "tainted": "the call had to be kept out by then",
        "session-in-use": "capture had the number of the call already; see the log",
        "too-large": "the call's names were too long for capture",
        "unlisted": "the call is on no flagged line",
    }
)
"""Everything that can go wrong with one recording, as signalling and capture name it."""

_ALL: Mapping[str, str] = {
    **{it.value: text for it, text in OBSTACLES.items()},
    **{it.value: text for it, text in DISTURBANCES.items()},
    **{it.value: text for it, text in DOUBTS.items()},
    **FAILURES,
    **{it.value: text for it, text in REASONS.items()},
}


def in_words(code: str) -> str:
    """What a code means; a code from another version is shown as it is."""
    return _ALL.get(code, code)
