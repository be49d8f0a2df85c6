"""What an agent may press during a call to steer its recording: codes of ours, not of the PBX.

They go on to the PBX and to the other party as any key does, so none may be one of the PBX's codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from types import MappingProxyType


class Wish(Enum):
    """What a code asks for; the strongest first, should two schemes give one code two meanings."""

    PRIVATE = auto()
    PAUSE = auto()
    RESUME = auto()
    RECORD = auto()


@dataclass(frozen=True, slots=True)
class AgentKeys:
    """The codes of a scheme; "" where there is none. `pause_seconds`: after that a pause ends by itself."""

    private: str = ""
    pause: str = ""
    resume: str = ""
    record: str = ""
    pause_seconds: int = 180

    def wishes(self) -> dict[str, Wish]:
        """What each code asks for."""
        codes = (self.private, self.pause, self.resume, self.record)
        return {code: wish for code, wish in zip(codes, Wish, strict=True) if code}

    def only_adds_to(self, other: AgentKeys) -> bool:
        """Whether these let an agent take away all that the other ones do, and keep nothing more."""
        kept = other.private in ("", self.private) and other.pause in ("", self.pause)
        is_longer = not other.pause or self.pause_seconds >= other.pause_seconds
        return kept and is_longer and self.record in ("", other.record) and self.resume in ("", other.resume)


NO_KEYS = AgentKeys()


def joined(several: Iterable[Mapping[str, Wish]]) -> Mapping[str, Wish]:
    """The codes of all of them."""
    found: dict[str, Wish] = {}
    for codes in several:
        for code, wish in codes.items():
            found[code] = min(found.get(code, wish), wish, key=lambda it: it.value)
    return MappingProxyType(found)


class Pressed:
    """What was pressed last in one call. The same key may be heard in several ways; each is followed by
    itself. Keys are kept no longer than they may be the beginning of a code.
    """

    def __init__(self) -> None:
        self._heard: dict[str, list[tuple[str, datetime]]] = {}

    def press(
        self, heard_in: str, keys: str, at: datetime, codes: Mapping[str, Wish], between: timedelta
    ) -> list[tuple[Wish, datetime]]:
        """The wishes that these keys complete, each with the instant at which its first key was pressed.
        `between`: the most that lies between two keys of one code, as they are told of.
        """
        found: list[tuple[Wish, datetime]] = []
        recent = self._heard.get(heard_in, [])
        for key in keys:
            recent = [] if recent and at - recent[-1][1] > between else recent
            recent = [*recent, (key, at)]
            text = "".join(it for it, _ in recent)
            code = next((it for it in codes if text.endswith(it)), None)
            if code is not None:
                found.append((codes[code], recent[-len(code)][1]))
            recent = [] if code is not None else recent[-max(map(len, codes), default=1) :]
        self._heard[heard_in] = recent
        return found
