"""What opens the packets of encrypted calls (SRTP). The keys are here and in signalling, and nowhere else.

A packet that cannot be opened is none of the call's. When other keys, or none, are agreed upon, the last ones
still open what is on its way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from recorder.rtp import Header, RtpError, parse
from recorder.srtp import MasterKey, Opener

MOST_REFUSED = 100
"""In a row that cannot be opened: two seconds of a party whose key is not the one agreed upon."""


class Protection:
    """Of one call: plain until it is given keys."""

    def __init__(self) -> None:
        self._masters: tuple[MasterKey, ...] = ()
        self._openers: list[tuple[Opener, ...]] = [(), ()]
        self._refused = [0, 0]

    def renew(self, masters: tuple[MasterKey, ...]) -> None:
        """Other keys are agreed upon, of sides a and b, or none."""
        if masters == self._masters:
            return
        self._masters, before = masters, self._openers
        new: list[tuple[Opener, ...]] = [(Opener(it),) for it in masters] or [(), ()]
        self._openers = [now + old[:1] for now, old in zip(new, before, strict=True)]
        self._refused = [0, 0]

    @property
    def is_shut(self) -> bool:
        """Whether a party's packets cannot be opened."""
        return max(self._refused) >= MOST_REFUSED

    def open(self, side: int, packet: memoryview) -> tuple[Header | None, memoryview]:
        """The packet in plain, and its header, None when it cannot be opened."""
        sealed, openers = bytes(packet), self._openers[side] if side < 2 else ()
        found = next(filter(None, (it.open(sealed) for it in openers)), None)
        if found is None and not self._masters:
            found = _plain(sealed)
        if side < 2:
            self._refused[side] = 0 if found else self._refused[side] + 1
        return (found[0], memoryview(found[1])) if found else (None, memoryview(b""))


class Protections:
    """By the call's number. A call is here from its first keys on."""

    def __init__(self) -> None:
        self._of: dict[int, Protection] = {}
        self.get = self._of.get

    def sessions(self) -> set[int]:
        """The calls that are here."""
        return set(self._of)

    def learn(self, session: int, srtp: Any) -> None:
        """What an order says of the keys of a call. Raises ValueError, which tells nothing of them."""
        masters = _masters(srtp)
        if masters or session in self._of:
            self._of.setdefault(session, Protection()).renew(masters)

    def keep(self, sessions: Collection[int]) -> None:
        """All other calls are over."""
        for session in self._of.keys() - sessions:
            del self._of[session]


def _masters(srtp: Any) -> tuple[MasterKey, ...]:
    if srtp is None:
        return ()
    try:
        return tuple(_master(srtp[side]) for side in "ab")
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # and not told as its cause: it would quote the key
    raise ValueError("the keys of a call cannot be read")


def _master(row: Mapping[str, Any]) -> MasterKey:
    return MasterKey(str(row["suite"]), bytes.fromhex(row["key"]), bytes.fromhex(row["mki"]))


def _plain(packet: bytes) -> tuple[Header, bytearray] | None:
    try:
        return parse(packet), bytearray(packet)
    except RtpError:
        return None
