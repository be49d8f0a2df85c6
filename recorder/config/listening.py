"""What listeners and PBX must not say although each of their values is well formed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from recorder.config.model import Config, Listener
from recorder.config.places import Key
from sip_hooks.address import Family, family_of
from sip_hooks.settings import Transport

Found = Iterator[tuple[Key, str]]

ANY = {4: "0.0.0.0", 6: "::"}
_OF_TLS = ("certificate", "private_key", "client_ca", "certificates")
_NEEDED = _OF_TLS[:2]
_TOWARDS_TLS = ("ca", "server_name")
_BEST_FIRST: tuple[Transport, ...] = ("udp", "tcp", "tls")


def contradictions(config: Config) -> Found:
    """Everything that is refused: the key and what to write instead."""
    for check in (_sockets, _addresses, _hidden, _certificates, _leads, _neighbours, _transport_of_pbx):
        yield from check(config)


def doubts(config: Config) -> Found:
    """Everything that is probably not meant."""
    if "tls" in transports_of_pbx(config) and not config.pbx.verify:
        yield ("pbx", "verify"), "whoever is in the way can pass for the PBX; write ca, and verify = true"
    for index, it in enumerate(config.listeners):
        if it.side == "both" and it.transport != "udp" and it.address == config.pbx.address:
            text = "takes every connection from the PBX's address for the PBX's, phones on it too"
            yield ("listeners", index), f"{text}; write a listener for each side"


def overlap(one: str, two: str) -> bool:
    """Whether a socket at one address is in the way of one at the other."""
    return one == two or (family_of(one) == family_of(two) and ANY[family_of(one)] in (one, two))


def versions(config: Config, side: str) -> set[Family]:
    """The IP versions in which we face phones, PBX or trunk."""
    return {family_of(it.address) for it in facing(config, side)}


def versions_of_pbx(config: Config) -> set[Family]:
    """The IP versions in which the PBX may be reached: of a name, those in which we face it."""
    return versions(config, "pbx") if config.pbx.is_name else {family_of(config.pbx.address)}


def transports_of_pbx(config: Config) -> tuple[Transport, ...]:
    """Over what the PBX may be spoken to, the best first where nobody says which."""
    if not config.pbx.is_any_transport:
        return (config.pbx.transport,)
    family = min(versions_of_pbx(config), default=4)
    able = {it.transport for it in facing(config, "pbx") if family_of(it.address) == family}
    return tuple(it for it in _BEST_FIRST if it in able)


def facing(config: Config, side: str) -> list[Listener]:
    """The listeners that face phones, PBX or trunk."""
    sides = (side,) if side == "trunk" else (side, "both")
    return [it for it in config.listeners if it.side in sides]


def _sockets(config: Config) -> Found:
    for (first, one), (second, two) in combinations(enumerate(config.listeners), 2):
        is_same_kind = (one.transport == "udp") == (two.transport == "udp")
        if is_same_kind and overlap(one.address, two.address) and one.port == two.port:
            yield ("listeners", second), f"same address and port as listeners[{first}]; write another port"


def _addresses(config: Config) -> Found:
    for index, it in enumerate(config.listeners):
        if it.address in ANY.values() and it.advertised is None:
            yield ("listeners", index), f"neighbours cannot reach {it.address}; write advertised as well"
        if family_of(it.address) != family_of(it.advertised_address):
            text = f"is not of the IP version of {it.address}; write an address that leads there"
            yield ("listeners", index, "advertised"), text


def _hidden(config: Config) -> Found:
    for index, it in enumerate(config.listeners):
        if it.nat and it.side != "phones":
            text = 'only telephones are looked for behind a NAT; write side = "phones", or take this key away'
            yield ("listeners", index, "nat"), text


def _certificates(config: Config) -> Found:
    for index, it in enumerate(config.listeners):
        for name in _OF_TLS:
            given, key = getattr(it, name) not in (None, ()), ("listeners", index)
            if it.transport != "tls" and given:
                yield (*key, name), 'only TLS has it; write transport = "tls", or take this key away'
            elif it.transport == "tls" and not given and name in _NEEDED:
                yield key, f'transport = "tls" needs it; write {name} = "sip.pem", the path of a PEM file'


def _leads(config: Config) -> Found:
    """Phones and trunk have each a listener at which the PBX hears them, and reaches them."""
    for index, it in enumerate(config.listeners):
        if it.leads_to == "trunk" and it.side != "pbx":
            text = 'only a listener with side = "pbx" leads to the trunk; write that, or take this key away'
            yield ("listeners", index, "leads_to"), text
    if not facing(config, "trunk"):
        return
    if not any(it.side == "pbx" and it.leads_to == "trunk" for it in config.listeners):
        text = "none leads from the PBX to the trunk"
        yield ("listeners",), f'{text}; write a listener with side = "pbx" and leads_to = "trunk"'


def _neighbours(config: Config) -> Found:
    for index, it in enumerate(config.listeners):
        if _is_pbx(config, it):
            yield ("pbx",), f"this is our own listeners[{index}]; write the PBX's address and port"
    leads = any(it.side == "pbx" and it.leads_to == "phones" for it in config.listeners)
    for side in ("phones", "pbx"):
        is_needed = leads or not facing(config, "trunk") if side == "phones" else True
        if is_needed and not facing(config, side):
            yield ("listeners",), f'none faces the {side}; write a listener with side = "{side}" or "both"'
        elif side == "pbx" and not versions_of_pbx(config) & versions(config, "pbx"):
            text = "no listener that faces the PBX is of its IP version"
            yield ("pbx", "address"), f"{text}; write a listener of that version, or another address"


def _is_pbx(config: Config, it: Listener) -> bool:
    is_same_kind = (it.transport == "udp") == (config.pbx.transport == "udp")
    return (
        is_same_kind
        and not config.pbx.is_name
        and overlap(it.address, config.pbx.address)
        and it.port == config.pbx.port
    )


def _transport_of_pbx(config: Config) -> Found:
    pbx = config.pbx
    able = [it for it in facing(config, "pbx") if family_of(it.address) in versions_of_pbx(config)]
    spoken = transports_of_pbx(config)
    if able and not any(it.transport in spoken for it in able):
        over = pbx.transport
        text = f'no listener that faces the PBX speaks {over.upper()}; write transport = "{over}"'
        yield ("pbx", "transport"), f"{text} at a listener, or another transport here"
    if "tls" not in spoken:
        for name in _TOWARDS_TLS:
            if getattr(pbx, name) is not None:
                yield ("pbx", name), 'only TLS has it; write transport = "tls", or take this key away'
    if pbx.ca is not None and not pbx.verify:
        yield ("pbx", "ca"), "is not asked with verify = false; take one of the two away"
