"""A recording that runs, and whose orders it follows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from recorder.capture.call import CapturedRecording
from recorder.capture.orders import refusals
from recorder.channel import Channel, Message

log = structlog.get_logger()


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


async def see_to_end(recording: CapturedRecording, end: Coroutine[Any, Any, None]) -> None:
    """See a recording to its end; it is told of, whatever happens."""
    try:
        await end
    except Exception as error:
        log.error("a recording could not be ended", error=type(error).__name__)
        recording.give_up()


def refuse(client: Channel, message: Message, reason: str) -> None:
    """Tell of an order that it is not carried out."""
    for event in refusals(message, reason):
        client.send(event)
