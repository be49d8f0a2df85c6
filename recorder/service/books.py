"""Writing down what became of calls, behind the signalling: it never waits for the database."""

from __future__ import annotations

import asyncio

import structlog

from recorder.effects import NoteOutcome, NoteWithheld
from storage.catalog import Catalogue
from storage.errors import StorageError
from storage.model import CallOutcome, Outcome, Withheld

log = structlog.get_logger()

WAITING = 10_000
"""Notes that may wait for a database that is away; what comes on top is counted as lost, and said."""
RETRY_SECONDS = 1.0


class Books:
    """A queue of notes and the task that writes them, in order."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._notes: asyncio.Queue[NoteOutcome | NoteWithheld] = asyncio.Queue(WAITING)
        self.lost = 0

    def note(self, note: NoteOutcome | NoteWithheld) -> None:
        """Take a note; never waits."""
        try:
            self._notes.put_nowait(note)
        except asyncio.QueueFull:
            self.lost += 1

    async def write(self) -> None:
        """Write notes until cancelled. What the database refuses for now is tried again."""
        while True:
            note = await self._notes.get()
            while (error := await self._attempt(note)) is not None:
                log.error("call ledger not written, trying again", error=str(error), lost=self.lost)
                await asyncio.sleep(RETRY_SECONDS)
            self._notes.task_done()

    async def flush(self) -> None:
        """Wait until everything noted so far is written."""
        await self._notes.join()

    async def _attempt(self, note: NoteOutcome | NoteWithheld) -> StorageError | None:
        try:
            if isinstance(note, NoteWithheld):
                await self._catalogue.calls.withhold(note.day, Withheld(note.kind))
            else:
                await self._catalogue.calls.add(_outcome(note))
        except StorageError as error:
            return error
        return None


def _outcome(note: NoteOutcome) -> CallOutcome:
    return CallOutcome(
        call=note.call,
        started_at=note.started_at,
        line=note.line,
        agent=note.agent,
        outcome=Outcome(note.outcome),
        reasons=note.reasons,
        seconds=note.seconds,
        purposes=note.purposes,
    )
