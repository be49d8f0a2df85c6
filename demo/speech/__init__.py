"""What the demo's callers say, spoken by espeak-ng (see `make`): mono, 8,000 Hz, 16 bits, about ten seconds.

`agent` and `customer` speak of a bill, `employee` and `doctor` of a backache, `private` and `home` of a cake.
"""

from __future__ import annotations

import audioop
from pathlib import Path

import soundfile


def load(name: str) -> bytes:
    """The speech `name` as µ-law, one byte a sample, 8,000 a second."""
    samples, _ = soundfile.read(Path(__file__).with_name(f"{name}.wav"), dtype="int16")
    return audioop.lin2ulaw(samples.tobytes(), 2)
