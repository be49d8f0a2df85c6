"""Dialogs as a proxy sees them: who the two ends are and how each is reached (RFC 3261 §12)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.events import Side
from sip_hooks.headers import uri_in
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.routing import address_of
from sip_hooks.sdp import MediaEnd, Obstacle
from sip_hooks.settings import Address, Listener
from sip_hooks.uri import Uri


@dataclass(slots=True, repr=False)
class Party:
    """One end of a dialog."""

    side: Side
    tag: bytes
    source: Address  # where its messages come from
    listener: Listener  # of ours, to which they come
    contact: bytes = b""  # its remote target: a URI, b"" when it gave none
    routes: tuple[bytes, ...] = ()  # Routes between us and it, nearest first

    def learn(self, message: Message, source: Address, *, is_refresh: bool = True) -> None:
        """Take the target and source address of a message that this party sent (§12.2: target refresh).

        Whatever it is, it shows which connection the party has now.
        """
        if is_refresh or self.listener.is_stream:
            self.source = source
        if is_refresh and (contact := contact_of(message)):
            self.contact = contact

    @property
    def hidden_at(self) -> str:
        """Where its messages come from, if its descriptions may not name the address that it has for us."""
        return self.source[0] if self.listener.is_behind_nat else ""

    def reached_at(self, target: Uri) -> Address | None:
        """Return where a request for `target` finds this party when no Route leads there.

        A Contact counts unless its host is not where the phone's messages come from: then there is a NAT
        between us, and only the source address leads through it.
        """
        address = address_of(target)
        if self.side is not Side.PHONES:
            return address
        return address if address is not None and address[0] == self.source[0] else self.source


@dataclass(slots=True, repr=False)
class Offer:
    """A description that asks for an answer (RFC 3264 §5)."""

    speaker: Role
    end: MediaEnd | None
    stream: int | None  # which of its m= lines is the call's audio
    is_direct: bool = field(default=False, compare=False)  # it went on untouched, and so must its answer
    answers: dict[str, MediaEnd | None] = field(default_factory=dict, compare=False)  # for good, by fork


@dataclass(slots=True, repr=False)
class Dialog:
    """One fork of a call: the caller and one callee."""

    callee: Party
    caller_end: MediaEnd | None
    callee_end: MediaEnd | None = None
    is_answered: bool = False
    offer: Offer | None = None  # made in a response, and not yet answered
    settled: Offer | None = None  # made in a response, and answered for good
    told: tuple[MediaEnd | None, MediaEnd | None, bool, frozenset[Obstacle]] | None = None  # reported last

    @property
    def tag(self) -> str:
        """The callee's tag, as events name the fork."""
        return self.callee.tag.decode("latin-1")

    def end_of(self, role: Role) -> MediaEnd | None:
        """Return where one party wants its media."""
        return self.caller_end if role == "caller" else self.callee_end

    def set_end(self, role: Role, end: MediaEnd | None) -> None:
        """Note where one party wants its media now."""
        if role == "caller":
            self.caller_end = end
        else:
            self.callee_end = end

    def settle(self, offer: Offer, answer: MediaEnd | None, *, is_final: bool) -> None:
        """Let an offer and its answer count. A 2xx may repeat what a 1xx said for good (RFC 6337 §2.2)."""
        answerer: Role = "callee" if offer.speaker == "caller" else "caller"
        if self.tag not in offer.answers:
            self.set_end(offer.speaker, offer.end)
        elif offer.answers[self.tag] == answer:
            return
        self.set_end(answerer, answer)
        if is_final:
            offer.answers[self.tag] = answer
            if self.offer is offer:
                self.offer, self.settled = None, offer


def contact_of(message: Message) -> bytes:
    """Return the URI of the first Contact that can be used as a target, b"" when there is none."""
    try:
        contacts = message.all(b"contact")
    except MessageError:
        return b""
    return next((uri for uri in map(_target_in, contacts) if uri is not None), b"")


@reading.remembered
def _target_in(contact: bytes) -> bytes | None:
    """The URI if it leads anywhere, else b""; None when it cannot be read."""
    try:
        uri = uri_in(contact)
    except MessageError:
        return None
    return uri.raw if uri.scheme in (b"sip", b"sips") else b""
