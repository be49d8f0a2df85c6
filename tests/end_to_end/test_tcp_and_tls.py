"""Phones over TCP and TLS beside those over UDP: they register, call each other, and are recorded."""

from __future__ import annotations

import asyncio
import audioop
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from demo.listening import Samples, correlation
from demo.telephony import PASSWORD
from sip_hooks.framing import PING, PONG
from tests.end_to_end.installation import AGENT, COLLEAGUE, CUSTOMER, Recorder, running
from tests.end_to_end.peers import baresip, sipp
from tests.end_to_end.peers.scripted import Phone
from tests.fakes.certificates import Authority
from tests.fakes.ports import free_tcp_port
from tests.fakes.speech import voice

ALIKE = 0.99
EDGE = 480
"""Samples. sipp speaks at once and hangs up at once, and over TCP its ACK and BYE overtake its media."""
SAID = voice("customer", 1.5)
LISTENERS = """\
side = "both"

[[listeners]]
address = "127.0.0.1"
port = {tcp}
side = "phones"
transport = "tcp"

[[listeners]]
address = "127.0.0.1"
port = {tls}
side = "phones"
transport = "tls"
certificate = "{folder}/proxy.example.pem"
private_key = "{folder}/proxy.example.key"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """An installation whose phones may use any transport."""

    recorder: Recorder
    authority: Authority
    tcp: int
    tls: int

    def phone(self, folder: Path, transport: Literal["tcp", "tls"], user: str = COLLEAGUE) -> baresip.Baresip:
        noise = np.random.default_rng(int(user)).normal(0, 4000, 12_000).astype(np.int16)
        server = "127.0.0.1", self.tcp if transport == "tcp" else self.tls
        made = baresip.Baresip(folder, server, user, noise, password=PASSWORD, port=free_tcp_port())
        made.transport, made.ca = transport, self.authority.certificate
        return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    authority = Authority(tmp_path_factory.mktemp("tls") / "ca")
    folder = authority.issue("proxy.example").certificate.parent
    tcp, tls = free_tcp_port(), free_tcp_port()
    more = {'side = "both"\n': LISTENERS.format(tcp=tcp, tls=tls, folder=folder)}
    with running(tmp_path_factory.mktemp("streams"), more) as recorder:
        yield Site(recorder, authority, tcp, tls)


def linear(alaw: bytes) -> Samples:
    return np.frombuffer(audioop.alaw2lin(alaw, 2), np.int16).astype(np.float64)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_phone_over_udp_calls_one_over_a_connection_and_is_recorded(
    site: Site, tmp_path: Path, transport: Literal["tcp", "tls"]
) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    async with (
        site.phone(tmp_path / "agent", transport) as agent,
        Phone(CUSTOMER, PASSWORD, site.recorder.address) as customer,
    ):
        call = await customer.dial(COLLEAGUE)
        await call.speak(SAID)
        await call.hears(90)
        await call.hang_up()
        await agent.event("CALL_CLOSED")
    inside, outside = site.recorder.export(site.recorder.next_clip())
    assert correlation(agent.speech.astype(float), inside) >= ALIKE
    assert correlation(linear(SAID), outside) >= ALIKE


async def greeted(site: Site) -> tuple[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection over TLS, and the serial number of the certificate that was shown."""
    context = ssl.create_default_context(cafile=site.authority.certificate)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.tls, ssl=context)
    return int(writer.get_extra_info("peercert")["serialNumber"], 16), (reader, writer)


async def test_a_reload_shows_renewed_certificates_and_drops_no_connection(site: Site) -> None:
    first, before = await greeted(site)
    renewed = site.authority.issue("proxy.example")
    await asyncio.to_thread(site.recorder.tell, "ctl", "reload")
    second, after = await greeted(site)
    kept = renewed.certificate.read_bytes()
    renewed.certificate.write_text("broken")
    refused = await asyncio.to_thread(site.recorder.ask, "ctl", "reload")
    renewed.certificate.write_bytes(kept)
    third, last = await greeted(site)
    assert (second, third) == (first + 1, second)
    assert refused.status == 75
    assert str(renewed.certificate) in str(refused.value)
    for reader, writer in (before, after, last):
        writer.write(PING)
        assert await asyncio.wait_for(reader.readexactly(len(PONG)), 5) == PONG
        writer.close()
        await writer.wait_closed()


async def test_a_phone_over_tls_calls_one_over_tcp_and_hangs_up(site: Site, tmp_path: Path) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    async with site.phone(tmp_path / "a", "tls", AGENT) as one, site.phone(tmp_path / "b", "tcp") as other:
        await one.dial(COLLEAGUE)
        await other.has_heard(1.0)
        await one.hang_up()
        await other.event("CALL_CLOSED")


async def test_sipp_over_tcp_calls_a_phone_over_tcp(site: Site, tmp_path: Path) -> None:
    if reason := baresip.missing() or sipp.missing():
        pytest.skip(reason)
    caller = sipp.Sipp(
        tmp_path / "sipp", ("127.0.0.1", site.tcp), CUSTOMER, SAID, transport="tcp", port=free_tcp_port()
    )
    await caller.register(PASSWORD)
    async with site.phone(tmp_path / "agent", "tcp") as agent:
        await caller.call(COLLEAGUE)
        await agent.event("CALL_CLOSED")
    _, outside = site.recorder.export(site.recorder.next_clip())
    assert linear(SAID)[EDGE:-EDGE].tobytes() in outside.tobytes()  # sample by sample


async def test_sipp_over_tcp_whose_connection_has_gone_is_called_where_its_contact_leads(
    site: Site, tmp_path: Path
) -> None:
    """sipp registers, and ends; when it answers calls it is another process on the port of its Contact."""
    if reason := baresip.missing() or sipp.missing():
        pytest.skip(reason)
    called = sipp.Sipp(
        tmp_path / "sipp", ("127.0.0.1", site.tcp), CUSTOMER, SAID, transport="tcp", port=free_tcp_port()
    )
    await called.register(PASSWORD)
    async with site.phone(tmp_path / "agent", "tls") as agent, called.answering():
        await agent.dial(CUSTOMER)
        await agent.has_heard(2.0)
        await agent.hang_up()
    inside, outside = site.recorder.export(site.recorder.next_clip())
    assert correlation(agent.speech.astype(float), inside) >= ALIKE
    assert correlation(linear(SAID), outside) >= ALIKE
