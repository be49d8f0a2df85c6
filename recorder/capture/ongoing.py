"""A recording that runs, and whose orders it follows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from recorder.capture.call import CapturedRecording
from recorder.channel import Channel


@dataclass(slots=True)
class Ongoing:
    """`grace`: until when it waits for signalling to come back."""

    recording: CapturedRecording
    owner: Channel
    opened: asyncio.Task[None]
    grace: asyncio.TimerHandle | None = None

    @property
    def purpose(self) -> str:
        """What it is made for."""
        return self.recording.begin.plan.purpose

    def go_on(self, client: Channel) -> None:
        """Signalling has come back: the same part goes on, with what was held meanwhile."""
        if self.grace is not None:
            self.grace.cancel()
        self.owner = client
        self.recording.is_suspended = False
        self.recording.tell_opened()
