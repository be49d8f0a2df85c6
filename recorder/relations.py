"""What the messages of calls say of how they belong together, turned into a graph (`recorder.graph`).

Legs are joined by Replaces, Join and Target-Dialog (`CallsRelated`), by Call-ID, Session-ID (RFC 7989) and
address and port of media, and where one telephone speaks in two calls at once: it may be a three-way call.
A telephone is known by its Contact, and by each that it changes to while it is in a call. Calls whose media
passes us by count as not on hold: nobody tells.
Of calls that began before this process nothing is known but whose telephones are in them, once they
say anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from recorder.graph import Graph, Taint
from sip_hooks.address import UNSPECIFIED
from sip_hooks.events import (
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallsRelated,
    ContactChanged,
    Event,
    MediaNegotiated,
    Side,
)
from sip_hooks.identity import Identity, Role
from sip_hooks.sdp import MediaEnd

OUTLIVES = timedelta(minutes=10)
"""For so long what was known of a conversation is true of an INVITE that comes back: a PBX may wait for three
minutes (RFC 3261 §16.8, Timer C), and begin anew."""
MOST_REMEMBERED = 16_384
_NONE: frozenset[str] = frozenset()


class Relations:
    """All calls that run, and who belongs to whom."""

    def __init__(self) -> None:
        self._graph = Graph()
        self._ours: dict[str, Role] = {}  # of calls on the phone side: which party has the telephone
        self._telephones: dict[str, str] = {}
        self._also: dict[str, str] = {}  # by what a telephone is called since, what it was called first
        self._answered: set[str] = set()
        self._on_hold: set[str] = set()
        self._talking: dict[str, set[str]] = {}  # by telephone
        self._held: dict[str, set[str]] = {}
        self._strange: dict[str, set[str]] = {}  # calls that began before us, by telephone
        self._restored: set[str] = set()
        self._conversations: dict[str, str] = {}
        self._ended: dict[str, datetime] = {}
        self._tainted: dict[str, tuple[datetime, frozenset[Taint]]] = {}  # those that are over

    def offer(self, event: CallOffered) -> None:
        """A call begins. A PBX that is a proxy may send its INVITE back after the first pass was given up:
        what was known of that is true of it, too.
        """
        self._conversations[event.call] = event.conversation
        self._graph.add(event.call, {("conversation", event.conversation), *_sessions(event.session_ids)})
        self._graph.add(event.call, _media(event.description.end if event.description else None))
        self._let_go(event.at)
        for taint in self._tainted.get(event.conversation, (None, ()))[1]:
            self._graph.taint(event.call, taint)
        if not event.is_trunk_leg:
            self._ours[event.call] = "caller" if event.from_side is Side.PHONES else "callee"
            self._learn_telephone(event.call, event.identities)
            self._join_talking(event.call)

    def note(self, event: Event) -> None:
        """Something is known of a call that was offered."""
        call = event.call
        match event:
            case CallsRelated():
                for other in event.others:
                    self._graph.join(call, other)
            case CallEnded():
                self._ended[call] = event.at
                self._graph.release(call)
                self._leave(call)
            case CallAnswered():
                self._graph.add(call, _sessions(event.session_ids))
                self._learn_telephone(call, event.identities)
                self._answered.add(call)
                self._place(call)
            case ContactChanged():
                if event.sender == self._ours.get(call):
                    self._rename_telephone(call, event.address)
            case MediaNegotiated():
                ends = [end for end in (event.caller, event.callee) if end is not None]
                self._graph.add(call, [key for end in ends for key in _media(end)])
                is_held = any(end.direction != "sendrecv" for end in ends)
                (self._on_hold.add if is_held else self._on_hold.discard)(call)
                self._place(call)

    def company(self, call: str) -> tuple[list[str], set[str]]:
        """All calls of the same telephone, and those in which it speaks: each may hear the others."""
        telephone = self._telephones.get(call, "")
        talking, held = self._talking.get(telephone, set()), self._held.get(telephone, set())
        return sorted({call, *talking, *held}), talking

    def is_alone(self, call: str) -> bool:
        """Whether its telephone speaks in no other call, holds none, and is among no strangers."""
        telephone = self._telephones.get(call, "")
        calls = self._talking.get(telephone, _NONE) | self._held.get(telephone, _NONE)
        return calls <= {call} and telephone not in self._strange

    def is_beside_strangers(self, call: str) -> bool:
        """Whether its telephone is in a call, too, of which nobody knows who is there."""
        return self._telephones.get(call, "") in self._strange

    def restore(self, call: str) -> None:
        """A call goes on that began before us."""
        self._restored.add(call)

    def go_on(self, event: Event) -> list[str]:
        """Something is known of such a call. Of each telephone concerned: one of the calls it speaks in."""
        met: list[str] = []
        if isinstance(event, CallDisturbed) and event.call in self._restored:
            found = [it.address for it in event.identities if it.header == "contact" and it.address]
            met = [self._also.get(it, it) for it in found]
            for telephone in met:
                self._strange.setdefault(telephone, set()).add(event.call)
        elif isinstance(event, CallEnded) and event.call in self._restored:
            self._restored.discard(event.call)
            met = [it for it, calls in self._strange.items() if calls == {event.call}]
            for calls in self._strange.values():
                calls.discard(event.call)
            self._strange = {it: calls for it, calls in self._strange.items() if calls}
        return [min(self._talking[it]) for it in met if it in self._talking]

    def is_consultation(self, event: CallOffered) -> bool:
        """Whether somebody dials while another call of the same telephone is on hold."""
        telephone = self._telephones.get(event.call, "")
        return self._ours.get(event.call) == "caller" and bool(self._held.get(telephone))

    def taint(self, call: str, taint: Taint) -> None:
        """This is known of a call, and so of all that belong to it."""
        self._graph.taint(call, taint)

    def taints(self, call: str) -> frozenset[Taint]:
        """What is known of a call because of all that belong to it."""
        return self._graph.taints(call)

    def untold(self, call: str) -> list[str]:
        """The calls that belong to this one and do not know all taints yet; each is named once."""
        return self._graph.untold(call)

    def forget(self, call: str) -> None:
        """A call is over. What was known of its conversation outlives it."""
        conversation, ended_at = self._conversations.pop(call), self._ended.pop(call)
        known = self._graph.taints(call).union(self._tainted.pop(conversation, (None, ()))[1])
        if known:
            self._tainted[conversation] = ended_at, known
        self._let_go(ended_at)
        self._graph.forget(call)
        self._leave(call)
        self._forget_telephone(self._telephones.pop(call, ""))
        self._ours.pop(call, None)
        self._answered.discard(call)
        self._on_hold.discard(call)

    def _let_go(self, now: datetime) -> None:
        """Forget conversations that have been over for long, and the first of more than anybody has."""
        while self._tainted:
            oldest = next(iter(self._tainted))
            if now - self._tainted[oldest][0] <= OUTLIVES and len(self._tainted) <= MOST_REMEMBERED:
                return
            del self._tainted[oldest]

    def _learn_telephone(self, call: str, identities: Iterable[Identity]) -> None:
        ours = self._ours.get(call)
        for it in identities:
            if it.header == "contact" and it.role == ours and it.address:
                self._leave(call)
                self._telephones[call] = self._also.get(it.address, it.address)

    def _rename_telephone(self, call: str, name: str) -> None:
        """What is known of the telephone by this name is known of the one in this call from now on."""
        other = self._also.get(name, name)
        kept = self._telephones.setdefault(call, other)
        if kept == other:
            return
        renamed = [it for it, telephone in self._telephones.items() if telephone == other]
        for it in renamed:
            self._leave(it)
            self._telephones[it] = kept
        self._also = {it: kept if telephone == other else telephone for it, telephone in self._also.items()}
        self._also[other] = kept
        if other in self._strange:
            self._strange.setdefault(kept, set()).update(self._strange.pop(other))
        for it in renamed:
            self._place(it)

    def _forget_telephone(self, telephone: str) -> None:
        """What it was called counts as long as it is in a call."""
        if self._also and telephone not in self._telephones.values():
            self._also = {it: first for it, first in self._also.items() if first != telephone}

    def _join_talking(self, call: str) -> None:
        """Whoever dials while another call of the same telephone is not on hold lets each hear the other."""
        talking = self._talking.get(self._telephones.get(call, ""))
        if self._ours[call] == "caller" and talking:
            self._graph.join(call, next(iter(talking)))

    def _place(self, call: str) -> None:
        """Note whether a telephone speaks in this call; if it does in another one as well, they are one."""
        telephone = self._telephones.get(call)
        if telephone is None or call not in self._answered:
            return
        self._leave(call)
        is_held = call in self._on_hold
        now = (self._held if is_held else self._talking).setdefault(telephone, set())
        if not is_held and now:
            self._graph.join(call, next(iter(now)))
        now.add(call)

    def _leave(self, call: str) -> None:
        telephone = self._telephones.get(call, "")
        for calls in (self._held, self._talking):
            if call in (found := calls.get(telephone, set())):
                found.discard(call)
                if not found:
                    del calls[telephone]


def _sessions(identifiers: Iterable[str]) -> list[object]:
    return [("session", it) for it in identifiers]


def _media(end: MediaEnd | None) -> list[object]:
    if end is None or not end.rtp_port or end.address in UNSPECIFIED:
        return []
    return [("media", end.address, end.rtp_port)]
