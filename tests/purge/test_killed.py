"""kill -9 at random instants of a run: the next run finishes it, and nothing tells that there were two."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.inspection import Inspector
from storage.lifecycle import State
from storage.signing import parse_public
from tests.purge.installation import DAYS, Installation

CLIPS = 12
KILLS = 4
SEED = 20260302


class Doomed(Installation):
    """Clips of two days that are due, and one that is not."""

    async def fill(self) -> None:
        await self.found()
        await self.sweep()
        self.due = [await self.record(DAYS[n % 2]) for n in range(CLIPS)]
        self.survivor = await self.record(DAYS[3])
        self.wait_until_over(DAYS[1])

    def copied(self, root: Path) -> Installation:
        shutil.copytree(self.places.storage.parent, root)
        copy = Installation(root)
        copy.clock = self.clock
        return copy

    def run(self, root: Path, seconds: float | None) -> tuple[float, bool]:
        """One run on `root`, killed after so many seconds of work; how long it took, and whether it was
        done.
        """
        clock = [self.clock.now().isoformat(), str(self.clock.boottime())]
        command = [sys.executable, "-m", "tests.purge.killed_run", str(root), *clock]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            begun = time.monotonic()
            if seconds is not None:
                time.sleep(seconds)  # the instant of the kill, not a wait for anything
                process.kill()
            is_done = process.stdout.read() == "done\n"
            return time.monotonic() - begun, is_done


@pytest.fixture
def chance() -> Iterator[random.Random]:
    yield random.Random(SEED)


async def test_a_killed_run_is_finished_by_the_next(tmp_path: Path, chance: random.Random) -> None:
    doomed = Doomed(tmp_path / "doomed")
    await doomed.fill()
    await doomed.catalogue.close()
    whole = doomed.copied(tmp_path / "whole")
    duration, is_done = doomed.run(tmp_path / "whole", None)
    assert is_done
    await _is_finished(whole, doomed)
    cut_short = 0
    for number in range(KILLS):
        root = tmp_path / f"killed-{number}"
        site = doomed.copied(root)
        cut_short += not doomed.run(root, chance.uniform(0, duration))[1]
        await site.start()
        await site.sweep()
        await site.catalogue.close()
        await _is_finished(site, doomed)
    assert cut_short, "no run was killed before it was done"


async def _is_finished(site: Installation, doomed: Doomed) -> None:
    await site.start()
    catalogue = site.catalogue
    states = {clip.id: clip.state for clip in await catalogue.clips.find()}
    assert states == {**dict.fromkeys(doomed.due, State.ERASED), doomed.survivor: State.SEALED}
    assert sorted(it.clip for it in await catalogue.erasures.certificates()) == sorted(doomed.due)
    for clip in doomed.due:
        actions = [row.action for row in reversed(await catalogue.audit.rows(clip))]
        assert actions == ["clip.open", "clip.seal", "clip.shred", "clip.bury", "purge.certify"]
    public = parse_public((site.places.storage / "recorder.key.pub").read_text())
    inspected = await Inspector(catalogue, site.vault.blobs, public, site.places).inspect()
    assert inspected.findings == ()
    await catalogue.close()
