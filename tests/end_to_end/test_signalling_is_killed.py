"""Signalling dies in the middle of a call: the two go on talking, can hold, resume and hang up."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from demo.installation import until
from demo.telephony import PASSWORD
from recorder.relay.client import MediaClient, Row
from tests.end_to_end.installation import AGENT, BUSINESS_NUMBER, CUSTOMER, PATIENCE_SECONDS, Recorder
from tests.end_to_end.peers.scripted import Call, Phone
from tests.fakes.speech import voice

BACK_SECONDS = 3.0
PACKETS_IN_A_SECOND = 50


async def talk(call: Call, until_done: asyncio.Event) -> None:
    piece = voice("anybody", 0.2)
    while not until_done.is_set():
        await call.speak(piece)


async def hear_each_other(*calls: Call) -> None:
    """A second of the other's voice reaches each of them within three."""
    async with asyncio.timeout(BACK_SECONDS):
        await asyncio.gather(*(it.hears(len(it.ear.payloads) + PACKETS_IN_A_SECOND) for it in calls))


async def media(recorder: Recorder) -> list[Row]:
    """What the relay has open."""
    client = MediaClient(recorder.directory / "run" / "media.sock")
    try:
        await client.connected()
        return await client.table()
    finally:
        client.shut()


async def restart(recorder: Recorder) -> None:
    """kill -9, and wait until the next one runs."""
    before = (await asyncio.to_thread(recorder.pids))["signalling"]
    assert before is not None
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        now = recorder.answer("signalling", "status")
        return now.get("pid") not in (None, before) and bool(now["media_connected"] and now["recording"])

    await asyncio.to_thread(until, is_back, bool, PATIENCE_SECONDS)


@pytest.mark.parametrize("caller_hangs_up", [True, False])
async def test_the_call_goes_on(recorder: Recorder, caller_hangs_up: bool) -> None:
    clips = len(recorder.clips())
    async with (
        Phone(CUSTOMER, PASSWORD, recorder.address) as customer,
        Phone(AGENT, PASSWORD, recorder.address) as agent,
    ):
        call = await customer.dial(BUSINESS_NUMBER)
        taken = await agent.taken(call.id)
        done = asyncio.Event()
        talking = asyncio.gather(talk(call, done), talk(taken, done))
        await hear_each_other(call, taken)
        (before,) = await media(recorder)
        killed = asyncio.create_task(restart(recorder))
        await hear_each_other(call, taken)
        await killed
        shown = call.towards, taken.towards
        for one in (call, taken):
            await one.reinvite("sendonly")
            await one.reinvite()
            assert (call.towards, taken.towards) == shown
            await hear_each_other(call, taken)
        assert await media(recorder) == [before._replace(tap="none")]
        one, other = (call, taken) if caller_hangs_up else (taken, call)
        await one.hang_up()
        await asyncio.wait_for(other.ended.wait(), PATIENCE_SECONDS)
        done.set()
        await talking
        await asyncio.to_thread(until, lambda: asyncio.run(media(recorder)) == [], bool, PATIENCE_SECONDS)
    recorder.sealed(clips + 1)  # what was recorded before, and nothing after
