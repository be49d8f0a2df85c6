"""Decoders: from payloads as they came to samples.

G.711 and L16 are tables and byte order. The others are FFmpeg's by way of PyAV (extra `codecs`), which is
asked for when a clip needs it and not before. Comfort noise inside a codec is silence here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import codecs
from storage.errors import StorageError, Unavailable
from storage.records import CLOCK_RATE

Samples = npt.NDArray[np.int16]
Decode = Callable[[bytes], Samples]
"""One payload to shape (n,), in the order in which they were sent."""

SAMPLE_RATES = {"G722": 16000, "OPUS": 48000, "AMR-WB": 16000, "AMR-WB" + codecs.ALIGNED: 16000}
"""Hz; of those that are not named it is their RTP clock."""

_FFMPEG = {
    "G722": "g722",
    "OPUS": "libopus",
    "G729": "g729",
    "GSM": "gsm",
    "ILBC": "ilbc",
    "AMR": "libopencore_amrnb",
    "AMR-WB": "amrwb",
}
_OCTETS = {"G729": 10, "GSM": 33}
_COMFORT_NOISE = {"AMR-WB": 9}
"""The frame type that FFmpeg's decoder does not take."""
_BIT_RATES = {50: 13_333, 38: 15_200}
"""By which FFmpeg tells iLBC's two modes."""

Frame = bytes | None
"""What the decoder takes at once; None for one that is silent here."""


class NotPlayable(StorageError):
    """The clip is sound, but cannot be made into it."""


def sample_rate(name: str, rate: int) -> int:
    """At how many Hz a codec of this name in a clip, with this RTP clock, is decoded."""
    return SAMPLE_RATES.get(name, rate)


def decoder(name: str, rate: int) -> Decode:
    """What decodes one leg's payloads one after the other, at `sample_rate`.

    Raises NotPlayable for a codec that this version does not know, Unavailable without PyAV.
    """
    if name in _TABLES:
        table = _TABLES[name]
        return lambda payload: table[np.frombuffer(payload, dtype=np.uint8)]
    if not codecs.is_kept(name, rate):
        raise NotPlayable(f"decode {name}", "this version does not know it; use the one that recorded it")
    if name == "L16":
        return _l16
    return _framed(name, rate)


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


def _l16(payload: bytes) -> Samples:
    samples: Samples = np.frombuffer(payload[: len(payload) // 2 * 2], dtype=">i2").astype(np.int16)
    return samples


def _framed(name: str, rate: int) -> Decode:
    """Frame by frame through FFmpeg; what it cannot decode is silence, since nothing may be invented."""
    av = _pyav()
    family, coders = name.removesuffix(codecs.ALIGNED), dict[int, Any]()

    def decode(payload: bytes) -> Samples:
        length = codecs.ticks(name, rate, payload) * sample_rate(name, rate) // CLOCK_RATE
        frames = _frames(name, payload)
        silence = np.zeros(length // max(len(frames), 1), dtype=np.int16)
        mode = codecs.ilbc_frame(payload) if name == "ILBC" else 0
        if mode not in coders:
            coders[mode] = _coder(av, _FFMPEG[family], sample_rate(name, rate), _BIT_RATES.get(mode))
        pieces = [silence if it is None else _decoded(av, coders[mode], it, silence) for it in frames]
        return np.concatenate(pieces) if pieces else silence

    return decode


def _frames(name: str, payload: bytes) -> list[Frame]:
    """The payload's frames."""
    family = name.removesuffix(codecs.ALIGNED)
    if family in codecs.AMR_BITS:
        dumb = {*codecs.NO_SPEECH, _COMFORT_NOISE.get(family)}
        frames = codecs.amr_frames(name, payload)
        return [None if kind in dumb else bytes([kind << 3 | 4]) + bits for kind, bits in frames]
    octets = codecs.ilbc_frame(payload) if name == "ILBC" else _OCTETS.get(name, len(payload))
    pieces = [payload[at : at + octets] for at in range(0, len(payload), octets)] if octets else []
    return [it if len(it) == octets else None for it in pieces]


def _coder(av: Any, codec: str, rate: int, bit_rate: int | None) -> Any:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = rate, "mono"
    if bit_rate:
        context.bit_rate = bit_rate
    return context


def _decoded(av: Any, coder: Any, frame: bytes, silence: Samples) -> Samples:
    try:
        sounds = [it.to_ndarray().reshape(-1) for it in coder.decode(av.Packet(frame))]
    except av.FFmpegError:
        return silence
    sound: Samples = np.concatenate([_whole_numbers(it) for it in sounds]) if sounds else silence
    return sound if len(sound) == len(silence) else silence


def _whole_numbers(sound: Any) -> Samples:
    """Samples between -1 and 1 as 16 bits."""
    if sound.dtype == np.int16:
        samples: Samples = sound
        return samples
    rounded: Samples = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
    return rounded


def _pyav() -> Any:
    """The module `av`. Raises Unavailable, saying how to get it."""
    try:
        import av
    except ImportError as error:
        raise Unavailable(
            "decode a clip", "PyAV is missing; run `pip install 'doelband[codecs]'`; the clip stays as it is"
        ) from error
    return av
