"""From a clip's records to sound: two channels, the agent left, the outside party right.

Audio is stored as it came and decoded here. What was not received, was masked or lay in a pause is silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from portal.decoding import Decode, NotPlayable, Samples, decoder, sample_rate
from storage.codecs import is_kept, ticks
from storage.errors import Conflict, Unavailable
from storage.records import CHANNELS, CLOCK_RATE, Audio, Codec, Gap, Record

RATE = CLOCK_RATE
LONGEST = 24 * 3600 * RATE
FORMATS = {".wav": "WAV", ".flac": "FLAC"}


@dataclass(frozen=True, slots=True)
class Sound:
    """`samples`: shape (n, 2), int16, agent left; `rate` of them a second."""

    samples: Samples
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


def render(records: Iterable[Record], known: Sequence[Codec] = ()) -> Sound:
    """At the highest rate that occurs, 8 kHz at least. `known`: the codecs of the clip's header.

    Raises NotPlayable, and Unavailable where a library that these codecs need is not installed.
    """
    said, length = _said(records, known)
    if length > LONGEST:
        raise NotPlayable("play a clip", "its records claim more than 24 hours")
    rates = {(channel, sample_rate(*codec)) for channel, codec, _ in said}
    rate = max((it for _, it in rates), default=RATE)
    samples = np.zeros((_at(length, rate), CHANNELS), dtype=np.int16)
    for channel, own in rates:
        legs = [it for it in said if (it[0], sample_rate(*it[1])) == (channel, own)]
        samples[:, channel] += _resampled(_leg(legs, _at(length, own), own), own, rate, len(samples))
    return Sound(samples, rate)


_Said = tuple[int, tuple[str, int], Audio]
"""Channel, name and clock rate of the codec, and what came."""


def _said(records: Iterable[Record], known: Sequence[Codec]) -> tuple[list[_Said], int]:
    """The audio of a clip, and the clip's length in ticks."""
    codecs = {(codec.channel, codec.payload_type): (codec.name, codec.rate) for codec in known}
    said: list[_Said] = []
    length = 0
    for record in records:
        match record:
            case Codec():
                codecs[record.channel, record.payload_type] = record.name, record.rate
            case Audio():
                codec = _codec(codecs, record)
                said.append((record.channel, codec, record))
                length = max(length, record.position + ticks(*codec, record.payload))
            case Gap():
                length = max(length, record.position + record.length)
            case _:
                pass
    return said, length


def _codec(codecs: dict[tuple[int, int], tuple[str, int]], audio: Audio) -> tuple[str, int]:
    """Raises NotPlayable."""
    codec = codecs.get((audio.channel, audio.payload_type))
    if codec is None:
        raise NotPlayable(
            f"decode payload type {audio.payload_type}", "the clip does not say which codec it is"
        )
    if not is_kept(*codec):
        raise NotPlayable(f"decode {codec[0]}", "this version does not know it; use the one that recorded it")
    return codec


def _leg(said: Iterable[_Said], length: int, rate: int) -> Samples:
    """One channel's payloads of one sample rate, in their places, shape (length,)."""
    sound = np.zeros(length, dtype=np.int16)
    decoders: dict[tuple[str, int], Decode] = {}
    for _, codec, audio in said:
        if codec not in decoders:
            decoders[codec] = decoder(*codec)
        samples, begin = decoders[codec](audio.payload), _at(audio.position, rate)
        sound[begin : begin + len(samples)] = samples[: length - begin]
    return sound


def _at(position: int, rate: int) -> int:
    """The sample at a position of the clip."""
    return position * rate // CLOCK_RATE


def _resampled(sound: Samples, own: int, rate: int, length: int) -> Samples:
    """Shape (length,) at `rate`. Raises Unavailable."""
    if own == rate:
        return sound
    try:
        import soxr
    except ImportError as error:
        raise Unavailable(
            "play a clip whose parties spoke at different sample rates",
            "soxr is missing; run `pip install 'doelband[codecs]'`",
        ) from error
    resampled: Samples = soxr.resample(sound, own, rate)[:length]
    return np.pad(resampled, (0, length - len(resampled)))


def check_target(path: Path, overwrite: bool = False) -> str:
    """The format for this file name, before a clip is opened for it. Raises Conflict, NotPlayable."""
    try:
        sound_format = FORMATS[path.suffix.lower()]
    except KeyError:
        raise NotPlayable(f"write {path}", "give it a name that ends in .wav or .flac") from None
    if path.exists() and not overwrite:
        raise Conflict(f"write {path}", "it is there already; ask to overwrite it, or choose another name")
    return sound_format


def write(sound: Sound, path: Path, overwrite: bool = False) -> None:
    """Write a WAV or FLAC file, 16 bits, for its owner only. Raises Conflict, NotPlayable, Unavailable.

    Without `overwrite` a file that is there is never touched, also not one that appeared meanwhile. A piece
    of a file is not left behind.
    """
    sound_format = check_target(path, overwrite)
    try:
        with path.open("wb" if overwrite else "xb") as file:
            path.chmod(0o600)
            try:
                write_to(sound, file, sound_format)
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise Conflict(f"write {path}", "it is there already; choose another name") from error
    except (OSError, soundfile.SoundFileError) as error:
        raise Unavailable(f"write {path}", f"look at the disk and its permissions ({error})") from error


def write_to(sound: Sound, file: BinaryIO, sound_format: str) -> None:
    """Write `sound` as "WAV" or "FLAC" into an open binary file."""
    soundfile.write(file, sound.samples, sound.rate, format=sound_format, subtype="PCM_16")
