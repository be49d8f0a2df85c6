"""Something like speech, encoders that are not ours, and how much alike two sounds are."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import numpy.typing as npt

from demo.listening import correlation
from portal.decoding import Samples
from storage.codecs import ALIGNED

_ENCODERS = {  # FFmpeg's name, sample rate, bits a second
    "PCMU": ("pcm_mulaw", 8000, 64_000),
    "PCMA": ("pcm_alaw", 8000, 64_000),
    "G722": ("g722", 16000, 64_000),
    "OPUS": ("libopus", 48000, 32_000),
    "AMR": ("libopencore_amrnb", 8000, 12_200),
}
WAVEFORM = frozenset({"PCMU", "PCMA", "L16", "G722"})
"""Codecs that keep the waveform; the others keep how it sounds."""
_DELAY = 12
"""Of a coder, at most, in steps of 5 ms."""
_FORMANTS = ((300, 800), (900, 1800))  # Hz


def speech(seconds: float, rate: int, seed: int = 1) -> Samples:
    """Syllables: a voice of 110 to 190 Hz with formants that wander, and pauses; shape (n,)."""
    draw = np.random.default_rng(seed)
    count = int(seconds * rate)
    time = np.arange(count) / rate
    steps = np.arange(0, seconds + 1, 0.2)
    pitch = np.interp(time, steps, draw.uniform(110, 190, len(steps)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = [np.interp(time, steps, draw.uniform(low, high, len(steps))) for low, high in _FORMANTS]
    sound = np.zeros(count)
    for harmonic in range(1, 18):
        distance = [np.exp(-(((harmonic * pitch - it) / 200) ** 2)) for it in formants]
        sound += sum(distance) * np.sin(harmonic * phase + draw.uniform(0, 6))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * time) + 0.6, 0, 1)
    sound *= syllables
    spoken: Samples = (sound / np.abs(sound).max() * 12_000).astype(np.int16)
    return spoken


def encoded(name: str, sound: Samples) -> list[bytes]:
    """Payloads of 20 ms each."""
    if name == "L16":
        return [sound[at : at + 320].astype(">i2").tobytes() for at in range(0, len(sound), 320)]
    family = name.removesuffix(ALIGNED)
    payloads = _encode(*_ENCODERS[family], sound)
    return [_amr(it, name.endswith(ALIGNED)) for it in payloads] if family == "AMR" else payloads


def _encode(codec: str, rate: int, bit_rate: int, sound: Samples) -> list[bytes]:
    context: Any = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    context.bit_rate = bit_rate
    payloads: list[bytes] = []
    size = rate // 50
    for at in range(0, len(sound), size):
        frame = av.AudioFrame.from_ndarray(sound[at : at + size].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, at
        payloads += [bytes(it) for it in context.encode(frame)]
    return payloads


def _amr(frame: bytes, is_aligned: bool) -> bytes:
    """A frame as in a file (RFC 4867 §5.3) as a payload."""
    kind, bits = frame[0] >> 3 & 0x0F, 244
    assert kind == 7, "12.2 kbit/s"
    if is_aligned:
        return bytes([0xF0, frame[0]]) + frame[1:]
    speech_bits = int.from_bytes(frame[1:], "big") >> len(frame[1:]) * 8 - bits
    packed = (0xF << 6 | kind << 1 | 1) << bits | speech_bits
    padding = -(10 + bits) % 8
    return (packed << padding).to_bytes((10 + bits + padding) // 8, "big")


def likeness(name: str, said: Samples, heard: Samples, rate: int) -> float:
    """1 for the same, wherever in `heard` it begins. Of codecs that keep the waveform its correlation, of
    others that of the spectra over time.
    """
    if name in WAVEFORM:
        return correlation(said.astype(float), heard.astype(float))
    one, other = _spectra(said, rate), _spectra(heard, rate)
    latest = max(len(other) - len(one), 0) + _DELAY
    return max(_correlation(one, other, delay) for delay in range(latest))


def _correlation(one: npt.NDArray[Any], other: npt.NDArray[Any], delay: int) -> float:
    length = min(len(one), len(other) - delay)
    return float(np.corrcoef(one[:length].reshape(-1), other[delay : delay + length].reshape(-1))[0, 1])


def _spectra(sound: Samples, rate: int) -> npt.NDArray[Any]:
    """Levels below 3.4 kHz in dB, every 5 ms over 20 ms; quieter than 45 dB below the loudest is silence."""
    size, step = rate // 50, rate // 200
    frames = np.lib.stride_tricks.sliding_window_view(sound.astype(float), size)[::step] * np.hanning(size)
    levels = np.abs(np.fft.rfft(frames))[:, : 3400 * size // rate]
    bands = levels[:, : levels.shape[1] // 2 * 2].reshape(len(levels), -1, 2).sum(axis=2)
    decibels: npt.NDArray[Any] = 20 * np.log10(np.maximum(bands, bands.max() * 10 ** (-45 / 20)))
    return decibels
