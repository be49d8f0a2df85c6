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
    payload_types: frozenset[int]
    owner: Channel
    hearing: Hearing
    events: Events = field(default_factory=Events)
    told: int = 0


class Keys:
    """Who is listened to. `now` and `now_ns`: as the capture process has them."""

    def __init__(self, now: Callable[[], datetime], now_ns: Callable[[], int]) -> None:
        self._now = now
        self._now_ns = now_ns
        self._listened: dict[tuple[int, int], _Listened] = {}  # by call and side
        self._recent: deque[tuple[int, int, datetime]] = deque()  # told when, of which call, as of when

    def listen(self, owner: Channel, message: Message) -> None:
        """Take a `listen` order; without payload types it is over. Raises OrderError."""
        session = session_of(message)
        side, types, formats = message.get("side"), message.get("payload_types"), tones_of(message)
        if side not in _SIDES or not isinstance(types, list):
            raise OrderError("listen needs a side, a or b, and the payload types of its events")
        place = session, _SIDES[side]
        found = self._listened.pop(place, None)
        if types or formats:
            hearing = found.hearing if found and found.hearing.formats == formats else Hearing(formats)
            again, told = (found.events, found.told) if found is not None else (Events(), 0)
            self._listened[place] = _Listened(frozenset(map(int, types)), owner, hearing, again, told)

    def listened(self) -> Collection[int]:
        """The calls that are listened to."""
        return {session for session, _ in self._listened}

    def payload_types(self) -> frozenset[int]:
        """Of the packets that may tell of keys."""
        return frozenset().union(*(it.payload_types for it in self._listened.values()))

    def tones(self) -> set[int]:
        """The calls in whose audio keys are listened for."""
        return {session for (session, _), it in self._listened.items() if it.hearing.formats}

    def forget(self, owner: Channel) -> None:
        """Nobody is there any more who would be told."""
        self._listened = {place: it for place, it in self._listened.items() if it.owner is not owner}

    def hear(
        self, session: int, side: int, arrival_ns: int, header: Header | None, packet: memoryview
    ) -> Heard:
        """Listen to a packet of this call, if that is wanted; the keys in it are told."""
        found = self._listened.get((session, side))
        if found is None or header is None:
            return Heard(found is not None or (session, 1 - side) in self._listened)
        payload = bytes(packet[header.start : header.end])
        if header.payload_type in found.payload_types:
            if keys := found.events.take(header, payload):
                self._tell((session, side), found, "rtp", keys, arrival_ns)
        elif header.payload_type in found.hearing.formats:
            for tone in found.hearing.take(header, payload, arrival_ns):
                self._tell((session, side), found, "tones", tone.key, tone.arrival_ns)
            return Heard(True, found.hearing.silence)
        return Heard(True)

    def _tell(
        self, place: tuple[int, int], found: _Listened, heard_in: str, keys: str, arrival_ns: int
    ) -> None:
        if found.told > MOST_KEYS:
            return
        found.told += len(keys)
        if found.told > MOST_KEYS:
            keys = HOOK  # and no more: they may have been anything
        at = self._now() - timedelta(microseconds=(self._now_ns() - arrival_ns) // 1000)
        session, side = place
        told = {"event": "keys", "session": session, "side": "ab"[side], "keys": keys, "at": at.isoformat()}
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
