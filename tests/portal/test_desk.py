"""What the keys of `doelband clips play` do, and what is heard."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from portal import desk
from portal.decoding import Samples
from portal.desk import PIECES, Player
from portal.playback import Sound
from storage.errors import Unavailable

SECONDS = 12
RATE = 16_000
PIECE = RATE // PIECES


def clip() -> Sound:
    """The agent says 1000 all the time, the outside party -2000."""
    return Sound(np.tile(np.array([1000, -2000], dtype=np.int16), (SECONDS * RATE, 1)), RATE)


def heard(player: Player, keys: list[str]) -> list[Samples]:
    pressed = iter(keys)
    sound: list[Samples] = []
    desk.play(player, sound.append, lambda: next(pressed, ""), lambda _: None)
    return sound


def test_a_clip_is_heard_to_its_end_as_it_is() -> None:
    sound = heard(Player(clip()), [])
    assert np.array_equal(np.concatenate(sound), clip().samples)
    assert not len(sound[-1])


def test_each_leg_has_its_volume() -> None:
    assert heard(Player(clip(), [50, 0]), ["q"])[0].tolist() == [[500, 0]] * PIECE
    assert heard(Player(clip()), ["A", "q"])[0].tolist() == [[1100, -2000]] * PIECE
    assert heard(Player(clip()), ["o", "q"])[0].tolist() == [[1000, -1800]] * PIECE


def test_what_is_made_too_loud_is_clipped_and_not_wrapped() -> None:
    loud = np.full((PIECE, 2), 30_000, dtype=np.int16)
    assert heard(Player(Sound(loud, RATE), [200, 200]), [])[0].tolist() == [[32767, 32767]] * PIECE


def test_volumes_stay_between_nothing_and_twice_as_loud() -> None:
    player = Player(clip())
    for _ in range(30):
        player.press("a")
        player.press("O")
    assert player.volumes == [0, 200]


def test_skipping_stops_at_both_ends() -> None:
    player = Player(clip())
    player.press("left")
    assert player.position == 0
    player.press("right")
    assert player.position == 5 * RATE
    for _ in range(3):
        player.press("right")
    assert player.position == SECONDS * RATE


def test_a_pause_is_silence_and_goes_on_where_it_began() -> None:
    sound = heard(Player(clip()), ["", " ", "", " ", "q"])
    assert [bool(piece.any()) for piece in sound] == [True, False, False, True, True]
    player = Player(clip())
    heard(player, ["", " ", "", " ", "q"])
    assert player.position == 3 * PIECE


def test_a_key_that_means_nothing_does_nothing() -> None:
    player = Player(clip())
    for key in ("x", "\x1b", "5"):
        player.press(key)
    assert (player.volumes, player.position, player.is_paused, player.has_ended) == (
        [100, 100],
        0,
        False,
        False,
    )


def test_a_device_that_does_not_know_the_rate_of_a_clip_gets_the_same_sound_at_its_rate() -> None:
    pytest.importorskip("soxr", reason="soxr comes with the extra playback")
    tones = [np.arange(rate) * 1000 * 2 * np.pi / rate for rate in (RATE, 48_000)]
    low, high = (np.stack([np.sin(it) * 8000] * 2, axis=1).astype(np.int16) for it in tones)
    resample = desk.resampler(RATE, 48_000)
    pieces = [low[start : start + PIECE] for start in range(0, len(low), PIECE)]
    heard = np.concatenate([resample(piece) for piece in (*pieces, low[:0])])
    middle = slice(4800, 43_200)
    assert abs(len(heard) - 48_000) <= 6
    assert np.abs(heard[middle].astype(int) - high[middle]).max() < 80


def test_without_pyaudio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(Unavailable, match=r"pip install 'doelband\[playback\]'"):
        desk.require()
