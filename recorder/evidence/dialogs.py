"""Dialog events (RFC 4235): SIP over one connection that we open; bytes in, bytes and statements out.

Each agent's extension is *watched*: a subscription tells whenever something there changes. What it tells
only takes away. What vouches is a *look*: a SUBSCRIBE that asks once (RFC 6665 §4.4.3), whose one NOTIFY has
the full state and is younger than the question. So nothing is ever put together from partial states, and
whatever is lost or misunderstood is made good by the next look, or makes an end of it.

A call on the trunk is recognised by its Call-ID, and by nothing else: of a PBX that has a Call-ID of its own
on each side nothing is known, for who has which number in a call is no evidence. One extension vouches while
it is in exactly one confirmed dialog, which is not on hold and no conference.

NOTIFYs come over the connection that we opened: there is no port to which anybody else could send one. One
that the PBX passes on for somebody else lacks the dialog.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recorder.evidence import dialog_info
from recorder.evidence.dialog_info import Dialog, DialogInfo
from recorder.evidence.statements import ASK_AFTER, LOST_AFTER, Broken, Statement
from recorder.evidence.subscription import Subscription, Watcher, reply, state_of
from sip_hooks import framing
from sip_hooks.errors import SipError
from sip_hooks.events import conversation_of
from sip_hooks.message import Message, parse

WATCH_SECONDS = 600
LOOK_AFTER = timedelta(seconds=1)
"""How old a look may be before there is another one, once it is seen to: every two seconds at least. One that
is not answered after two more seconds takes back what the last one said, within the horizon."""
REFUSED_FOR = timedelta(minutes=1)
_AT_ONCE = 20  # subscriptions that are asked for at a time
_CONTENT = b"application/dialog-info+xml"


@dataclass(slots=True, repr=False)
class _Desk:
    """One extension. `talks`: the conversations that are said to be confirmed there."""

    extension: str
    watch: Subscription | None = None
    is_watched: bool = False
    watch_at: datetime | None = None  # when to subscribe (anew); None: now
    look: Subscription | None = None
    look_at: datetime | None = None  # when there is to be another one; None: now
    is_asked_again: bool = False
    talks: set[str] = field(default_factory=set)
    vouched: set[str] = field(default_factory=set)


class DialogReader:
    """One connection. `extensions` says whose dialogs count now, `draw(n)` draws n bytes."""

    def __init__(
        self, watcher: Watcher, extensions: Callable[[], tuple[str, ...]], draw: Callable[[int], bytes]
    ) -> None:
        self._watcher = watcher
        self._extensions = extensions
        self._draw = draw
        self._deframer = framing.Deframer()
        self._sending: list[bytes] = []
        self._said: list[Statement] = []
        self._desks: dict[str, _Desk] = {}
        self._subscriptions: dict[bytes, Subscription] = {}
        self._refusal = 0

    @property
    def is_ready(self) -> bool:
        """Whether the dialogs of any extension are told."""
        return any(it.is_watched for it in self._desks.values())

    @property
    def state(self) -> str:
        """Of how many extensions they are told, and how the others are refused."""
        watched = sum(it.is_watched for it in self._desks.values())
        refused = f", the last refusal was {self._refusal}" if self._refusal else ""
        return f"{watched} of {len(self._desks)} extensions are watched{refused}"

    def receive(self, data: bytes, now: datetime) -> list[Statement]:
        """Take in bytes; none says that nothing has come for a while. Raises Broken."""
        for found in self._deframer.feed(data):
            if isinstance(found, framing.Broken):
                raise Broken("this is no SIP over TCP")
            if found == framing.PING:
                self._sending.append(framing.PONG)
            else:
                self._take(found, now)
        if not data:
            self._call()
        self._tend(now)
        said, self._said = self._said, []
        return said

    def to_send(self) -> bytes:
        """What is to be written, once."""
        sending, self._sending = self._sending, []
        return b"".join(sending)

    def ask(self, now: datetime, conversation: str = "") -> None:
        """Look again wherever this conversation is said to be; in its own time wherever none is named."""
        for desk in self._desks.values():
            if conversation in desk.talks:
                self._look(desk, now)

    # --- what comes

    def _take(self, raw: bytes, now: datetime) -> None:
        """One message. What cannot be read says nothing: whoever waits for it gives up in time."""
        try:
            message = parse(raw)
            if not message.is_request:
                self._on_response(message, now)
            elif message.method == b"NOTIFY":
                self._on_notify(message, now)
            elif message.method != b"ACK":
                is_asked = message.method == b"OPTIONS"
                self._sending.append(reply(message, "200 OK" if is_asked else "405 Method Not Allowed"))
        except SipError:
            return

    def _on_response(self, response: Message, now: datetime) -> None:
        found = self._subscriptions.get(response.call_id)
        if found is None or response.status < 200 or not found.is_answered_by(response):
            return
        if response.status < 300:
            found.accept(response)
            return
        again = found.again(response, self._watcher, self._new(), self._new())
        if again is not None:
            self._sending.append(again)
            return
        self._refusal = response.status
        self._give_up(self._desks[found.extension], found, now + REFUSED_FOR, now)

    def _on_notify(self, notify: Message, now: datetime) -> None:
        found = self._subscriptions.get(notify.call_id)
        if found is None or not found.is_of(notify):
            self._sending.append(reply(notify, "481 Subscription Does Not Exist"))
            return
        if not found.take(notify):
            self._sending.append(reply(notify, "500 Out Of Order"))
            return
        self._sending.append(reply(notify, "200 OK"))
        desk = self._desks[found.extension]
        if found is desk.look:
            self._on_look(desk, found, notify, now)
        else:
            self._on_watch(desk, found, notify, now)

    def _on_watch(self, desk: _Desk, watch: Subscription, notify: Message, now: datetime) -> None:
        state, seconds = state_of(notify)
        if state == b"terminated":
            self._give_up(desk, watch, now + ASK_AFTER, now)
            return
        desk.is_watched = state == b"active"
        desk.watch_at = now + 0.8 * timedelta(seconds=watch.expires if seconds is None else seconds)
        info = _read(notify)
        is_clear = info is not None and _continues(watch, info) and not _contradicts(info, desk.vouched)
        if not is_clear or not desk.is_watched:
            self._vouch(desk, {}, now)
        if info is not None:
            _note(desk, info)
        if desk.talks:
            self._look(desk, now)

    def _on_look(self, desk: _Desk, look: Subscription, notify: Message, now: datetime) -> None:
        self._forget(look)
        desk.look, desk.look_at = None, look.asked_at + LOOK_AFTER
        info = _read(notify)
        found: dict[str, frozenset[str]] = {}
        if info is not None and info.is_full:
            _note(desk, info)
            found = _vouching(info, desk) if desk.is_watched else {}
        self._vouch(desk, found, look.asked_at)
        if desk.is_asked_again:
            self._look(desk, now)

    # --- what is said

    def _vouch(self, desk: _Desk, found: dict[str, frozenset[str]], at: datetime) -> None:
        """These conversations are this extension's, as of then, and no others are."""
        gone, desk.vouched = desk.vouched - found.keys(), set(found)
        self._said += [Statement(it, None, at) for it in sorted(gone)]
        for conversation, names in found.items():
            others = any(it is not desk and conversation in it.vouched for it in self._desks.values())
            self._said.append(Statement(conversation, None if others else names, at))

    # --- what is asked

    def _tend(self, now: datetime) -> None:
        """Whatever is due."""
        wanted = self._extensions()
        for extension in self._desks.keys() - set(wanted):
            self._drop(self._desks.pop(extension), now)
        for extension in wanted:
            desk = self._desks.setdefault(extension, _Desk(extension))
            self._miss(desk, now)
            if desk.talks and desk.look is None and (desk.look_at is None or now >= desk.look_at):
                self._look(desk, now)
        self._subscribe(now)

    def _subscribe(self, now: datetime) -> None:
        waiting = sum(it.watch is not None and not it.watch.is_notified for it in self._desks.values())
        for desk in self._desks.values():
            if waiting >= _AT_ONCE:
                return
            if desk.watch_at is None or now >= desk.watch_at:
                waiting += 1
                if desk.watch is not None:
                    self._forget(desk.watch)
                desk.watch, desk.watch_at = self._open(desk, WATCH_SECONDS, now), now + LOST_AFTER

    def _look(self, desk: _Desk, now: datetime) -> None:
        """Look now; one that is under way is not young enough, so there is to be another one after it."""
        if desk.look is not None:
            desk.is_asked_again = True
        elif desk.is_watched:
            desk.look, desk.is_asked_again = self._open(desk, 0, now), False

    def _miss(self, desk: _Desk, now: datetime) -> None:
        """What was not answered in time."""
        if desk.look is not None and now - desk.look.asked_at >= ASK_AFTER:
            self._give_up(desk, desk.look, now, now)
        watch = desk.watch
        if watch is not None and not watch.is_notified and now - watch.asked_at >= LOST_AFTER:
            self._give_up(desk, watch, now, now)

    def _give_up(self, desk: _Desk, subscription: Subscription, until: datetime, now: datetime) -> None:
        """Nothing more will come of a subscription, so nobody vouches; it is not made again until then."""
        self._forget(subscription)
        if subscription is desk.look:
            desk.look, desk.look_at = None, until
        else:
            desk.watch, desk.is_watched, desk.watch_at = None, False, until
        self._vouch(desk, {}, now)

    def _drop(self, desk: _Desk, now: datetime) -> None:
        """An extension is nobody's any more."""
        for it in (desk.watch, desk.look):
            if it is not None:
                self._forget(it)
        self._vouch(desk, {}, now)

    def _open(self, desk: _Desk, seconds: int, now: datetime) -> Subscription:
        made = Subscription(desk.extension, self._new(), self._new(), seconds, now)
        self._subscriptions[made.call_id.encode()] = made
        self._sending.append(made.request(self._watcher, self._new()))
        return made

    def _forget(self, subscription: Subscription) -> None:
        """What comes of it from now on is of no subscription, so that the PBX ends it (RFC 6665 §4.4.1)."""
        self._subscriptions.pop(subscription.call_id.encode(), None)

    def _call(self) -> None:
        """Have it shown that somebody is there."""
        ids = self._new(), self._new(), 1
        self._sending.append(
            self._watcher.request("OPTIONS", f"sip:{self._watcher.domain}", ids, self._new())
        )

    def _new(self) -> str:
        return self._draw(16).hex()


def _read(notify: Message) -> DialogInfo | None:
    """What a NOTIFY says. Nothing at all is that there are no dialogs; None: nobody can read it."""
    if not notify.body and not notify.content_type:
        return DialogInfo(None, True, ())
    if notify.content_type != _CONTENT or notify.is_short:
        return None
    try:
        return dialog_info.read(notify.body)
    except dialog_info.Unreadable:
        return None


def _conversation(dialog: Dialog) -> str:
    return conversation_of(dialog.call_id.encode())


def _continues(watch: Subscription, info: DialogInfo) -> bool:
    """Whether no document is missing between this and the one before (RFC 4235 §4.2)."""
    before, watch.version = watch.version, info.version
    return before is None or info.version is None or info.version == before + 1


def _contradicts(info: DialogInfo, vouched: set[str]) -> bool:
    """Whether what was vouched for may not be true any more."""
    confirmed = {_conversation(it) for it in info.dialogs if it.state == "confirmed" and it.is_plain}
    others = {_conversation(it) for it in info.dialogs if it.state == "confirmed"} - vouched
    denied = {_conversation(it) for it in info.dialogs} & vouched - confirmed
    return bool(others or denied or (info.is_full and vouched - confirmed))


def _note(desk: _Desk, info: DialogInfo) -> None:
    confirmed = {_conversation(it) for it in info.dialogs if it.state == "confirmed"}
    others = {_conversation(it) for it in info.dialogs if it.state != "confirmed"}
    desk.talks = confirmed if info.is_full else (desk.talks - others) | confirmed


def _vouching(info: DialogInfo, desk: _Desk) -> dict[str, frozenset[str]]:
    """The one conversation in which this extension certainly speaks, and what it is called there."""
    confirmed = [it for it in info.dialogs if it.state == "confirmed"]
    if len(confirmed) != 1 or not confirmed[0].is_plain or not confirmed[0].call_id:
        return {}
    return {_conversation(confirmed[0]): confirmed[0].names | {desk.extension}}
