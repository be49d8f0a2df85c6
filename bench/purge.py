"""`python -m bench.purge [CLIPS]`: how long `doelband purge run` takes for clips that are all due at once.

Makes an installation in a temporary directory, writes the clips through the vault, starts the key service,
moves the clock behind their deadline and runs the command. Prints the figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import machine
from demo.installation import until
from recorder.config import load
from recorder.service import places
from recorder.service.founding import People, found, spans
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.signing import create_key, public_bytes
from storage.vault import ClipPlan, Vault
from tests.fakes.clips import plan
from tests.recorder.schemes import CONFIGURATION

AT_ONCE = 16


def main() -> None:
    """Run it and print what it took."""
    clips = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = directory / "config.toml"
        config.write_text(CONFIGURATION + '[clock]\noffset_file = "offset"\n', encoding="utf-8")
        asyncio.run(fill(config, clips))
        keys = subprocess.Popen([*DOELBAND, "keys", "--config", str(config)], stderr=subprocess.DEVNULL)
        try:
            until(lambda: places.keys(load(config)).exists(), bool, 30)
            purge(config)  # the first reading of the clock
            (directory / "offset").write_text(str(40 * 86400), encoding="ascii")
            begun = time.monotonic()
            report = purge(config)
            seconds = time.monotonic() - begun
        finally:
            keys.terminate()
            keys.wait()
    figures = {"clips": clips, "destroyed": len(report["destroyed"]), "certified": report["certified"]}
    print_json({**figures, "seconds": round(seconds, 1), "machine": machine.describe()})


async def fill(config: Path, clips: int) -> None:
    """Set up, and write clips of one purpose that have the same deadline."""
    loaded = load(config)
    loaded.runtime.directory.mkdir()
    management, council = (public_bytes(create_key(config.with_name(it))) for it in ("m.key", "c.key"))
    await found(loaded, People(management, council, None))
    clock = SystemClock()
    day = spans(loaded, clock)["coaching"][0]
    catalogue = await Catalogue.open(places.catalogue(loaded))
    vault = await Vault.open(loaded.storage.directory, catalogue, clock)
    turn = asyncio.Semaphore(AT_ONCE)

    async def write(wanted: ClipPlan) -> None:
        async with turn:
            writer = await vault.begin(wanted)
            await writer.finish("bye", wanted.started_at + timedelta(seconds=1))

    await asyncio.gather(*(write(plan(datetime.now(UTC), deadline_day=day)) for _ in range(clips)))
    await catalogue.close()


def purge(config: Path) -> dict[str, list[str]]:
    """One `doelband purge run`."""
    command = [*DOELBAND, "purge", "run", "--json", "--config", str(config)]
    report: dict[str, list[str]] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    )
    return report


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


DOELBAND = [sys.executable, "-m", "recorder"]

if __name__ == "__main__":
    main()
