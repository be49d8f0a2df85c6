"""The keys process: the day-key service and the openers, over the catalogue's grants and clips."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import structlog

from portal.book import CatalogueBook
from portal.keyservice import KeyService
from recorder.config import Config
from recorder.notify import Notifier, keep_telling
from recorder.service import places
from storage.catalog import Catalogue
from storage.clock import SystemClock

log = structlog.get_logger()


async def run(config: Config, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT."""
    catalogue = await Catalogue.open(places.catalogue(config))
    clock = SystemClock(config.clock.offset_file)
    retentions = {name: purpose.retention for name, purpose in config.purposes.items()}
    service = KeyService(places.keyring(config), retentions, CatalogueBook(catalogue, clock), clock)

    def status() -> str:
        return service.trouble or "keys are served"

    def served() -> None:
        log.info("keys are served")
        notifier.ready(status())

    serving = asyncio.create_task(service.run(places.keys(config), served))
    telling = asyncio.create_task(keep_telling(notifier, status))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    telling.cancel()
    notifier.stopping()
    await catalogue.close()
