"""The keys of running calls, heard in the rings and told to whoever asked, one by one.

A call is listened to whether it is recorded or not: a key may be what forbids to record it. Nothing of a key
is kept here, logged or counted; for a second it is known that there was one: it may not be heeded yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from recorder.capture.hearing import Hearing
from recorder.capture.orders import OrderError, session_of, tones_of
from recorder.channel import Channel, Message
from recorder.dtmf import HOOK, Events
from recorder.rtp import Header
from recorder.timeline import Silence

MOST_KEYS = 1000
"""Of one call. Nobody presses so many; whatever sends more of them would have signalling do nothing else."""

_SIDES = {"a": 0, "b": 1}
_HEEDED_AFTER_NS = 1_000_000_000


class Heard(NamedTuple):
    """Whether the packet was listened to. `silence`: it tells of a key that no clip may hold."""

    is_listened_to: bool
    silence: Silence | None = None


@dataclass(slots=True)
class _Listened:
    side: int
    payload_types: frozenset[int]
    owner: Channel
    hearing: Hearing
    events: Events = field(default_factory=Events)
    told: int = 0


class Keys:
    """Who is listened to, by the call's number. `now` and `now_ns`: as the capture process has them."""

    def __init__(self, now: Callable[[], datetime], now_ns: Callable[[], int]) -> None:
        self._now = now
        self._now_ns = now_ns
        self._listened: dict[int, _Listened] = {}
        self._recent: deque[tuple[int, int, datetime]] = deque()  # told when, of which call, as of when

    def listen(self, owner: Channel, message: Message) -> None:
        """Take a `listen` order; without payload types it is over. Raises OrderError."""
        session = session_of(message)
        side, types, formats = message.get("side"), message.get("payload_types"), tones_of(message)
        if side not in _SIDES or not isinstance(types, list):
            raise OrderError("listen needs a side, a or b, and the payload types of its events")
        found = self._listened.pop(session, None)
        if types or formats:
            hearing = found.hearing if found and found.hearing.formats == formats else Hearing(formats)
            again, told = (found.events, found.told) if found is not None else (Events(), 0)
            self._listened[session] = _Listened(
                _SIDES[side], frozenset(map(int, types)), owner, hearing, again, told
            )

    def listened(self) -> Collection[int]:
        """The calls that are listened to."""
        return self._listened.keys()

    def payload_types(self) -> frozenset[int]:
        """Of the packets that may tell of keys."""
        return frozenset().union(*(it.payload_types for it in self._listened.values()))

    def tones(self) -> set[int]:
        """The calls in whose audio keys are listened for."""
        return {session for session, it in self._listened.items() if it.hearing.formats}

    def forget(self, owner: Channel) -> None:
        """Nobody is there any more who would be told."""
        self._listened = {number: it for number, it in self._listened.items() if it.owner is not owner}

    def hear(
        self, session: int, side: int, arrival_ns: int, header: Header | None, packet: memoryview
    ) -> Heard:
        """Listen to a packet of this call, if that is wanted; the keys in it are told."""
        found = self._listened.get(session)
        if found is None or header is None or side != found.side:
            return Heard(found is not None)
        payload = bytes(packet[header.start : header.end])
        if header.payload_type in found.payload_types:
            if keys := found.events.take(header, payload):
                self._tell(session, found, "rtp", keys, arrival_ns)
        elif header.payload_type in found.hearing.formats:
            for tone in found.hearing.take(header, payload, arrival_ns):
                self._tell(session, found, "tones", tone.key, tone.arrival_ns)
            return Heard(True, found.hearing.silence)
        return Heard(True)

    def _tell(self, session: int, found: _Listened, heard_in: str, keys: str, arrival_ns: int) -> None:
        if found.told > MOST_KEYS:
            return
        found.told += len(keys)
        if found.told > MOST_KEYS:
            keys = HOOK  # and no more: they may have been anything
        at = self._now() - timedelta(microseconds=(self._now_ns() - arrival_ns) // 1000)
        told = {"event": "keys", "session": session, "keys": keys, "at": at.isoformat()}
        found.owner.send(told | {"heard_in": heard_in})
        self._forget_old()
        self._recent.append((self._now_ns(), session, at))

    def unheeded_since(self, session: int) -> datetime | None:
        """When the first key of a call was pressed of which whoever was told may not know yet."""
        self._forget_old()
        return min((at for _, it, at in self._recent if it == session), default=None)

    def _forget_old(self) -> None:
        while self._recent and self._now_ns() - self._recent[0][0] > _HEEDED_AFTER_NS:
            self._recent.popleft()
