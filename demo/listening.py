"""How like the recording is to what was said: normalised correlation at the best alignment."""

from __future__ import annotations

import audioop
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def samples(ulaw: bytes) -> Samples:
    """µ-law as linear samples, shape (n,)."""
    return np.frombuffer(audioop.ulaw2lin(ulaw, 2), np.int16).astype(np.float64)


def legs(path: Path) -> tuple[Samples, Samples]:
    """An exported file's two legs: agent, outside party. Shape (n,) each."""
    stereo, _ = soundfile.read(path, dtype="int16", always_2d=True)
    return stereo[:, 0].astype(np.float64), stereo[:, 1].astype(np.float64)


def correlation(said: Samples, recorded: Samples) -> float:
    """The correlation of all that was said with the recording, shifted to where it fits best; at most 1."""
    size = 1 << (len(said) + len(recorded)).bit_length()
    spectrum = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(said, size))
    products = np.fft.irfft(spectrum, size)
    energy = np.sqrt(np.sum(said**2) * np.sum(recorded**2))
    return float(np.max(products) / energy) if energy else 0.0
