"""Keys as tones (Q.23, Q.24): which are recognised, which must not be, and what is none of them."""

from __future__ import annotations

import audioop

import numpy as np
import numpy.typing as npt
import pytest

from portal.decoding import decoder, sample_rate
from recorder.encoding import payloads
from recorder.tones import COLUMNS, KEYS, ROWS, Tones

Sound = npt.NDArray[np.float64]
EVERY = "".join(KEYS)
FULL = 10 ** (3.14 / 20)
"""The amplitude of 0 dBm0 fits so many times into the loudest sound that A-law holds."""


def tone(
    key: str, seconds: float, *, dbm0: float = -10.0, twist: float = 0.0, off: tuple[float, float] = (0, 0)
) -> Sound:
    """`twist`: by how many dB the column is louder than the row. `off`: of row and column, as a share."""
    row = next(index for index, keys in enumerate(KEYS) if key in keys)
    times = np.arange(round(seconds * 8000)) / 8000
    low = np.sin(2 * np.pi * ROWS[row] * (1 + off[0]) * times + 0.3)
    high = np.sin(2 * np.pi * COLUMNS[KEYS[row].index(key)] * (1 + off[1]) * times + 1.1)
    sound: Sound = 10 ** (dbm0 / 20) / FULL * (low + 10 ** (twist / 20) * high)
    return sound


def pause(seconds: float) -> Sound:
    return np.zeros(round(seconds * 8000))


def heard(sound: Sound, codec: tuple[str, int] = ("PCMA", 8000), noise: float = 0.0) -> str:
    """The keys in a sound, once it has been through a codec."""
    noisy = sound + np.random.default_rng(4).normal(0, noise, len(sound)) if noise else sound
    tones, decode = Tones(sample_rate(*codec)), decoder(*codec)
    made = in_alaw(noisy) if codec[0] == "PCMA" else payloads(noisy, 8000)[codec]
    return "".join(key for it in made for key, _ in tones.take(decode(it)))


def in_alaw(sound: Sound) -> list[bytes]:
    whole = audioop.lin2alaw((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes(), 2)
    return [whole[at : at + 160] for at in range(0, len(whole), 160)]


def pressed(keys: str, seconds: float = 0.04, *, dbm0: float = -10.0, twist: float = 0.0) -> Sound:
    parts = [it for key in keys for it in (tone(key, seconds, dbm0=dbm0, twist=twist), pause(0.04))]
    return np.concatenate([pause(0.0137), *parts, pause(0.06)])


@pytest.mark.parametrize("codec", [("PCMA", 8000), ("PCMU", 8000), ("L16", 16000), ("G722", 8000)])
def test_every_key_of_40_ms_is_heard_once_in_every_codec_that_leaves_tones_alone(
    codec: tuple[str, int],
) -> None:
    assert heard(pressed(EVERY), codec) == EVERY


def test_the_same_key_again_after_40_ms_is_another_one() -> None:
    assert heard(pressed("##55**")) == "##55**"


@pytest.mark.parametrize("dbm0", [-0.1, -25.0])
@pytest.mark.parametrize("twist", [-8.0, 0.0, 3.0])
def test_loud_and_faint_and_lopsided_keys_are_heard(dbm0: float, twist: float) -> None:
    level = dbm0 - max(twist, 0) - (6 if dbm0 > -1 else 0)  # both together have to fit
    assert heard(pressed(EVERY, dbm0=level if dbm0 > -1 else dbm0 + 8, twist=twist)) == EVERY


@pytest.mark.parametrize("off", [(0.015, 0.015), (-0.015, 0.015), (0.015, -0.015), (-0.015, -0.015)])
def test_tones_1_5_percent_beside_their_frequency_are_heard(off: tuple[float, float]) -> None:
    sound = np.concatenate([it for key in EVERY for it in (tone(key, 0.05, off=off), pause(0.05))])
    assert heard(sound) == EVERY


@pytest.mark.parametrize("off", [(0.035, 0), (-0.035, 0), (0, 0.035), (0, -0.035)])
def test_tones_3_5_percent_beside_it_are_none(off: tuple[float, float]) -> None:
    assert heard(np.concatenate([it for key in EVERY for it in (tone(key, 0.2, off=off), pause(0.05))])) == ""


def test_what_is_too_short_too_faint_or_too_lopsided_is_no_key() -> None:
    assert heard(pressed(EVERY, seconds=0.023)) == ""
    assert heard(pressed(EVERY, seconds=0.2, dbm0=-55)) == ""
    assert heard(pressed(EVERY, seconds=0.2, twist=8)) == ""
    assert heard(pressed(EVERY, seconds=0.2, twist=-14)) == ""


def test_an_interruption_of_10_ms_does_not_part_a_key() -> None:
    for at in (0.05, 0.061, 0.083):
        sound = tone("7", 0.2)
        sound[round(at * 8000) : round((at + 0.01) * 8000)] = 0
        assert heard(np.concatenate([sound, pause(0.1)])) == "7"


def test_noise_12_db_below_each_tone_does_not_hide_them() -> None:
    assert heard(pressed(EVERY, seconds=0.07), noise=10 ** (-22 / 20) / FULL / np.sqrt(2)) == EVERY


def test_what_is_lost_within_a_key_does_not_part_it() -> None:
    tones, sound = Tones(8000), (tone("5", 0.2) * 32767).astype(np.int16)
    found: list[tuple[str, int]] = []
    for start in range(0, len(sound), 160):
        if start == 480:
            tones.skip(160)
        else:
            found += tones.take(sound[start : start + 160])
    assert [key for key, _ in found] == ["5"]
    assert tones.key == "5"


# --- what is none


def vowels(seconds: float, seed: int) -> Sound:
    """Like speech: pulses of 80 to 320 Hz through three resonances that move, with pauses."""
    random, count = np.random.default_rng(seed), round(seconds * 8000)
    turns = np.interp(
        np.arange(count), np.arange(0, count + 800, 800), random.uniform(80, 320, count // 800 + 1)
    )
    phase = np.cumsum(turns / 8000)
    syllables = random.uniform(0, 1, count // 1600 + 1) > 0.2
    sound: Sound = np.zeros(count)
    peaks = [
        np.interp(
            np.arange(count), np.arange(0, count + 1600, 1600), random.uniform(low, high, count // 1600 + 1)
        )
        for low, high in ((250, 900), (800, 2300), (2200, 3300))
    ]
    for harmonic in range(1, 25):
        frequency = turns * harmonic
        gain = sum(1 / (1 + ((frequency - peak) / 60) ** 2) for peak in peaks) / harmonic**0.5
        sound += np.where(frequency < 3600, gain * np.sin(2 * np.pi * harmonic * phase), 0)
    sound *= np.repeat(syllables, 1600)[:count]
    spoken: Sound = 0.8 * sound / np.max(np.abs(sound))
    return spoken


def music(seconds: float, seed: int) -> Sound:
    """One to four notes at once, of the usual tuning, each with overtones, half a second each."""
    random, times = np.random.default_rng(seed), np.arange(4000) / 8000
    bars: list[Sound] = []
    for _ in range(round(seconds * 2)):
        bar: Sound = np.zeros(4000)
        for note in random.integers(-24, 24, random.integers(1, 5)):
            for overtone in range(1, 6):
                frequency = 440 * 2 ** (note / 12) * overtone
                if frequency < 3600:
                    bar += np.sin(2 * np.pi * frequency * times + random.uniform(0, 6)) / overtone
        bars.append(bar * np.exp(-times * random.uniform(0, 6)))
    whole = np.concatenate(bars)
    played: Sound = 0.7 * whole / np.max(np.abs(whole))
    return played


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_what_is_like_speech_presses_no_key(gain: float) -> None:
    assert heard(gain * vowels(20, seed=1)) == ""


def test_music_with_overtones_presses_no_key() -> None:
    assert heard(music(20, seed=2)) == ""


def test_noise_a_single_tone_and_a_sweep_press_no_key() -> None:
    times = np.arange(8 * 8000) / 8000
    assert heard(np.random.default_rng(3).normal(0, 0.2, len(times))) == ""
    assert heard(0.5 * np.sin(2 * np.pi * (300 + 200 * times) * times)) == ""
    for frequency in (*ROWS, *COLUMNS):
        assert heard(0.5 * np.sin(2 * np.pi * frequency * times[:8000])) == ""
