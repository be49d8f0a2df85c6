"""The PBX's name, resolved again and again (RFC 3263 §4): over what it is spoken to, and which servers it
stands for, in which order.

Without a port and a transport in the configuration NAPTR records say over what: it is what the PBX prefers of
the transports of our listeners, and without such records the first that has SRV records. Without a port SRV
records say where the servers are; without such records, or with a port, the addresses of the name do. While
nothing can be resolved, what was resolved last stays in force. All servers have one IP version and transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from typing import NamedTuple

import structlog
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV
from dns.resolver import NXDOMAIN, Answer, NoAnswer

from recorder.config import Config, model
from recorder.config.listening import transports_of_pbx, versions_of_pbx
from sip_hooks.address import Family, canonical
from sip_hooks.settings import Address, Transport
from sip_hooks.targets import Record, in_order

log = structlog.get_logger()

SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 30.0
"""Between two questions, whatever the TTL; what has failed is tried again as often."""
_SERVICE: dict[Transport, str] = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_OF_NAPTR: dict[bytes, Transport] = {b"SIP+D2U": "udp", b"SIP+D2T": "tcp", b"SIPS+D2T": "tls"}
_KIND: dict[Family, str] = {4: "A", 6: "AAAA"}


class Found(NamedTuple):
    """The servers, over what they are spoken to, and for how many seconds that holds."""

    records: list[Record]
    transport: Transport
    seconds: float


async def look_up(
    pbx: model.Pbx, transports: Sequence[Transport], family: Family, resolver: Resolver
) -> Found:
    """Return the servers of a PBX in one IP version; `transports` are those that we speak, the best first.

    Raises DNSException.
    """
    services = [(it, f"{_SERVICE[it]}.{pbx.address}") for it in transports]
    longest = inf
    if pbx.is_any_transport and (answer := await _ask(resolver, pbx.address, "NAPTR")) is not None:
        services, longest = _chosen(answer, transports) or services, _ttl(answer)
    if "port" not in pbx.model_fields_set:
        for transport, name in services:
            if (answer := await _ask(resolver, name, "SRV")) is not None:
                found, seconds = await _servers(answer, family, resolver)
                return Found(found, transport, min(seconds, longest))
    transport = services[0][0]
    addresses, seconds = await _addresses(pbx.address, family, resolver)
    records = [Record((it, pbx.usual_port(transport))) for it in addresses]
    return Found(records, transport, min(seconds, longest))


def _chosen(answer: Answer, transports: Sequence[Transport]) -> list[tuple[Transport, str]]:
    """The transports that a domain has in common with us, the one that it prefers first, and where each one's
    SRV records are (RFC 3263 §4.1, RFC 3403 §4.1).
    """
    found = []
    for it in answer:
        if isinstance(it, NAPTR) and it.flags.lower() == b"s" and not it.regexp:
            transport = _OF_NAPTR.get(it.service.upper())
            if transport is not None and transport in transports:
                name = it.replacement.to_text(omit_final_dot=True)
                found.append((it.order, it.preference, transport, name))
    return [(transport, name) for _, _, transport, name in sorted(found)]


async def _servers(answer: Answer, family: Family, resolver: Resolver) -> tuple[list[Record], float]:
    """A target of "." says that there is no such service (RFC 2782)."""
    found, seconds = [], _ttl(answer)
    for it in answer:
        if not isinstance(it, SRV):
            continue
        name = it.target.to_text(omit_final_dot=True)
        addresses, lasting = await _addresses(name, family, resolver) if name != "@" else ([], seconds)
        found += [Record((address, it.port), it.priority, it.weight) for address in addresses]
        seconds = min(seconds, lasting)
    return found, seconds


async def _addresses(name: str, family: Family, resolver: Resolver) -> tuple[list[str], float]:
    answer = await _ask(resolver, name, _KIND[family])
    if answer is None:
        return [], SHORTEST_SECONDS
    found = []
    for it in answer:
        with suppress(ValueError):  # link-local: of no use to anybody on another link
            found.append(canonical(it.to_text()))
    return found, _ttl(answer)


def _ttl(answer: Answer) -> float:
    return float(answer.rrset.ttl if answer.rrset is not None else 0)


async def _ask(resolver: Resolver, name: str, kind: str) -> Answer | None:
    """None when there is no such record. Raises DNSException when nobody could say."""
    try:
        return await resolver.resolve(name, kind, search=False)
    except (NXDOMAIN, NoAnswer):
        return None


async def keep_resolving(
    config: Config,
    aim: Callable[[Sequence[Address], Transport | None], None],
    draw: Callable[[int], int],
    resolver: Resolver | None = None,
) -> None:
    """If the PBX has a name, tell `aim` what it stands for and over what, at once and whenever that may have
    changed.
    """
    if not config.pbx.is_name:
        return
    family, asked = min(versions_of_pbx(config)), resolver or Resolver()
    spoken = None
    while True:
        seconds = SHORTEST_SECONDS
        try:
            found = await look_up(config.pbx, transports_of_pbx(config), family, asked)
            aim(in_order(found.records, draw), found.transport)
            if config.pbx.is_any_transport and found.transport != spoken:
                spoken = found.transport
                log.info("the PBX is spoken to as its name says", transport=spoken)
            if found.records:
                seconds = min(max(found.seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
            else:
                log.error("the PBX's name stands for no address", ip_version=family)
        except DNSException as error:
            aim((), None)
            log.error("the PBX's name was not resolved", error=type(error).__name__)
        await asyncio.sleep(seconds)
