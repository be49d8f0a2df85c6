"""Telephones of different makes, handled alike: what a person can do with one, and what its display shows."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from demo import phone as pyvoip
from tests.end_to_end.peers.baresip import Baresip
from tests.end_to_end.peers.linphone import Linphone
from tests.end_to_end.peers.processes import PATIENCE_SECONDS, until

WAV_HEADER_BYTES = 44
PIECE = 800
"""Samples: 100 ms. A voice was heard if a few of its pieces were, for a phone may stumble."""
PIECES, EVERY = 3, 2
HEARD_SAMPLES = 12 * 8000
ALIKE = 0.9
LOOKS, LOOK_SECONDS = 40, 0.25


class Handset(Protocol):
    """A registered phone that rings until somebody takes the call. Waiting ends in TimeoutError.

    It says `speech` over and over: samples (n,), int16, 8,000 a second.
    """

    number: str
    speech: NDArray[np.int16]

    async def dial(self, number: str) -> None:
        """Begin a call."""

    async def rings(self) -> None:
        """Wait until somebody calls here."""

    async def hears_ringing(self) -> None:
        """Wait until the called phone rings."""

    async def accept(self) -> None: ...
    async def talks(self) -> None:
        """Wait until the call is up."""

    async def hang_up(self) -> None:
        """End the call, or refuse it while it rings."""

    async def ended(self) -> str:
        """Wait until the call is over; returns the refusal's status, or nothing."""

    async def hold(self) -> None: ...
    async def resume(self) -> None: ...
    async def is_held(self) -> None:
        """Wait until the other side has put this phone on hold."""

    async def is_resumed(self) -> None: ...
    async def transfer(self, number: str) -> None: ...
    def heard(self) -> NDArray[np.int16]:
        """What its last stream has brought so far."""

    def story(self) -> str:
        """What it has shown since it began."""


async def hears(listener: Handset, speech: NDArray[np.int16], since: int = 0) -> bool:
    """Whether a voice gets into what the listener's phone keeps; waits for it.

    `since`: only what comes after so many samples, unless a new stream begins.
    """
    for _ in range(LOOKS):
        sound = listener.heard()
        if is_heard(speech, sound[since if len(sound) >= since else 0 :].astype(float)):
            return True
        await asyncio.sleep(LOOK_SECONDS)
    return False


def is_heard(speech: NDArray[np.int16], sound: NDArray[np.float64]) -> bool:
    """Whether enough pieces of `speech` occur in `sound`; both (n,)."""
    sound = sound[-HEARD_SAMPLES:]
    if len(sound) < 2 * PIECE:
        return False
    size = 1 << (len(sound) + PIECE).bit_length()
    spectrum = np.fft.rfft(sound, size)
    energies = np.concatenate(([0.0], np.cumsum(sound**2)))
    energies = energies[PIECE:] - energies[:-PIECE] + 1.0
    found = 0
    for start in range(0, len(speech) - PIECE, EVERY * PIECE):
        piece = speech[start : start + PIECE].astype(float)
        products = np.fft.irfft(spectrum * np.conj(np.fft.rfft(piece, size)), size)[: len(energies)]
        found += bool((np.abs(products) / np.sqrt(energies * (piece**2).sum())).max() > ALIKE)
    return found >= PIECES


def status(text: str) -> str:
    """The status in what a phone says of a refusal; nothing if there is none."""
    match = re.search(r"\b([3-6]\d\d)\b", text)
    return match[1] if match else ""


def kept(file: Path) -> NDArray[np.int16]:
    """The samples in a WAV file that is still being written, so that its header says nothing yet."""
    data = file.read_bytes()[WAV_HEADER_BYTES:] if file.exists() else b""
    return np.frombuffer(data[: len(data) // 2 * 2], np.int16)


class BaresipHandset:
    """`phone`: one that does not answer by itself."""

    def __init__(self, phone: Baresip, speech: NDArray[np.int16]) -> None:
        self.phone = phone
        self.number, self.speech = phone.user, speech

    async def dial(self, number: str) -> None:
        self.phone.call(number)

    async def rings(self) -> None:
        await self.phone.sees("CALL_INCOMING")

    async def hears_ringing(self) -> None:
        await self.phone.sees("CALL_RINGING")

    async def accept(self) -> None:
        self.phone.tell("accept")

    async def talks(self) -> None:
        await self.phone.sees("CALL_ESTABLISHED")

    async def hang_up(self) -> None:
        self.phone.tell("hangup")

    async def ended(self) -> str:
        return status(await self.phone.sees("CALL_CLOSED"))

    async def hold(self) -> None:
        self.phone.tell("hold")
        await self.phone.sees("CALL_REMOTE_SDP", param="answer")

    async def resume(self) -> None:
        self.phone.tell("resume")
        await self.phone.sees("CALL_REMOTE_SDP", param="answer")

    async def is_held(self) -> None:
        await self.phone.sees("CALL_REMOTE_SDP", param="offer", remoteaudiodir="recvonly")

    async def is_resumed(self) -> None:
        await self.phone.sees("CALL_REMOTE_SDP", param="offer", remoteaudiodir="sendrecv")

    async def transfer(self, number: str) -> None:
        self.phone.transfer(number)

    def heard(self) -> NDArray[np.int16]:
        return kept(self.phone.folder / "heard.wav")

    def story(self) -> str:
        return self.phone.story()


class LinphoneHandset:
    def __init__(self, phone: Linphone, speech: NDArray[np.int16]) -> None:
        self.phone = phone
        self.number, self.speech = phone.user, speech

    async def dial(self, number: str) -> None:
        await self.phone.dial(number)

    async def rings(self) -> None:
        await self.phone.sees("incoming")

    async def hears_ringing(self) -> None:
        await self.phone.sees("ringing")

    async def accept(self) -> None:
        await self.phone.tell("answer")

    async def talks(self) -> None:
        await self.phone.sees("talking")

    async def hang_up(self) -> None:
        await self.phone.tell("terminate")

    async def ended(self) -> str:
        return status(await self.phone.sees("closed"))

    async def hold(self) -> None:
        await self.phone.tell("pause")
        await self.phone.sees("held")

    async def resume(self) -> None:
        await self.phone.tell("resume 1")
        await self.phone.sees("talking")

    async def is_held(self) -> None:
        await self.phone.sees("held by other")

    async def is_resumed(self) -> None:
        await self.phone.sees("talking")

    async def transfer(self, number: str) -> None:
        await self.phone.transfer(number)

    def heard(self) -> NDArray[np.int16]:
        return kept(self.phone.folder / "heard.wav")

    def story(self) -> str:
        return self.phone.story()


class PyvoipHandset:
    """pyVoIP, of demo/phone.py: takes calls by itself, after a second, and cannot hold or transfer."""

    def __init__(self, phone: pyvoip.Phone, speech: NDArray[np.int16], decode: Decode) -> None:
        self.phone, self.speech = phone, speech
        self.number = phone.number
        self._decode = decode
        self._dialling: asyncio.Future[pyvoip.Conversation] | None = None

    async def dial(self, number: str) -> None:
        self._dialling = asyncio.ensure_future(asyncio.to_thread(self.phone.call, number))

    async def rings(self) -> None:
        await until(lambda: bool(self.phone.conversations))

    async def hears_ringing(self) -> None:
        """It does not tell."""

    async def accept(self) -> None:
        """It does so by itself."""

    async def talks(self) -> None:
        if self._dialling is not None:
            await self._dialling
        await asyncio.to_thread(self.phone.conversation, 0)

    async def hang_up(self) -> None:
        await asyncio.to_thread(self.phone.hang_up)

    async def ended(self) -> str:
        ended = await asyncio.to_thread(self.phone.conversations[0].ended.wait, PATIENCE_SECONDS)
        if not ended:
            raise TimeoutError("pyVoIP's call did not end")
        return ""

    async def hold(self) -> None:
        raise NotImplementedError

    resume = is_held = is_resumed = hold

    async def transfer(self, number: str) -> None:
        raise NotImplementedError

    def heard(self) -> NDArray[np.int16]:
        return self._decode(self.phone.conversations[0].heard())

    def story(self) -> str:
        return f"pyVoIP {self.number}: {len(self.phone.conversations)} calls"


class Decode(Protocol):
    def __call__(self, ulaw: bytes) -> NDArray[np.int16]: ...
