"""The keys process: the day-key service and the openers, over the catalogue's grants and clips."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from portal.book import CatalogueBook
from portal.keyservice import KeyService
from recorder import control
from recorder.config import Config
from recorder.notify import Notifier, keep_telling
from recorder.service import places
from recorder.service.reloading import Reloader
from storage.catalog import Catalogue
from storage.clock import SystemClock

log = structlog.get_logger()


async def run(config: Config, path: Path, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT; SIGHUP reads the file at `path` again."""
    catalogue = await Catalogue.open(places.catalogue(config))
    clock = SystemClock(config.clock.offset_file)
    book = CatalogueBook(catalogue, clock)
    service = KeyService(places.keyring(config), retentions(config), book, clock)

    def status() -> str:
        return service.trouble or "keys are served"

    def served() -> None:
        log.info("keys are served")
        notifier.ready(status())

    async def follow(changed: Config) -> dict[str, Any]:
        return {"new_day_keys": await service.follow(retentions(changed))}

    reloader = Reloader(config, path, follow)
    server = await control.serve(places.keys_control(config), reloader.answering(_unknown))
    reloader.on_signal()
    serving = asyncio.create_task(service.run(places.keys(config), served))
    telling = asyncio.create_task(keep_telling(notifier, status))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    telling.cancel()
    notifier.stopping()
    server.close()
    await catalogue.close()


def retentions(config: Config) -> dict[str, timedelta]:
    """How long each purpose keeps its clips."""
    return {name: purpose.retention for name, purpose in config.purposes.items()}


def _unknown(message: control.Message) -> control.Message:
    return {"ok": False, "error": "unknown question"}
