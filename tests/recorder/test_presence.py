"""Who runs: the kernel's word, which ends with the process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from recorder import handover, presence, ring
from recorder.channel import Listener
from recorder.relay.link import WorkerLink
from tests.fakes.holder import held
from tests.fakes.relay import soon


def test_a_held_lock_names_its_process_and_cannot_be_had(tmp_path: Path) -> None:
    place = tmp_path / "keys.lock"
    with held(place) as pid:
        assert presence.holder(place) == pid
        with pytest.raises(presence.Held, match=str(pid)):
            presence.claim(place)


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    place = tmp_path / "keys.lock"
    with held(place):
        pass
    assert place.exists()
    assert presence.holder(place) is None


def test_who_never_ran_holds_nothing(tmp_path: Path) -> None:
    assert presence.holder(tmp_path / "keys.lock") is None


def test_a_claim_lasts_until_the_process_ends(tmp_path: Path) -> None:
    place = tmp_path / "keys.lock"
    presence.claim(place)
    look = (
        f"import pathlib; from recorder import presence; print(presence.holder(pathlib.Path({str(place)!r})))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert int(seen.stdout) == os.getpid()


async def test_a_relay_takes_its_predecessors_name_when_that_is_gone_for_good(tmp_path: Path) -> None:
    """A killed process closes its control socket before it gives its lock back, or after."""
    fd, links = ring.create(16), list[WorkerLink]()

    def employ(connection: socket.socket) -> None:
        handover.give(connection, [fd], 1)
        links.append(WorkerLink(connection, lambda: None))

    door = Listener(tmp_path / "relays.sock", employ)
    with held(tmp_path / "relay-1.lock") as predecessor:
        command = ["-m", "recorder", "relay", "--socket", str(tmp_path / "relays.sock")]
        relay = await asyncio.create_subprocess_exec(sys.executable, *command)
        await soon(lambda: bool(links))
        assert (await links[0].stats())["calls"] == 0  # it works at once
        assert presence.holder(tmp_path / "relay-1.lock") == predecessor
    await soon(lambda: presence.holder(tmp_path / "relay-1.lock") == relay.pid)
    links[0].close()
    assert await asyncio.wait_for(relay.wait(), 10) == 0
    door.close()
    os.close(fd)
