"""Offer and answer in the dialogs of one pass (RFC 3264, RFC 6337): who wants its media where, and what the
other party is shown of it.

An offer is a description in a request, or in a response to an INVITE that had none; its answer comes in the
response, or in the ACK or PRACK of such a response. What an offer of an established dialog says counts when
it is answered: one that is refused, crossed by another (491) or never answered has changed nothing, so there
is nothing to roll back. An offer that cannot be made to pass through us goes on untouched, and its answer
with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sip_hooks.anchoring import anchored, can_be_anchored, description_in, is_refresh, protects_body
from sip_hooks.dialog import Dialog, Offer, Party
from sip_hooks.edits import Edits
from sip_hooks.errors import MessageError
from sip_hooks.events import Anchor, CallDisturbed, Disturbance, Event, MediaNegotiated
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.sdp import Description, MediaEnd, Obstacle

_NEGOTIATING = (b"INVITE", b"ACK", b"PRACK", b"UPDATE")
"""Where a description is of a session. In an OPTIONS it only says what somebody can do (RFC 3261 §11.2)."""


@dataclass(slots=True, repr=False)
class Turn:
    """One request and what the description in its response has to know."""

    sender: Role
    dialog: Dialog | None  # None for the INVITE that opens the pass, and before any fork has answered that
    is_opening: bool = field(default=False, kw_only=True)  # it is that INVITE
    offer: Offer | None = field(default=None, kw_only=True)  # that the request carries

    @property
    def answerer(self) -> Role:
        """Who answers the request."""
        return "callee" if self.sender == "caller" else "caller"


class Negotiation:
    """The descriptions of one pass. `media` is None when they pass untouched."""

    __slots__ = ("_call", "_caller", "media", "offer_end")

    def __init__(self, call: str, caller: Party) -> None:
        self._call = call
        self._caller = caller
        self.media: Anchor | None = None
        self.offer_end: MediaEnd | None = None  # of the INVITE that opens the pass

    def request(self, request: Message, edits: Edits, turn: Turn) -> Iterator[Event]:
        """Take note of a request's description, rewrite it when the call is anchored, and report both."""
        dialog = turn.dialog
        if dialog is not None and dialog.offer is not None and _can_answer(request, dialog.offer, turn):
            yield from self._answer(request, dialog.offer, dialog, edits, is_established=True)
            return
        description = description_in(request)
        if description is None:
            return
        if dialog is None and not turn.is_opening:
            # It has overtaken the first response: of which fork it speaks nobody knows.
            yield CallDisturbed(self._call, Disturbance.UNANCHORED, ())
            return
        turn.offer = Offer(turn.sender, description.end, description.stream)
        yield from self._disturb(turn.sender, description, dialog, dialog is not None)
        yield from self._send_offer(request, description, edits, turn.offer)
        if dialog is None:
            self.offer_end = description.end
        yield from self.tell(dialog, description.obstacles)

    def response(self, response: Message, dialog: Dialog, edits: Edits, turn: Turn) -> Iterator[Event]:
        """Take note of a response's description, rewrite it when the call is anchored, and report both."""
        is_established = turn.dialog is not None
        if turn.offer is not None:
            yield from self._answer(response, turn.offer, dialog, edits, is_established=is_established)
            return
        description = description_in(response) if response.cseq[1] == b"INVITE" else None
        if description is None:
            return
        offer = Offer(turn.answerer, description.end, description.stream)
        yield from self._disturb(turn.answerer, description, dialog, is_established)
        yield from self._send_offer(response, description, edits, offer)
        if dialog.settled != offer:  # else it is only said again
            dialog.offer = offer
        if not is_established:
            dialog.set_end(turn.answerer, description.end)
        yield from self.tell(dialog, description.obstacles)

    def _answer(
        self, message: Message, offer: Offer, dialog: Dialog, edits: Edits, *, is_established: bool
    ) -> Iterator[Event]:
        description = description_in(message, offer.stream)
        if description is None:
            return
        speaker: Role = "callee" if offer.speaker == "caller" else "caller"
        yield from self._disturb(speaker, description, dialog, is_established)
        if not offer.is_direct:
            yield from self._send(message, description, speaker, edits)
        is_final = _is_final(message)
        if is_final or not is_established:
            dialog.settle(offer, description.end, is_final=is_final)
        yield from self.tell(dialog, description.obstacles)

    def _disturb(
        self, speaker: Role, description: Description, dialog: Dialog | None, is_established: bool
    ) -> Iterator[Event]:
        before = self.offer_end if dialog is None else dialog.end_of(speaker)
        if (cause := _disturbance(before, description.end, is_established)) is not None:
            yield CallDisturbed(self._call, cause, ())

    def _send_offer(
        self, message: Message, description: Description, edits: Edits, offer: Offer
    ) -> Iterator[Event]:
        if self.media is None:
            return
        if can_be_anchored(description):
            found = list(self._send(message, description, offer.speaker, edits))
        else:
            found = [CallDisturbed(self._call, Disturbance.UNANCHORED, ())]
        offer.is_direct = bool(found)
        yield from found

    def _send(
        self, message: Message, description: Description, speaker: Role, edits: Edits
    ) -> Iterator[CallDisturbed]:
        """Show the other party our address where media passes through us, or report why that cannot be."""
        if self.media is None:
            return
        if message.is_request and message.method != b"ACK" and protects_body(message):  # no ACK is challenged
            yield CallDisturbed(self._call, Disturbance.AUTH_INT, ())
            return
        try:
            edits.set_body(anchored(message, description, speaker, self.media))
        except MessageError:
            yield CallDisturbed(self._call, Disturbance.UNANCHORED, ())

    def tell(self, dialog: Dialog | None, obstacles: frozenset[Obstacle]) -> Iterator[Event]:
        """Report where the parties of a fork want their media, unless that has been said already."""
        if self.media is None:
            return
        if dialog is None:
            hidden = self._caller.hidden_at, ""
            yield MediaNegotiated(self._call, "", self.offer_end, None, False, obstacles, hidden)
            return
        news = dialog.caller_end, dialog.callee_end, dialog.is_answered, obstacles
        if dialog.told is not None and (news[:3] == dialog.told[:3] and obstacles <= dialog.told[3]):
            return
        dialog.told = news
        hidden = self._caller.hidden_at, dialog.callee.hidden_at
        yield MediaNegotiated(self._call, dialog.tag, *news, hidden)


def _can_answer(request: Message, offer: Offer, turn: Turn) -> bool:
    """Whether a request is where the answer to a late offer comes (RFC 3261 §13.2.1, RFC 3262 §5)."""
    return request.method in (b"ACK", b"PRACK") and offer.speaker != turn.sender


def _is_final(message: Message) -> bool:
    """Whether a description in this message answers for good: not in a 1xx that may be lost (RFC 3262)."""
    return message.is_request or message.status >= 200 or message.field(b"rseq") is not None


def _disturbance(before: MediaEnd | None, after: MediaEnd | None, is_established: bool) -> Disturbance | None:
    if after is not None and after.is_held:
        return None if before is not None and is_refresh(before, after) else Disturbance.HOLD
    if not is_established or before is None or after is None:
        return None
    return None if is_refresh(before, after) else Disturbance.REINVITE_CHANGED
