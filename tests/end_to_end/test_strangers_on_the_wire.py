"""Somebody in another network sends to all our media ports, before and during calls: nobody hears it, no clip
has it, and nothing comes back to him.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from demo.telephony import PASSWORD, pbx
from recorder import metrics
from tests.end_to_end import network
from tests.end_to_end.installation import AGENT, BUSINESS_NUMBER, CUSTOMER, USERS, Recorder, serving
from tests.end_to_end.network import Network
from tests.end_to_end.peers.processes import until
from tests.end_to_end.peers.scripted import Call, Phone, bound
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.fakes.rtp import PCMA, PCMU, SAMPLES, packet, sender_report
from tests.fakes.speech import Search, voice

PORTS = (20_000, 20_199)
NAT_PORT = 5070
"""Of a listener whose telephones may be behind a NAT."""
HIDDEN = "192.168.77.7"
LEARNED_FROM = 3
"""So many packets of a telephone behind a NAT are not heard: the fourth makes certain where it is."""
SECONDS = 1.5
SAID = (voice("customer", SECONDS), voice("agent", SECONDS))
SHOUTED = voice("stranger", SECONDS)
_ROUND_SECONDS = 0.05
_UDP = 17
_ETHERTYPE_IP = 0x0800
_STUN = struct.pack("!HHI", 1, 0, 0x2112A442) + secrets.token_bytes(12)


@pytest.fixture(scope="module")
def networks() -> Iterator[list[Network]]:
    """The service's, a telephone's, one of the PBX and the other telephone, a stranger's."""
    if reason := network.missing():
        pytest.skip(reason)
    with network.star(("phone", "pbx", "stranger")) as networks:
        yield networks


@pytest.fixture(scope="module")
def apart(networks: list[Network], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """An installation in a network of its own."""
    service, _, exchange, _ = networks
    recorder = Recorder(tmp_path_factory.mktemp("apart"))
    recorder.wrapper = service.wrapper
    recorder.address, recorder.pbx_port = (service.address, 5060), 5060
    recorder.configure(5060, 5060, PORTS)
    _place(recorder.config, service.address, exchange.address)
    place = pbx(recorder.pbx_port, USERS, exchange.address)
    exchange.do(place.__enter__)  # its thread stays in that network
    try:
        with serving(recorder, exchange=False):
            yield recorder
    finally:
        place.__exit__(None, None, None)


def _place(config: Path, service: str, exchange: str) -> None:
    listeners, pbx_on = config.read_text(encoding="utf-8").split("[pbx]")
    text = "[pbx]".join((listeners, pbx_on.replace("127.0.0.1", exchange, 1)))
    nat = f'[[listeners]]\naddress = "{service}"\nport = {NAT_PORT}\nside = "phones"\nnat = true\n\n[pbx]'
    config.write_text(text.replace("127.0.0.1", service).replace("[pbx]", nat), encoding="utf-8")


@dataclass(slots=True)
class Stranger:
    """Inside its context it sends to every media port, again and again. `source_ports`: more of those that
    it sends from: the telephones' own, as soon as they are known. `got`: every UDP packet that has come over
    its wire by the end, to whatever port.
    """

    where: Network
    target: str
    source_ports: list[int] = field(default_factory=list)
    rounds: int = 0
    sent: int = 0
    got: list[bytes] = field(default_factory=list)
    _sockets: dict[int, socket.socket] = field(default_factory=dict)
    _wire: socket.socket | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = self.where.do(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        assert self._thread is not None
        assert self._wire is not None
        self._thread.join()
        self.got += [it for it in _received(self._wire) if it[9] == _UDP]
        for each in (self._wire, *self._sockets.values()):
            each.close()

    async def has_shouted(self, rounds: int) -> None:
        """Wait until it has been through all ports so often from now on."""
        wanted = self.rounds + rounds
        await until(lambda: self.rounds >= wanted)

    def _begin(self) -> threading.Thread:
        self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETHERTYPE_IP))
        self._wire.setblocking(False)
        self._sockets[0] = bound(self.where.address)
        thread = threading.Thread(target=self._shout)
        thread.start()
        return thread

    def _shout(self) -> None:
        for number in count():
            for port in self.source_ports:
                if port not in self._sockets:
                    self._sockets[port] = bound(self.where.address, port)
            for own_port, sender in list(self._sockets.items()):
                noise = _noise(number)
                for data in noise if own_port else noise[:1]:  # one is as steady as a telephone
                    for port in range(PORTS[0], PORTS[1] + 1):
                        sender.sendto(data, (self.target, port))
                        self.sent += 1
            self.rounds += 1
            if self._stop.wait(_ROUND_SECONDS):
                return


def _received(endpoint: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield endpoint.recv(65536)


def _noise(number: int) -> list[bytes]:
    """What might be taken for a party's: as the telephones number theirs, and otherwise; and what is none."""
    start = number * SAMPLES % len(SHOUTED)
    sound = SHOUTED[start : start + SAMPLES]
    own = 0x5111F0E5  # that of the telephones themselves
    return [
        packet(number, number * SAMPLES, sound, ssrc=own, payload_type=PCMA),
        packet(number, number * SAMPLES, sound, ssrc=secrets.randbits(32), payload_type=PCMA, marker=True),
        packet(number, number * SAMPLES, sound, ssrc=own, payload_type=PCMU),
        packet(number, number * SAMPLES, sound[:4], ssrc=own, payload_type=101),
        sender_report(own),
        b"",
        packet(number, 0, b"")[:11],
        _STUN,
    ]


def _forwarded(recorder: Recorder) -> float:
    samples = metrics.read(recorder.answer("media-status", "metrics"))
    return sum(value for name, _, value in samples if name == "media_packets_forwarded_total")


def _clips(recorder: Recorder) -> list[bytes]:
    """What was kept of sound, clip by clip."""
    opened = asyncio.run(open_all(recorder))
    return [b"".join(getattr(it, "payload", b"") for it in clip.records) for clip in opened]


@dataclass(slots=True)
class Talk:
    """A call that was held while a stranger shouted: both ends, and how many packets the relay passed on."""

    made: Call
    taken: Call
    forwarded: float


def talk(networks: list[Network], recorder: Recorder, port: int, hidden: str = "") -> tuple[Talk, Stranger]:
    """A customer calls the agent, whose telephone has our listener at `port`; both say all they have to."""
    _, there, exchange, elsewhere = networks
    before = _forwarded(recorder)

    async def call(stranger: Stranger) -> tuple[Call, Call]:
        def bind(where: Network) -> socket.socket:
            endpoint = where.do(lambda: bound(where.address))
            stranger.source_ports.append(endpoint.getsockname()[1])
            return endpoint

        server = recorder.address[0], port
        async with (
            Phone(CUSTOMER, PASSWORD, recorder.address, bind=lambda: bind(exchange)) as customer,
            Phone(AGENT, PASSWORD, server, bind=lambda: bind(there), hidden=hidden) as agent,
        ):
            await stranger.has_shouted(2)
            made = await customer.dial(BUSINESS_NUMBER)
            taken = await agent.taken(made.id)
            if hidden:  # nobody speaks at first, so that he would be learned if he could
                await stranger.has_shouted(6)
            await asyncio.gather(made.speak(SAID[0]), taken.speak(SAID[1]))
            await made.hears(taken.sent - (LEARNED_FROM if hidden else 0))
            await taken.hears(made.sent - (2 * LEARNED_FROM if hidden else 0))
            await made.hang_up()
            await stranger.has_shouted(2)
            return made, taken

    with Stranger(elsewhere, recorder.address[0]) as stranger:
        made, taken = asyncio.run(call(stranger))
    assert stranger.sent > 10_000
    assert (made.ear.count, taken.ear.count) == (len(made.ear.payloads), len(taken.ear.payloads))
    return Talk(made, taken, _forwarded(recorder) - before), stranger


def _only_the_parties(recorder: Recorder) -> bool:
    search = Search({"stranger": SHOUTED, "customer": SAID[0], "agent": SAID[1]})
    return all(search.found(clip).keys() == {"customer", "agent"} for clip in _clips(recorder))


def test_nothing_of_a_stranger_is_forwarded_or_recorded_and_nothing_reaches_him(
    networks: list[Network], apart: Recorder
) -> None:
    held, stranger = talk(networks, apart, apart.address[1])
    assert (held.made.heard(), held.taken.heard()) == (SAID[1], SAID[0])
    assert held.forwarded == held.made.sent + held.taken.sent
    assert stranger.got == []
    clip = apart.next_clip()
    assert _only_the_parties(apart)
    shown = apart.tell("clips", "show", clip, *apart.listener("coaching"))
    for leg in ("agent", "outside"):  # of the call, what came before both were told of the answer is missing
        assert 65 <= shown["quality"][leg]["received"] <= 75
        assert shown["quality"][leg]["lost"] == 0


def test_nor_where_the_place_of_a_telephone_behind_a_nat_is_learned(
    networks: list[Network], apart: Recorder
) -> None:
    """He counts his packets on as a telephone does, from its very port, with its source of sound."""
    held, stranger = talk(networks, apart, NAT_PORT, HIDDEN)
    assert held.made.heard() == SAID[1][LEARNED_FROM * SAMPLES :]
    assert held.taken.heard() and SAID[0].endswith(held.taken.heard())
    assert held.forwarded == held.made.ear.count + held.made.sent  # his first ones into the void
    assert stranger.got == []
    apart.next_clip()
    assert _only_the_parties(apart)
