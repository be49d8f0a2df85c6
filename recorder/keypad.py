"""The keys that somebody presses during a call, as far as they may be a code of the PBX.

The same key may be heard twice, in RTP (RFC 4733) and in an INFO, so each way of hearing it is followed by
itself. Keys are kept no longer than they may be the beginning of a code, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from recorder.feature_codes import FeatureCodes

FLASH = "!"
"""The hook, flashed during a call: an order to every PBX."""
MARGIN = timedelta(seconds=1)
"""By how much a key may be told of late."""


class Press(Enum):
    """What the keys so far come to."""

    NOTHING = auto()
    PERHAPS = auto()  # the beginning of a code
    CODE = auto()  # a code: from now on anybody may speak


@dataclass(slots=True)
class _Heard:
    """What was heard in one way. `since`: when each key was pressed; `last`: when the PBX may have had the
    last of them. `on_the_way`: how many it may still not have.
    """

    keys: str = field(default="", repr=False)
    since: list[datetime] = field(default_factory=list)
    last: datetime | None = None
    on_the_way: int = 0

    def add(self, key: str, at: datetime, codes: FeatureCodes) -> bool:
        """Whether this key completes a code."""
        self.expire(at, timedelta(seconds=codes.key_seconds))
        self.keys, self.since, self.last = self.keys + key, [*self.since, at], at
        known = codes.pressed()
        if key == FLASH or any(self.keys.endswith(code) for code in known):
            return True
        lengths = (it for it in range(len(self.keys), 0, -1) if _is_beginning(self.keys[-it:], known))
        self.keep(next(lengths, 0))
        return False

    def expire(self, at: datetime, patience: timedelta) -> None:
        """What came before a longer pause is the beginning of nothing."""
        if self.last is not None and not self.on_the_way and at - self.last > patience:
            self.keep(0)

    def keep(self, count: int) -> None:
        """Forget all but the last so many."""
        start = len(self.keys) - count
        self.keys, self.since = self.keys[start:], self.since[start:]


class Keypad:
    """Those of one telephone in one call. `since`: when the first was pressed of what may be a code."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self._is_code = False
        self.since: datetime | None = None

    def press(
        self, heard_in: str, keys: str, at: datetime, codes: FeatureCodes, *, on_the_way: bool = False
    ) -> Press:
        """These were pressed at `at`; `heard_in` says how we know. `on_the_way`: the PBX may get them late,
        and `taken` tells when it has.
        """
        heard = self._heard.setdefault(heard_in, _Heard())
        for key in keys:
            self._is_code = heard.add(key, at, codes) or self._is_code
        heard.on_the_way += on_the_way
        return self._judge()

    def taken(self, heard_in: str, at: datetime) -> Press:
        """The PBX has had what was on the way, or never will."""
        heard = self._heard.setdefault(heard_in, _Heard())
        heard.on_the_way, heard.last = max(0, heard.on_the_way - 1), at
        return self._judge()

    def expire(self, at: datetime, codes: FeatureCodes) -> Press:
        """So much time has gone by."""
        for heard in self._heard.values():
            heard.expire(at, timedelta(seconds=codes.key_seconds) + MARGIN)
        return self._judge()

    def _judge(self) -> Press:
        begun = [it.since[0] for it in self._heard.values() if it.since]
        self.since = min(begun, default=None)
        if self._is_code:
            self._heard.clear()
            return Press.CODE
        return Press.PERHAPS if begun else Press.NOTHING


def _is_beginning(keys: str, codes: frozenset[str]) -> bool:
    return any(code.startswith(keys) for code in codes)
