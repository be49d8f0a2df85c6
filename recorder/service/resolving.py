"""The PBX's name, resolved again and again (RFC 3263 §4.2): which servers it stands for, and in which order.

Without a port in the configuration SRV records say where they are; without such records, or with a port, the
addresses of the name do. The transport is configured, so nobody asks for NAPTR records (§4.1). While nothing
can be resolved, what was resolved last stays in force. All servers are of one IP version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import structlog
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.rdtypes.IN.SRV import SRV
from dns.resolver import NXDOMAIN, Answer, NoAnswer

from recorder.config import Config, model
from recorder.config.listening import versions_of_pbx
from sip_hooks.address import Family, canonical
from sip_hooks.settings import Address
from sip_hooks.targets import Record, in_order

log = structlog.get_logger()

SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 30.0
"""Between two questions, whatever the TTL; what has failed is tried again as often."""
_SERVICE = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_KIND: dict[Family, str] = {4: "A", 6: "AAAA"}

Found: TypeAlias = tuple[list[Record], float]
"""The servers, and for how many seconds that holds."""


async def look_up(pbx: model.Pbx, family: Family, resolver: Resolver) -> Found:
    """Return the servers of a PBX in one IP version. Raises DNSException."""
    if "port" not in pbx.model_fields_set:
        answer = await _ask(resolver, f"{_SERVICE[pbx.transport]}.{pbx.address}", "SRV")
        if answer is not None:
            return await _servers([it for it in answer if isinstance(it, SRV)], answer, family, resolver)
    found, seconds = await _addresses(pbx.address, family, resolver)
    return [Record((it, pbx.usual_port)) for it in found], seconds


async def _servers(records: Iterable[SRV], answer: Answer, family: Family, resolver: Resolver) -> Found:
    """A target of "." says that there is no such service (RFC 2782)."""
    found, seconds = [], float(answer.rrset.ttl if answer.rrset is not None else 0)
    for it in records:
        name = it.target.to_text(omit_final_dot=True)
        addresses, lasting = await _addresses(name, family, resolver) if name != "@" else ([], seconds)
        found += [Record((address, it.port), it.priority, it.weight) for address in addresses]
        seconds = min(seconds, lasting)
    return found, seconds


async def _addresses(name: str, family: Family, resolver: Resolver) -> tuple[list[str], float]:
    answer = await _ask(resolver, name, _KIND[family])
    if answer is None:
        return [], SHORTEST_SECONDS
    return [canonical(it.to_text()) for it in answer], float(answer.rrset.ttl if answer.rrset else 0)


async def _ask(resolver: Resolver, name: str, kind: str) -> Answer | None:
    """None when there is no such record. Raises DNSException when nobody could say."""
    try:
        return await resolver.resolve(name, kind, search=False)
    except (NXDOMAIN, NoAnswer):
        return None


async def keep_resolving(
    config: Config,
    aim: Callable[[Sequence[Address]], None],
    draw: Callable[[int], int],
    resolver: Resolver | None = None,
) -> None:
    """If the PBX has a name, tell `aim` what it stands for, at once and whenever that may have changed."""
    if not config.pbx.is_name:
        return
    pbx, family, asked = config.pbx, min(versions_of_pbx(config)), resolver or Resolver()
    while True:
        seconds = SHORTEST_SECONDS
        try:
            records, lasting = await look_up(pbx, family, asked)
            aim(in_order(records, draw))
            if records:
                seconds = min(max(lasting, SHORTEST_SECONDS), LONGEST_SECONDS)
            else:
                log.error("the PBX's name stands for no address", ip_version=family)
        except DNSException as error:
            aim(())
            log.error("the PBX's name was not resolved", error=type(error).__name__)
        await asyncio.sleep(seconds)
