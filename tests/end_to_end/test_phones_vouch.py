"""Phones on one side, the provider on the other, Debian's Kamailio as PBX: what is certain between PBX and
phone is certain of the same dialog on the trunk. Its media passes through us once, on the trunk side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.listening import correlation
from demo.phone import free_port
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    Recorder,
    serving,
)
from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.peers.scripted import Phone
from tests.end_to_end.test_a_call_is_recorded import ALIKE, noise, sound
from tests.end_to_end.test_between_pbx_and_trunk import speak, status, until_it_is

BESIDE = """\
side = "both"

[[listeners]]
address = "127.0.0.1"
port = {outer}
side = "trunk"

[[listeners]]
address = "127.0.0.1"
port = {inner}
side = "pbx"
leads_to = "trunk"

[trunk]
address = "127.0.0.1"
port = {provider}
evidence = "phones"
"""

Place = tuple[str, int]
PASSWORD, ACCOUNTS, NUMBERS = "pbx-password", r"(\+31)?[0-9]*", {BUSINESS_NUMBER: AGENT}

if reason := kamailio.missing():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def outer() -> Place:
    """Where the provider sends its calls."""
    return "127.0.0.1", free_port()


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory, outer: Place) -> Iterator[Recorder]:
    text = BESIDE.format(outer=outer[1], inner=free_port(), provider=free_port())
    made = Recorder(tmp_path_factory.mktemp("beside"), {'side = "both"\n': text})
    with serving(made, exchange=False) as recorder:
        yield recorder


async def test_a_call_that_the_agents_phone_answers_is_recorded_on_the_trunk(
    recorder: Recorder, outer: Place, tmp_path: Path
) -> None:
    said, heard_on_hold = (noise(31, "PCMA"), noise(32, "PCMA")), (noise(33, "PCMA"), noise(34, "PCMA"))
    async with (
        Kamailio(tmp_path / "pbx", ACCOUNTS, PASSWORD, NUMBERS, ("127.0.0.1", recorder.pbx_port)),
        Phone(CUSTOMER, PASSWORD, outer) as provider,
        Phone(AGENT, PASSWORD, recorder.address) as agent,
    ):
        assert (await asyncio.to_thread(status, recorder))["evidence"] == "phones"
        call = await provider.dial(BUSINESS_NUMBER)
        taken = await agent.taken(call.id)
        await until_it_is(recorder, "recording", "not recorded")
        await taken.reinvite("sendonly")
        await until_it_is(recorder, "paused", "not recorded")
        await speak(call, taken, heard_on_hold)
        await taken.reinvite()
        await until_it_is(recorder, "recording", "not recorded")
        await speak(call, taken, said)
        await call.hang_up()
        clip = await asyncio.to_thread(recorder.next_clip)
    agent_leg, outside = recorder.export(clip)
    assert correlation(sound(said[1], "PCMA").astype(float), agent_leg) >= ALIKE
    assert correlation(sound(said[0], "PCMA").astype(float), outside) >= ALIKE
    for other, leg in zip(heard_on_hold, (outside, agent_leg), strict=True):
        assert correlation(sound(other, "PCMA").astype(float), leg) < 0.5, "it was on hold"
