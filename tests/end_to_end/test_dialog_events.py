"""Between Debian's Kamailio and the provider: a call is recorded while Kamailio's dialog events (RFC 4235)
say that the agent's extension is in it. The agent's phone is registered at Kamailio without us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.installation import until
from demo.listening import correlation
from demo.phone import free_port
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    PATIENCE_SECONDS,
    Recorder,
    serving,
)
from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.peers.scripted import Phone
from tests.end_to_end.test_a_call_is_recorded import ALIKE, noise, sound
from tests.end_to_end.test_between_pbx_and_trunk import speak, status, until_it_is

if reason := kamailio.missing():
    pytest.skip(reason, allow_module_level=True)

PASSWORD = "pbx-password"
NUMBERS = {BUSINESS_NUMBER: AGENT}
BETWEEN = """\
side = "trunk"

[[listeners]]
address = "127.0.0.1"
port = {inner}
side = "pbx"
leads_to = "trunk"

[trunk]
address = "127.0.0.1"
port = {provider}
evidence = "dialogs"

[trunk.dialogs]
address = "127.0.0.1"
port = {pbx}
domain = "pbx.example"
user = "doelband"
password_file = "dialogs.password"
"""


class BetweenKamailioAndTrunk(Recorder):
    """Whose evidence comes from the PBX's own port."""

    def __init__(self, directory: Path) -> None:
        (directory / "dialogs.password").write_text(PASSWORD + "\n", encoding="ascii")
        text = BETWEEN.format(inner=free_port(), provider=free_port(), pbx="{pbx}")
        super().__init__(directory, {'side = "both"\n': text})
        written = self.config.read_text(encoding="utf-8").replace("{pbx}", str(self.pbx_port))
        self.config.write_text(written, encoding="utf-8")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    made = BetweenKamailioAndTrunk(tmp_path_factory.mktemp("dialogs"))
    with serving(made, exchange=False) as recorder:
        yield recorder


@asynccontextmanager
async def pbx(recorder: Recorder, folder: Path) -> AsyncIterator[None]:
    """A Kamailio whose dialogs are told to the recorder, to the end."""
    accounts = r"(\+31)?[0-9]*"
    place = "127.0.0.1", recorder.pbx_port
    async with Kamailio(folder, accounts, PASSWORD, NUMBERS, place, tells_dialogs=True, workers=1):
        await state(recorder, lambda it: it.startswith("2 of 2 "))
        yield


async def state(recorder: Recorder, holds: Any) -> None:
    """Wait until what is said of the source is so."""
    await asyncio.to_thread(
        until, lambda: status(recorder).get("evidence_state", ""), holds, PATIENCE_SECONDS
    )


async def test_a_call_is_recorded_while_kamailio_says_that_the_agent_is_in_it(
    recorder: Recorder, tmp_path: Path
) -> None:
    said = noise(41, "PCMA"), noise(42, "PCMA")
    async with (
        pbx(recorder, tmp_path / "pbx"),
        Phone(CUSTOMER, PASSWORD, recorder.address) as provider,
        Phone(AGENT, PASSWORD, ("127.0.0.1", recorder.pbx_port)) as agent,
    ):
        call = await provider.dial(BUSINESS_NUMBER)
        taken = await agent.taken(call.id)
        await until_it_is(recorder, "recording")
        await speak(call, taken, said)
        await call.hang_up()
        clip = await asyncio.to_thread(recorder.next_clip)
    agent_leg, outside = recorder.export(clip)
    assert correlation(sound(said[1], "PCMA").astype(float), agent_leg) >= ALIKE
    assert correlation(sound(said[0], "PCMA").astype(float), outside) >= ALIKE


async def test_when_kamailio_is_gone_nobody_is_recorded(recorder: Recorder, tmp_path: Path) -> None:
    async with AsyncExitStack() as phones:
        async with pbx(recorder, tmp_path / "pbx"):
            provider = await phones.enter_async_context(Phone(CUSTOMER, PASSWORD, recorder.address))
            await phones.enter_async_context(Phone(AGENT, PASSWORD, ("127.0.0.1", recorder.pbx_port)))
            await provider.dial(BUSINESS_NUMBER)
            await until_it_is(recorder, "recording")
        await until_it_is(recorder, "paused")
        assert not (await asyncio.to_thread(status, recorder))["evidence_connected"]
