"""Media that would go round between our own ports, with a real worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recorder.relay.rounds import OurAddresses
from tests.fakes.media import LOCALHOST, join, passes
from tests.fakes.rtp import Phone, packet
from tests.recorder.test_broker import HERE, Site


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path, 8, 30.0, 5.0)
    made.start_worker(0)
    await made.ready()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("told", "address", "is_ours"),
    [
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "127.0.0.1", False),
        (["0.0.0.0"], "127.0.0.1", True),
        (["0.0.0.0"], "192.0.2.1", False),
        (["::"], "::1", True),
        (["::"], "127.0.0.1", False),
    ],
)
def test_who_binds_to_any_address_has_all_of_this_machine(
    told: list[str], address: str, is_ours: bool
) -> None:
    assert (address in OurAddresses(told)) is is_ours


async def packets(here: Site) -> int:
    (row,) = await here.broker.stats()
    return int(row["packets"])


async def test_two_phones_cannot_have_a_packet_go_round_between_our_ports_for_ever(here: Site) -> None:
    with Phone() as caller, Phone() as callee:
        to_caller, to_callee = await here.client.open(7, HERE)
        here.client.remote(7, "a", [(LOCALHOST, to_callee, to_callee + 1)])
        here.client.remote(7, "b", [callee.remote, (LOCALHOST, to_caller, to_caller + 1)])
        callee.rtp.sendto(packet(1, 1, b"seed"), (LOCALHOST, to_callee))
        await here.client.table()
        before = await packets(here)
        for _ in range(20):
            await here.client.stats()
        assert await packets(here) - before < 20
        assert here.broker.refused == 2
        join(here.client, 7, caller, callee)
        await passes(caller, to_caller, callee, b"as before")


async def test_a_call_that_crosses_us_twice_goes_from_one_pair_of_ours_to_the_other(here: Site) -> None:
    with Phone() as caller, Phone() as callee:
        first, second = await here.client.open(1, HERE), await here.client.open(2, HERE)
        here.client.remote(1, "a", [caller.remote])
        here.client.remote(1, "b", [(LOCALHOST, second[0], second[0] + 1)])
        here.client.remote(2, "a", [(LOCALHOST, first[1], first[1] + 1)])
        here.client.remote(2, "b", [callee.remote])
        await passes(caller, first[0], callee, b"there")
        await passes(callee, second[1], caller, b"back")
        here.client.remote(1, "a", [(LOCALHOST, second[1], second[1] + 1)])
        here.client.remote(2, "b", [(LOCALHOST, first[0], first[0] + 1)])
        await here.client.table()
        assert here.broker.refused == 2
