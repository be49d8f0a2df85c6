"""A sweep in a process that can be killed. Arguments: root, wall clock, seconds since boot."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from purge import erase
from tests.fakes.clock import FakeClock
from tests.purge.installation import Installation

BATCH = 2


async def run(root: Path, now: datetime, boottime: float) -> None:
    """Say that it begins, sweep, say that it is done."""
    site = Installation(root)
    site.clock = FakeClock(now, boottime=boottime)
    await site.start()
    sys.stdout.write("begins\n")
    sys.stdout.flush()
    await site.sweep()
    sys.stdout.write("done\n")
    sys.stdout.flush()
    await site.catalogue.close()


if __name__ == "__main__":
    erase.BATCH = BATCH
    asyncio.run(run(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), float(sys.argv[3])))
