"""From records to sound: G.711 by its definition, two channels, silence where nothing was received."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from portal import playback
from portal.decoding import NotPlayable, decoder
from portal.playback import RATE, Sound, check_target, render, write, write_to
from storage.errors import Conflict, Unavailable
from storage.records import Audio, Codec, End, Gap, Masked, Parties, Pause, Record

PARTIES = Parties("201", "+31201234567")
CODECS = (Codec(0, 8, "PCMA", 8000), Codec(1, 0, "PCMU", 8000))

# ITU-T G.711, tables 1a, 2a: the ends, the origin, and a step in the middle; scaled to 16 bits.
KNOWN = [
    ("PCMA", 0xD5, 8),
    ("PCMA", 0x55, -8),
    ("PCMA", 0xAA, 32256),
    ("PCMA", 0x2A, -32256),
    ("PCMA", 0xD4, 24),
    ("PCMA", 0xC5, 264),
    ("PCMU", 0xFF, 0),
    ("PCMU", 0x7F, 0),
    ("PCMU", 0x80, 32124),
    ("PCMU", 0x00, -32124),
    ("PCMU", 0xFE, 8),
    ("PCMU", 0xEF, 132),
]


@pytest.mark.parametrize(("codec", "code", "value"), KNOWN)
def test_known_values_of_the_standard(codec: str, code: int, value: int) -> None:
    assert decoder(codec, 8000)(bytes([code])).tolist() == [value]


def test_every_code_is_decoded_as_audioop_does() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    expand: dict[str, Callable[[bytes, int], bytes]] = {"PCMA": audioop.alaw2lin, "PCMU": audioop.ulaw2lin}
    every = bytes(range(256))
    for codec, oracle in expand.items():
        assert decoder(codec, 8000)(every).tobytes() == oracle(every, 2)


def test_the_agent_is_left_and_the_outside_party_right() -> None:
    records: list[Record] = [
        PARTIES,
        Audio(0, 0, 0, 8, b"\xaa" * 4),
        Audio(1, 0, 0, 0, b"\x00" * 4),
        End("x"),
    ]
    assert render(records, CODECS).samples.tolist() == [[32256, -32124]] * 4


def test_what_was_not_received_is_silence() -> None:
    records: list[Record] = [
        PARTIES,
        Audio(0, 2, 0, 8, b"\xaa"),
        Gap(0, 3, 2),
        Audio(0, 5, 0, 8, b"\x2a"),
        Pause(6),
        Masked(1, 0, 4),
        Gap(1, 0, 8),
        End("x"),
    ]
    samples = render(records, CODECS).samples
    assert samples[:, 0].tolist() == [0, 0, 32256, 0, 0, -32256, 0, 0]
    assert not samples[:, 1].any()


def test_positions_decide_and_not_the_order() -> None:
    records: list[Record] = [PARTIES, Audio(0, 1, 0, 8, b"\xaa"), Audio(0, 0, 0, 8, b"\x2a")]
    assert render(records, CODECS).samples[:, 0].tolist() == [-32256, 32256]


def test_a_codec_that_changes_during_the_call_is_followed() -> None:
    records: list[Record] = [
        PARTIES,
        Audio(0, 0, 0, 8, b"\xaa"),
        Codec(0, 8, "PCMU", 8000),
        Audio(0, 1, 0, 8, b"\x80"),
    ]
    assert render(records, CODECS).samples[:, 0].tolist() == [32256, 32124]


def test_a_clip_without_audio_has_no_samples() -> None:
    sound = render([PARTIES, End("x")])
    assert (sound.samples.shape, sound.rate) == ((0, 2), RATE)


UNPLAYABLE: list[list[Record]] = [
    [Audio(0, 0, 0, 9, b"")],
    [Codec(0, 96, "G723", 8000), Audio(0, 0, 0, 96, b"x")],
    [Gap(0, 0, 2**40)],
]


@pytest.mark.parametrize("records", UNPLAYABLE)
def test_what_cannot_be_played_is_said(records: list[Record]) -> None:
    with pytest.raises(NotPlayable):
        render(records, CODECS)


@pytest.fixture
def sound() -> Sound:
    return Sound((np.arange(320, dtype=np.int16).reshape(160, 2) * 17).astype(np.int16), 16000)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "A.WAV"])
def test_a_file_holds_exactly_the_samples(sound: Sound, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(sound, path)
    found, rate = soundfile.read(path, dtype="int16")
    assert rate == sound.rate
    assert np.array_equal(found, sound.samples)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_open_file_will_do(sound: Sound) -> None:
    file = io.BytesIO()
    write_to(sound, file, "FLAC")
    file.seek(0)
    assert np.array_equal(soundfile.read(file, dtype="int16")[0], sound.samples)


def test_a_file_is_overwritten_only_when_asked(sound: Sound, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"mine")
    with pytest.raises(Conflict):
        check_target(path)
    with pytest.raises(Conflict):
        write(sound, path)
    assert path.read_bytes() == b"mine"
    write(sound, path, overwrite=True)
    assert path.read_bytes().startswith(b"RIFF")


def test_a_file_that_appears_meanwhile_is_not_touched(
    sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"mine")
    monkeypatch.setattr(playback, "check_target", lambda *_: "WAV")
    with pytest.raises(Conflict):
        write(sound, path)
    assert path.read_bytes() == b"mine"


def test_a_name_must_say_the_format(tmp_path: Path) -> None:
    with pytest.raises(NotPlayable, match=r"\.wav or \.flac"):
        check_target(tmp_path / "a.mp3")


def test_a_piece_of_a_file_is_not_left_behind(
    sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(soundfile, "write", full)
    with pytest.raises(Unavailable, match="disk"):
        write(sound, tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_said(sound: Sound, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        write(sound, tmp_path / "no" / "a.wav")
