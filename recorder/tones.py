"""Keys as tones in the audio (DTMF, ITU-T Q.23), told from speech and music as Q.24 asks.

The sound is looked at in blocks of 16 ms, one every 8 ms. A block is a hit when two tones, one of the rows
and one of the columns, make up nine tenths of all that is heard in it. Three hits in a row of the same steady
two tones are a key: 40 ms cover three blocks or more, and of a tone shorter than 28 ms there are none.

    level      each tone above -36 dB of the loudest there can be (Q.24: recognised down to -25 dBm0)
    twist      the column at most 5 dB above the row and 9 dB below it (Q.24: 4 and 8)
    frequency  within 2.3 %, by how the phase goes on from block to block (Q.24: 1.5 recognised, 3.5 not)
    steady     neither tone changes by more than 3.5 dB from block to block
    end        four blocks in a row that are no hit of it: 10 ms of silence do not part a key, 40 ms do
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

Samples = npt.NDArray[np.int16]

AUDIBLE = frozenset({"PCMA", "PCMU", "G722", "L16"})
"""The codecs, as a clip names them, that leave tones as they are; the others take speech for granted."""
ROWS, COLUMNS = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
KEYS = ("123A", "456B", "789C", "*0#D")
BLOCK_SECONDS = 0.016
_OFFSETS = (-0.014, -0.007, 0.0, 0.007, 0.014)
"""Each tone is looked for at these shares beside its frequency as well: a block tells little more apart."""
_FAINTEST = 32768 * 10 ** (-36 / 20)
_SHARE, _LIKELY = 0.9, 0.7
_TWIST = 10 ** (-9 / 20), 10 ** (5 / 20)
_STEADY = 10 ** (3.5 / 20)
_OFF = 0.023
_HITS, _MISSES = 3, 4
_AT_ONCE = 4
"""Blocks: to look at one by itself costs nearly as much as to look at several."""


class _Hit(NamedTuple):
    """Two tones in one block: row and column, the frequencies they were found at, amplitudes and phases."""

    row: int
    column: int
    frequencies: tuple[float, float]
    tones: tuple[complex, complex]

    @property
    def key(self) -> str:
        return KEYS[self.row][self.column]


class Tones:
    """The keys in one sound of `rate` samples a second. Positions are counted in samples.

    `key`: the one that is heard now, since position `since`.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._size = round(rate * BLOCK_SECONDS)
        self._hop = self._size // 2
        self._rest: Samples = np.zeros(0, dtype=np.int16)
        self._at = 0  # where the next block begins
        self._before: _Hit | None = None
        self._hits = self._misses = 0
        self._begun = 0
        self.key = ""
        self.since = 0

    @property
    def position(self) -> int:
        """How many samples there have been."""
        return self._at + len(self._rest)

    def take(self, samples: Samples) -> list[tuple[str, int]]:
        """The keys that are certain with these samples and were not before, and since where each is heard."""
        sound = self._rest = np.concatenate((self._rest, samples))
        count = (len(sound) - self._size) // self._hop + 1
        if count < _AT_ONCE:
            return []
        found: list[tuple[str, int]] = []
        step = sound.itemsize
        windows = as_strided(sound, (count, self._size), (self._hop * step, step))
        for hit in _hits(windows.astype(np.float32), self._rate):
            if self._follow(hit):
                found.append((self.key, self.since))
            self._at += self._hop
        self._rest = sound[count * self._hop :].copy()
        return found

    def skip(self, samples: int) -> None:
        """So many were lost: what comes next may still be the same key."""
        self._at += len(self._rest) + samples
        self._rest = self._rest[:0]
        if self._before is not None:
            self._before = self._before._replace(tones=(0j, 0j))

    def _follow(self, hit: _Hit | None) -> bool:
        """Whether a key has become certain."""
        if hit is not None and self._goes_on(hit):
            self._hits += 1
        else:
            self._hits, self._begun = (hit is not None), self._at
        self._before = hit
        if self.key:
            is_same = hit is not None and hit.key == self.key
            self._misses = 0 if is_same else self._misses + 1
            if self._misses >= _MISSES:
                self.key = ""
        if hit is None or self._hits != _HITS or hit.key == self.key:
            return False
        self.key, self.since, self._misses = hit.key, max(0, self._begun - self._hop), 0
        return True

    def _goes_on(self, hit: _Hit) -> bool:
        """Whether these are the two tones of the block before, as steady as only a machine's are."""
        before = self._before
        if before is None or before.key != hit.key:
            return False
        if not all(before.tones):  # something was lost in between
            return True
        return all(
            self._is_one(*each)
            for each in zip(
                (ROWS[hit.row], COLUMNS[hit.column]),
                before.tones,
                hit.tones,
                before.frequencies,
                hit.frequencies,
                strict=True,
            )
        )

    def _is_one(self, nominal: float, before: complex, now: complex, found: float, here: float) -> bool:
        if not 1 / _STEADY <= abs(now) / abs(before) <= _STEADY:
            return False
        # Phases are those at the middle of each block, where a wrong guess of the frequency does no harm.
        guess = (found + here) / 2
        turned = np.angle(now / before * np.exp(-2j * np.pi * guess * self._hop / self._rate))
        frequency = guess + turned * self._rate / (2 * np.pi * self._hop)
        return bool(abs(frequency / nominal - 1) <= _OFF)


def _hits(blocks: npt.NDArray[np.float32], rate: int) -> list[_Hit | None]:
    """For each block, shape (n, size), the two tones that it consists of, if it does."""
    size = blocks.shape[1]
    energy = np.einsum("ij,ij->i", blocks, blocks)
    loud = energy > size * _FAINTEST**2  # two tones of that amplitude each
    if not loud.any():
        return [None] * len(blocks)
    parts = blocks @ _probes(rate, size)
    parts *= parts
    power = (parts[:, 0::2] + parts[:, 1::2]).reshape(len(blocks), 2, -1) * (2 / size)
    likely = loud & (power.max(axis=2).sum(axis=1) >= _LIKELY * energy)
    if not likely.any():
        return [None] * len(blocks)
    row, column = power.argmax(axis=2).T
    return [
        _fitted(blocks[it], float(energy[it]), int(row[it]), int(column[it]), rate) if likely[it] else None
        for it in range(len(blocks))
    ]


def _fitted(block: npt.NDArray[np.float32], energy: float, row: int, column: int, rate: int) -> _Hit | None:
    """Both tones at once, so that neither is mistaken for a part of the other; None: no key."""
    basis, inverse = _pair(row, column, rate, len(block))
    parts = inverse @ block
    made = basis @ parts
    low, high = complex(parts[0], -parts[1]), complex(parts[2], -parts[3])
    if min(abs(low), abs(high)) < _FAINTEST or not _TWIST[0] <= abs(high) / abs(low) <= _TWIST[1]:
        return None
    if made @ made < _SHARE * energy:
        return None
    frequencies = _grid(ROWS)[row], _grid(COLUMNS)[column]
    return _Hit(row // len(_OFFSETS), column // len(_OFFSETS), frequencies, (low, high))


def _grid(tones: tuple[float, ...]) -> list[float]:
    return [tone * (1 + offset) for tone in tones for offset in _OFFSETS]


def _times(rate: int, size: int) -> npt.NDArray[np.float64]:
    """Of the samples of a block, from its middle."""
    times: npt.NDArray[np.float64] = (np.arange(size) - (size - 1) / 2) / rate
    return times


@cache
def _probes(rate: int, size: int) -> npt.NDArray[np.float32]:
    """Cosine and sine of each tone of the grid, rows first: shape (size, 2 * tones). Their products with a
    block are Goertzel's sums, all at once.
    """
    turns = 2 * np.pi * np.outer(_times(rate, size), _grid(ROWS) + _grid(COLUMNS))
    both = np.stack((np.cos(turns), np.sin(turns)), axis=2)
    return both.reshape(size, -1).astype(np.float32)


@cache
def _pair(row: int, column: int, rate: int, size: int) -> tuple[Any, Any]:
    """Cosine and sine of both, shape (size, 4), and what takes a block apart into them."""
    turns = 2 * np.pi * np.outer(_times(rate, size), (_grid(ROWS)[row], _grid(COLUMNS)[column]))
    basis = np.stack(
        (np.cos(turns[:, 0]), np.sin(turns[:, 0]), np.cos(turns[:, 1]), np.sin(turns[:, 1])), axis=1
    )
    return basis, np.linalg.pinv(basis)
