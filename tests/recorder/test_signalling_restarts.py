"""A signalling process that was started again asks the broker what is left of calls in progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from demo.phone import free_port
from recorder import control
from recorder.config import Config, parse
from recorder.relay.broker import BrokerSettings, MediaBroker
from recorder.relay.client import MediaClient
from recorder.service import gatekeeper, places, signalling
from recorder.service.books import Books
from tests.fakes.media import free_range
from tests.fakes.relay import Tap, WorkerProcess, soon
from tests.recorder.schemes import CONFIGURATION

HERE = ("127.0.0.1", "127.0.0.1")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    text = CONFIGURATION.replace("192.0.2.10", HERE[0]).replace("192.0.2.20", HERE[0])
    made = parse(text.replace("port = 5060", f"port = {free_port()}"), "test.toml", tmp_path)
    made.storage.directory.mkdir()
    places.prepare_runtime(made)
    places.token_key(made).write_bytes(bytes(32))
    return made


@pytest.fixture
async def before(config: Config) -> AsyncIterator[MediaClient]:
    """A broker with two calls of a signalling process that is no more."""
    tap = Tap()
    worker = WorkerProcess(tap.fd)
    low = free_range(8)
    settings = BrokerSettings(places.media(config), low, low + 15, open_seconds=5.0)
    broker = MediaBroker(settings, draw=lambda _: 0)
    broker.attach_worker(0, worker.control)
    client = MediaClient(places.media(config), open_seconds=5.0)
    await client.connected()
    for number in (1, 2):
        await client.open(number, HERE)
    yield client
    client.shut()
    broker.close()
    worker.stop()
    tap.close()


def left(process: signalling.Signalling) -> int:
    answer: control.Message = process.answer({"op": "status"})
    return int(answer["calls_of_before"])


async def test_what_is_left_is_known_before_sip_is_served_and_forgotten_when_it_is_closed(
    config: Config, before: MediaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signalling, "FORGET_SECONDS", 0.01)
    process = signalling.Signalling(config, Books(), gatekeeper.shut(config))
    await process.start()
    assert left(process) == 2
    before.close(1)
    await soon(lambda: left(process) == 1)
    before.close(2)
    await soon(lambda: left(process) == 0)
    process.stop()


async def test_without_a_broker_sip_is_served_all_the_same(config: Config) -> None:
    process = signalling.Signalling(config, Books(), gatekeeper.shut(config))
    async with asyncio.timeout(signalling.RESTORE_SECONDS + 5):
        await process.start()
    assert left(process) == 0
    process.stop()
