"""The capture process over a real vault, as `doelband capture` is: `python -m bench.capturing DIRECTORY`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from recorder.capture.process import CaptureSettings
from recorder.capture.running import run_capture
from recorder.notify import Notifier
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.vault import Vault


async def main(directory: Path) -> None:
    """Until SIGTERM."""
    storage = directory / "storage"
    catalogue = await Catalogue.open(storage / "catalogue.db")
    vault = await Vault.open(storage, catalogue, SystemClock())
    settings = CaptureSettings(directory / "capture.sock", directory / "rings.sock")
    await run_capture(settings, vault, SystemClock(), Notifier())
    await catalogue.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
