"""From a clip's records to sound: two channels, 8 kHz, the agent left, the outside party right.

Audio is stored as it came and decoded here. What was not received, was masked or lay in a pause is silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from storage.errors import Conflict, StorageError, Unavailable
from storage.records import CHANNELS, CLOCK_RATE, Audio, Codec, Gap, Record

RATE = CLOCK_RATE
LONGEST = 24 * 3600 * RATE
FORMATS = {".wav": "WAV", ".flac": "FLAC"}

Samples = npt.NDArray[np.int16]


class NotPlayable(StorageError):
    """The clip is sound, but cannot be made into it."""


def _alaw() -> Samples:
    """ITU-T G.711, A-law: 256 codes to 16-bit samples."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = (mantissa << 4) + 8 + np.where(exponent > 0, 0x100, 0)
    magnitude <<= np.maximum(exponent - 1, 0)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _ulaw() -> Samples:
    """ITU-T G.711, µ-law: 256 codes to 16-bit samples."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_TABLES = {"PCMA": _alaw(), "PCMU": _ulaw()}


def decode(codec: str, payload: bytes) -> Samples:
    """One payload, shape (n,), int16, 8 kHz. Raises NotPlayable for a codec that this version cannot play."""
    table = _TABLES.get(codec)
    if table is None:
        raise NotPlayable(f"decode {codec}", "this version plays PCMA and PCMU")
    return table[np.frombuffer(payload, dtype=np.uint8)]


def render(records: Iterable[Record], codecs: Sequence[Codec] = ()) -> Samples:
    """Shape (n, 2), int16, 8 kHz. `codecs`: those of the clip's header. Raises NotPlayable."""
    names = {(codec.channel, codec.payload_type): codec.name for codec in codecs}
    pieces: list[tuple[int, int, Samples]] = []
    length = 0
    for record in records:
        match record:
            case Codec():
                names[record.channel, record.payload_type] = record.name
            case Audio():
                sound = decode(_name(names, record), record.payload)
                pieces.append((record.channel, record.position, sound))
                length = max(length, record.position + len(sound))
            case Gap():
                length = max(length, record.position + record.length)
            case _:
                pass
    if length > LONGEST:
        raise NotPlayable("play a clip", "its records claim more than 24 hours")
    samples = np.zeros((length, CHANNELS), dtype=np.int16)
    for channel, position, sound in pieces:
        samples[position : position + len(sound), channel] = sound
    return samples


def _name(names: dict[tuple[int, int], str], audio: Audio) -> str:
    try:
        return names[audio.channel, audio.payload_type]
    except KeyError:
        raise NotPlayable(
            f"decode payload type {audio.payload_type}", "the clip does not say which codec it is"
        ) from None


def check_target(path: Path, overwrite: bool = False) -> str:
    """The format for this file name, before a clip is opened for it. Raises Conflict, NotPlayable."""
    try:
        sound_format = FORMATS[path.suffix.lower()]
    except KeyError:
        raise NotPlayable(f"write {path}", "give it a name that ends in .wav or .flac") from None
    if path.exists() and not overwrite:
        raise Conflict(f"write {path}", "it is there already; ask to overwrite it, or choose another name")
    return sound_format


def write(samples: Samples, path: Path, overwrite: bool = False) -> None:
    """Write a WAV or FLAC file, 16 bits, for its owner only. Raises Conflict, NotPlayable, Unavailable.

    Without `overwrite` a file that is there is never touched, also not one that appeared meanwhile. A piece
    of a file is not left behind.
    """
    sound_format = check_target(path, overwrite)
    try:
        with path.open("wb" if overwrite else "xb") as file:
            path.chmod(0o600)
            try:
                write_to(samples, file, sound_format)
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise Conflict(f"write {path}", "it is there already; choose another name") from error
    except (OSError, soundfile.SoundFileError) as error:
        raise Unavailable(f"write {path}", f"look at the disk and its permissions ({error})") from error


def write_to(samples: Samples, file: BinaryIO, sound_format: str) -> None:
    """Write `samples` as "WAV" or "FLAC" into an open binary file."""
    soundfile.write(file, samples, RATE, format=sound_format, subtype="PCM_16")
