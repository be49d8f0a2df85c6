"""What the payload types of a call mean (RFC 3551 §6), and which of them may be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto

from storage import codecs
from storage.records import Codec

Offered = tuple[int, str, int]
"""Payload type, name as in a clip, clock rate."""

_STATIC: tuple[Offered, ...] = ((0, "PCMU", 8000), (8, "PCMA", 8000), (13, "CN", 8000))
_NOT_AUDIO = frozenset({"TELEPHONE-EVENT", "CN"})


class Use(Enum):
    """What to do with a packet of some payload type."""

    KEEP = auto()
    LEAVE_OUT = auto()  # dialled digits and comfort noise: a gap
    REFUSE = auto()  # audio that this recorder cannot keep


class Codecs:
    """The payload types of one side. What it sends may be numbered by its own description or by the
    other's.
    """

    def __init__(self, own: Sequence[Offered], other: Sequence[Offered]) -> None:
        named = {number: (name, rate) for number, name, rate in (*_STATIC, *other, *own)}
        self._uses = {number: _use(name, rate) for number, (name, rate) in named.items()}
        self._named = named

    def use(self, payload_type: int) -> Use:
        """A payload type that nobody named is left out: unknown means not recorded."""
        return self._uses.get(payload_type, Use.LEAVE_OUT)

    def format(self, payload_type: int) -> tuple[str, int]:
        """Name and clock rate of one that is kept."""
        return self._named[payload_type]

    def kept(self, channel: int) -> tuple[Codec, ...]:
        """The codecs that may occur in a clip, for its header."""
        return tuple(
            Codec(channel, number, name, rate)
            for number, (name, rate) in sorted(self._named.items())
            if self._uses[number] is Use.KEEP
        )


def both_sides(described: Mapping[str, Sequence[Offered]]) -> dict[str, Codecs]:
    """The codecs of sides a and b."""
    a, b = described.get("a", ()), described.get("b", ())
    return {"a": Codecs(a, b), "b": Codecs(b, a)}


def _use(name: str, rate: int) -> Use:
    if name in _NOT_AUDIO:
        return Use.LEAVE_OUT
    return Use.KEEP if codecs.is_kept(name, rate) else Use.REFUSE
