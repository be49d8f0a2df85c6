"""A full disk: no clip begins, what is open is sealed, what is due is destroyed. On a small file system."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.errors import Refused, WriteFailed
from storage.lifecycle import State
from storage.reserve import Reserve
from storage.vault import Vault
from tests.fakes.clips import plan
from tests.fakes.clock import START
from tests.purge.installation import DAYS, Installation
from tests.storage.place import speak

SIZE = 4_000_000
DISK = 16_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    options = f"size={DISK},mode=700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(tmp_path)], check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filling").open("wb") as file:
        try:
            while True:
                file.write(bytes(65536))
                file.flush()
        except OSError:
            return


def test_the_reserve_is_made_given_up_and_made_again(disk: Path) -> None:
    reserve = Reserve(disk, SIZE)
    reserve.tend()
    assert (reserve.is_kept, reserve.has_room()) == (True, True)
    fill(disk)
    assert not reserve.has_room()
    reserve.tend()
    assert not reserve.is_kept and reserve.free() >= SIZE
    (disk / "filling").unlink()
    reserve.tend()
    assert reserve.is_kept


def test_without_a_reserve_nothing_is_refused(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 0)
    reserve.tend()
    reserve.check()
    assert not reserve.relieve() or not reserve.is_kept


async def test_on_a_full_disk_clips_are_sealed_and_destroyed(disk: Path) -> None:
    site = Installation(disk)
    await site.found()
    await site.sweep()
    reserve = Reserve(site.places.storage, SIZE)
    reserve.tend()
    vault = await Vault.open(site.places.storage, site.catalogue, site.clock, reserve)
    due = await site.record(DAYS[0])
    writer = await vault.begin(plan(deadline_day=DAYS[3]))
    fill(disk)
    with pytest.raises(Refused) as refusal:
        await vault.begin(plan(deadline_day=DAYS[3]))
    assert refusal.value.reason == "disk-low"
    speak(writer, 3000)
    with pytest.raises(WriteFailed):
        await writer.finish("bye", START + timedelta(seconds=3))
    assert (await site.catalogue.clips.show(writer.clip_id)).state is State.SEALED
    assert not reserve.is_kept
    site.wait_until_over(DAYS[0])
    assert (await site.sweep()).erased.buried == (due,)
    await site.catalogue.close()
