"""A pass: one dialog, forks included, crossing us once. It turns messages into events and edits.

A pass knows nothing of packets and timers. The proxy shows it each message that belongs to it, with the
edits of that message; what it returns are the events to be reported before the message leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sip_hooks.address import UNSPECIFIED, family_of
from sip_hooks.anchoring import description_in, is_ours, protects_body, wants_body_protected
from sip_hooks.dialog import Dialog, Party
from sip_hooks.edits import Edits
from sip_hooks.events import (
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallProgressed,
    CallRedirected,
    ContactChanged,
    Disturbance,
    Event,
    KeysPressed,
    KeysTaken,
    MediaKept,
    Side,
    TransferEnded,
    conversation_of,
)
from sip_hooks.identity import Identities, Identity, Role, identities
from sip_hooks.keys import pressed
from sip_hooks.known import Known
from sip_hooks.message import Message
from sip_hooks.negotiation import Negotiation, Turn
from sip_hooks.registration import SHORTEST_TOKEN, ContactTokens
from sip_hooks.relation import is_focus, session_ids
from sip_hooks.sdp import MediaEnd
from sip_hooks.settings import Address, EngineSettings, Listener
from sip_hooks.timer import Timed
from sip_hooks.transfer import Transfers
from sip_hooks.uri import parse_uri, unescape

_BY_METHOD = {
    b"REFER": Disturbance.REFER,
    b"UPDATE": Disturbance.UPDATE,
}
_MOST_FORKS = 64
_TAKEOVERS = ((b"replaces", Disturbance.REPLACES), (b"join", Disturbance.JOIN))


@dataclass(slots=True, repr=False)
class Exchange(Turn):
    """One request of a pass and what its response has to know. No dialog: the INVITE that opens the pass."""

    call: Pass
    tells_keys: bool = False


class Pass(Timed):
    """One dialog crossing us once. `call` names it to those above, `token` on the wire once it leaves."""

    __slots__ = (
        "_contacts",
        "_known",
        "_said",
        "_tokens",
        "_transfers",
        "call",
        "call_id",
        "callee_side",
        "caller",
        "dialled",
        "dialogs",
        "heard_at",
        "is_ended",
        "negotiation",
        "strip",
        "token",
        "winner",
    )

    def __init__(
        self,
        call: str,
        invite: Message,
        caller: Party,
        callee_side: Side,
        tokens: ContactTokens,
    ) -> None:
        super().__init__()
        self.call = call
        self.token = b""
        self.call_id = invite.call_id
        self.caller = caller
        self.callee_side = callee_side
        self.dialled = invite.target.user  # as received: escaped, prefix included
        self.strip = 0
        self.negotiation = Negotiation(call, caller)
        self.dialogs: dict[bytes, Dialog] = {}
        self.winner: Dialog | None = None
        self.is_ended = False
        self.heard_at = 0.0
        self._tokens = tokens
        self._known = Known()
        self._contacts: dict[Role, str] = {}
        self._said: tuple[Identities | None, Role, tuple[Identity, ...]] = None, "caller", ()
        self._transfers = Transfers()

    # --- the INVITE that opens it

    def offered(
        self,
        invite: Message,
        at: datetime,
        destination: Address,
        settings: EngineSettings,
        account: bytes = b"",
    ) -> CallOffered:
        """Return the event of the INVITE that opens this pass and is to go to `destination`, the phone that
        has registered `account` if that is known.
        """
        named, unreadable = self._named(invite, "caller")
        said, *_ = self._said
        if account:
            named += (Identity("callee", "account", parse_uri(b"sip:%s@a" % account).identity(), ""),)
        self._known.note(named)
        self._follow_contacts(named)
        description = description_in(invite)
        end = description.end if description else None
        found = {
            Disturbance.HOLD: end is not None and end.is_held,
            Disturbance.AUTH_INT: protects_body(invite),
            Disturbance.CONFERENCE: is_focus(invite),
            Disturbance.UNREADABLE: unreadable,
        }
        found.update({cause: invite.field(name) is not None for name, cause in _TAKEOVERS})
        return CallOffered(
            self.call,
            at,
            self.caller.side,
            named,
            said is not None and said.is_anonymous,
            unescape(self._tokens.original(parse_uri(invite.request_uri)).user).decode("latin-1"),
            description,
            conversation_of(self.call_id),
            is_ours(end, settings.media_addresses, settings.media_ports),
            tuple(cause for cause, is_there in found.items() if is_there),
            (family_of(_media_address(end) or self.caller.source[0]), family_of(destination[0])),
            self.callee_side,
            session_ids(invite),
        )

    def forward(self, invite: Message, edits: Edits, exchange: Exchange) -> Iterator[Event]:
        """Yield what is to be reported before the opening INVITE leaves; its media and `strip` are set."""
        yield from self.negotiation.request(invite, edits, exchange)

    # --- requests within it

    def request(self, request: Message, edits: Edits, exchange: Exchange) -> Iterator[Event]:
        """Yield what is to be reported before a request within the dialog leaves."""
        named, unreadable = self._named(request, exchange.sender)
        if cause := _BY_METHOD.get(request.method):
            yield CallDisturbed(self.call, cause, named)
        if request.method == b"INFO":
            yield from self._hear_keys(request, exchange, named)
        for name, cause in _TAKEOVERS:
            if request.field(name) is not None:
                yield CallDisturbed(self.call, cause, named)
        if request.method != b"BYE":
            yield from self._judge(named, unreadable)
        yield from self._look_for_focus(request, named)
        if request.method == b"REFER":
            self._transfers.sent(exchange.sender)
        elif request.method == b"NOTIFY":
            yield from self._settle(self._transfers.notified(request, exchange.sender))
        yield from self.negotiation.request(request, edits, exchange)

    # --- responses

    def response(
        self, response: Message, edits: Edits, exchange: Exchange, at: datetime, is_late: bool = False
    ) -> Iterator[Event]:
        """Yield what is to be reported before a response leaves. 100 is not shown to a pass.

        `is_late`: a 1xx that the answer has overtaken. It leaves no more, and may still say who is there.
        """
        if is_late:
            yield from self._overhear(response, exchange)
            return
        if exchange.is_opening:
            yield from self._opening_response(response, edits, exchange, at)
            return
        if response.cseq[1] == b"REFER":
            yield from self._settle(self._transfers.answered(response.status))
        if response.status >= 300:
            yield from self.fail(exchange)
            if wants_body_protected(response):
                yield CallDisturbed(self.call, Disturbance.AUTH_INT, ())
            return
        yield from self._taken(exchange, response.status)
        named, unreadable = self._named(response, exchange.sender)
        if response.cseq[1] != b"BYE":
            yield from self._judge(named, unreadable)
        yield from self._look_for_focus(response, named)
        if exchange.dialog is not None:
            yield from self.negotiation.response(response, exchange.dialog, edits, exchange)

    def _opening_response(
        self, response: Message, edits: Edits, exchange: Exchange, at: datetime
    ) -> Iterator[Event]:
        named, unreadable = self._named(response, "caller")
        yield from self._progress(response, named, unreadable)
        status = response.status
        if status in (401, 407) and wants_body_protected(response):
            yield CallDisturbed(self.call, Disturbance.AUTH_INT, named)
        if status >= 300:
            return
        dialog = self.dialogs[response.to_tag]
        if status >= 200:
            yield from self._answered(response, dialog, edits, exchange, named, at)
        else:
            self._known.note(named, is_certain=False)
            yield from self.negotiation.response(response, dialog, edits, exchange)

    def _progress(self, response: Message, named: tuple[Identity, ...], unreadable: bool) -> Iterator[Event]:
        status = response.status
        if unreadable and status < 300:
            yield CallDisturbed(self.call, Disturbance.UNREADABLE, named)
        if status == 181 or 300 <= status < 400:
            yield CallRedirected(self.call, status, named)
        elif status < 200:
            yield CallProgressed(self.call, response.to_tag.decode("latin-1"), status, named)

    def _overhear(self, response: Message, exchange: Exchange) -> Iterator[Event]:
        named, unreadable = self._named(response, exchange.sender)
        if exchange.is_opening:
            yield from self._progress(response, named, unreadable)
        else:
            yield from self._judge(named, unreadable)

    def _answered(
        self,
        response: Message,
        dialog: Dialog,
        edits: Edits,
        exchange: Exchange,
        named: tuple[Identity, ...],
        at: datetime,
    ) -> Iterator[Event]:
        is_repeated, is_first = dialog.is_answered, self.winner is None
        dialog.is_answered = True
        if is_first:
            self.winner = dialog
            self._known.note(named)
            self._follow_contacts(named)
        elif is_repeated:
            yield from self._judge(named, False)
        else:
            yield CallDisturbed(self.call, Disturbance.SECOND_ANSWER, named)
        yield from self.negotiation.response(response, dialog, edits, exchange)
        yield from self.negotiation.tell(dialog, frozenset())
        yield from self._look_for_focus(response, named)
        if is_first:
            yield CallAnswered(self.call, at, dialog.tag, named, session_ids(response))

    # --- the end

    def end(
        self, cause: Literal["bye", "cancelled", "rejected", "timeout", "error"], status: int, at: datetime
    ) -> CallEnded:
        """Return the event of its end, the last one that is reported."""
        self.is_ended = True
        return CallEnded(self.call, at, cause, status)

    def fail(self, exchange: Exchange) -> Iterator[Event]:
        """Yield what is to be reported when a request within the dialog is refused, or never answered."""
        if exchange.offer is not None:
            yield MediaKept(self.call)
        yield from self._taken(exchange)

    # --- forks

    def fork(self, response: Message, source: Address, listener: Listener, routes: tuple[bytes, ...]) -> None:
        """Note who sent a 1xx or 2xx to the opening INVITE, to which listener, and the Routes there."""
        tag = response.to_tag
        dialog = self.dialogs.get(tag)
        if dialog is None:
            if len(self.dialogs) >= _MOST_FORKS:
                del self.dialogs[next(tag for tag, one in self.dialogs.items() if one is not self.winner)]
            party = Party(self.callee_side, tag, source, listener)
            dialog = self.dialogs[tag] = Dialog(party, self.negotiation.offer_end)
        dialog.callee.learn(response, source)
        dialog.callee.routes = routes

    def dialog_of(self, request: Message, sender: Role) -> Dialog | None:
        """Return the fork a request belongs to; with an unknown tag the one that answered, or the last."""
        tag = request.to_tag if sender == "caller" else request.from_tag
        dialogs = self.dialogs
        return dialogs.get(tag) or self.winner or (dialogs[next(reversed(dialogs))] if dialogs else None)

    def party(self, role: Role, dialog: Dialog | None) -> Party | None:
        """Return one party of a fork."""
        if role == "caller":
            return self.caller
        return dialog.callee if dialog else None

    def has_tag(self, tag: bytes) -> bool:
        """Whether a tag is one of this pass."""
        return tag == self.caller.tag or tag in self.dialogs

    # --- identities

    def _named(self, message: Message, from_role: Role) -> tuple[tuple[Identity, ...], bool]:
        """Return what a message says of the pass's parties, and whether some of it is unreadable."""
        said = identities(message)
        before, role, named = self._said
        if said is not before or role != from_role:
            named = tuple([it if len(it.value) < SHORTEST_TOKEN else self._restored(it) for it in said.named])
            if from_role == "callee":
                named = tuple([each._replace(role=_other(each.role)) for each in named])
            self._said = said, from_role, named
        return named, bool(said.unreadable)

    def _restored(self, identity: Identity) -> Identity:
        """A token in the place of a user stands for the phone's own Contact."""
        registered = self._tokens.open(identity.value.encode())
        if registered is None:
            return identity
        uri = parse_uri(registered.uri)
        return Identity(identity.role, identity.header, uri.identity(), uri.address())

    def _look_for_focus(self, message: Message, named: tuple[Identity, ...]) -> Iterator[Event]:
        if is_focus(message):
            rooms = tuple(it for it in named if it.header == "contact")
            yield CallDisturbed(self.call, Disturbance.CONFERENCE, rooms)

    def _taken(self, exchange: Exchange, status: int = 0) -> Iterator[Event]:
        """Of an INFO: what it tells has arrived. `status` of its response, 0 if there is none to come."""
        if exchange.tells_keys and not 100 <= status < 200:
            yield KeysTaken(self.call, exchange.sender)

    def _hear_keys(self, info: Message, exchange: Exchange, named: tuple[Identity, ...]) -> Iterator[Event]:
        keys = pressed(info)
        if keys is None:
            yield CallDisturbed(self.call, Disturbance.INFO, named)
        elif keys:
            exchange.tells_keys = True
            yield KeysPressed(self.call, exchange.sender, keys)

    def _settle(self, is_done: bool | None) -> Iterator[Event]:
        """Report what became of the transfers under way, if that is known now."""
        if is_done is not None:
            yield TransferEnded(self.call, is_done)

    def _judge(self, named: tuple[Identity, ...], unreadable: bool) -> Iterator[Event]:
        """Report what a message within the dialog says of either party that was not known."""
        if unreadable:
            yield CallDisturbed(self.call, Disturbance.UNREADABLE, named)
        if self._known.tells(named):
            yield CallDisturbed(self.call, Disturbance.IDENTITY_CHANGED, named)
        yield from self._follow_contacts(named)
        self._known.note(named)

    def _follow_contacts(self, named: tuple[Identity, ...]) -> list[Event]:
        """What is to be reported of Contacts that are others than before."""
        changed: list[Event] = []
        for it in named:
            if it.header == "contact" and it.address:
                before, self._contacts[it.role] = self._contacts.get(it.role), it.address
                if before not in (None, it.address):
                    changed.append(ContactChanged(self.call, it.role, it.address))
        return changed


def _media_address(end: MediaEnd | None) -> str:
    """Where a party wants its media, "" when it does not say so."""
    return "" if end is None or end.address in UNSPECIFIED else end.address


def _other(role: Role) -> Role:
    return "callee" if role == "caller" else "caller"
