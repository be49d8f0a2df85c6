"""The purge process: a sweep a minute, as long as the service runs. It never gives up."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import structlog

from purge.sweep import Report, sweep
from recorder.config import Config
from recorder.notify import Notifier, keep_telling
from recorder.service import places
from storage.blobs import Blobs
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import StorageError
from storage.keydoor import KeyDoor

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
    clock = SystemClock(config.clock.offset_file)
    notifier.ready("first sweep")
    said = "first sweep"
    telling = asyncio.create_task(keep_telling(notifier, lambda: said))
    while not stop.is_set():
        pause = SWEEP_SECONDS
        try:
            said = _report(await sweep(catalogue, blobs, door, clock))
        except StorageError as error:
            log.error("the purge could not finish, trying again", error=str(error))
            said = f"could not finish, trying again: {error}"
            pause = RETRY_SECONDS
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            continue
    telling.cancel()
    notifier.stopping()
    await catalogue.close()


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
    destroyed, left = len(report.erased.buried), len(report.erased.left)
    if destroyed or left:
        log.info("destroyed", clips=destroyed, left=left)
    return f"last sweep {report.at:%H:%M:%S} UTC: {destroyed} clips destroyed, {left} left"
