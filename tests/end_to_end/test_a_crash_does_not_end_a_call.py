"""Calls are fail-open: whatever dies or hangs while two people talk, every packet of theirs arrives."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from demo.installation import until
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    PATIENCE_SECONDS,
    Recorder,
    running,
)
from tests.end_to_end.peers.scripted import Call, Phone
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.fakes.speech import Search, voice

CHUNK_BYTES = 16_400
PIECE_SECONDS = 0.2

SOON = {'address = "127.0.0.1"\nports = ': 'address = "127.0.0.1"\nhorizon = "200 ms"\nports = '}

Disaster = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """An installation of its own, whose horizon is so short that a clip soon has something in it."""
    with running(tmp_path_factory.mktemp("fragile"), SOON) as recorder:
        yield recorder


async def talk(call: Call, name: str, until_done: asyncio.Event) -> None:
    """Speak piece after piece until told to end."""
    number = 0
    while not until_done.is_set():
        await call.speak(voice(f"{name} {number}", PIECE_SECONDS))
        number += 1


async def call_during(recorder: Recorder, disaster: Disaster, lost: int = 0) -> tuple[Call, Call]:
    """A customer and the agent talk; while they do, disaster strikes. Every packet must arrive, both ways.

    `lost`: but for so many each way.
    """
    async with (
        Phone(AGENT, PASSWORD, recorder.address) as agent,
        Phone(CUSTOMER, PASSWORD, recorder.address) as customer,
    ):
        call = await customer.dial(BUSINESS_NUMBER)
        taken = await agent.taken(call.id)
        done = asyncio.Event()
        talking = asyncio.gather(talk(call, "customer", done), talk(taken, "agent", done))
        try:
            await disaster()
        finally:
            done.set()
            await talking
        await asyncio.gather(call.hears(taken.sent - lost), taken.hears(call.sent - lost))
        await call.hang_up()
        await asyncio.wait_for(taken.ended.wait(), PATIENCE_SECONDS)
    return call, taken


async def eventually(look: Callable[[], Any]) -> Any:
    """Wait in a thread until it is so, while the phones go on talking here."""
    return await asyncio.to_thread(until, look, bool, PATIENCE_SECONDS)


def kill(recorder: Recorder, name: str) -> int:
    """SIGKILL; returns the process id that is gone."""
    pid = recorder.pids()[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def test_capture_killed(fragile: Recorder) -> None:
    """The audio goes on, the killed run's clip is sealed as truncated, the call in a part 2 that names it."""
    before = {it["clip"] for it in fragile.clips()}

    def has_a_chunk() -> bool:
        files = (fragile.directory / "storage" / "clips").glob("*.clip")
        return any(it.stem not in before and it.stat().st_size > CHUNK_BYTES for it in files)

    def second_part() -> bool:
        return any(it["part"] == 2 and it["state"] == "open" for it in fragile.clips())

    async def disaster() -> None:
        await eventually(has_a_chunk)
        gone = await asyncio.to_thread(kill, fragile, "capture")
        await eventually(lambda: fragile.pids()["capture"] not in (None, gone))
        await eventually(second_part)
        await asyncio.sleep(1)  # talked on, so that part 2 has something in it
        inspected = await asyncio.to_thread(fragile.tell, "fsck")
        assert (inspected["findings"], inspected["open"]) == ([], 2)  # one for each purpose

    call, taken = asyncio.run(call_during(fragile, disaster))
    until(
        fragile.clips,
        lambda it: len(it) == len(before) + 2 and all(clip["state"] == "sealed" for clip in it),
        PATIENCE_SECONDS,
    )
    first, second = sorted(
        (it for it in fragile.clips() if it["clip"] not in before), key=lambda it: it["part"]
    )
    assert (first["part"], first["ending"]) == (1, "truncated")
    assert (second["part"], second["ending"], second["previous"]) == (2, "complete", first["clip"])
    assert second["recording"] == first["recording"]
    assert _both_speak(fragile, first["clip"], call.sent, early=True)
    assert _both_speak(fragile, second["clip"], taken.sent, early=False)
    inspected = fragile.tell("fsck")
    assert (inspected["findings"], inspected["open"]) == ([], 0)


def _both_speak(recorder: Recorder, clip: str, packets: int, early: bool) -> bool:
    """Whether pieces of both parties are in a clip: of the beginning of their call, or of its end."""
    pieces = int(packets * 0.02 / PIECE_SECONDS)
    numbers = range(2, pieces // 2) if early else range(pieces // 2, pieces - 1)
    search = Search(
        {
            f"{who} {it}": voice(f"{who} {it}", PIECE_SECONDS)
            for who in ("agent", "customer")
            for it in numbers
        }
    )
    (opened,) = (it for it in asyncio.run(open_all(recorder)) if it.header.clip == clip)
    sound = b"".join(getattr(it, "payload", b"") for it in opened.records)
    return {name.split()[0] for name in search.found(sound)} == {"agent", "customer"}


def test_the_key_service_killed(fragile: Recorder) -> None:
    async def disaster() -> None:
        gone = await asyncio.to_thread(kill, fragile, "keys")
        await eventually(lambda: fragile.pids()["keys"] not in (None, gone))

    clips = len(fragile.clips())
    asyncio.run(call_during(fragile, disaster))
    assert fragile.sealed(clips + 1)[0]["ending"] == "complete"


def test_the_catalogue_locked_while_a_call_begins_and_ends(fragile: Recorder) -> None:
    """The call does not wait. Once the lock is gone the ledger has a row for it, whatever became of it."""
    ledger = len(fragile.tell("calls")["ended"])

    async def nothing() -> None:
        await asyncio.sleep(0.5)  # talked for a while

    database = sqlite3.connect(fragile.directory / "storage" / "catalogue.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    try:
        asyncio.run(call_during(fragile, nothing))
    finally:
        database.execute("ROLLBACK")
        database.close()
    until(lambda: fragile.tell("calls")["ended"], lambda it: len(it) == ledger + 1, PATIENCE_SECONDS)


def test_a_relay_killed_is_replaced_by_one_that_waits_and_the_audio_goes_on(fragile: Recorder) -> None:
    """Its sockets are open elsewhere: what arrived while it was away is passed on late, not lost, but for
    what it had in its hands.
    """

    async def disaster() -> None:
        await eventually(lambda: None not in fragile.pids().values())
        before = (await asyncio.to_thread(fragile.pids)).values()
        gone = await asyncio.to_thread(kill, fragile, "relay")
        await eventually(lambda: fragile.pids()["relay"] not in (None, gone))
        assert (await asyncio.to_thread(fragile.pids))["relay"] in before

    clips = len(fragile.clips())
    asyncio.run(call_during(fragile, disaster, lost=1))
    assert fragile.sealed(clips + 1)
