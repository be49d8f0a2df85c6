"""Capture in this process: a ring, a vault in memory, signalling, and a clock that is moved by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from recorder.capture.process import Capture, CaptureSettings
from recorder.channel import Dialler, Message
from recorder.ring import SIDE_A, SIDE_B, RingWriter
from tests.fakes.orders import START, begin
from tests.fakes.relay import Tap, soon
from tests.fakes.rtp import PCMA, SAMPLES, packet, speech
from tests.fakes.vault import FakeClip, FakeVault

MS = 1_000_000
AGENT, OUTSIDE = speech(1, 400), speech(2, 400)


class CaptureSite:
    """Capture with a ring, a vault and signalling; time stands still until it is moved."""

    def __init__(self, directory: Path, grace_seconds: float) -> None:
        self.tap = Tap(slots=1024)
        self.writer = RingWriter(self.tap.fd)
        self.vault = FakeVault()
        self.ms = 0
        self.is_stopped = False
        settings = CaptureSettings(
            directory / "capture.sock", directory / "rings.sock", grace_seconds=grace_seconds
        )
        self.capture = Capture(settings, self.vault, [self.tap.fd], self.now, lambda: (5000 + self.ms) * MS)
        self.events: list[Message] = []
        self.signalling = Dialler(settings.socket, self.events.append)

    def now(self) -> datetime:
        return START + timedelta(milliseconds=self.ms)

    async def begin(self, *purposes: str, **changes: Any) -> list[FakeClip]:
        """Order a recording and wait until its clips are open."""
        opened = len(self.vault.clips)
        message = begin(*purposes, **changes)
        self.signalling.send(message)
        await soon(lambda: len(self.vault.clips) == opened + len(message["recordings"]))
        await soon(lambda: len(self.told("opened")) >= len(self.vault.clips))
        return self.vault.clips[opened:]

    def hear(
        self,
        side: int,
        index: int,
        payload: bytes,
        *,
        session: int = 7,
        kind: int = PCMA,
        step: int = SAMPLES,
    ) -> None:
        """Packet `index` of a side arrives now. `step`: of its RTP clock from packet to packet."""
        data = packet(index, index * step, payload, ssrc=side + 1, payload_type=kind)
        assert self.writer.write(session, side, (5000 + self.ms) * MS, memoryview(data))

    def talk(self, until_ms: int, session: int = 7) -> None:
        """Both sides speak, the agent on side a; there is a beat every 100 ms."""
        while self.ms < until_ms:
            index = self.ms // 20
            self.hear(SIDE_A, index, AGENT[index], session=session)
            self.hear(SIDE_B, index, OUTSIDE[index], session=session)
            self.ms += 20
            if self.ms % 100 == 0:
                self.capture.beat()

    async def end(self, op: str, **rest: Any) -> None:
        """Send the call's last order and wait for its last event."""
        before = len(self.told("sealed") + self.told("failed"))
        message = {"op": op, "session": 7, "ended_at": self.now().isoformat(), **rest}
        self.signalling.send(message)
        await soon(lambda: len(self.told("sealed") + self.told("failed")) > before)

    def reconnect(self) -> None:
        """Signalling has come back."""
        self.signalling = Dialler(self.capture.path, self.events.append)

    def told(self, event: str) -> list[Message]:
        return [each for each in self.events if each["event"] == event]

    async def stop(self) -> None:
        """As SIGTERM does."""
        if not self.is_stopped:
            self.is_stopped = True
            await self.capture.stop()

    async def close(self) -> None:
        self.signalling.close()
        await self.stop()
        self.writer.close()
        self.tap.close()


def said(voice: list[bytes], first: int, last: int) -> list[tuple[int, bytes]]:
    return [(index * SAMPLES, voice[index]) for index in range(first, last)]
