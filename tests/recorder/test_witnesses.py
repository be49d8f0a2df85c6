"""A source of evidence over TCP: heard while it is there, missed within seconds when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from recorder.config import Config, parse
from recorder.evidence.statements import LOST_AFTER, Statement
from recorder.service import witnesses
from recorder.service.witnesses import Witnesses
from storage.clock import SystemClock
from storage.errors import Unavailable
from tests.fakes import asterisk, freeswitch, notifier
from tests.recorder.schemes import CONFIGURATION

SECTION = """
[[listeners]]
address = "127.0.0.1"
port = 5061
side = "trunk"

[[listeners]]
address = "127.0.0.1"
port = 5062
side = "pbx"
leads_to = "trunk"

[trunk]
address = "198.51.100.5"
evidence = "{kind}"

[trunk.{kind}]
address = "127.0.0.1"
port = {port}
{more}
"""
AMI = 'user = "doelband"\nsecret_file = "secret"\ntrunk = ["provider"]'
ESL = 'password_file = "secret"\ntrunk = ["external"]'
DIALOGS = 'domain = "pbx.example"\nuser = "doelband"\npassword_file = "secret"'
TRUNK, AGENT = ("PJSIP/provider-00000001", "1.1"), ("PJSIP/201-00000002", "1.2")


def configured(directory: Path, port: int, kind: str = "ami", secret: str = "secret\n") -> Config:
    (directory / "secret").write_text(secret)
    more = {"ami": AMI, "esl": ESL, "dialogs": DIALOGS}[kind]
    text = CONFIGURATION.replace("192.0.2.10", "127.0.0.1")
    return parse(text + SECTION.format(kind=kind, port=port, more=more), "test.toml", directory)


class Heard:
    """What a source says, and that it is lost."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[Statement | None] = asyncio.Queue()

    def lost(self) -> None:
        self.news.put_nowait(None)

    async def next(self) -> Statement | None:
        async with asyncio.timeout(20):
            return await self.news.get()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def source(talk: Talk) -> AsyncIterator[int]:
    """A source on loopback, at this port; when nobody needs it any more its connections are closed."""
    tasks: list[asyncio.Task[None] | None] = []

    async def connected(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await talk(incoming, outgoing)
        finally:
            outgoing.close()
            with suppress(ConnectionError):
                await outgoing.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*(it for it in tasks if it is not None), return_exceptions=True)


@asynccontextmanager
async def heard(directory: Path, talk: Talk, kind: str = "ami") -> AsyncIterator[tuple[Heard, Witnesses]]:
    """A source, and somebody who listens to it."""
    ear = Heard()
    async with source(talk) as port:
        config = configured(directory, port, kind)
        found = Witnesses(config, ear.news.put_nowait, ear.lost, SystemClock(None).now)
        found.start()
        try:
            yield ear, found
        finally:
            found.close()


async def as_asterisk(
    incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, *, is_mute: bool = False
) -> None:
    """Asterisk with one call, which answers what it is asked, or after the call is made nothing more."""
    outgoing.write(asterisk.BANNER)
    ids = {TRUNK[0]: asterisk.CALL_ID}
    outgoing.write(asterisk.responses(await incoming.readuntil(b"\r\n\r\n"), ids))
    outgoing.write(asterisk.made(*TRUNK) + asterisk.made(*AGENT))
    outgoing.write(asterisk.responses(await incoming.readuntil(b"\r\n\r\n"), ids))
    outgoing.write(asterisk.entered(*AGENT, count=1) + asterisk.entered(*TRUNK, count=2))
    while not is_mute:
        outgoing.write(asterisk.responses(await incoming.readuntil(b"\r\n\r\n"), ids))
    await incoming.read()


async def mute_asterisk(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
    """It says that the agent speaks, and nothing more; the connection stays."""
    await as_asterisk(incoming, outgoing, is_mute=True)


async def as_freeswitch(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
    """FreeSWITCH with one call."""
    outgoing.write(freeswitch.GREETING)
    for _ in ("auth", "event"):
        outgoing.write(freeswitch.replies(await incoming.readuntil(b"\n\n")))
    outgoing.write(
        freeswitch.trunk("CHANNEL_CREATE") + freeswitch.phone("CHANNEL_CREATE") + freeswitch.between()
    )
    await incoming.read()


async def as_notifier(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
    """A PBX that tells its dialogs, with one call."""
    pbx = notifier.Notifier({"201": [notifier.dialog()]})
    while data := await incoming.read(65_536):
        outgoing.write(pbx.take(data))


async def agent_speaks(ear: Heard) -> Statement:
    """Wait until it is said."""
    while (said := await ear.next()) is None or said.inside is None:
        pass
    return said


@pytest.mark.parametrize(
    ("kind", "talk", "conversation"),
    [
        ("ami", as_asterisk, asterisk.CALL),
        ("esl", as_freeswitch, freeswitch.CALL),
        ("dialogs", as_notifier, notifier.CALL),
    ],
)
async def test_what_a_pbx_says_is_heard(kind: str, talk: Talk, conversation: str, tmp_path: Path) -> None:
    async with heard(tmp_path, talk, kind) as (ear, found):
        said = await agent_speaks(ear)
        assert (said.conversation, said.inside) == (conversation, frozenset({"201"}))
        status = found.status()
        assert (status["evidence"], status["evidence_connected"]) == (kind, True)
        samples = {name: value for name, _, value in found.samples()}
        assert samples["evidence_connected"] == 1
        assert samples["evidence_statements_total"] >= 1


async def test_what_is_asked_is_answered_as_of_then(tmp_path: Path) -> None:
    async with heard(tmp_path, as_asterisk) as (ear, found):
        first = await agent_speaks(ear)
        found.ask("")
        again = await agent_speaks(ear)
        assert again.inside == first.inside
        assert again.at > first.at


async def test_whoever_is_an_agent_is_watched_also_after_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnesses, "ASK_AFTER", timedelta(milliseconds=50))
    async with heard(tmp_path, as_notifier, "dialogs") as (ear, found):
        await agent_speaks(ear)
        config = configured(tmp_path, 5060, "dialogs")
        agents = tuple(it.model_copy(update={"extensions": ("299",)}) for it in config.agents)
        found.follow(config.model_copy(update={"agents": agents}))
        said = await ear.next()
        while said is None or said.inside is not None:
            said = await ear.next()
        assert found.status()["evidence_state"].endswith(" of 1 extensions are watched")


async def test_nobody_else_can_send_dialog_events_to_where_we_hear_them(tmp_path: Path) -> None:
    ends: list[tuple[str, int]] = []

    async def talk(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        ends.append(outgoing.get_extra_info("peername")[:2])
        await as_notifier(incoming, outgoing)

    async with heard(tmp_path, talk, "dialogs") as (ear, _):
        await agent_speaks(ear)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*ends[0])


async def test_a_source_that_falls_silent_is_lost_within_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timedelta(seconds=5) > LOST_AFTER, "the shortest horizon of the trunk side"
    monkeypatch.setattr(witnesses, "ASK_AFTER", timedelta(milliseconds=200))
    monkeypatch.setattr(witnesses, "LOST_AFTER", timedelta(milliseconds=600))
    async with heard(tmp_path, mute_asterisk) as (ear, found):
        await agent_speaks(ear)
        assert await ear.next() is None
        assert not found.status()["evidence_connected"]
        assert {name: value for name, _, value in found.samples()}["evidence_losses_total"] == 1


async def test_a_source_that_answers_when_asked_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnesses, "ASK_AFTER", timedelta(milliseconds=50))
    async with heard(tmp_path, as_asterisk) as (ear, found):
        for _ in range(3):
            await agent_speaks(ear)
        assert found.status()["evidence_connected"]


async def test_a_fault_while_something_is_said_loses_the_source_and_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnesses, "RETRY_SECONDS", 0.05)
    lost, again = asyncio.Event(), asyncio.Event()
    said = 0

    def say(_: Statement) -> None:
        nonlocal said
        said += 1
        if said == 1:
            raise ValueError("a fault of our own")
        again.set()

    async with source(as_asterisk) as port:
        found = Witnesses(configured(tmp_path, port), say, lost.set, SystemClock(None).now)
        found.start()
        async with asyncio.timeout(20):
            await lost.wait()
            await again.wait()
        found.close()


@pytest.mark.parametrize("secret", ["", " \n"])
def test_an_empty_password_is_said_at_the_start(secret: str, tmp_path: Path) -> None:
    config = configured(tmp_path, 5038, secret=secret)
    with pytest.raises(Unavailable, match="is empty"):
        Witnesses(config, print, print, SystemClock(None).now)


def test_a_missing_password_is_said_at_the_start(tmp_path: Path) -> None:
    config = configured(tmp_path, 5038)
    (tmp_path / "secret").unlink()
    with pytest.raises(Unavailable, match="no such file"):
        Witnesses(config, print, print, SystemClock(None).now)
