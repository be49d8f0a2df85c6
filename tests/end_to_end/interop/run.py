"""Plays the scenarios at one site, several at once."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from demo.__main__ import MEDIA_PORTS
from demo.installation import until
from storage.records import Parties
from tests.end_to_end.installation import Recorder, serving
from tests.end_to_end.interop import calling, registering, transferring
from tests.end_to_end.interop.scenarios import SCENARIOS, Scenario
from tests.end_to_end.interop.stage import ACCOUNTS, AT_ONCE, DOMAIN, PASSWORD, TRUSTED, Doors, Site, Stage
from tests.end_to_end.peers import baresip, kamailio, linphone, sipp
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.fakes.certificates import Authority
from tests.fakes.ports import free_tcp_port

PLAYED = (calling, registering, transferring)
"""Where scenarios are; importing them puts them into the list."""

RINGING_SECONDS = 12.0
SEALING_SECONDS = 30.0

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

AGENTS = ", ".join(f'"1{index:02}{last}"' for index in range(len(SCENARIOS)) for last in (1, 2, 3, 5, 6))
MEDIA = 26_000, 27_999
SCHEME = {
    'internal = ["200-299"]': 'internal = ["200-299", "1000-1999"]',
    '"201-219"]': '"201-219", "1000-1999"]',
    'extensions = ["201", "203"]': f'extensions = ["201", "203", {AGENTS}]',
}
"""Every extension of a scenario is an agent's, and on the line."""


@dataclass(slots=True)
class Played:
    """By the scenario's name: what was seen, or what went wrong; and how many recordings it left."""

    seen: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    recorded: dict[str, int] = field(default_factory=dict)
    is_recording: bool = False

    def is_wrong(self, scenario: Scenario) -> bool:
        """Whether something was not as it should be."""
        count = self.recorded.get(scenario.name, 0)
        miscounted = self.is_recording and scenario.recorded not in (None, count)
        return self.seen.get(scenario.name) != scenario.expected or miscounted


def missing() -> str:
    """Why the scenarios cannot be played here; empty when they can."""
    return kamailio.missing() or baresip.missing() or linphone.missing() or sipp.missing()


@contextlib.contextmanager
def recorder(directory: Path, authority: Authority) -> Iterator[tuple[Recorder, int, int]]:
    """The proxy, with listeners for every transport; and its TCP and TLS ports. Its PBX is not there yet."""
    tcp, tls = free_tcp_port(), free_tcp_port()
    folder = authority.issue("proxy.example").certificate.parent
    made = Recorder(directory, {'side = "both"\n': LISTENERS.format(tcp=tcp, tls=tls, folder=folder)})
    text = made.config.read_text(encoding="utf-8")
    for old, new in SCHEME.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    low = int(text.partition('ports = "')[2].partition("-")[0])
    text = text.replace(f'ports = "{low}-{low + MEDIA_PORTS - 1}"', f'ports = "{MEDIA[0]}-{MEDIA[1]}"')
    made.config.write_text(text, encoding="utf-8")
    with serving(made, exchange=False) as serves:
        yield serves, tcp, tls


@contextlib.asynccontextmanager
async def pbx(folder: Path, authority: Authority, port: int | None = None) -> AsyncIterator[Kamailio]:
    """The PBX; 112 and the like are accounts of their own there."""
    made = Kamailio(folder / "pbx", f"112|{ACCOUNTS}", PASSWORD, credentials=authority.issue(DOMAIN))
    made.trusted, made.realm, made.ringing_seconds = TRUSTED, DOMAIN, RINGING_SECONDS
    if port is not None:
        made.address = "127.0.0.1", port
    async with made:
        yield made


async def play(site: Site, scenarios: Iterable[Scenario]) -> Played:
    """All of them, AT_ONCE at a time."""
    played, room = Played(), asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Scenario) -> None:
        async with room, contextlib.AsyncExitStack() as exits:
            stage = Stage(site, SCENARIOS.index(scenario), exits)
            try:
                played.seen[scenario.name] = await scenario.play(stage)
            except Exception:
                stories = [handset.story() for handset in stage.handsets]
                played.faults[scenario.name] = "\n".join([traceback.format_exc(), *stories])

    await asyncio.gather(*map(one, scenarios))
    return played


async def without_proxy(folder: Path, scenarios: Iterable[Scenario]) -> Played:
    """Phones straight at the PBX."""
    authority = Authority(folder / "ca")
    async with pbx(folder, authority) as exchange:
        doors: Doors = {"udp": exchange.address, "tcp": exchange.address, "tls": exchange.tls}
        return await play(Site(exchange, doors, authority, folder), scenarios)


async def through_proxy(
    proxy: Recorder, ports: tuple[int, int], authority: Authority, folder: Path, scenarios: Iterable[Scenario]
) -> Played:
    """Phones at the proxy, which serves at those TCP and TLS ports."""
    async with pbx(folder, authority, proxy.pbx_port) as exchange:
        doors: Doors = {"udp": proxy.address, "tcp": ("127.0.0.1", ports[0]), "tls": ("127.0.0.1", ports[1])}
        return await play(Site(exchange, doors, authority, folder), scenarios)


def all_through(folder: Path, scenarios: Iterable[Scenario]) -> Played:
    """These scenarios through an installation of their own, which ends with them."""
    authority = Authority(folder / "ca")
    directory = folder / "recorder"
    directory.mkdir()
    with recorder(directory, authority) as (proxy, tcp, tls):
        played = asyncio.run(through_proxy(proxy, (tcp, tls), authority, folder, scenarios))
        until(proxy.clips, lambda clips: all(it["state"] == "sealed" for it in clips), SEALING_SECONDS)
        played.recorded, played.is_recording = asyncio.run(recordings(proxy)), True
    return played


async def recordings(proxy: Recorder) -> Counter[str]:
    """How many coaching recordings there are of each scenario, by whose extension is in the clip."""
    found: dict[str, set[str]] = {}
    for clip in await open_all(proxy):
        for record in clip.records:
            if isinstance(record, Parties) and clip.header.purpose == "coaching":
                found.setdefault(record.agent, set()).add(clip.header.recording)
    counted: Counter[str] = Counter()
    for agent, ones in found.items():
        counted[SCENARIOS[int(agent[1:3])].name if agent[0] == "1" else agent] += len(ones)
    return counted
