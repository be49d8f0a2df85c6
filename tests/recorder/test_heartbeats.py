"""Under `serve` a child that hangs is killed: silence counts from readiness on, while somebody listens."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.notify import from_environment
from recorder.service.children import Child
from recorder.service.heartbeats import Ear, Heartbeat

LIMIT_SECONDS = 20.0
READY = b"READY=1\nSTATUS=keys are served"
BEAT = b"WATCHDOG=1\nSTATUS=READY=1"
WAITING = b"STATUS=waiting for the media broker"


@pytest.mark.parametrize(
    ("heard", "hangs"),
    [
        ([], False),
        ([100.0], False),
        ([WAITING, 100.0], False),
        ([BEAT, 100.0], False),  # its status is not its readiness
        ([READY, 19.9], False),
        ([READY, 20.0], True),
        ([READY, 10.0, 10.0], True),
        ([READY, 19.0, BEAT, 19.0], False),
        ([READY, 19.0, BEAT, 20.0], True),
        ([READY, 19.0, b"RELOADING=1\nMONOTONIC_USEC=1", 19.0], False),
        ([100.0, READY, 19.0], False),
    ],
)
def test_a_process_hangs_that_was_ready_and_is_silent(heard: list[bytes | float], hangs: bool) -> None:
    heartbeat, judged = Heartbeat(LIMIT_SECONDS), False
    for it in heard:
        if isinstance(it, bytes):
            heartbeat.hear(it)
        else:
            judged = heartbeat.pass_by(it)
    assert judged is hangs


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(tmp_path / "keys.beat", LIMIT_SECONDS)
    yield made
    made.close()


def test_a_child_is_told_where_and_how_often_to_beat(ear: Ear) -> None:
    assert from_environment(ear.environment, os.getpid()).every_seconds == pytest.approx(LIMIT_SECONDS / 3)


def test_what_came_while_nobody_listened_counts_before_the_silence(ear: Ear) -> None:
    notifier = from_environment(ear.environment, os.getpid())
    notifier.ready("")
    assert not ear.is_missed(LIMIT_SECONDS - 1)
    notifier.beat("")
    assert not ear.is_missed(LIMIT_SECONDS - 1)
    assert ear.is_missed(1)


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_new_run_is_not_judged_by_what_the_former_one_said(ear: Ear, is_heard: bool) -> None:
    from_environment(ear.environment, os.getpid()).ready("")
    if is_heard:
        assert not ear.is_missed(1)
    ear.begin()
    assert not ear.is_missed(LIMIT_SECONDS)


async def test_a_child_that_hangs_is_killed(ear: Ear) -> None:
    child = Child("keys", [], ear)
    child.process = await asyncio.create_subprocess_exec("sleep", "60")
    notifier = from_environment(ear.environment, os.getpid())
    notifier.ready("")
    child.kill_if_hung(LIMIT_SECONDS - 1)
    notifier.beat("")
    child.kill_if_hung(1)
    assert child.pid is not None
    child.kill_if_hung(LIMIT_SECONDS)
    assert await asyncio.wait_for(child.process.wait(), 10) == -9
