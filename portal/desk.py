"""Listening at the desk: the sound of a clip through PortAudio, never through a file.

`Player` is what the keys do, without a clock or a device; `speaker` is the sound device; `play` brings the
two together. PyAudio is the extra `playback`, and is asked for before a clip is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from portal.decoding import Samples
from portal.playback import Sound
from storage.errors import Unavailable

PIECES = 25
"""Looks at the keyboard in a second."""
SKIP_SECONDS = 5
STEP_PERCENT = 10
LOUDEST_PERCENT = 200
DEVICE_RATES = (48_000, 44_100, 8_000)
"""For which a clip is resampled when the device does not take the clip's own."""

KEYS = (
    ("space", "pause, go on"),
    ("left, right", f"{SKIP_SECONDS} seconds back, forth"),
    ("a, A", "the agent softer, louder"),
    ("o, O", "the outside party softer, louder"),
    ("q", "end"),
)

Say = Callable[["Player"], None]
Write = Callable[[Samples], None]


@dataclass(slots=True)
class Player:
    """`volumes`: per cent, agent and outside party. `position` in samples."""

    sound: Sound
    volumes: list[int] = field(default_factory=lambda: [100, 100])
    position: int = 0
    is_paused: bool = False
    has_ended: bool = False

    def press(self, key: str) -> None:
        """What a key does; one that means nothing does nothing."""
        if key == "q":
            self.has_ended = True
        elif key == " ":
            self.is_paused = not self.is_paused
        elif key in ("left", "right"):
            self.skip(SKIP_SECONDS if key == "right" else -SKIP_SECONDS)
        elif key.lower() in ("a", "o"):
            leg, step = "ao".index(key.lower()), STEP_PERCENT if key.isupper() else -STEP_PERCENT
            self.volumes[leg] = min(max(self.volumes[leg] + step, 0), LOUDEST_PERCENT)

    def skip(self, seconds: float) -> None:
        """Go back or forth, to the beginning or the end at most."""
        self.position = min(max(self.position + int(seconds * self.sound.rate), 0), len(self.sound.samples))

    def next_piece(self) -> Samples:
        """The next 40 ms as they sound now, shape (m, 2), silence while paused; m = 0 after the end."""
        length = self.sound.rate // PIECES
        if self.is_paused:
            return np.zeros((length, 2), dtype=np.int16)
        piece = self.sound.samples[self.position : self.position + length]
        self.position += len(piece)
        self.has_ended = self.has_ended or not len(piece)
        loud = piece.astype(np.float32) * (np.array(self.volumes, dtype=np.float32) / 100)
        heard: Samples = np.clip(np.rint(loud), -32768, 32767).astype(np.int16)
        return heard


def require() -> Any:
    """The module `pyaudio`. Raises Unavailable, saying how to get it."""
    try:
        import pyaudio
    except ImportError as error:
        raise Unavailable(
            "play a clip",
            "PyAudio is missing; run `pip install 'doelband[playback]'` (on Debian first "
            "`apt install gcc python3-dev portaudio19-dev`), or use `doelband clips export`",
        ) from error
    return pyaudio


@contextmanager
def speaker(device: str | None = None) -> Iterator[Callable[[int], Write]]:
    """The output device whose name contains `device`, or the default one. Call it once with the rate of what
    is to be heard, and write pieces to what it returns.

    Raises Unavailable when there is no such device.
    """
    pyaudio = require()
    with _quiet():
        audio = pyaudio.PyAudio()
    try:
        index = _device(audio, device)
        fallback = next((it for it in DEVICE_RATES if _supports(audio, pyaudio, index, it)), None)
        if fallback is None:
            raise Unavailable("play a clip", "the sound device takes neither 8, 44.1 nor 48 kHz stereo")
        with ExitStack() as streams:

            def tuned(rate: int) -> Write:
                taken = rate if _supports(audio, pyaudio, index, rate) else fallback
                stream, resample = _stream(audio, pyaudio, index, taken), resampler(rate, taken)
                streams.callback(stream.close)
                streams.callback(stream.stop_stream)  # waits until all of it has sounded
                return lambda piece: stream.write(resample(piece).tobytes())

            yield tuned
    except OSError as error:
        raise Unavailable("play a clip", f"look at the sound device ({error})") from error
    finally:
        audio.terminate()


def play(player: Player, write: Write, keys: Callable[[], str], say: Say) -> None:
    """Until the end, or until a key ends it. `keys` returns the next key that was pressed, "" for none."""
    while not player.has_ended:
        if key := keys():
            player.press(key)
        write(player.next_piece())
        say(player)


def _device(audio: Any, wanted: str | None) -> int:
    """Raises Unavailable when there is no such output device, naming those that there are."""
    outputs = [
        it
        for it in map(audio.get_device_info_by_index, range(audio.get_device_count()))
        if it["maxOutputChannels"] >= 2
    ]
    names = [str(it["name"]) for it in outputs]
    if not outputs:
        raise Unavailable("play a clip", "this machine has no sound device; use `doelband clips export`")
    if wanted is None:
        try:
            return int(audio.get_default_output_device_info()["index"])
        except OSError:
            return int(outputs[0]["index"])
    for it in outputs:
        if wanted.lower() in str(it["name"]).lower():
            return int(it["index"])
    raise Unavailable("play a clip", f"no sound device {wanted!r}; there are {', '.join(names)}")


def _stream(audio: Any, pyaudio: Any, index: int, rate: int) -> Any:
    with _quiet():
        return audio.open(
            rate=rate, channels=2, format=pyaudio.paInt16, output=True, output_device_index=index
        )


def _supports(audio: Any, pyaudio: Any, index: int, rate: int) -> bool:
    try:
        with _quiet():
            return bool(
                audio.is_format_supported(
                    rate, output_device=index, output_channels=2, output_format=pyaudio.paInt16
                )
            )
    except ValueError:
        return False


def resampler(own: int, rate: int) -> Callable[[Samples], Samples]:
    """What makes pieces of `own` Hz into pieces of `rate` Hz, one after the other; an empty one ends them."""
    if rate == own:
        return lambda piece: piece
    import soxr

    stream: Any = soxr.ResampleStream(own, rate, 2, dtype="int16")

    def resample(piece: Samples) -> Samples:
        sound: Samples = stream.resample_chunk(piece, last=not len(piece))
        return sound

    return resample


@contextmanager
def _quiet() -> Iterator[None]:
    """ALSA's library complains to stderr of every device that is not there."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
