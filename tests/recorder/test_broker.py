"""The broker with a real worker: ports, replay after a crash, and a client that may come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from recorder.relay.broker import BrokerSettings, MediaBroker
from recorder.relay.client import MediaClient, MediaUnavailable
from tests.fakes.media import free_range, join, passes, waiting
from tests.fakes.relay import Tap, WorkerProcess, soon
from tests.fakes.rtp import Phone, packet, sender_report

LOCALHOST = "127.0.0.1"
HERE = (LOCALHOST, LOCALHOST)
Draw = Callable[[int], int]


class Site:
    """A broker with its workers and one client, on a port range of its own."""

    def __init__(
        self, directory: Path, pairs: int, rest_seconds: float, patience: float, reap_seconds: float = 60.0
    ) -> None:
        self.path = directory / "media.sock"
        self.low = free_range(pairs)
        self.clock = 0.0
        settings = BrokerSettings(
            self.path, self.low, self.low + 2 * pairs - 1, rest_seconds, 32768, patience, reap_seconds
        )
        self.broker = MediaBroker(settings, draw=lambda _: 0, now=lambda: self.clock)
        self.taps: list[Tap] = []
        self.workers: list[WorkerProcess] = []
        self.client = MediaClient(self.path, open_seconds=patience)

    def start_worker(self, index: int) -> WorkerProcess:
        while len(self.taps) <= index:
            self.taps.append(Tap(slots=256))
        worker = WorkerProcess(self.taps[index].fd)
        self.workers.append(worker)
        self.broker.attach_worker(index, worker.control)
        return worker

    async def ready(self) -> None:
        """Every worker answers: it has read its descriptors and entered its loop."""
        await soon(lambda: self.client.is_up)
        for row in await self.broker.stats():
            while not row["answers"]:
                row = next(each for each in await self.broker.stats() if each["worker"] == row["worker"])

    def close(self) -> None:
        self.client.shut()
        self.broker.close()
        for worker in self.workers:
            worker.stop()
        for tap in self.taps:
            tap.close()


SiteMaker = Callable[..., Site]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[SiteMaker]:
    made: list[Site] = []

    def make(
        pairs: int = 8, rest_seconds: float = 30.0, patience: float = 5.0, reap_seconds: float = 60.0
    ) -> Site:
        made.append(Site(tmp_path, pairs, rest_seconds, patience, reap_seconds))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("ours", [HERE, (LOCALHOST, "::1"), ("::1", LOCALHOST), ("::1", "::1")])
@pytest.mark.parametrize("final", [False, True])
async def test_a_call_gets_two_pairs_and_its_media_goes_through(
    site: SiteMaker, ours: tuple[str, str], final: bool
) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    with Phone(ours[0]) as caller, Phone(ours[1]) as callee, Phone(ours[1]) as stranger:
        to_caller, to_callee = await here.client.open(7, ours)
        assert {to_caller % 2, to_callee % 2} == {0}
        assert to_caller != to_callee
        join(here.client, 7, caller, callee, final)
        assert await passes(caller, to_caller, callee, b"there") == (ours[1], to_callee)
        stranger.rtp.sendto(packet(1, 1, b"strange"), (ours[1], to_callee))
        assert await passes(callee, to_callee, caller, b"back") == (ours[0], to_caller)
        assert await here.client.table() == [(7, to_caller, to_callee, "none", 0, *ours)]
        assert not any(b"strange" in it for it in waiting(caller))


async def test_a_closed_call_s_ports_are_free_to_the_system_and_rest(site: SiteMaker) -> None:
    here = site(pairs=2, rest_seconds=30)
    here.start_worker(0)
    await here.ready()
    ports = await here.client.open(1, HERE)
    here.client.close(1)
    with pytest.raises(MediaUnavailable):
        await here.client.open(2, HERE)
    await soon(lambda: can_bind(ports[0]) and can_bind(ports[1] + 1))
    here.clock = 30.0
    assert set(await here.client.open(3, HERE)) == set(ports)


def can_bind(port: int) -> bool:
    """The worker's copy is closed too, else the port would stay taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


async def test_a_port_that_another_program_holds_is_passed_over(site: SiteMaker) -> None:
    here = site(pairs=4)
    here.start_worker(0)
    await here.ready()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOCALHOST, here.low + 1))
        ports = await here.client.open(1, HERE)
    assert here.low not in ports


async def test_without_a_worker_or_an_address_media_is_unavailable_at_once(site: SiteMaker) -> None:
    here = site()

    async def check(session: int, address: str = LOCALHOST) -> None:
        with pytest.raises(MediaUnavailable):
            await here.client.open(session, (LOCALHOST, address))

    await check(1)  # not connected yet
    await soon(lambda: here.client.is_up)
    await check(1)  # no worker
    here.start_worker(0)
    await here.ready()
    await check(1, "192.0.2.1")  # not an address of ours
    await here.client.open(1, HERE)
    await check(1)  # open already; that call goes on
    assert [row[0] for row in await here.client.table()] == [1]


async def test_a_worker_that_does_not_answer_costs_50_ms_and_leaves_nothing(site: SiteMaker) -> None:
    here = site(patience=0.05)
    worker = here.start_worker(0)
    await here.ready()
    os.kill(worker.process.pid, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(MediaUnavailable):
        await here.client.open(2, HERE)
    assert time.monotonic() - begun < 1.0  # 50 ms, and what a busy machine may add
    os.kill(worker.process.pid, signal.SIGCONT)
    assert await here.client.table() == []
    await here.ready()
    assert [row["calls"] for row in await here.client.stats()] == [0]


async def test_a_killed_worker_s_calls_go_on_with_the_same_ports(site: SiteMaker) -> None:
    here = site()
    first = here.start_worker(0)
    await here.ready()
    with Phone() as caller, Phone() as callee:
        to_caller, to_callee = await here.client.open(7, HERE)
        here.client.tap(7, "all")
        join(here.client, 7, caller, callee)
        await passes(caller, to_caller, callee, b"before")
        await soon(lambda: here.taps[0].read() > 0)
        first.kill()
        with pytest.raises(MediaUnavailable):
            await here.client.open(8, HERE)
        here.start_worker(0)
        assert await passes(caller, to_caller, callee, b"after") == (LOCALHOST, to_callee)
        await soon(lambda: here.taps[0].read() > 0 and here.taps[0].packets[-1][2].endswith(b"after"))


async def test_an_order_given_while_the_worker_was_dead_holds_for_its_successor(site: SiteMaker) -> None:
    here = site()
    first = here.start_worker(0)
    await here.ready()
    with Phone() as caller, Phone() as callee:
        to_caller, _ = await here.client.open(7, HERE)
        here.client.tap(7, "all")
        join(here.client, 7, caller, callee)
        await passes(caller, to_caller, callee, b"before")
        first.kill()
        here.client.tap(7, "none")
        assert [row[3] for row in await here.client.table()] == ["none"]
        here.taps[0].read()
        here.start_worker(0)
        await passes(caller, to_caller, callee, b"private")
        assert here.taps[0].is_blank()


async def test_calls_are_spread_over_the_workers(site: SiteMaker) -> None:
    here = site()
    for index in (0, 1):
        here.start_worker(index)
    await here.ready()
    for session in range(4):
        await here.client.open(session, HERE)
    assert sorted(row[4] for row in await here.client.table()) == [0, 0, 1, 1]
    assert [row["calls"] for row in await here.client.stats()] == [2, 2]


async def test_calls_outlive_signalling_which_finds_them_again(site: SiteMaker) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    with Phone() as caller, Phone() as callee:
        to_caller, to_callee = await here.client.open(7, HERE)
        join(here.client, 7, caller, callee)
        await passes(caller, to_caller, callee, b"before")
        here.client.shut()
        await passes(caller, to_caller, callee, b"meanwhile")
        here.client = MediaClient(here.path)
        await soon(lambda: here.client.is_up)
        assert await here.client.table() == [(7, to_caller, to_callee, "none", 0, *HERE)]


async def test_a_lost_client_s_taps_are_shut_at_once_and_the_audio_goes_on(site: SiteMaker) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    with Phone() as caller, Phone() as callee:
        to_caller, _ = await here.client.open(7, HERE)
        here.client.tap(7, "all")
        join(here.client, 7, caller, callee)
        await passes(caller, to_caller, callee, b"before")
        await soon(lambda: here.taps[0].read() > 0)
        here.client.shut()
        here.client = MediaClient(here.path)
        await here.ready()
        assert [row[3] for row in await here.client.table()] == ["none"]
        here.taps[0].read()
        await passes(caller, to_caller, callee, b"private")
        assert here.taps[0].is_blank()


async def test_a_tap_that_is_opened_before_the_claim_is_shut_with_its_client(site: SiteMaker) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    await here.client.open(7, HERE)
    for _ in range(2):
        here.client.shut()
        here.client = MediaClient(here.path)
        await here.ready()
        assert [row[3] for row in await here.client.table()] == ["none"]
        here.client.tap(7, "all")
        assert [row[3] for row in await here.client.table()] == ["all"]


async def test_who_comes_back_claims_its_calls_and_opens_their_taps(site: SiteMaker) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    numbers = [1, 2**64 - 1, *range(2**63, 2**63 + 5000)]  # more than one message takes
    for session in numbers[:2]:
        await here.client.open(session, HERE)
    here.client.shut()

    def up() -> None:
        here.client.claim(numbers)
        here.client.tap(1, "all")

    here.client = MediaClient(here.path, up)
    await here.ready()
    assert [row[3] for row in await here.client.table()] == ["all", "none"]
    for _ in range(3):
        await here.broker.reap()
    assert [row[0] for row in await here.client.table()] == numbers[:2]
    assert here.broker.refused == 0


async def test_a_call_that_nobody_owns_ends_when_it_is_silent_and_not_before(site: SiteMaker) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    with Phone() as caller, Phone() as callee:
        to_caller, to_callee = await here.client.open(7, HERE)
        join(here.client, 7, caller, callee)
        await here.client.open(8, HERE)
        here.client.shut()
        here.client = MediaClient(here.path)
        await here.ready()
        await here.client.open(9, HERE)
        for payload in (b"one", b"two", b"three"):
            await passes(callee, to_callee, caller, payload)
            await here.broker.reap()
        for _ in range(3):  # on hold there is nothing but RTCP
            callee.rtcp.sendto(sender_report(), (LOCALHOST, to_callee + 1))
            assert caller.rtcp.recv(4096)
            await here.broker.reap()
        assert [row[0] for row in await here.client.table()] == [7, 9]
        await here.broker.reap()
        assert [row[0] for row in await here.client.table()] == [9]
        await soon(lambda: can_bind(to_caller) and can_bind(to_callee + 1))


async def test_the_reaper_comes_by_itself_and_waits_for_a_worker_that_does_not_answer(
    site: SiteMaker,
) -> None:
    here = site(reap_seconds=0.01)
    worker = here.start_worker(0)
    await here.ready()
    ports = await here.client.open(7, HERE)
    os.kill(worker.process.pid, signal.SIGSTOP)
    here.client.shut()
    here.client = MediaClient(here.path)
    await soon(lambda: here.client.is_up)
    for _ in range(2):
        await here.broker.reap()
    assert [row[0] for row in await here.client.table()] == [7]
    os.kill(worker.process.pid, signal.SIGCONT)
    await soon(lambda: can_bind(ports[0]) and can_bind(ports[1]))


async def test_a_close_right_behind_an_open_closes_it(site: SiteMaker) -> None:
    here = site(pairs=2, rest_seconds=0)
    here.start_worker(0)
    await here.ready()
    opening = asyncio.create_task(here.client.open(7, HERE))
    await asyncio.sleep(0)  # the order is in the socket
    here.client.close(7)
    with pytest.raises(MediaUnavailable):
        await opening
    assert await here.client.table() == []
    assert (here.broker.refused, (await here.client.stats())[0]["calls"]) == (0, 0)
    await here.client.open(8, HERE)


async def test_orders_for_no_call_or_that_make_no_sense_are_counted(site: SiteMaker) -> None:
    here = site()
    here.start_worker(0)
    await here.ready()
    here.client.tap(99, "all")
    here.client.close(99)
    here.client.remote(99, "a", [(LOCALHOST, 4000, 4001)])
    here.client.claim([99])  # it ended meanwhile: nothing to refuse
    here.client.claim([-1])
    await soon(lambda: here.broker.refused == 4)


async def test_only_the_owner_reaches_the_socket(site: SiteMaker) -> None:
    assert site().path.stat().st_mode & 0o777 == 0o600
