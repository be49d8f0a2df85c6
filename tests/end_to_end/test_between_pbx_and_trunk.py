"""Between PBX and provider: a call is recorded while Asterisk's manager interface says that the agent speaks.

The PBX is the demo's registrar, at which the agent's phone is registered without us; the manager interface
beside it is played after its documentation. The provider is a scripted phone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.installation import until
from demo.listening import correlation
from demo.phone import free_port
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    DOCTOR,
    PATIENCE_SECONDS,
    Recorder,
    serving,
)
from tests.end_to_end.peers.scripted import Call, Phone
from tests.end_to_end.test_a_call_is_recorded import ALIKE, noise, sound
from tests.fakes import asterisk
from tests.fakes.ports import free_tcp_port

TRUNK = ("PJSIP/provider-00000001", "1.1")
INSIDE = {AGENT: (f"PJSIP/{AGENT}-00000002", "1.2"), DOCTOR: (f"PJSIP/{DOCTOR}-00000003", "1.3")}
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
evidence = "ami"

[trunk.ami]
address = "127.0.0.1"
port = {ami}
user = "doelband"
secret_file = "ami.secret"
trunk = ["provider"]
"""


class Manager:
    """The manager interface of a PBX with one call on its trunk at a time. As a context, it listens."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._call_id = ""
        self._outgoing: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        try:
            yield
        finally:
            server.close()
            if self._outgoing is not None:
                self._outgoing.close()
            await asyncio.gather(*(it for it in self._tasks if it is not None), return_exceptions=True)

    def connects(self, call_id: str, user: str) -> None:
        """The call on the trunk and one of us come into one bridge."""
        self._call_id = call_id
        self._say(asterisk.made(*TRUNK) + asterisk.made(*INSIDE[user]))
        self._say(asterisk.entered(*INSIDE[user], count=1) + asterisk.entered(*TRUNK, count=2))

    def transfers(self, user: str, other: str) -> None:
        """One of us goes, and somebody else comes: nothing of it is seen on the trunk."""
        self._say(asterisk.left(*INSIDE[user]) + asterisk.hung_up(*INSIDE[user]))
        self._say(asterisk.made(*INSIDE[other]) + asterisk.entered(*INSIDE[other], count=2))

    def _say(self, events: bytes) -> None:
        assert self._outgoing is not None, "nobody listens"
        self._outgoing.write(events)

    async def _connected(self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self._outgoing = outgoing
        outgoing.write(asterisk.BANNER)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                asked = await incoming.readuntil(b"\r\n\r\n")
                outgoing.write(asterisk.responses(asked, {TRUNK[0]: self._call_id}))


@pytest.fixture(scope="module")
def ami() -> int:
    return free_tcp_port()


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory, ami: int) -> Iterator[Recorder]:
    folder: Path = tmp_path_factory.mktemp("trunk")
    (folder / "ami.secret").write_text("secret\n", encoding="ascii")
    text = BETWEEN.format(inner=free_port(), provider=free_port(), ami=ami)
    with serving(Recorder(folder, {'side = "both"\n': text})) as recorder:
        yield recorder


@asynccontextmanager
async def a_call(recorder: Recorder, ami: int) -> AsyncIterator[tuple[Manager, Call, Call]]:
    """A call from outside that the agent has answered, and the manager interface, which has said nothing."""
    manager = Manager(ami)
    async with (
        manager.listening(),
        Phone(CUSTOMER, PASSWORD, recorder.address) as provider,
        Phone(AGENT, PASSWORD, ("127.0.0.1", recorder.pbx_port)) as agent,
    ):
        await asyncio.to_thread(
            until, lambda: status(recorder).get("evidence_connected"), bool, PATIENCE_SECONDS
        )
        call = await provider.dial(BUSINESS_NUMBER)
        yield manager, call, await agent.taken(call.id)


def status(recorder: Recorder) -> dict[str, Any]:
    return recorder.answer("signalling", "status")


async def until_it_is(recorder: Recorder, *expected: str) -> None:
    """Wait until the running calls that are shown are in these states; a privileged one is not shown."""
    await asyncio.to_thread(
        until,
        lambda: [it["state"] for it in recorder.answer("signalling", "calls").get("calls", [])],
        lambda states: states == list(expected),
        PATIENCE_SECONDS,
    )


async def speak(call: Call, taken: Call, said: tuple[bytes, bytes]) -> None:
    """Both at once, each to the other's ear."""
    before = len(call.ear.payloads), len(taken.ear.payloads)
    await asyncio.gather(call.speak(said[0]), taken.speak(said[1]))
    await asyncio.gather(
        call.hears(before[0] + len(said[1]) // 160), taken.hears(before[1] + len(said[0]) // 160)
    )


async def test_a_call_is_recorded_while_the_agent_is_vouched_for(recorder: Recorder, ami: int) -> None:
    said, unheard = (noise(21, "PCMA"), noise(22, "PCMA")), (noise(23, "PCMA"), noise(24, "PCMA"))
    async with a_call(recorder, ami) as (manager, call, taken):
        await speak(call, taken, unheard)
        manager.connects(call.id, AGENT)
        await until_it_is(recorder, "recording")
        await speak(call, taken, said)
        await call.hang_up()
        clip = await asyncio.to_thread(recorder.next_clip)
    agent_leg, outside = recorder.export(clip)
    assert correlation(sound(said[1], "PCMA").astype(float), agent_leg) >= ALIKE
    assert correlation(sound(said[0], "PCMA").astype(float), outside) >= ALIKE
    for before, leg in zip(unheard, (outside, agent_leg), strict=True):
        assert correlation(sound(before, "PCMA").astype(float), leg) < 0.5, "nobody had vouched for that"


async def test_nothing_of_a_transfer_to_the_doctor_inside_the_pbx_is_kept(
    recorder: Recorder, ami: int
) -> None:
    said = noise(25, "PCMA"), noise(26, "PCMA")
    before = len(recorder.clips())
    async with a_call(recorder, ami) as (manager, call, taken):
        manager.connects(call.id, AGENT)
        await until_it_is(recorder, "recording")
        manager.transfers(AGENT, DOCTOR)
        await until_it_is(recorder)
        await speak(call, taken, said)
        await call.hang_up()
        await asyncio.to_thread(
            until, lambda: status(recorder).get("calls"), lambda it: it == 0, PATIENCE_SECONDS
        )
    for clip in [
        it["clip"] for it in recorder.clips()[: len(recorder.clips()) - before] if it["state"] == "sealed"
    ]:
        for leg in recorder.export(clip):
            assert max(correlation(sound(it, "PCMA").astype(float), leg) for it in said) < 0.5
