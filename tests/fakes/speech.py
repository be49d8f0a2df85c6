"""Voices that nobody can mistake, and a search for them in any bytes and every form that sound is kept in."""

from __future__ import annotations

import audioop
import random
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

WINDOW, STRIDE = 64, 32
"""A run of 96 samples of a voice always holds a whole window."""

_GRAM = 8  # bytes
_BITS = 22
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - _BITS)


def voice(name: str, seconds: float) -> bytes:
    """The pseudo-random A-law of this name, 8,000 samples a second."""
    return random.Random(name).randbytes(int(seconds * 8000))


def forms(alaw: bytes) -> dict[str, bytes]:
    """A voice as it may be kept: A-law, µ-law, 16-bit linear in either byte order."""
    little = audioop.alaw2lin(alaw, 2)
    return {
        "A-law": alaw,
        "µ-law": audioop.lin2ulaw(little, 2),
        "linear, little-endian": little,
        "linear, big-endian": audioop.byteswap(little, 2),
    }


class Search:
    """Finds windows of voices (A-law, by name) in bytes."""

    def __init__(self, voices: Mapping[str, bytes]) -> None:
        self._needles: dict[int, list[tuple[str, int, bytes]]] = defaultdict(list)
        for name, alaw in voices.items():
            for form in forms(alaw).values():
                width = len(form) // len(alaw)
                for start in range(0, len(alaw) - WINDOW + 1, STRIDE):
                    needle = form[start * width : (start + WINDOW) * width]
                    gram = int.from_bytes(needle[:_GRAM], "little")
                    self._needles[gram].append((name, start, needle))
        self._table = np.zeros(1 << _BITS, dtype=bool)
        self._table[_bucket(np.array(list(self._needles), dtype=np.uint64))] = True

    def found(self, data: bytes) -> dict[str, set[int]]:
        """The windows of each voice that occur in `data`, by the sample they begin at."""
        found: dict[str, set[int]] = defaultdict(set)
        for shift in range(_GRAM):
            count = (len(data) - shift) // _GRAM
            if count <= 0:
                break
            grams = np.frombuffer(data, dtype="<u8", count=count, offset=shift)
            for index in np.flatnonzero(self._table[_bucket(grams)]).tolist():
                at = shift + index * _GRAM
                for name, start, needle in self._needles.get(int(grams[index]), ()):
                    if data[at : at + len(needle)] == needle:
                        found[name].add(start)
        return dict(found)


def windows(alaw: bytes, after_seconds: float = 0.0) -> set[int]:
    """Where the windows of a voice begin, those of its first seconds left out."""
    return {it for it in range(0, len(alaw) - WINDOW + 1, STRIDE) if it >= after_seconds * 8000}


def _bucket(grams: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bucket: NDArray[np.uint64] = (grams * _FACTOR) >> _SHIFT
    return bucket
