"""What [trunk] must not say although each of its values is well formed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from recorder.config.listening import facing, overlap
from recorder.config.model import Config
from recorder.config.places import Key
from recorder.config.trunk import Trunk
from sip_hooks.address import family_of

Found = Iterator[tuple[Key, str]]

_SECTIONS = ("dialogs", "ami", "esl")
_SHORTEST = timedelta(seconds=5)


def contradictions(config: Config) -> Found:
    """Everything that is refused: the key and what to write instead."""
    listeners, trunk = facing(config, "trunk"), config.trunk
    if trunk is None:
        if listeners or any(it.leads_to == "trunk" for it in config.listeners):
            text = "a trunk is meant that is not there"
            yield ("listeners",), f"{text}; write [trunk] with address and evidence"
        return
    if not listeners:
        yield ("trunk",), 'no listener faces it; write a listener with side = "trunk"'
    yield from _neighbour(config, trunk)
    yield from _evidence(trunk)
    if trunk.evidence == "phones" and not facing(config, "phones"):
        text = "no listener faces the phones, so nothing is known of them"
        yield ("trunk", "evidence"), f'{text}; write a listener with side = "phones", or another source'


def doubts(config: Config) -> Found:
    """Everything that is probably not meant."""
    if config.trunk is not None and config.trunk.evidence == "none":
        text = "nobody tells who speaks inside, so no call is recorded on the trunk side"
        yield ("trunk", "evidence"), f"{text}; they all pass"


def _neighbour(config: Config, trunk: Trunk) -> Found:
    listeners = facing(config, "trunk")
    for index, it in enumerate(config.listeners):
        is_same_kind = (it.transport == "udp") == (trunk.transport == "udp")
        if is_same_kind and overlap(it.address, trunk.address) and it.port == trunk.port:
            yield ("trunk",), f"this is our own listeners[{index}]; write the provider's address and port"
    if (trunk.address, trunk.port) == (config.pbx.address, config.pbx.port):
        yield ("trunk", "address"), "this is the PBX; write the address of the provider or its SBC"
    able = [it for it in listeners if family_of(it.address) == family_of(trunk.address)]
    if listeners and not able:
        text = "no listener that faces the trunk is of its IP version"
        yield ("trunk", "address"), f"{text}; write a listener of that version, or another address"
    if able and not any(it.transport == trunk.transport for it in able):
        over = trunk.transport
        text = f"no listener that faces the trunk speaks {over.upper()}"
        yield ("trunk", "transport"), f'{text}; write transport = "{over}" at a listener, or another here'


def _evidence(trunk: Trunk) -> Found:
    if trunk.evidence != "none" and trunk.horizon < _SHORTEST:
        text = "a source that has fallen silent is noticed after four seconds"
        yield ("trunk", "horizon"), f"{text}; write five seconds or more"
    for name in _SECTIONS:
        is_there, is_wanted = getattr(trunk, name) is not None, trunk.evidence == name
        if is_wanted and not is_there:
            yield ("trunk", "evidence"), f'"{name}" needs to know where; write a section [trunk.{name}]'
        elif is_there and not is_wanted:
            text = f'is not asked; write evidence = "{name}", or take this section away'
            yield ("trunk", name), text
