"""A call that was in progress when the signalling process died.

Who speaks in it is no longer known, so it is never recorded again. Its media goes on through the same ports:
they are aimed afresh as the parties describe themselves again, and given back when the call ends.
"""

from __future__ import annotations

from datetime import datetime

from recorder.effects import CloseMedia, Effect, Tap
from recorder.ends import Ends
from sip_hooks.events import CallEnded, Event, MediaNegotiated


class RestoredCall:
    """One pass of such a call. `number` is the one that the relay knows its media by."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._ends = Ends()

    def begin(self) -> list[Effect]:
        """Take the media over; nothing of it goes into the ring."""
        return [Tap(self.number, "none")]

    def on_event(self, event: Event, at: datetime) -> list[Effect]:
        """Take in one event of this call."""
        if isinstance(event, CallEnded):
            return [CloseMedia(self.number)]
        if isinstance(event, MediaNegotiated):
            self._ends.learn(event)
            return [*self._ends.remotes(self.number)]
        return []
