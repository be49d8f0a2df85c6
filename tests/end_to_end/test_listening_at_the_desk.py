"""`doelband clips play` through PyAudio into an ALSA device that is a file: what a listener would hear."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from numpy.typing import NDArray

from demo.listening import correlation
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    PATIENCE_SECONDS,
    Recorder,
)
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.speech import voice

DEVICE = """
pcm.!default {{ type plug  slave {{ pcm sound  rate {rate}  channels 2  format S16_LE }} }}
pcm.sound {{ type file  file "{file}"  format raw  slave.pcm nothing }}
pcm.nothing {{ type null }}
"""
SECONDS = 2.0


@pytest.fixture(scope="module")
def clip(recorder: Recorder) -> str:
    """A recorded call in which both spoke for two seconds."""
    if importlib.util.find_spec("pyaudio") is None:
        pytest.skip("PyAudio is not there (needs gcc and Debian's portaudio19-dev, then `make environment`)")

    async def call() -> None:
        async with (
            Phone(AGENT, PASSWORD, recorder.address) as agent,
            Phone(CUSTOMER, PASSWORD, recorder.address) as customer,
        ):
            said = (voice("a customer", SECONDS), voice("an agent", SECONDS))
            await converse(customer, agent, BUSINESS_NUMBER, said)

    asyncio.run(call())
    return recorder.next_clip()


class Desk:
    """A listener's desk: a home, a place for temporary files, and a sound device that keeps what it plays."""

    def __init__(self, directory: Path, recorder: Recorder, rate: int = 8000) -> None:
        self.heard = directory / "heard.raw"
        self.home = directory / "home"
        self.home.mkdir()
        self._recorder = recorder
        sound = directory / "asound.conf"
        sound.write_text(DEVICE.format(file=self.heard, rate=rate), encoding="ascii")
        places = {it: str(self.home) for it in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME")}
        self._environment = {**os.environ, **places, "ALSA_CONFIG_PATH": str(sound)}

    def play(self, clip: str, *options: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        program = str(Path(sys.executable).with_name("doelband"))
        listener = self._recorder.listener("coaching")
        return subprocess.Popen(
            [program, "clips", "play", clip, *listener, *options, "--config", str(self._recorder.config)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=self._environment,
        )

    def samples(self) -> NDArray[np.int16]:
        """What has sounded, shape (n, 2)."""
        return np.frombuffer(self.heard.read_bytes(), dtype="<i2").reshape(-1, 2)


def finished(playing: subprocess.Popen[str]) -> str:
    """Wait for its end; returns what it said to stderr. It must have said nothing to stdout."""
    said, complained = playing.communicate(timeout=PATIENCE_SECONDS)
    assert (playing.returncode, said) == (0, ""), complained
    return complained


def test_what_is_heard_is_what_an_export_holds(recorder: Recorder, clip: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, recorder)
    assert finished(desk.play(clip)) == ""
    agent, outside = recorder.export(clip)
    whole = np.stack([agent, outside], axis=1)
    assert np.array_equal(desk.samples()[: len(whole)], whole)
    assert not desk.samples()[len(whole) :].any()


def test_nothing_of_the_sound_is_on_a_disk(recorder: Recorder, clip: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, recorder)
    finished(desk.play(clip))
    assert list(desk.home.rglob("*")) == []


def test_one_leg_alone_from_its_middle_on(recorder: Recorder, clip: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, recorder)
    finished(desk.play(clip, "--agent-volume", "0", "--skip", "1"))
    _, outside = recorder.export(clip)
    assert not desk.samples()[:, 0].any()
    assert np.array_equal(desk.samples()[: len(outside) - 8000, 1], outside[8000:])


def test_a_device_of_another_rate(recorder: Recorder, clip: str, tmp_path: Path) -> None:
    """Sound cards that know nothing of 8 kHz get what they know."""
    desk = Desk(tmp_path, recorder, rate=48_000)
    finished(desk.play(clip))
    agent, _ = recorder.export(clip)
    heard = desk.samples()[:, 0].astype(np.float64)
    assert max(correlation(agent, heard[phase::6]) for phase in range(6)) >= 0.99


def test_a_key_ends_it_and_the_terminal_is_as_before(recorder: Recorder, clip: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path, recorder)
    ours, theirs = pty.openpty()
    playing = desk.play(clip, "--skip", "0.5", stdin=theirs)
    assert playing.stderr is not None
    wait_for(playing.stderr, "space: pause")
    os.write(ours, b" ")  # paused: without the next key it would never end
    os.write(ours, b"q")
    finished(playing)


def test_listening_for_another_purpose_is_refused_and_silent(
    recorder: Recorder, clip: str, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, recorder)
    playing = desk.play(clip, "--purpose", "assessment")
    _, complained = playing.communicate(timeout=PATIENCE_SECONDS)
    assert playing.returncode == 4, complained
    assert not desk.heard.exists() or not len(desk.samples())


def wait_for(stream: IO[str], words: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while words not in (line := stream.readline()):
        assert line, "it ended without a word"
        assert time.monotonic() < end
