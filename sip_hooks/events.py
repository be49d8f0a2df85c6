"""What the engine reports and what it is told: every event and every command, field by field.

Events are past participles, commands imperatives; all are frozen values. `call` is the identifier of a
*pass*: one dialog crossing this proxy once, as 32 lower-case hexadecimal digits drawn from the injected
id generator. Through a PBX that is a proxy itself one dialog crosses twice and makes two passes. The
dialogs of a fork are one pass; `to_tag` tells them apart.

The *caller* is whoever sent the INVITE that opened the pass, the *callee* whoever answers it, also when
the callee later sends a request.

The `repr` of an event contains no number and no address of a person: fields that carry them are left
out of it, so that an event that strays into a log or a traceback tells nothing of a private call.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from sip_hooks.address import Family
from sip_hooks.identity import Identity, Role
from sip_hooks.sdp import Description, MediaEnd, Obstacle
from sip_hooks.settings import Address


def conversation_of(call_id: bytes) -> str:
    """What all passes of one dialog have in common, without their Call-ID: 32 hexadecimal digits."""
    return hashlib.sha256(call_id).hexdigest()[:32]


class Side(StrEnum):
    """The neighbour from which a request enters, or to which it goes."""

    PHONES = "phones"
    PBX = "pbx"
    TRUNK = "trunk"  # a provider, or the SBC before it


class Disturbance(StrEnum):
    """Why what was known about the two parties may no longer be true."""

    REFER = "refer"  # RFC 3515: one party transfers the other
    REPLACES = "replaces"  # RFC 3891: an INVITE takes over a dialog
    JOIN = "join"  # RFC 3911: an INVITE joins a dialog
    HOLD = "hold"  # sendonly, inactive, port 0 or c=0.0.0.0 in a description
    UPDATE = "update"  # RFC 3311, whatever it carries
    IDENTITY_CHANGED = "identity-changed"  # within the dialog, of either party: an identity not known before
    REINVITE_CHANGED = "reinvite-changed"  # a re-INVITE or its 2xx whose description is no pure refresh
    SECOND_ANSWER = "second-answer"  # 2xx of another fork than the one that answered first
    INFO = "info"  # RFC 6086 or RFC 2976, and not of keys alone (KeysPressed): it may mean anything
    KEYS = "keys-unknown"  # keys were pressed and nobody has said which are codes, or nobody has heard them
    AUTH_INT = "auth-int"  # RFC 7616: the PBX protects bodies by digest; descriptions are left untouched
    UNANCHORED = "unanchored"  # media of an anchored call that can no longer be made to pass through us
    CONFERENCE = "conference"  # a Contact is a conference's focus (RFC 4579 §5.2)
    UNREADABLE = "unreadable"  # an identity header that cannot be read


@dataclass(frozen=True, slots=True)
class CallOffered:
    """An INVITE outside a dialog arrived and is held, until ForwardCall or for at most 100 ms."""

    call: str
    at: datetime  # aware UTC
    from_side: Side  # where the caller is
    identities: tuple[Identity, ...]
    anonymous: bool  # the caller withholds its identity: Privacy header, or From anonymous
    dialled: str = field(repr=False)  # user part of the Request-URI, unescaped, prefix included
    description: Description | None = field(repr=False)  # the offer; None if it comes later (late offer)
    conversation: str  # conversation_of its Call-ID
    already_anchored: bool  # the offer names a media port of ours: an earlier pass anchored it
    disturbances: tuple[
        Disturbance, ...
    ]  # what the INVITE carries: REPLACES, JOIN, HOLD, AUTH_INT, UNREADABLE
    families: tuple[Family, Family]  # the IP versions in which caller and callee are to have their media
    to_side: Side = Side.PBX  # where the callee is
    session_ids: frozenset[str] = frozenset()  # RFC 7989, without the nil one

    @property
    def is_trunk_leg(self) -> bool:
        """Whether the call crosses between PBX and trunk: who speaks inside is not seen there."""
        return Side.TRUNK in (self.from_side, self.to_side)


@dataclass(frozen=True, slots=True)
class PassedUntouched:
    """No ForwardCall came in time: the INVITE went on as it was. A later ForwardCall is ignored."""

    call: str


@dataclass(frozen=True, slots=True)
class CallRestored:
    """A dialog that began before this engine did goes on.

    Nothing is known of its parties, so nothing permits to record it. MediaNegotiated tells their ends as
    they describe them again, CallEnded comes last.
    """

    call: str
    media: Anchor | None  # None: its media does not pass through us, or does no more


@dataclass(frozen=True, slots=True)
class CallProgressed:
    """A 1xx other than 100 is about to reach the caller; 181 is a CallRedirected. Or it has come after the
    answer, and goes nowhere.
    """

    call: str
    to_tag: str  # "" when the response has none
    status: int  # 101..199
    identities: tuple[Identity, ...]  # of the callee, from this response


@dataclass(frozen=True, slots=True)
class CallRedirected:
    """181 Call Is Being Forwarded, or a 3xx, is about to reach the caller."""

    call: str
    status: int  # 181 or 300..399
    identities: tuple[Identity, ...]  # of the new target: Contact of a 3xx, Diversion, History-Info, …


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The first 2xx to the INVITE is about to reach the caller. MediaNegotiated of it comes before.

    A 2xx of another fork is CallDisturbed(SECOND_ANSWER) instead.
    """

    call: str
    at: datetime  # aware UTC
    to_tag: str  # of the fork that won
    identities: tuple[Identity, ...]  # of the callee, from this response
    session_ids: frozenset[str] = frozenset()  # as in CallOffered


@dataclass(frozen=True, slots=True)
class MediaNegotiated:
    """A description is about to leave: where the two parties of one fork now want their media.

    Comes only for calls with media (ForwardCall.media), before the message that carries the description
    leaves, so that the relay knows both ends first. It is repeated when an offer that changes either end is
    answered (in a re-INVITE, UPDATE, PRACK or ACK), when a description has a new obstacle, and once more for
    the 2xx that answers the call. After a late offer the caller's end is known from the ACK on.
    """

    call: str
    to_tag: str  # which fork; "" while only the offer is known
    caller: MediaEnd | None = field(repr=False)  # as the caller itself described it; None if not yet known
    callee: MediaEnd | None = field(repr=False)  # as this fork's callee described it; None if not yet known
    answered: bool  # a 2xx to the INVITE carried or preceded it: this fork's media is the call's media
    obstacles: frozenset[Obstacle]  # of the description that is about to leave
    hidden_at: tuple[str, str] = field(default=("", ""), repr=False)  # where the SIP of caller and callee
    # comes from, where they may be behind a NAT; else ""


@dataclass(frozen=True, slots=True)
class CallsRelated:
    """A request of this call, or the INVITE that opened it, names dialogs of others: Replaces (RFC 3891),
    also within a Refer-To, Join (RFC 3911) or Target-Dialog (RFC 4538).
    """

    call: str
    others: tuple[str, ...]  # those that are known; none is not reported


@dataclass(frozen=True, slots=True)
class MediaKept:
    """An offer within the dialog was refused, or will never be answered: media is as it was before it."""

    call: str


@dataclass(frozen=True, slots=True)
class CallDisturbed:
    """Something that puts the parties' identity or media in doubt is about to be forwarded."""

    call: str
    cause: Disturbance
    identities: tuple[Identity, ...]  # from the disturbing message, Refer-To and Referred-By included; of
    # a CONFERENCE the Contacts that it calls itself by


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A message within the call is about to be forwarded whose sender has another Contact than before."""

    call: str
    sender: Role
    address: str = field(repr=False)  # user@host, as in Identity


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """An INFO that tells of keys pressed is about to be forwarded."""

    call: str
    sender: Role
    keys: str = field(repr=False)  # as sip_hooks.keys has them


@dataclass(frozen=True, slots=True)
class KeysTaken:
    """That INFO has its final response, or never will: whoever it was for has had the keys by now."""

    call: str
    sender: Role


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """What became of a REFER within the dialog (CallDisturbed told of it), as far as anybody says.

    Not done: it was refused, or a NOTIFY tells that the new call failed (RFC 3515 §2.4.5). Comes once for all
    that are under way: while another is, nobody knows which of them a NOTIFY means.
    """

    call: str
    is_done: bool


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The pass is over. The last event of its call."""

    call: str
    at: datetime  # aware UTC
    cause: Literal["bye", "cancelled", "rejected", "timeout", "error"]
    status: int  # the final response to the INVITE, 200 for "bye", 487 for "cancelled", 408 for "timeout"


Event: TypeAlias = (
    CallOffered
    | PassedUntouched
    | CallRestored
    | CallProgressed
    | CallRedirected
    | CallAnswered
    | MediaNegotiated
    | CallsRelated
    | MediaKept
    | CallDisturbed
    | ContactChanged
    | KeysPressed
    | KeysTaken
    | TransferEnded
    | CallEnded
)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Make the media of a call pass through the relay. RTCP is on the port above each RTP port.

    Each party is shown an address of its own family; the two may differ.
    """

    to_caller: Address  # of the relay: the RTP address shown to the caller, in what comes from the callee
    to_callee: Address  # the one shown to the callee, in what comes from the caller
    reference: int  # 64 bits; our Record-Route carries it, so that after a restart the media is found again


@dataclass(frozen=True, slots=True)
class ForwardCall:
    """The answer to CallOffered: let the INVITE go on."""

    call: str
    strip: int = 0  # so many leading characters of the dialled user are removed (private prefix)
    media: Anchor | None = None  # None: descriptions pass untouched for the dialog's whole life


Command: TypeAlias = ForwardCall
