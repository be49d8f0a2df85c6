"""Keys as RTP events (RFC 4733): which were pressed, each told once.

A key is told in several packets of one timestamp, the last of them three times with the end bit, so that
losses do not matter. Some telephones give two presses one timestamp: a packet behind the end begins anew.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from recorder.rtp import Header

_EVENT = struct.Struct("!BBH")  # event; end, reserved, volume; duration
HOOK = "!"
_KEYS = f"0123456789*#ABCD{HOOK}"  # RFC 4733 §3.2, and RFC 2833's flash
_END = 0x80
_REMEMBERED = 16


@dataclass(slots=True)
class _Press:
    event: int
    sequence: int
    is_over: bool


class Events:
    """Those of one sender. It forgets what it has told but for how the last few are to be known again."""

    def __init__(self) -> None:
        self._presses: dict[tuple[int, int], _Press] = {}  # by SSRC and timestamp, in order

    def take(self, header: Header, payload: bytes | bytearray | memoryview) -> str:
        """The keys that this packet tells of and none before did: 0 to 9, *, #, A to D, ! (the hook)."""
        return "".join(
            self._take(header, *_EVENT.unpack_from(payload, start))
            for start in range(0, len(payload) - _EVENT.size + 1, _EVENT.size)
        )

    def _take(self, header: Header, event: int, flags: int, _duration: int) -> str:
        is_end = bool(flags & _END)
        key = header.ssrc, header.timestamp
        known = self._presses.get(key)
        if known is not None and known.event == event:
            is_later = 0 < (header.sequence - known.sequence) % 0x10000 < 0x8000
            if not (known.is_over and is_later and not is_end):
                known.is_over = known.is_over or is_end
                known.sequence = header.sequence if is_later else known.sequence
                return ""
        self._presses[key] = _Press(event, header.sequence, is_end)
        if len(self._presses) > _REMEMBERED:
            del self._presses[next(iter(self._presses))]
        return _KEYS[event] if event < len(_KEYS) else ""
