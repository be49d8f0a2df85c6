"""The signalling process when something around it is broken: calls pass, nothing is recorded."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from demo.phone import free_port
from recorder import control
from recorder.config import Config, parse
from recorder.decision import CallFacts, Direction, decide
from recorder.effects import NoteOutcome, NoteWithheld
from recorder.notify import Notifier
from recorder.service import gatekeeper, places, signalling
from recorder.service.books import Books
from storage.catalog import Catalogue
from storage.model import Approval, ApprovalKind, By
from tests.recorder.schemes import CONFIGURATION

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
OPTIONS = (
    b"OPTIONS sip:127.0.0.1:%d SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKping\r\n"
    b"From: <sip:ping@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: ping\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    text = CONFIGURATION.replace("192.0.2.10", "127.0.0.1").replace("192.0.2.20", "127.0.0.1")
    made = parse(text.replace("port = 5060", f"port = {free_port()}"), "test.toml", tmp_path)
    made.storage.directory.mkdir()
    places.prepare_runtime(made)
    places.token_key(made).write_bytes(bytes(32))
    return made


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[None]:
    task = asyncio.create_task(signalling.run(config, Path("test.toml"), Notifier()))
    try:
        async with asyncio.timeout(20):
            while not await answers(config):
                assert not task.done(), task.exception()
        yield
    finally:
        signal.raise_signal(signal.SIGTERM)
        await task


async def answers(config: Config) -> bool:
    """Whether an OPTIONS to the proxy itself is answered."""
    loop = asyncio.get_running_loop()
    port = config.listeners[0].port
    answered: asyncio.Future[bytes] = loop.create_future()

    class Probe(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if not answered.done():
                answered.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Probe, local_addr=("127.0.0.1", 0))
    try:
        own = transport.get_extra_info("sockname")[1]
        transport.sendto(OPTIONS % (port, own), ("127.0.0.1", port))
        return (await asyncio.wait_for(answered, 0.5)).startswith(b"SIP/2.0 200 ")
    except TimeoutError:
        return False
    finally:
        transport.close()


async def test_sip_is_served_beside_a_damaged_catalogue(config: Config) -> None:
    places.catalogue(config).write_bytes(b"this is no database " * 100)
    async with running(config):
        status = await control.ask(places.signalling(config), {"op": "status"})
        assert status["recording"] is False and status["gate"] == gatekeeper.UNREADABLE


async def test_a_spoiled_approval_shuts_the_gate_and_nothing_else(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = await Catalogue.open(places.catalogue(config))

    async def spoiled() -> list[Approval]:
        raise ValueError("Invalid isoformat string")

    monkeypatch.setattr(catalogue.approvals, "all", spoiled)
    gate = await gatekeeper.look(config, catalogue)
    assert (gate.approved, gate.reason) == (False, gatekeeper.UNREADABLE)
    await catalogue.close()


async def test_an_approval_without_an_enrolled_council_opens_nothing(config: Config) -> None:
    catalogue = await Catalogue.open(places.catalogue(config))
    row = Approval(ApprovalKind.APPROVE, "ab" * 32, "{}", bytes(64), NOW)
    await catalogue.approvals.add(row, By("somebody", NOW))
    assert not (await gatekeeper.look(config, catalogue)).approved
    await catalogue.close()


async def test_a_note_that_can_never_be_written_does_not_hold_up_the_others(config: Config) -> None:
    catalogue = await Catalogue.open(places.catalogue(config))
    books = Books()
    outcome = NoteOutcome("c" * 32, NOW, "service", "a-1041", "recorded", (), -5.0, ("coaching",))
    for note in (outcome, outcome, NoteWithheld(date(2026, 3, 1), "private")):
        books.note(note)
    writing = asyncio.create_task(books.write(catalogue))
    async with asyncio.timeout(10):
        await books.flush()
    writing.cancel()
    (row,) = await catalogue.calls.outcomes()
    assert row.seconds == 0.0
    assert [it.count for it in await catalogue.calls.withheld()] == [1]
    assert books.lost == 1
    await catalogue.close()


async def test_a_reload_is_followed_by_signalling_and_judged_by_the_gate(
    config: Config,
) -> None:
    """Whatever the gate says, its policy is the changed scheme's, horizon included."""
    catalogue = await Catalogue.open(places.catalogue(config))
    process = signalling.Signalling(config, Books(), gatekeeper.shut(config))
    await process.look(catalogue)
    before = process.gate.policy
    horizon = timedelta(seconds=5)
    media = config.media.model_copy(update={"horizon": horizon})
    told = await process.follow(config.model_copy(update={"agents": (), "media": media}))
    after = process.gate.policy
    assert (after.horizon, told["recording"], told["stopped"]) == (horizon, False, 0)
    assert after.scheme_hash != before.scheme_hash and len(after.rules) == len(before.rules)
    await catalogue.close()


def test_until_the_gate_is_judged_a_reload_only_takes_away(config: Config) -> None:
    """Neither the exclusion that is new nor the one that is gone is recorded meanwhile."""
    gate = replace(gatekeeper.shut(config), approved=True)
    doctor = config.exclusions[0].model_copy(update={"numbers": ("+31201239999",)})
    policy = gate.reloaded(config.model_copy(update={"exclusions": (doctor,)})).policy
    facts = CallFacts(
        direction=Direction.OUTBOUND,
        inside=frozenset({"201"}),
        outside=frozenset({"+31612345678"}),
        answered=True,
        approved=policy.approved,
    )
    assert decide(facts, policy.rules).recorded() == ("coaching",)
    for number in ("250", "+31201239999"):
        assert decide(facts._replace(everyone=frozenset({number})), policy.rules).recorded() == ()
