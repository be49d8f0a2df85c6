"""Payloads of each codec become what was said. The encoders are not ours."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest

from portal.decoding import NotPlayable, decoder, sample_rate
from portal.playback import RATE, render
from storage.codecs import ALIGNED, ticks
from storage.errors import Unavailable
from storage.records import CLOCK_RATE, Audio, Codec, Gap, Parties, Record
from tests.fakes.likeness import encoded, likeness, speech

CODECS = {  # rate of the RTP clock, how much alike it must be
    "PCMU": (8000, 0.99),
    "PCMA": (8000, 0.99),
    "L16": (16000, 0.9999),
    "G722": (8000, 0.99),
    "OPUS": (48000, 0.9),
    "AMR": (8000, 0.9),
    "AMR" + ALIGNED: (8000, 0.9),
}
SECONDS = 4


def clip(name: str, rate: int, payloads: Sequence[bytes], lost: frozenset[int] = frozenset()) -> list[Record]:
    """The agent's side of a clip with these payloads, some of which did not come."""
    records: list[Record] = [Parties("201", "+31201234567"), Codec(0, 96, name, rate)]
    position = 0
    for index, payload in enumerate(payloads):
        span = ticks(name, rate, payload)
        records.append(Gap(0, position, span) if index in lost else Audio(0, position, 0, 96, payload))
        position += span
    return records


@pytest.mark.parametrize("name", CODECS)
def test_what_was_said_is_heard(name: str) -> None:
    rate, wanted = CODECS[name]
    own = sample_rate(name, rate)
    said = speech(SECONDS, own)
    sound = render(clip(name, rate, encoded(name, said)))
    assert (sound.rate, sound.seconds) == (own, SECONDS)
    assert likeness(name, said, sound.samples[:, 0], own) >= wanted
    assert not sound.samples[:, 1].any()


@pytest.mark.parametrize("name", CODECS)
def test_what_did_not_come_is_silence_and_nothing_is_invented(name: str) -> None:
    rate, _ = CODECS[name]
    payloads = encoded(name, speech(SECONDS, sample_rate(name, rate)))
    sound = render(clip(name, rate, payloads, lost=frozenset(range(50, 60))))
    frame = sound.rate // 50
    assert not sound.samples[50 * frame : 60 * frame].any()
    assert sound.samples[60 * frame : 70 * frame].any()
    assert sound.seconds == SECONDS


def test_parties_with_different_sample_rates_stay_side_by_side() -> None:
    """A click at the same instant on both legs, 8 kHz and 16 kHz."""
    low, high = np.zeros(RATE, dtype=np.int16), np.zeros(2 * RATE, dtype=np.int16)
    low[4000:4040], high[8000:8080] = 20_000, 20_000
    records: list[Record] = [
        Parties("201", "+31201234567"),
        Codec(0, 0, "L16", 8000),
        Codec(1, 96, "L16", 16000),
    ]
    for index in range(50):
        records.append(Audio(0, index * 160, 0, 0, low[index * 160 :][:160].astype(">i2").tobytes()))
        records.append(Audio(1, index * 160, 0, 96, high[index * 320 :][:320].astype(">i2").tobytes()))
    sound = render(records)
    assert sound.samples.shape == (2 * RATE, 2)
    middles = [np.average(np.arange(2 * RATE), weights=np.abs(leg.astype(float))) for leg in sound.samples.T]
    assert abs(middles[0] - middles[1]) < 16  # a millisecond


def test_a_codec_that_changes_in_the_call_is_followed() -> None:
    said = speech(2, 16000)
    first = clip("G722", 8000, encoded("G722", said))
    second = [
        Audio(0, it.position + 2 * CLOCK_RATE, 0, 97, it.payload)
        for it in clip("L16", 16000, encoded("L16", said))
        if isinstance(it, Audio)
    ]
    sound = render([*first, Codec(0, 97, "L16", 16000), *second])
    assert likeness("G722", said, sound.samples[: 2 * 16000, 0], 16000) > 0.99
    assert np.array_equal(sound.samples[2 * 16000 :, 0], said)


@pytest.mark.parametrize(
    ("name", "rate", "payload", "samples"),
    [
        ("G729", 8000, bytes(10) + bytes(2), 160),  # the second frame is comfort noise
        ("GSM", 8000, (b"\xd0" + bytes(32)) * 2, 320),
        ("ILBC", 8000, bytes(38) * 2, 320),
        ("ILBC", 8000, bytes(50), 240),
        ("AMR-WB" + ALIGNED, 16000, bytes([0xF0, 0x14]) + bytes(32), 320),
        ("AMR-WB" + ALIGNED, 16000, bytes([0xF0, 0x4C]) + bytes(5), 320),  # comfort noise
        ("AMR", 8000, bytes([0xF7, 0xC0]), 160),  # nothing said
        ("OPUS", 48000, b"\xfb\x06" + b"\xff" * 30, 5760),  # cannot be decoded: silence
    ],
)
def test_a_payload_is_as_long_as_it_says(name: str, rate: int, payload: bytes, samples: int) -> None:
    assert len(decoder(name, rate)(payload)) == samples


def test_without_pyav_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(Unavailable, match=r"pip install 'doelband\[codecs\]'"):
        decoder("G722", 8000)


def test_a_codec_nobody_knows_is_said() -> None:
    with pytest.raises(NotPlayable, match="G723"):
        decoder("G723", 8000)
