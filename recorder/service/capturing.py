"""The capture process over the vault: what a crash left open is sealed before the first ring is read."""

from __future__ import annotations

import structlog

from recorder.capture.process import CaptureSettings
from recorder.capture.running import run_capture
from recorder.config import Config
from recorder.notify import Notifier
from recorder.service import places
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.vault import Vault

log = structlog.get_logger()


async def run(config: Config, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT."""
    catalogue = await Catalogue.open(places.catalogue(config))
    clock = SystemClock(config.clock.offset_file)
    vault = await Vault.open(config.storage.directory, catalogue, clock, places.reserve(config))
    recovered = await vault.recover()
    if recovered.sealed or recovered.removed:
        log.warning("recovered", sealed=len(recovered.sealed), removed=len(recovered.removed))
    if recovered.failed or recovered.strays:
        log.error(
            "clips need somebody's attention",
            not_sealed=len(recovered.failed),
            without_row=len(recovered.strays),
            remedy="run `doelband fsck`",
        )
    settings = CaptureSettings(places.capture(config), places.rings(config), places.capture_status(config))
    await run_capture(settings, vault, clock, notifier)
    await catalogue.close()
