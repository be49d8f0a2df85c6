"""TCP and TLS on real sockets: phones and a PBX on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from sip_hooks import streams
from sip_hooks.engine import EngineSettings, Listener
from sip_hooks.events import CallOffered, Event, ForwardCall
from sip_hooks.framing import Deframer
from sip_hooks.message import Message, parse
from sip_hooks.settings import Limits
from sip_hooks.settings import Transport as Name
from sip_hooks.streams import Encryption
from sip_hooks.transport import Transport
from tests.fakes.certificates import Authority, Credentials
from tests.fakes.ports import free_tcp_port
from tests.fakes.relay import soon
from tests.fakes.sip import EPOCH, field_of, invite, reply, request
from tests.sip_hooks.test_torture import FILES

LOOPBACK = "127.0.0.1"
PATIENCE_SECONDS = 5.0


class Peer:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._stream = Deframer()
        self._heard: list[bytes] = []

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> Message:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._heard:
                data = await self._reader.read(65536)
                assert data, "the connection was closed"
                self._heard += [found for found in self._stream.feed(data) if isinstance(found, bytes)]
        return parse(self._heard.pop(0))

    async def is_hung_up_on(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._reader.read(65536):
                pass

    @property
    def shown(self) -> int:
        """The serial number of the certificate that the other end showed."""
        own: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        certificate = own.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)


class House:
    """The proxy: a listener for phones over `phones`, one for the PBX over `pbx`, and a PBX that listens."""

    def __init__(
        self, phones: Name, pbx: Name, encryption: Encryption | None = None, limits: Limits | None = None
    ) -> None:
        self.port, self.own_port, self.pbx_port = free_tcp_port(), free_tcp_port(), free_tcp_port()
        listeners = (
            Listener("in", "phones", LOOPBACK, self.port, transport=phones),
            Listener("out", "pbx", LOOPBACK, self.own_port, transport=pbx),
        )
        settings = EngineSettings(
            listeners,
            (LOOPBACK, self.pbx_port),
            frozenset(),
            (1, 2),
            b"k",
            pbx_transport=pbx,
            limits=limits or Limits(),
        )
        self.proxy = Transport(settings, self.take, lambda: EPOCH, encryption=encryption)
        self.counters = self.proxy.engine.counters
        self.peers: list[Peer] = []
        self.callers: asyncio.Queue[Peer] = asyncio.Queue()  # connections that the PBX took

    def take(self, event: Event) -> None:
        if isinstance(event, CallOffered):
            self.proxy.execute(ForwardCall(event.call, 0, None))

    async def phone(self, context: ssl.SSLContext | None = None) -> Peer:
        name = "proxy.example" if context else None
        connecting = asyncio.open_connection(LOOPBACK, self.port, ssl=context, server_hostname=name)
        self.peers.append(Peer(*await connecting))
        return self.peers[-1]

    async def answered(self, phone: Peer, branch: str = "z9hG4bK1") -> None:
        """The proxy answers an OPTIONS of this phone."""
        phone.say(request("OPTIONS", f"sip:{LOOPBACK}:{self.port}", branch=branch))
        assert (await phone.hear()).status == 200

    async def pbx_is_called(self) -> Peer:
        return await asyncio.wait_for(self.callers.get(), PATIENCE_SECONDS)


@asynccontextmanager
async def opened(
    house: House, pbx: ssl.SSLContext | None = None, *, listens: bool = True
) -> AsyncIterator[House]:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        house.peers.append(Peer(reader, writer))
        await house.callers.put(house.peers[-1])

    server = (
        await asyncio.start_server(take, LOOPBACK, house.pbx_port, ssl=pbx, reuse_port=True)
        if listens
        else None
    )
    await house.proxy.open()
    try:
        yield house
    finally:
        house.proxy.close()
        if server is not None:
            server.close()
        for peer in house.peers:
            peer.writer.transport.abort()
        for peer in house.peers:
            with suppress(OSError, TimeoutError):  # a handshake that was cut off is never told of
                await asyncio.wait_for(peer.writer.wait_closed(), PATIENCE_SECONDS)


def serving(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.certificate, credentials.private_key)
    return context


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.certificate)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def encryption(authority: Authority) -> Encryption:
    ours = serving(authority.issue("proxy.example"))
    return Encryption({"in": ours, "out": ours}, {"out": trusting(authority)}, "pbx.example")


async def test_calls_to_a_phone_come_over_its_connection_and_to_the_pbx_over_one_that_is_kept() -> None:
    async with opened(House("tcp", "tcp")) as house:
        phone = await house.phone()
        contact = "Contact: <sip:201@192.168.1.20;transport=tcp>"
        phone.say(request("REGISTER", "sip:pbx", headers=[contact]))
        pbx = await house.pbx_is_called()
        register = await pbx.hear()
        told = field_of(register.raw, "contact")[0]
        pbx.say(reply(register.raw, headers=[f"Contact: {told}"]))
        assert (await phone.hear()).status == 200
        pbx.say(invite(told.strip("<>"), sender=(LOOPBACK, house.pbx_port), branch="z9hG4bKpbx"))
        assert (await phone.hear()).method == b"INVITE"
        phone.say(request("REGISTER", "sip:pbx", headers=[contact], branch="z9hG4bK2", number=2))
        assert (await pbx.hear()).cseq == (2, b"REGISTER")
        assert house.callers.empty()
        assert house.proxy.engine.connections == 2


async def test_one_address_has_no_more_connections_than_it_may() -> None:
    house = House("tcp", "udp", limits=Limits(connections=2))
    async with opened(house):
        first, _ = await house.phone(), await house.phone()
        await (await house.phone()).is_hung_up_on()
        assert house.counters["connections over the limit of a source"] == 1
        first.writer.close()
        await soon(lambda: house.proxy.engine.connections == 1)
        await house.answered(await house.phone())


async def test_a_phone_over_tls_and_a_pbx_over_tls(authority: Authority, encryption: Encryption) -> None:
    pbx_context = serving(authority.issue("pbx.example", "192.0.2.1"))
    async with opened(House("tls", "tls", encryption), pbx_context) as house:
        phone = await house.phone(trusting(authority))
        phone.say(invite())
        sent = await (await house.pbx_is_called()).hear()
        assert sent.top_via.transport == b"TLS"


@pytest.mark.parametrize("name", ["other.example", "pbx.example"])
async def test_a_pbx_whose_certificate_is_not_its_own_gets_nothing(
    name: str, authority: Authority, encryption: Encryption, tmp_path: Path
) -> None:
    """Of our CA but for another host, and for this host but of another CA."""
    issuer = authority if name == "other.example" else Authority(tmp_path / "theirs")
    async with opened(House("tcp", "tls", encryption), serving(issuer.issue(name, "192.0.2.1"))) as house:
        phone = await house.phone()
        phone.say(request("INFO"))
        assert (await phone.hear()).status == 503
        assert house.counters["certificates not trusted"] == 1
        assert house.callers.empty()


async def test_a_pbx_that_does_not_listen_is_said_at_once() -> None:
    async with opened(House("tcp", "tcp"), listens=False) as house:
        phone = await house.phone()
        phone.say(invite())
        assert (await phone.hear()).status == 503
        assert house.counters["failed connections"] == 1


async def test_a_pbx_that_takes_the_connection_and_says_nothing_is_given_up(
    encryption: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CONNECT_SECONDS", 0.2)
    async with opened(House("tcp", "tls", encryption)) as house:  # this PBX speaks no TLS, and waits
        phone = await house.phone()
        phone.say(request("INFO"))
        assert (await phone.hear()).status == 503


async def test_what_waits_for_a_connection_has_a_limit(
    encryption: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST_WAITING", 2)
    async with opened(House("tcp", "tls", encryption)) as house:
        phone = await house.phone()
        for number in range(3):
            phone.say(request("INFO", branch=f"z9hG4bK{number}"))
        await house.answered(phone, "z9hG4bKlast")
        assert house.counters["messages too many for a connection being made"] == 1


async def test_a_pbx_that_connects_from_its_own_port_is_answered_there_from_then_on() -> None:
    """The connection that we made before has the same addresses, and gives way."""
    async with opened(House("tcp", "tcp")) as house:
        phone = await house.phone()
        phone.say(request("INFO"))
        before = await house.pbx_is_called()
        await before.hear()
        with socket.socket() as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            own.bind((LOOPBACK, house.pbx_port))
            own.setblocking(False)
            await asyncio.get_running_loop().sock_connect(own, (LOOPBACK, house.own_port))
            after = Peer(*await asyncio.open_connection(sock=own))
            house.peers.append(after)
            await before.is_hung_up_on()
            phone.say(request("INFO", branch="z9hG4bK2", number=2))
            assert (await after.hear()).cseq[0] == 2


async def test_a_phone_over_tls_is_never_sent_anything_in_the_clear(
    authority: Authority, encryption: Encryption
) -> None:
    """Its connection has gone, and at the address of its Via somebody listens."""
    async with opened(House("tls", "tcp", encryption)) as house:
        with socket.create_server((LOOPBACK, 0)) as caught:
            phone = await house.phone(trusting(authority))
            phone.say(request("INFO", sender=caught.getsockname()))
            pbx = await house.pbx_is_called()
            forwarded = (await pbx.hear()).raw
            phone.writer.close()
            await soon(lambda: house.proxy.engine.connections == 1)
            pbx.say(reply(forwarded))
            await soon(lambda: house.counters["failed connections"] == 1)


async def test_when_the_pbx_has_hung_up_the_next_request_connects_anew() -> None:
    async with opened(House("tcp", "tcp")) as house:
        phone = await house.phone()
        phone.say(request("INFO"))
        pbx = await house.pbx_is_called()
        await pbx.hear()
        pbx.writer.close()
        assert (await phone.hear()).status == 503
        phone.say(request("INFO", branch="z9hG4bK2", number=2))
        assert (await (await house.pbx_is_called()).hear()).cseq[0] == 2


async def test_certificates_are_exchanged_without_dropping_a_connection(
    authority: Authority, encryption: Encryption
) -> None:
    async with opened(House("tls", "tcp", encryption)) as house:
        before = await house.phone(trusting(authority))
        await house.answered(before)
        again = serving(authority.issue("proxy.example"))
        house.proxy.encrypt(Encryption({"in": again}))
        after = await house.phone(trusting(authority))
        await house.answered(after, "z9hG4bK2")
        await house.answered(before, "z9hG4bK3")
        assert after.shown == before.shown + 1


async def test_whoever_fails_the_handshake_is_in_nobodys_way(
    authority: Authority, encryption: Encryption, tmp_path: Path
) -> None:
    async with opened(House("tls", "tcp", encryption)) as house:
        with pytest.raises(ssl.SSLCertVerificationError):
            await house.phone(trusting(Authority(tmp_path / "theirs")))
        plain = await house.phone()
        plain.say(request("OPTIONS"))
        await plain.is_hung_up_on()
        await house.answered(await house.phone(trusting(authority)))
        assert house.counters["failed handshakes"] == 2


async def test_a_peer_that_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_UNSENT", 1000)
    async with opened(House("tcp", "tcp", limits=Limits(0, 0, 0))) as house:
        phone = await house.phone()
        numbers, reading = count(), phone.writer.transport
        assert isinstance(reading, asyncio.ReadTransport)
        reading.pause_reading()
        long, uri = f'"{"x" * 30000}" <sip:201@pbx>;tag=a', f"sip:{LOOPBACK}:{house.port}"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not house.counters["peers that do not read"]:  # every answer repeats the long From
                phone.say(request("OPTIONS", uri, caller=long, branch=f"z9hG4bK{next(numbers)}"))
                await asyncio.sleep(0)
        reading.resume_reading()
        await house.answered(await house.phone(), "z9hG4bKother")


async def test_more_connections_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(House("tcp", "tcp")) as house:
        first = await house.phone()
        await house.answered(first)
        monkeypatch.setattr(streams, "MOST_CONNECTIONS", 3)  # two listeners are waiting, one phone is there
        await (await house.phone()).is_hung_up_on()
        await house.answered(first, "z9hG4bK2")
        assert house.counters["connections refused"] == 1
        house.peers.append(Peer(*await asyncio.open_connection(LOOPBACK, house.own_port)))
        await house.answered(house.peers[-1], "z9hG4bK3")  # there is always room for the PBX


async def test_both_ip_versions_have_the_same_port_side_by_side() -> None:
    port = free_tcp_port()
    listeners = tuple(Listener(host, "both", host, port, transport="tcp") for host in (LOOPBACK, "::1"))
    settings = EngineSettings(listeners, (LOOPBACK, free_tcp_port()), frozenset(), (1, 2), b"k")
    proxy = Transport(settings, lambda _: None, lambda: EPOCH)
    await proxy.open()
    try:
        for host in (LOOPBACK, "::1"):
            phone = Peer(*await asyncio.open_connection(host, port))
            phone.say(request("OPTIONS", f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}"))
            answer = await phone.hear()
            assert (answer.status, answer.top_via.param(b"received")) == (200, host.encode())
            phone.writer.close()
            await phone.writer.wait_closed()
    finally:
        proxy.close()


@pytest.mark.skipif(not FILES, reason="the RFC 4475 messages (../shared/corpora/rfc4475) are not here")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_no_torture_message_keeps_the_next_phone_from_its_answer(
    transport: Name, authority: Authority, encryption: Encryption
) -> None:
    context = trusting(authority) if transport == "tls" else None
    async with opened(House(transport, "tcp", encryption)) as house:
        for name, data in FILES.items():
            phone = await house.phone(context)
            phone.say(data)
            phone.writer.close()
            async with asyncio.timeout(0.5):
                await house.answered(await house.phone(context), f"z9hG4bK{name}")
