"""The purge process: a sweep a minute, as long as the service runs. It never gives up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from purge.sweep import Report, sweep
from recorder import control
from recorder.config import Config
from recorder.metrics import answered, counted, sample
from recorder.notify import Notifier, keep_telling
from recorder.service import places
from storage.blobs import Blobs
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import StorageError
from storage.keydoor import KeyDoor
from storage.reserve import Reserve

log = structlog.get_logger()

SWEEP_SECONDS = 60.0
RETRY_SECONDS = 5.0
GRACE = timedelta(days=1)
"""What is still there so long after its deadline day has ended is overdue, and an alarm."""


async def run(config: Config, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT; a sweep that has begun is finished."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    catalogue = await Catalogue.open(places.catalogue(config))
    blobs, door = Blobs(places.clips(config)), KeyDoor(places.keys(config))
    clock, reserve = SystemClock(config.clock.offset_file), places.reserve(config)
    record, urged = Record(), asyncio.Event()
    server = await control.serve(places.purge(config), record.answering(urged))
    notifier.ready("first sweep")
    said = "first sweep"
    telling = asyncio.create_task(keep_telling(notifier, lambda: said))
    while not stop.is_set():
        pause = SWEEP_SECONDS
        urged.clear()
        try:
            await asyncio.to_thread(_tend, reserve)
            report = await sweep(catalogue, blobs, door, clock)
            record.add(report)
            said = _report(report)
            pause = RETRY_SECONDS if report.withdrawn else pause
        except StorageError as error:
            record.failures += 1
            log.error("the purge could not finish, trying again", error=str(error))
            said = f"could not finish, trying again: {error}"
            pause = RETRY_SECONDS
        await _first_of(stop, urged, pause)
    telling.cancel()
    notifier.stopping()
    server.close()
    await catalogue.close()


@dataclass(slots=True)
class Record:
    """What the sweeps of this process have come to."""

    done: int = 0
    failures: int = 0
    distrusted: int = 0
    destroyed: int = 0
    succeeded_at: datetime | None = None

    def add(self, report: Report) -> None:
        """A sweep that ended; one that left files has destroyed their keys, and will be asked again."""
        self.destroyed += len(report.erased.buried)
        if not report.clock.is_trusted:
            self.distrusted += 1
        elif report.erased.left or report.withdrawn:
            self.failures += 1
        else:
            self.done += 1
            self.succeeded_at = report.at

    def answering(self, urged: asyncio.Event) -> Callable[[control.Message], control.Message]:
        """`answer`, and for signalling, which says that something was withdrawn: a sweep now."""

        def answer(question: control.Message) -> control.Message:
            if question.get("op") != "sweep":
                return self.answer(question)
            urged.set()
            return {"ok": True}

        return answer

    def answer(self, question: control.Message) -> control.Message:
        """To whoever asks for the metrics."""
        if question.get("op") != "metrics":
            return {"ok": False, "error": "unknown question"}
        results = {"done": self.done, "failed": self.failures, "clock-not-believed": self.distrusted}
        succeeded = self.succeeded_at.timestamp() if self.succeeded_at else 0
        return answered(
            [
                sample("purge_last_success_timestamp_seconds", succeeded),
                sample("purge_clips_destroyed_total", self.destroyed),
                *counted("purge_sweeps_total", results),
            ]
        )


async def _first_of(stop: asyncio.Event, urged: asyncio.Event, seconds: float) -> None:
    """Wait for either, or for so long."""
    waiting = {asyncio.create_task(it.wait()) for it in (stop, urged)}
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for it in waiting:
        it.cancel()


def _tend(reserve: Reserve) -> None:
    """Keep the reserve, or give it up, and say when recording must stop for want of room."""
    reserve.tend()
    if not reserve.has_room():
        log.error(
            "the disk is nearly full: no recording begins",
            free_bytes=reserve.free(),
            reserve_kept=reserve.is_kept,
            remedy="make room on the disk of the storage directory; what is due is destroyed",
        )


def _report(report: Report) -> str:
    """Log what is worth it; the line of status."""
    if not report.clock.is_trusted:
        why = report.clock.reason.value
        log.error(
            "the purge waits: the clock is not believed",
            why=why,
            remedy="set the clock right, or let two people run `doelband purge confirm-clock`",
        )
        return f"waits: the clock is not believed ({why})"
    if report.withdrawn:
        log.error("withdrawn clips are not destroyed yet, trying again", clips=len(report.withdrawn))
    destroyed, left = len(report.erased.buried), len(report.erased.left)
    if destroyed or left:
        log.info("destroyed", clips=destroyed, left=left)
    return f"last sweep {report.at:%H:%M:%S} UTC: {destroyed} clips destroyed, {left} left"
