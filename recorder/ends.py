"""Where a call's two parties want their media, fork by fork, in which codecs and under which keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Literal

from recorder.announcement import Hearer
from recorder.decision import Doubt
from recorder.effects import SetRemote
from recorder.srtp import MasterKey
from recorder.tones import AUDIBLE
from sip_hooks.address import UNSPECIFIED
from sip_hooks.codecs import Codec
from sip_hooks.events import MediaNegotiated
from sip_hooks.identity import Role
from sip_hooks.sdes import Crypto
from sip_hooks.sdp import MediaEnd, Obstacle
from storage import codecs

DOUBTS = frozenset({Doubt.ON_HOLD, Doubt.MOVED})
"""What descriptions raise and settle."""


class Ends:
    """The caller's end, and the callee's for each fork. The winner, or the latest before, stands last."""

    def __init__(self) -> None:
        self._caller: MediaEnd | None = None
        self._forks: dict[str, MediaEnd] = {}
        self._winner: str | None = None
        self._place: tuple[str, int] | None = None  # of the other party's media, at the answer
        self._hidden_at = "", ""

    def learn(self, event: MediaNegotiated) -> None:
        """Take in what a description says. Early forks are all kept until one wins."""
        self._hidden_at = event.hidden_at[0], event.hidden_at[1] or self._hidden_at[1]
        self._caller = _settled(event.caller, self._caller)
        callee = _settled(event.callee, self._forks.get(event.to_tag))
        if callee is None:
            return
        if event.answered and self._winner is None:
            self._winner, self._forks = event.to_tag, {}
        if self._winner in (None, event.to_tag):
            self._forks = {**self._forks, event.to_tag: callee}
        else:
            self._forks = {event.to_tag: callee, **self._forks}

    def remotes(self, number: int) -> list[SetRemote]:
        """What the relay has to know. Both sides are final once one fork has won and is the only one."""
        caller, callees = ([self._caller] if self._caller else []), list(self._forks.values())
        is_final = self._winner is not None and len(callees) == 1
        known: list[tuple[Literal["a", "b"], list[MediaEnd], list[MediaEnd]]] = [
            ("a", caller, callees),
            ("b", callees, caller),
        ]
        return [
            replace(_remote(number, side, ends, others, is_final), learn=_to_learn(ends, hidden_at))
            for (side, ends, others), hidden_at in zip(known, self._hidden_at, strict=True)
            if ends
        ]

    def codecs(self) -> dict[str, list[list[Any]]]:
        """Payload type, name and clock rate, for each side, in the words of the capture process. What is a
        key to anybody is audio to nobody: keys are never kept.
        """
        sides = dict(zip("ab", self._pair(), strict=True))
        keys = {it for end in sides.values() if end for it in end.telephone_events}
        return {
            side: [[it.payload_type, _name(it), it.rate] for it in end.codecs if it.payload_type not in keys]
            if end
            else []
            for side, end in sides.items()
        }

    def keys(self, side: Literal["a", "b"]) -> tuple[int, ...]:
        """The payload types of keys (RFC 4733) that this side sends, whoever numbers them. What is audio to
        the other one, whose numbers count (RFC 3264 §5.1), is no key to it.
        """
        ends = [it for it in (self._caller, *self._forks.values()) if it is not None]
        other = dict(zip("ba", self._pair(), strict=True))[side]
        audio = {codec.payload_type for codec in (other.codecs if other else ())}
        return tuple(sorted({it for end in ends for it in end.telephone_events} - audio))

    def tones(self, side: Literal["a", "b"]) -> tuple[tuple[int, str, int], ...]:
        """Payload type, name and clock of the codecs in which this side's keys are tones in its audio: none
        where both have agreed on events for them (RFC 4733).
        """
        own, other = self._pair() if side == "a" else reversed(self._pair())
        if own is None or other is None or (own.telephone_events and other.telephone_events):
            return ()
        named = {it.payload_type: (_name(it), it.rate) for it in (*other.codecs, *own.codecs)}
        events = self.keys(side)
        return tuple(
            (number, *named[number])
            for number in sorted(named)
            if named[number][0] in AUDIBLE and number not in events
        )

    def srtp(self) -> dict[str, dict[str, str]] | None:
        """What opens either side's packets, in the words of the capture process; None: they are plain."""
        keys = self._agreed_keys()
        if keys is None:
            return None
        return {
            side: {"suite": it.suite, "key": it.key.hex(), "mki": it.mki.hex()} for side, it in keys.items()
        }

    def hearers(self, sides: Iterable[Literal["a", "b"]]) -> tuple[Hearer, ...]:
        """Who would hear what is played to these sides, in which of the codecs that both know, under which
        key. One who is not known yet has no codec.
        """
        pair, srtp = dict(zip("ab", self._pair(), strict=True)), self._agreed_keys()
        found: list[Hearer] = []
        for side in sides:
            end, other = pair[side], pair["b" if side == "a" else "a"]
            known = {(_name(it), it.rate) for it in other.codecs} if other else set()
            codecs = tuple((it.payload_type, _name(it), it.rate) for it in (end.codecs if end else ()))
            place = (end.address, end.rtp_port) if end else ("", 0)
            key = srtp["b" if side == "a" else "a"] if srtp else None
            found.append(Hearer(side, place, tuple(it for it in codecs if it[1:] in known), key))
        return tuple(found)

    def _agreed_keys(self) -> dict[str, MasterKey] | None:
        """What each side seals with; None: nothing is sealed."""
        caller, callee = self._pair()
        pair = _agreed(caller, callee) if caller and callee else None
        if pair is None:
            return None
        return {side: MasterKey(it.suite, it.key, it.mki) for side, it in zip("ab", pair, strict=True)}

    def are_known(self) -> bool:
        """Both parties have said where they want their media."""
        return self._caller is not None and bool(self._forks)

    def doubts(self, ours: Role, is_answered: bool) -> frozenset[Doubt]:
        """What the descriptions leave open: whether one of the two does not both speak and listen (RFC 3264
        §8.4), and whether the other party's media is where it was at the answer.
        """
        _, latest = self._pair()
        theirs = latest if ours == "caller" else self._caller
        place = (theirs.address, theirs.rtp_port) if theirs and theirs.rtp_port else None
        if is_answered and self._place is None:
            self._place = place
        is_moved = is_answered and place not in (None, self._place)
        is_held = any(end is not None and end.direction != "sendrecv" for end in (self._caller, latest))
        found = {Doubt.MOVED: is_moved, Doubt.ON_HOLD: is_held}
        return frozenset(doubt for doubt, is_there in found.items() if is_there)

    def obstacle(self, begun: Collection[str]) -> str | None:
        """Why what both have agreed upon cannot be kept; codecs only count until something has `begun`."""
        if not self._keys_are_known():
            return Obstacle.SRTP.value
        return None if begun or self._have_a_codec() else "codec"

    def _keys_are_known(self) -> bool:
        """Both have agreed on the same SRTP, or on none (RFC 4568 §5.1, RFC 8643 §3)."""
        caller, callee = self._pair()
        if caller is None or callee is None:
            return False
        if _agreed(caller, callee) is not None:
            return True
        return not (caller.is_secured or callee.is_secured or (caller.cryptos and callee.cryptos))

    def _have_a_codec(self) -> bool:
        """Both know a codec in common that we can keep; what else they send is for capture to refuse."""
        known = [
            {name for _, name, rate in side if codecs.is_kept(name, rate)} for side in self.codecs().values()
        ]
        return bool(known[0] & known[1])

    def _pair(self) -> tuple[MediaEnd | None, MediaEnd | None]:
        return self._caller, next(reversed(self._forks.values()), None)


def _agreed(caller: MediaEnd, callee: MediaEnd) -> tuple[Crypto, Crypto] | None:
    """The answer has one line, with the tag and the suite of one of those offered."""
    if 1 not in (len(caller.cryptos), len(callee.cryptos)):
        return None
    pairs = [
        (ours, theirs)
        for ours in caller.cryptos
        for theirs in callee.cryptos
        if (ours.tag, ours.suite) == (theirs.tag, theirs.suite)
    ]
    return pairs[0] if len(pairs) == 1 else None


def _name(codec: Codec) -> str:
    return codecs.name_in_clip(codec.name, codec.channels, codec.parameters)


def _settled(now: MediaEnd | None, before: MediaEnd | None) -> MediaEnd | None:
    """A party that holds with no address (0.0.0.0) still sends from where it was: music, mostly."""
    if now is None or before is None or now.address not in UNSPECIFIED:
        return now or before
    return replace(
        now,
        address=before.address,
        rtp_port=before.rtp_port,
        rtcp_address=before.rtcp_address,
        rtcp_port=before.rtcp_port,
    )


def _remote(
    number: int, side: Literal["a", "b"], ends: list[MediaEnd], others: list[MediaEnd], is_final: bool
) -> SetRemote:
    """A side may send what the other side said that it receives, and what it described itself."""
    types = tuple(sorted(_payload_types(others) | _payload_types(ends)))
    remotes = tuple(
        (it.address, it.rtp_port, it.rtcp_port)
        for it in ends
        if it.rtp_port and it.address not in UNSPECIFIED
    )
    return SetRemote(number, side, remotes, types, is_final and len(remotes) == 1)


def _to_learn(ends: Iterable[MediaEnd], hidden_at: str) -> str:
    """Where a side's port is to be learned: not where it has named that address itself; nor under SRTP, since
    whoever learns has no key to tell its packets from others.
    """
    is_told = any(it.address == hidden_at or it.is_secured or it.cryptos for it in ends)
    return "" if is_told else hidden_at


def _payload_types(ends: Iterable[MediaEnd]) -> set[int]:
    return {number for end in ends for number in end.payload_types}
