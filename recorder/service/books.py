"""Writing down what became of calls, behind the signalling: it never waits for the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from recorder.config import Config
from recorder.effects import Destroy, KeepInMind, NoteOutcome, NoteWithheld, Unfinished
from recorder.service import places
from recorder.service.unfinished import UnfinishedCalls
from storage.catalog import Catalogue
from storage.errors import Unavailable
from storage.model import Became, CallOutcome, Outcome, Withheld

log = structlog.get_logger()

WAITING = 10_000
"""Notes that may wait for a database that is away; what comes on top is counted as lost, and said."""
RETRY_SECONDS = 1.0
GATE_SECONDS = 1.0
"""How soon an approval or a withdrawal is acted on."""
FLUSH_SECONDS = 2.0


Note: TypeAlias = NoteOutcome | NoteWithheld | Destroy


async def nobody() -> None:
    """There is no purge to be told."""


class Books:
    """A queue of notes and the task that writes them, in order; what is written needs no longer be kept in
    mind.
    """

    def __init__(
        self, unfinished: UnfinishedCalls | None = None, urge: Callable[[], Awaitable[None]] = nobody
    ) -> None:
        """`urge`: lets the purge know that there is something to destroy."""
        self._unfinished = unfinished
        self._notes: asyncio.Queue[Note] = asyncio.Queue()
        self._withdrawn: Counter[str] = Counter()  # calls that have to be destroyed, and are not yet
        self._over: set[str] = set()  # those of them that nothing else is to be noted of
        self._urge = urge
        self._lost = 0
        self.outcomes: Counter[str] = Counter()
        """Ended calls. What was withheld is not counted here: when it happened is nobody's business."""
        self.reasons: Counter[tuple[str, str]] = Counter()

    @property
    def waiting(self) -> int:
        """Notes that are not written yet."""
        return self._notes.qsize()

    @property
    def to_be_destroyed(self) -> int:
        """How many calls are withdrawn of which not every row is rid of names yet."""
        return len(self._withdrawn)

    @property
    def lost(self) -> int:
        """How many calls may be missing from the ledger."""
        return self._lost + (self._unfinished.lost if self._unfinished is not None else 0)

    async def keep(self, config: Config, look: Callable[[Catalogue], Awaitable[None]]) -> None:
        """Open the catalogue, however long that takes, then write the ledger and let the gate be judged."""
        catalogue = await opened_catalogue(config)
        await self.settle(catalogue)
        writing = asyncio.create_task(self.write(catalogue))
        try:
            while True:
                await look(catalogue)
                await asyncio.sleep(GATE_SECONDS)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.flush(), FLUSH_SECONDS)
            writing.cancel()
            await catalogue.close()

    def note(self, note: Note | KeepInMind) -> None:
        """Take a note; never waits. That something is to be destroyed is never lost."""
        if isinstance(note, KeepInMind):
            self._keep(note.call, note.unfinished)
            return
        if isinstance(note, NoteOutcome):
            self.outcomes[note.outcome] += 1
            self.reasons.update((note.outcome, reason) for reason in note.reasons)
        if isinstance(note, Destroy):
            self._withdrawn.update(note.calls)
        elif self._notes.qsize() >= WAITING:
            self._lost += 1
            return
        self._notes.put_nowait(note)

    def _keep(self, call: str, unfinished: Unfinished | None) -> None:
        if unfinished is None and call in self._withdrawn:
            self._over.add(call)
        elif self._unfinished is not None:
            self._unfinished.keep(call, unfinished)

    async def settle(self, catalogue: Catalogue) -> None:
        """Note the calls that a crash has cut off; what can never be noted is counted as lost."""
        while self._unfinished is not None:
            try:
                noted = await self._unfinished.settle(catalogue)
            except Unavailable as error:
                log.error("call ledger not written", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except Exception as error:
                self._lost += 1
                log.error("calls that were cut off are not noted", error=type(error).__name__)
                return
            if noted:
                log.warning("calls were cut off; they are noted as failed", calls=noted)
            return

    async def write(self, catalogue: Catalogue) -> None:
        """Write notes until cancelled. What the database refuses for now is tried again; what it will never
        take is counted as lost.
        """
        while True:
            note = await self._notes.get()
            if isinstance(note, Destroy):
                await self._destroy(catalogue, note)
            else:
                await self._write(catalogue, note)
            self._notes.task_done()

    async def _write(self, catalogue: Catalogue, note: NoteOutcome | NoteWithheld) -> None:
        while (error := await _attempt(catalogue, note)) is not None:
            log.error("call ledger not written", error=type(error).__name__, lost=self.lost)
            if not isinstance(error, Unavailable):
                self._lost += 1
                break
            await asyncio.sleep(RETRY_SECONDS)
        self._keep(note.call, None)

    async def _destroy(self, catalogue: Catalogue, note: Destroy) -> None:
        """Until it is done, whatever the database says."""
        while (error := await _withdraw(catalogue, note)) is not None:
            log.error("a withdrawn call is not destroyed yet; trying again", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        self._withdrawn -= Counter(note.calls)
        for call in self._over - self._withdrawn.keys():
            self._over.discard(call)
            self._keep(call, None)
        with contextlib.suppress(Exception):  # else it looks by itself, within a minute
            await self._urge()

    async def flush(self) -> None:
        """Wait until everything noted so far is written."""
        await self._notes.join()


async def _withdraw(catalogue: Catalogue, note: Destroy) -> Exception | None:
    try:
        await catalogue.withdrawals.withdraw(note.calls, note.day, note.reason)
    except Exception as error:
        return error
    return None


async def _attempt(catalogue: Catalogue, note: NoteOutcome | NoteWithheld) -> Exception | None:
    try:
        if isinstance(note, NoteWithheld):
            await catalogue.calls.withhold(note.day, Withheld(note.kind))
        else:
            await catalogue.calls.add(_outcome(note))
    except Exception as error:  # whatever it is, the next note is still written
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
        seconds=max(0.0, note.seconds),
        purposes=note.purposes,
        became={name: Became(Outcome(word), reasons) for name, (word, reasons) in note.became.items()},
    )


async def opened_catalogue(config: Config) -> Catalogue:
    """The catalogue, however long it takes."""
    while True:
        try:
            return await Catalogue.open(places.catalogue(config))
        except Exception as error:  # calls pass all the same; nothing is recorded meanwhile
            log.error("catalogue not opened; calls pass, nothing is recorded", why=str(error))
            await asyncio.sleep(RETRY_SECONDS)
