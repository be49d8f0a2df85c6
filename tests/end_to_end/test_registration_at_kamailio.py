"""Phones register at Kamailio through us, by Contact and by Path, and call each other."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal

import pytest

from demo.phone import free_port
from sip_hooks.engine import EngineSettings, Listener
from sip_hooks.events import CallOffered, Event, ForwardCall
from sip_hooks.settings import Transport as SipTransport
from sip_hooks.streams import Encryption
from sip_hooks.transport import Transport
from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.certificates import Authority
from tests.fakes.ports import free_tcp_port
from tests.fakes.sip import EPOCH
from tests.fakes.speech import voice

if reason := kamailio.missing():
    pytest.skip(reason, allow_module_level=True)

HOST, PASSWORD = "127.0.0.1", "pbx-password"
NUMBERS = {"+31201234567": "201"}


def proxy(
    pbx: Kamailio, encryption: Encryption | None = None, **more: Any
) -> tuple[Transport, tuple[str, int]]:
    """A proxy beside this PBX, and where phones find it. Nothing is recorded."""
    over: SipTransport = "udp" if encryption is None else "tls"
    inner, outer = (HOST, free_port()), (HOST, free_port() if encryption is None else free_tcp_port())
    listeners = (Listener("in", "phones", *inner), Listener("out", "pbx", *outer, transport=over))
    where = pbx.address if encryption is None else pbx.tls
    settings = EngineSettings(listeners, where, frozenset(), (1, 2), b"k" * 32, pbx_transport=over, **more)

    def go_on(event: Event) -> None:
        if isinstance(event, CallOffered):
            made.execute(ForwardCall(event.call, 0, None))

    made = Transport(settings, go_on, lambda: EPOCH, encryption=encryption)
    return made, inner


@pytest.mark.parametrize("registration", ["contact", "path"])
async def test_a_phone_is_registered_and_called_through_us(
    tmp_path: Path, registration: Literal["contact", "path"]
) -> None:
    async with Kamailio(tmp_path / "pbx", "2[0-9][0-9]", PASSWORD, NUMBERS) as pbx:
        through, address = proxy(pbx, registration=registration)
        await through.open()
        try:
            async with Phone("201", PASSWORD, address) as one, Phone("202", PASSWORD, address) as other:
                (contact,) = await pbx.contacts("201")
                assert (contact == one.contact) is (registration == "path")
                made, taken = await converse(other, one, "+31201234567", (voice("a", 0.3), voice("b", 0.3)))
                assert (made.heard(), taken.heard()) == (voice("b", 0.3), voice("a", 0.3))
        finally:
            through.close()


@pytest.mark.parametrize("is_verified", [True, False])
async def test_a_verified_pbx_over_tls_calls_phones_over_the_connection_that_we_made(
    tmp_path: Path, is_verified: bool
) -> None:
    authority = Authority(tmp_path / "ca")
    of_pbx, of_ours = authority.issue("pbx.example"), authority.issue("proxy.example")
    server, client = (ssl.SSLContext(it) for it in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    for context in (server, client):
        context.load_cert_chain(of_ours.certificate, of_ours.private_key)
    client.load_verify_locations(authority.certificate)
    encryption = Encryption({"out": server}, {"out": client}, "pbx.example")
    async with Kamailio(
        tmp_path / "pbx",
        "2[0-9][0-9]",
        PASSWORD,
        NUMBERS,
        credentials=of_pbx,
        authority=authority.certificate,
    ) as pbx:
        through, address = proxy(pbx, encryption, pbx_is_verified=is_verified)
        await through.open()
        try:
            async with Phone("201", PASSWORD, address) as one, Phone("202", PASSWORD, address) as other:
                await converse(other, one, "+31201234567", (voice("a", 0.3), voice("b", 0.3)))
                assert through.engine.connections == (1 if is_verified else 2)
        finally:
            through.close()
