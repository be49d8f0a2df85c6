"""The sound files of announcements: read, and checked against what the scheme says of their content."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_SECONDS = 30
MOST_BYTES = 30_000_000
SHIPPED = "doelband:"
"""Before the name of one of ours: doelband:nl.wav, doelband:en.wav."""
_OURS = Path(__file__).parent / "announcements"


class Unusable(Exception):
    """This file cannot be announced; why, and what to do."""


def place(name: str, base: Path) -> Path:
    """Where the file is that a configuration in the directory `base` calls so."""
    if name.startswith(SHIPPED):
        return _OURS / Path(name.removeprefix(SHIPPED)).name
    return base / name


def read(path: Path, sha256: str) -> tuple[npt.NDArray[np.float64], int]:
    """The sound, shape (n,), between -1 and 1, and how many samples it has a second. Raises Unusable."""
    import soundfile

    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        said = f"has the SHA-256 {found}, and not what announcement_sha256 says"
        raise Unusable(f"{path} {said}; write that, and have the scheme signed, or put the right file there")
    try:
        sound, rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, TypeError) as error:
        raise Unusable(f"{path} is no sound that can be read; make a WAV file of it") from error
    if not 0 < len(sound) <= MOST_SECONDS * rate:
        raise Unusable(f"{path} has to be 1 to {MOST_SECONDS} seconds long; shorten it")
    mono: npt.NDArray[np.float64] = sound.mean(axis=1)
    return mono, int(rate)


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unusable(f"{path} has more than {MOST_BYTES} bytes; shorten it")
        return path.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Unusable(f"{path} cannot be read ({why}); put it there, readable for the service") from error
