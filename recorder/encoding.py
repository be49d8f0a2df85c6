"""From a sound to payloads of 20 ms, in each codec that can be made here.

G.711 and L16 are arithmetic. G.722 and Opus are FFmpeg's by way of PyAV (extra `codecs`); without it they are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Format = tuple[str, int]
"""The name of a codec in a clip, and its RTP clock."""

PER_SECOND = 50
_RATES: Mapping[Format, int] = {
    ("PCMA", 8000): 8000,
    ("PCMU", 8000): 8000,
    ("L16", 8000): 8000,
    ("L16", 16000): 16000,
    ("G722", 8000): 16000,
    ("OPUS", 48000): 48000,
}
"""At how many Hz each is made. G.722 says 8000 for 16000 (RFC 3551 §4.5.2)."""
_FFMPEG = {"G722": "g722", "OPUS": "libopus"}


def payloads(sound: npt.NDArray[np.float64], rate: int) -> dict[Format, list[bytes]]:
    """By format. `sound`: shape (n,), between -1 and 1, `rate` samples a second."""
    made: dict[Format, list[bytes]] = {}
    for (name, clock), own in _RATES.items():
        pieces = _pieces(_whole_numbers(resampled(sound, rate, own)), own // PER_SECOND)
        if name in _FFMPEG:
            found = _by_ffmpeg(_FFMPEG[name], pieces, own)
        else:
            found = [_PLAIN[name](it) for it in pieces]
        if len(found) == len(pieces):
            made[name, clock] = found
    return made


def resampled(sound: npt.NDArray[np.float64], rate: int, own: int) -> npt.NDArray[np.float64]:
    """The same sound at `own` Hz: its spectrum, cut off or continued with nothing."""
    length = max(1, round(len(sound) * own / rate))
    if own == rate:
        return sound
    spectrum = np.fft.rfft(sound)
    spectrum = np.pad(spectrum, (0, max(0, length // 2 + 1 - len(spectrum))))[: length // 2 + 1]
    changed: npt.NDArray[np.float64] = np.fft.irfft(spectrum, length) * (length / len(sound))
    return changed


def _whole_numbers(sound: npt.NDArray[np.float64]) -> Samples:
    whole: Samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
    return whole


def _pieces(sound: Samples, size: int) -> list[Samples]:
    """Of equal length, the last one filled up with silence."""
    padded = np.pad(sound, (0, -len(sound) % size))
    return list(padded.reshape(-1, size))


def _alaw(sound: Samples) -> bytes:
    """ITU-T G.711, A-law."""
    value = sound.astype(np.int32) >> 3
    sign = np.where(value >= 0, 0xD5, 0x55)
    size = np.where(value >= 0, value, -value - 1)
    exponent = np.clip(np.floor(np.log2(np.maximum(size, 1))).astype(np.int32) - 4, 0, 7)
    mantissa = size >> np.maximum(exponent, 1) & 15
    return _octets(sign ^ (exponent << 4 | mantissa))


def _ulaw(sound: Samples) -> bytes:
    """ITU-T G.711, µ-law."""
    value = sound.astype(np.int32)
    size = np.minimum(np.abs(value), 32635) + 132
    exponent = np.floor(np.log2(size)).astype(np.int32) - 7
    mantissa = size >> exponent + 3 & 15
    code = np.where(value < 0, 0x80, 0) | exponent << 4 | mantissa
    return _octets(~code & 0xFF)


def _l16(sound: Samples) -> bytes:
    octets: bytes = sound.astype(">i2").tobytes()
    return octets


def _octets(codes: Any) -> bytes:
    octets: bytes = codes.astype(np.uint8).tobytes()
    return octets


_PLAIN: Mapping[str, Callable[[Samples], bytes]] = {"PCMA": _alaw, "PCMU": _ulaw, "L16": _l16}


def _by_ffmpeg(codec: str, pieces: list[Samples], rate: int) -> list[bytes]:
    """A packet for each piece; nothing where PyAV or its encoder is not there."""
    try:
        import av
    except ImportError:
        return []
    try:
        encoder: Any = av.CodecContext.create(codec, "w")
        encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
        made = [bytes(it) for piece in pieces for it in encoder.encode(_frame(av, piece, rate))]
        made += [bytes(it) for it in encoder.encode(None)]
    except (av.FFmpegError, ValueError):
        return []
    return made[: len(pieces)]


def _frame(av: Any, piece: Samples, rate: int) -> Any:
    frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    return frame
