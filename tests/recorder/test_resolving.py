"""The PBX's name, asked of a real DNS server on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.asyncresolver import Resolver
from dns.exception import DNSException

from recorder.config import ConfigError, model, parse
from recorder.service.listening import encryption
from recorder.service.resolving import keep_resolving, look_up
from sip_hooks.settings import Address, Transport
from sip_hooks.targets import Record
from tests.recorder.test_config import small

ZONE = {
    ("_sip._udp.pbx.example.", "SRV"): ["10 60 5060 a.pbx.example.", "20 0 5062 b.pbx.example."],
    ("_sips._tcp.pbx.example.", "SRV"): ["0 0 5071 a.pbx.example."],
    ("a.pbx.example.", "A"): ["127.0.0.11"],
    ("a.pbx.example.", "AAAA"): ["2001:db8::11"],
    ("b.pbx.example.", "A"): ["127.0.0.12", "127.0.0.13"],
    ("plain.example.", "A"): ["127.0.0.20"],
    ("near.example.", "AAAA"): ["fe80::20", "2001:db8::20"],
    ("_sip._udp.none.example.", "SRV"): ["0 0 0 ."],
    ("any.example.", "NAPTR"): [
        '20 50 "s" "SIP+D2U" "" _sip._udp.any.example.',
        '20 10 "S" "sip+d2t" "" _sip._tcp.elsewhere.example.',
        '10 90 "s" "SIPS+D2T" "" _sips._tcp.any.example.',
        '5 1 "u" "E2U+sip" "!^.*$!sip:x@any.example!" .',
        '1 1 "a" "SIP+D2U" "" _sip._udp.pbx.example.',
        '1 2 "s" "SIP+D2U" "!^.*$!sip:x@any.example!" _sip._udp.pbx.example.',
    ],
    ("_sips._tcp.any.example.", "SRV"): ["0 0 5071 a.pbx.example."],
    ("_sip._tcp.elsewhere.example.", "SRV"): ["0 0 5072 a.pbx.example."],
    ("_sip._udp.any.example.", "SRV"): ["0 0 5073 a.pbx.example."],
    ("any.example.", "A"): ["127.0.0.30"],
    ("bare.example.", "NAPTR"): ['10 10 "s" "SIPS+D2T" "" _sips._tcp.bare.example.'],
    ("bare.example.", "A"): ["127.0.0.31"],
    ("_sip._tcp.streams.example.", "SRV"): ["0 0 5074 a.pbx.example."],
}


class Server(asyncio.DatagramProtocol):
    """Answers from `zone`; says nothing at all when that is None."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], list[str]] | None = ZONE
        self.seconds: dict[str, int] = {}  # how long an answer lasts, by its kind

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.zone is None:
            return
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        found = self.zone.get((question.name.to_text().lower(), kind))
        if found:
            lasts = self.seconds.get(kind, 60)
            answer.answer.append(dns.rrset.from_text(question.name, lasts, "IN", kind, *found))
        elif not any(name == question.name.to_text() for name, _ in self.zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Resolver]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        Server, local_addr=("127.0.0.1", 0), family=socket.AF_INET
    )
    resolver = Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = transport.get_extra_info("sockname")[1]
    resolver.lifetime = 2.0
    try:
        yield server, resolver
    finally:
        transport.close()


async def test_srv_records_say_where_the_servers_are_and_in_which_order() -> None:
    async with served() as (_, resolver):
        pbx = model.Pbx(address="pbx.example")
        records, transport, seconds = await look_up(pbx, ("udp",), 4, resolver)
    first, *others = sorted(records, key=lambda it: (it.priority, it.address))
    assert first == Record(("127.0.0.11", 5060), 10, 60)
    assert others == [Record(("127.0.0.12", 5062), 20), Record(("127.0.0.13", 5062), 20)]
    assert (transport, seconds) == ("udp", 60)


@pytest.mark.parametrize(
    ("pbx", "family", "expected"),
    [
        (model.Pbx(address="pbx.example", transport="tls"), 4, [("127.0.0.11", 5071)]),
        (model.Pbx(address="pbx.example"), 6, [("2001:db8::11", 5060)]),
        (model.Pbx(address="a.pbx.example", port=5070), 4, [("127.0.0.11", 5070)]),
        (model.Pbx(address="plain.example"), 4, [("127.0.0.20", 5060)]),
        (model.Pbx(address="plain.example", transport="tls"), 4, [("127.0.0.20", 5061)]),
        (model.Pbx(address="near.example"), 6, [("2001:db8::20", 5060)]),
        (model.Pbx(address="none.example"), 4, []),
        (model.Pbx(address="nobody.example"), 4, []),
    ],
)
async def test_a_name_is_resolved_as_its_port_and_transport_say(
    pbx: model.Pbx, family: int, expected: list[Address]
) -> None:
    async with served() as (_, resolver):
        found = await look_up(pbx, (pbx.transport,), 6 if family == 6 else 4, resolver)
    assert [it.address for it in found.records] == expected
    assert found.transport == pbx.transport


ALL: tuple[Transport, ...] = ("udp", "tcp", "tls")


@pytest.mark.parametrize(
    ("pbx", "spoken", "transport", "expected"),
    [
        (model.Pbx(address="any.example"), ALL, "tls", ("127.0.0.11", 5071)),
        (model.Pbx(address="any.example"), ("udp", "tcp"), "tcp", ("127.0.0.11", 5072)),
        (model.Pbx(address="any.example"), ("udp",), "udp", ("127.0.0.11", 5073)),
        (model.Pbx(address="bare.example"), ALL, "tls", ("127.0.0.31", 5061)),
        (model.Pbx(address="bare.example"), ("udp",), "udp", ("127.0.0.31", 5060)),
        (model.Pbx(address="streams.example"), ALL, "tcp", ("127.0.0.11", 5074)),
        (model.Pbx(address="plain.example"), ALL, "udp", ("127.0.0.20", 5060)),
        (model.Pbx(address="any.example", port=5090), ALL[:1], "udp", ("127.0.0.30", 5090)),
        (model.Pbx(address="any.example", transport="udp"), ALL[:1], "udp", ("127.0.0.11", 5073)),
    ],
)
async def test_without_a_transport_naptr_records_say_which_of_ours_the_pbx_prefers(
    pbx: model.Pbx, spoken: tuple[Transport, ...], transport: Transport, expected: Address
) -> None:
    async with served() as (_, resolver):
        found = await look_up(pbx, spoken, 4, resolver)
    assert (found.transport, found.records[0].address) == (transport, expected)


async def test_what_naptr_records_prefer_holds_no_longer_than_they_do() -> None:
    async with served() as (server, resolver):
        server.seconds["NAPTR"] = 7
        found = await look_up(model.Pbx(address="any.example"), ALL, 4, resolver)
    assert found.seconds == 7


async def test_a_name_server_that_is_silent_leaves_what_is_known_in_force() -> None:
    told: asyncio.Queue[tuple[Sequence[Address], Transport | None]] = asyncio.Queue()

    def aim(order: Sequence[Address], transport: Transport | None) -> None:
        told.put_nowait((order, transport))

    config = parse(with_pbx("pbx.example"), "c.toml", Path())
    async with served() as (server, resolver):
        server.zone, resolver.lifetime = None, 0.3
        with pytest.raises(DNSException):
            await look_up(model.Pbx(address="pbx.example"), ("udp",), 4, resolver)
        task = asyncio.create_task(keep_resolving(config, aim, lambda below: 0, resolver))
        assert await asyncio.wait_for(told.get(), 10) == ((), None), "no news"
        task.cancel()
        server.zone, resolver.lifetime = ZONE, 5.0
        task = asyncio.create_task(keep_resolving(config, aim, lambda below: 0, resolver))
        order, transport = await asyncio.wait_for(told.get(), 10)
        assert (order[0], transport) == (("127.0.0.11", 5060), "udp")
        task.cancel()


def with_pbx(address: str) -> str:
    return small(('[pbx]\naddress = "127.0.0.1"\nport = 5080\n', f'[pbx]\naddress = "{address}"\n'))


@pytest.mark.parametrize("address", ["pbx.example", "PBX.example", "sip-1.pbx.example", "localhost"])
def test_the_pbx_may_have_a_name(address: str) -> None:
    pbx = parse(with_pbx(address), "c.toml", Path()).pbx
    assert pbx.is_name and pbx.address == address.lower()


@pytest.mark.parametrize(
    "address", ["pbx_1.example", "-pbx.example", "pbx..example", "192.0.2.300", "1.2.3", ""]
)
def test_what_is_neither_name_nor_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"pbx\.address"):
        parse(with_pbx(address), "c.toml", Path())


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::a", "2001:db8::1"])
def test_an_address_is_no_name(address: str) -> None:
    assert not model.Pbx(address=address).is_name


def test_the_certificate_of_a_pbx_with_a_name_has_to_hold_that_name() -> None:
    config = parse(with_pbx("pbx.example"), "c.toml", Path())
    assert encryption(config).pbx_name == "pbx.example"
