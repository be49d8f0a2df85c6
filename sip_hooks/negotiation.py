"""Offer and answer in the dialogs of one pass (RFC 3264, RFC 6337): who wants its media where, and what the
other party is shown of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sip_hooks.anchoring import anchored, can_be_anchored, description_in, is_refresh, protects_body
from sip_hooks.dialog import Dialog
from sip_hooks.edits import Edits
from sip_hooks.errors import MessageError
from sip_hooks.events import Anchor, CallDisturbed, Disturbance, Event, MediaNegotiated
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.sdp import Description, MediaEnd, Obstacle


@dataclass(slots=True, repr=False)
class Turn:
    """One request and what the description in its response has to know."""

    sender: Role
    dialog: Dialog | None  # None for the INVITE that opens the pass
    before: tuple[MediaEnd | None, MediaEnd | None] | None = field(default=None, kw_only=True)
    is_direct: bool = field(default=False, kw_only=True)  # its offer was not rewritten

    @property
    def answerer(self) -> Role:
        """Who answers the request."""
        return "callee" if self.sender == "caller" else "caller"

    def keep(self) -> None:
        """Note what to go back to if the request fails."""
        if self.dialog is not None:
            self.before = self.dialog.caller_end, self.dialog.callee_end


class Negotiation:
    """The descriptions of one pass. `media` is None when they pass untouched."""

    __slots__ = ("_call", "media", "offer_end")

    def __init__(self, call: str) -> None:
        self._call = call
        self.media: Anchor | None = None
        self.offer_end: MediaEnd | None = None

    def carry(
        self, message: Message, speaker: Role, dialog: Dialog | None, edits: Edits, turn: Turn
    ) -> Iterator[Event]:
        """Take note of a description, rewrite it when the call is anchored, and report both."""
        description = description_in(message)
        if description is None:
            return
        before = self.offer_end if dialog is None else dialog.end_of(speaker)
        end = description.end
        is_established = dialog is not None and turn.dialog is not None
        if (cause := _disturbance(before, end, is_established)) is not None:
            yield CallDisturbed(self._call, cause, ())
        if dialog is None:
            self.offer_end = end
        else:
            dialog.set_end(speaker, end)
        if self.media is None:
            return
        yield from self._anchor(message, description, speaker, edits, turn, self.media)
        yield from self.tell(dialog, description.obstacles)

    def _anchor(
        self,
        message: Message,
        description: Description,
        speaker: Role,
        edits: Edits,
        turn: Turn,
        media: Anchor,
    ) -> Iterator[Event]:
        is_protected = message.is_request and protects_body(message)
        is_answer = speaker == turn.answerer
        if is_answer and turn.is_direct:
            return
        if description.end is not None and can_be_anchored(description) and not is_protected:
            try:
                edits.set_body(anchored(message.body, description.end, speaker, media))
            except MessageError:
                yield CallDisturbed(self._call, Disturbance.UNANCHORED, ())
            return
        turn.is_direct = turn.is_direct or not is_answer
        yield CallDisturbed(self._call, Disturbance.AUTH_INT if is_protected else Disturbance.UNANCHORED, ())

    def tell(self, dialog: Dialog | None, obstacles: frozenset[Obstacle]) -> Iterator[Event]:
        """Report where the parties of a fork want their media, unless that has been said already."""
        if self.media is None:
            return
        if dialog is None:
            yield MediaNegotiated(self._call, "", self.offer_end, None, False, obstacles)
            return
        news = dialog.caller_end, dialog.callee_end, dialog.is_answered, obstacles
        if dialog.told is not None and (news[:3] == dialog.told[:3] and obstacles <= dialog.told[3]):
            return
        dialog.told = news
        yield MediaNegotiated(self._call, dialog.tag, *news)

    def roll_back(self, turn: Turn) -> Iterator[Event]:
        """A refused re-INVITE or UPDATE leaves media as it was (RFC 3261 §14.1)."""
        if turn.before is None or turn.dialog is None:
            return
        dialog = turn.dialog
        dialog.caller_end, dialog.callee_end = turn.before
        if dialog.told is not None:
            yield from self.tell(dialog, frozenset())


def _disturbance(before: MediaEnd | None, after: MediaEnd | None, is_established: bool) -> Disturbance | None:
    if after is not None and after.is_held:
        return None if before is not None and is_refresh(before, after) else Disturbance.HOLD
    if not is_established or before is None or after is None:
        return None
    return None if is_refresh(before, after) else Disturbance.REINVITE_CHANGED
