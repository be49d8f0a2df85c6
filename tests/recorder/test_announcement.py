"""From a sound file to packets that a telephone can play."""

from __future__ import annotations

import hashlib
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pylibsrtp
import pytest
import soundfile

from demo.listening import correlation
from portal.decoding import decoder, sample_rate
from recorder import sounds
from recorder.announcement import Hearer, packets
from recorder.config import Config, findings, parse
from recorder.effects import Play
from recorder.encoding import payloads, resampled
from recorder.relay.client import MediaUnavailable, Played
from recorder.rtp import parse as parse_rtp
from recorder.said import Heard
from recorder.service.announcer import Announcer
from recorder.srtp import MasterKey, Opener, sealed
from tests.fakes.likeness import likeness, speech
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_srtp import PROFILES, key_of

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
RATE = 22050
FORMATS = {
    ("PCMA", 8000): 160,
    ("PCMU", 8000): 160,
    ("L16", 8000): 320,
    ("L16", 16000): 640,
    ("G722", 8000): 160,
    ("OPUS", 48000): None,
}


def sound(seconds: float = 1.5) -> Any:
    return speech(seconds, RATE) / 32768


def draw(below: int) -> int:
    return below - 1


@pytest.mark.parametrize(("name", "rate"), FORMATS)
def test_every_format_sounds_like_the_file(name: str, rate: int) -> None:
    made = payloads(sound(), RATE)[name, rate]
    decode, own = decoder(name, rate), sample_rate(name, rate)
    heard = np.concatenate([decode(it) for it in made])
    assert len(made) == 75 and len(heard) == 75 * own // 50
    assert FORMATS[name, rate] in (None, len(made[0]))
    meant = (resampled(sound(), RATE, own) * 32768).astype(np.int16)
    assert likeness(name, meant, heard, own) >= (0.9 if name == "OPUS" else 0.99)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_a_file_of_any_rate_keeps_its_pitch_and_length(rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2
    changed = resampled(tone, rate, 8000)
    assert len(changed) == 8000
    assert correlation(changed, np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)) > 0.999


def test_without_pyav_what_needs_no_library_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert {name for name, _ in payloads(sound(), RATE)} == {"PCMA", "PCMU", "L16"}


def test_packets_are_a_source_of_their_own_that_begins_with_a_marker_and_does_not_wrap() -> None:
    sent = packets([b"x" * 160] * 1500, 8, 160, draw)
    made = [parse_rtp(it) for it in sent]
    assert [it.sequence for it in made] == list(range(2**15 - 1, 2**15 + 1499))
    assert [it.timestamp for it in made[:3]] == [2**32 - 1, 159, 319]
    assert {(it.ssrc, it.payload_type) for it in made} == {(2**32 - 1, 8)}
    assert [it[1] >> 7 for it in sent[:3]] == [1, 0, 0]


@pytest.mark.parametrize("suite", PROFILES)
def test_a_telephone_opens_what_is_sealed(suite: str) -> None:
    receiver = pylibsrtp.Session(
        pylibsrtp.Policy(
            key=key_of(suite),
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND,
            srtp_profile=PROFILES[suite],
        )
    )
    plain = packets([bytes([at]) * 160 for at in range(20)], 8, 160, draw)
    for closed, open_ in zip(sealed(MasterKey(suite, key_of(suite)), plain), plain, strict=True):
        assert receiver.unprotect(closed) == open_


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"])
def test_the_name_of_the_key_stands_where_it_is_looked_for(suite: str) -> None:
    key = MasterKey(suite, key_of(suite), b"\1\2")
    plain = packets([b"words"], 8, 160, draw)
    found = Opener(key).open(sealed(key, plain)[0])
    assert found is not None and bytes(found[1]) == plain[0]


def write(path: Path, samples: Any, rate: int = RATE) -> str:
    soundfile.write(path, samples, rate)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_two_channels_is_heard_as_one(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    digest = write(path, np.stack([sound(), -sound() / 2], axis=1))
    mono, rate = sounds.read(path, digest)
    assert rate == RATE and np.allclose(mono, sound() / 4, atol=1e-4)


def test_a_file_that_is_not_as_the_scheme_says_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"

    def check(said: str, digest: str) -> None:
        with pytest.raises(sounds.Unusable, match=said):
            sounds.read(path, digest)

    check("cannot be read .*; put it there", "00" * 32)
    digest = write(path, sound())
    check(f"has the SHA-256 {digest}.*; write that, and have the scheme signed", "00" * 32)
    check("1 to 30 seconds long; shorten", write(path, np.zeros(30 * RATE + 1)))
    check("1 to 30 seconds long", write(path, np.zeros(0)))
    path.write_bytes(b"words")
    check("no sound .*; make a WAV", hashlib.sha256(b"words").hexdigest())


@pytest.mark.parametrize("language", ["nl", "en"])
def test_ours_are_shipped_and_short_enough(language: str) -> None:
    path = sounds.place(f"doelband:{language}.wav", Path("/nowhere"))
    mono, rate = sounds.read(path, hashlib.sha256(path.read_bytes()).hexdigest())
    assert 3 < len(mono) / rate < 10


def configuration(directory: Path, digest: str, name: str = "told.wav") -> str:
    return CONFIGURATION.replace(
        'announcement_exemption = "told by the welcome message"',
        f'announcement = "{name}"\nannouncement_sha256 = "{digest}"',
    )


def test_the_check_of_a_configuration_reads_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    digest = write(tmp_path / "told.wav", sound())
    file.write_text(configuration(tmp_path, digest))
    assert not [it for it in findings(file) if "announcement" in it.key]
    file.write_text(configuration(tmp_path, "00" * 32))
    (found,) = (it for it in findings(file) if "announcement" in it.key)
    assert str(found).startswith(f"{file}:28: purposes.coaching.announcement: so nothing is recorded")
    assert digest in found.text


class Media:
    """Plays what is asked for, or fails."""

    def __init__(self, fails: bool = False, why: str = "late") -> None:
        self.why = why
        self.played: list[dict[str, list[bytes]]] = []
        self.fails = fails

    async def play(self, session: int, voices: dict[str, list[bytes]]) -> Played:
        self.played.append(voices)
        if self.fails:
            raise MediaUnavailable(self.why)
        now = time.monotonic_ns()
        return Played(now - 3_000_000_000, now - 1_000_000_000, 75)


def play(digest: str, *codecs: tuple[int, str, int]) -> Play:
    sides: tuple[Any, ...] = ("b", "a")
    return Play("call", 7, 1, digest, tuple(Hearer(it, ("192.0.2.1", 4000), codecs) for it in sides))


def loaded(directory: Path, digest: str) -> Config:
    return parse(configuration(directory, digest), "c.toml", directory)


def announcing(config: Config, media: Any) -> Announcer:
    return Announcer(config, media, lambda: NOW)


async def test_each_party_hears_it_in_the_first_codec_that_can_be_made(tmp_path: Path) -> None:
    digest, media = write(tmp_path / "told.wav", sound()), Media()
    announcer = announcing(loaded(tmp_path, digest), media)
    told = await announcer.play(play(digest, (18, "G729", 8000), (96, "PCMU", 8000)))
    assert isinstance(told, Heard) and told.sha256 == digest
    assert abs(told.began - (NOW - timedelta(seconds=3))) < timedelta(milliseconds=100)
    assert abs(told.ended - (NOW - timedelta(seconds=1))) < timedelta(milliseconds=100)
    (voices,) = media.played
    assert {side: (len(it), parse_rtp(it[0]).payload_type) for side, it in voices.items()} == {
        "b": (75, 96),
        "a": (75, 96),
    }
    assert parse_rtp(voices["a"][0]).ssrc != parse_rtp(voices["b"][0]).ssrc
    assert announcer.results == {"heard": 1}


async def test_what_cannot_be_played_says_why(tmp_path: Path) -> None:
    digest = write(tmp_path / "told.wav", sound())
    other = loaded(tmp_path, "00" * 32)

    async def check(expected: str, config: Config, media: Media, order: Play) -> None:
        announcer = announcing(config, media)
        assert await announcer.play(order) == expected
        assert announcer.results == {expected: 1}

    fine = (8, "PCMA", 8000)
    await check("announcement-failed", loaded(tmp_path, digest), Media(fails=True), play(digest, fine))
    stopped = Media(fails=True, why="stopped")
    await check("announcement-interrupted", loaded(tmp_path, digest), stopped, play(digest, fine))
    await check("announcement-codec", loaded(tmp_path, digest), Media(), play(digest, (18, "G729", 8000)))
    await check("announcement-file", other, Media(), play("00" * 32, fine))
    (tmp_path / "told.wav").unlink()
    await check("announcement-file", loaded(tmp_path, digest), Media(), play(digest, fine))


async def test_another_configuration_brings_other_sounds(tmp_path: Path) -> None:
    first = write(tmp_path / "told.wav", sound())
    announcer = announcing(loaded(tmp_path, first), Media())
    assert isinstance(await announcer.play(play(first, (8, "PCMA", 8000))), Heard)
    second = write(tmp_path / "told.wav", sound() / 2)
    announcer.use(loaded(tmp_path, second))
    assert isinstance(await announcer.play(play(second, (8, "PCMA", 8000))), Heard)
    assert await announcer.play(play(first, (8, "PCMA", 8000))) == "announcement-file"
