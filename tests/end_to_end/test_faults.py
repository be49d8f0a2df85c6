"""Each fault strikes while two people talk: every packet of theirs arrives, nothing is kept half, the cause
and what to do are said, and when the fault is gone the next call is recorded as if nothing had been.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.installation import until
from tests.end_to_end.installation import PATIENCE_SECONDS, Recorder, serving
from tests.end_to_end.test_a_crash_does_not_end_a_call import SOON, call_during

STORAGE_BYTES = 48 << 20
LITTLE_RESERVE = {'directory = "storage"': 'directory = "storage"\nreserve = "4 MB"'}
TALKED_SECONDS = 1.0
MEDIA_PORTS = re.compile(r'ports = "(\d+)-(\d+)"')
NO_OVERRIDE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without the right to pass over a directory's mode."""


Fault = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """An installation of its own, on a small disk of its own where root can mount one."""
    directory = tmp_path_factory.mktemp("troubled")
    is_root = os.geteuid() == 0
    with small_disk(directory / "storage") if is_root else contextlib.nullcontext():
        recorder = Recorder(directory, {**SOON, **LITTLE_RESERVE})
        recorder.wrapper = (*(NO_OVERRIDE if is_root else ()), "env", "DOELBAND_HUNG_AFTER=600")
        with serving(recorder):
            yield recorder


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[None]:
    place.mkdir(mode=0o700)
    options = f"size={STORAGE_BYTES},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def call(
    recorder: Recorder, passing: Fault = contextlib.nullcontext, lasting: Fault = contextlib.nullcontext
) -> dict[str, Any]:
    """As `one_call`; again when this machine was too busy to find ports within 50 ms, no fault of these."""
    row = one_call(recorder, passing, lasting)
    return one_call(recorder, passing, lasting) if row["reasons"] == ["failure", "not-anchored"] else row


def one_call(
    recorder: Recorder, passing: Fault = contextlib.nullcontext, lasting: Fault = contextlib.nullcontext
) -> dict[str, Any]:
    """A call, all of its audio heard; returns its row of the ledger. A `passing` fault comes and goes while
    they talk, a `lasting` one is there from before the call until after it.
    """
    before = {it["call"] for it in ledger(recorder)}

    async def disaster() -> None:
        await asyncio.sleep(TALKED_SECONDS)
        if passing is not contextlib.nullcontext:
            with passing():
                await asyncio.sleep(TALKED_SECONDS)
            await asyncio.sleep(TALKED_SECONDS)

    with lasting():
        asyncio.run(call_during(recorder, disaster))
    return until(lambda: [it for it in ledger(recorder) if it["call"] not in before], bool, PATIENCE_SECONDS)[
        0
    ]


def ledger(recorder: Recorder) -> list[dict[str, Any]]:
    """The calls that have ended, read from the catalogue itself, since it is asked often."""
    rows = asked(recorder, "SELECT call, outcome, reasons FROM call_outcome")
    return [{**row, "reasons": json.loads(row["reasons"])} for row in rows]


def clip_of(recorder: Recorder, row: dict[str, Any]) -> dict[str, Any]:
    """The coaching clip of a call."""
    (clip,) = asked(
        recorder,
        "SELECT ending, seconds FROM clip JOIN recording ON recording = recording.id "
        f"WHERE purpose = 'coaching' AND call = '{row['call']}'",
    )
    return clip


def asked(recorder: Recorder, query: str) -> list[dict[str, Any]]:
    place = f"file:{recorder.directory / 'storage' / 'catalogue.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def is_recorded_again(recorder: Recorder) -> bool:
    """The fault is gone: the next call becomes a whole clip, what was given up is sealed, and files and rows
    agree.
    """
    row = call(recorder)
    assert row["outcome"] == "recorded", row
    assert clip_of(recorder, row)["ending"] == "complete"
    until(
        lambda: [it["clip"] for it in recorder.clips() if it["state"] == "open"],
        lambda it: not it,
        PATIENCE_SECONDS,
    )
    report = recorder.ask("fsck")
    assert report.status == 0, report.value["findings"]
    return True


def said_since(recorder: Recorder, size: int) -> str:
    return recorder.log.read_bytes()[size:].decode()


@contextlib.contextmanager
def full_disk(recorder: Recorder) -> Iterator[None]:
    ballast = recorder.directory / "storage" / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for piece in (bytes(1 << 20), bytes(4096)):
            with contextlib.suppress(OSError):
                while file.write(piece):
                    pass
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def not_writable(directory: Path) -> Iterator[None]:
    directory.chmod(0o500)
    try:
        yield
    finally:
        directory.chmod(0o700)


@contextlib.contextmanager
def away(path: Path) -> Iterator[None]:
    elsewhere = path.rename(path.with_name(path.name + ".away"))
    try:
        yield
    finally:
        elsewhere.rename(path)


@contextlib.contextmanager
def stopped(pid: int | None) -> Iterator[None]:
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextlib.contextmanager
def ports_taken(recorder: Recorder) -> Iterator[None]:
    """Another program holds every media port that is free."""
    low, high = (int(it) for it in MEDIA_PORTS.findall(recorder.config.read_text(encoding="utf-8"))[0])
    with contextlib.ExitStack() as held:
        for port in range(low, high + 1):
            other = held.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port))
        yield


@contextlib.contextmanager
def few_descriptors(pid: int | None) -> Iterator[None]:
    """The process can open nothing more."""
    assert pid is not None
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(it.name) for it in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextlib.contextmanager
def clock_moved(recorder: Recorder, hours: int) -> Iterator[None]:
    offset = recorder.directory / "clock-offset"
    offset.write_text(str(hours * 3600), encoding="ascii")
    try:
        yield
    finally:
        offset.unlink()


def test_disk_full(troubled: Recorder) -> None:
    if not (troubled.directory / "storage").is_mount():
        pytest.skip("a small disk of its own can be mounted by root only")
    size = troubled.log.stat().st_size
    call(troubled, lambda: full_disk(troubled))
    row = call(troubled, lasting=lambda: full_disk(troubled))
    assert row["outcome"] == "failed", row
    assert "disk" in " ".join(row["reasons"])
    assert "disk" in said_since(troubled, size)
    assert is_recorded_again(troubled)


def test_directory_not_writable(troubled: Recorder) -> None:
    clips = troubled.directory / "storage" / "clips"
    size = troubled.log.stat().st_size
    call(troubled, lambda: not_writable(clips))
    row = call(troubled, lasting=lambda: not_writable(clips))
    assert row["outcome"] == "failed", row
    assert "ermission" in said_since(troubled, size)
    assert is_recorded_again(troubled)


def test_keystore_missing(troubled: Recorder) -> None:
    """Recording needs public keys alone; opening says what is missing."""
    assert call(troubled, lambda: away(troubled.directory / "keys"))["outcome"] == "recorded"
    row = call(troubled, lasting=lambda: away(troubled.directory / "storage" / "bundle.json"))
    assert row["outcome"] == "failed", row
    assert is_recorded_again(troubled)


def test_key_service_hangs(troubled: Recorder) -> None:
    keys = troubled.pids()["keys"]
    row = call(troubled, lambda: stopped(keys))
    assert row["outcome"] == "recorded", row
    clip = troubled.clips()[0]["clip"]
    with stopped(keys):
        answer = troubled.ask(
            "clips", "export", clip, str(troubled.directory / "x.wav"), *troubled.listener("coaching")
        )
    assert answer.status == 75, answer
    assert "key" in answer.complaint
    assert is_recorded_again(troubled)


def test_database_locked(troubled: Recorder) -> None:
    row = call(troubled, lambda: locked(troubled.directory / "storage" / "catalogue.db"))
    assert row["outcome"] == "recorded", row
    assert is_recorded_again(troubled)


def test_media_ports_used_up(troubled: Recorder) -> None:
    assert call(troubled, lambda: ports_taken(troubled))["outcome"] == "recorded"
    size = troubled.log.stat().st_size
    row = call(troubled, lasting=lambda: ports_taken(troubled))
    assert (row["outcome"], row["reasons"]) == ("failed", ["failure", "no-media-ports"])
    assert "ports in [media]" in said_since(troubled, size)
    assert is_recorded_again(troubled)


def test_too_few_file_descriptors(troubled: Recorder) -> None:
    supervisor = troubled.pids()["supervisor"]
    assert call(troubled, lambda: few_descriptors(supervisor))["outcome"] == "recorded"
    size = troubled.log.stat().st_size
    row = call(troubled, lasting=lambda: few_descriptors(supervisor))
    assert (row["outcome"], row["reasons"]) == ("failed", ["failure", "no-media-ports"])
    assert "raise LimitNOFILE" in said_since(troubled, size)
    assert is_recorded_again(troubled)


def test_capture_without_file_descriptors(troubled: Recorder) -> None:
    capture = troubled.pids()["capture"]
    row = call(troubled, lasting=lambda: few_descriptors(capture))
    assert row["outcome"] == "failed", row
    assert is_recorded_again(troubled)


@pytest.mark.parametrize("hours", [3, -3])
def test_the_clock_jumps(troubled: Recorder, hours: int) -> None:
    """The clip's length is that of the call, its deadline that of its beginning; nothing is destroyed."""
    row = call(troubled, lambda: clock_moved(troubled, hours))
    assert row["outcome"] == "recorded", row
    clip = clip_of(troubled, row)
    assert clip["ending"] == "complete"
    assert TALKED_SECONDS < clip["seconds"] < PATIENCE_SECONDS
    with clock_moved(troubled, hours):
        status = troubled.ask("purge", "status")
    assert "clock" in json.dumps(status.value)
    assert is_recorded_again(troubled)
