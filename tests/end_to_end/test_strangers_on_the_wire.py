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
from tests.end_to_end.peers.scripted import Phone, bound, converse
from tests.end_to_end.test_nothing_else_is_kept import open_all
from tests.fakes.rtp import PCMA, PCMU, SAMPLES, packet, sender_report
from tests.fakes.speech import Search, voice

PORTS = (20_000, 20_199)
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
    config.write_text(text.replace("127.0.0.1", service), encoding="utf-8")


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
            for sender in list(self._sockets.values()):
                for data in _noise(number):
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


def test_nothing_of_a_stranger_is_forwarded_or_recorded_and_nothing_reaches_him(
    networks: list[Network], apart: Recorder
) -> None:
    _, there, exchange, elsewhere = networks
    before = _forwarded(apart)

    async def call(stranger: Stranger) -> int:
        def bind(where: Network) -> socket.socket:
            endpoint = where.do(lambda: bound(where.address))
            stranger.source_ports.append(endpoint.getsockname()[1])
            return endpoint

        async with (
            Phone(CUSTOMER, PASSWORD, apart.address, bind=lambda: bind(there)) as customer,
            Phone(AGENT, PASSWORD, apart.address, bind=lambda: bind(exchange)) as agent,
        ):
            await stranger.has_shouted(2)
            made, taken = await converse(customer, agent, BUSINESS_NUMBER, SAID)
            await stranger.has_shouted(2)
            assert (made.heard(), taken.heard()) == (SAID[1], SAID[0])
            assert (made.ear.count, taken.ear.count) == (taken.sent, made.sent)
            return made.sent + taken.sent

    with Stranger(elsewhere, apart.address[0]) as stranger:
        sent = asyncio.run(call(stranger))
    assert stranger.sent > 10_000
    assert stranger.got == []
    assert _forwarded(apart) - before == sent
    (row,) = apart.sealed(1)
    shown = apart.tell("clips", "show", row["clip"], *apart.listener("coaching"))
    for leg in ("agent", "outside"):  # of the call, what came before both were told of the answer is missing
        assert 65 <= shown["quality"][leg]["received"] <= 75
        assert shown["quality"][leg]["lost"] == 0
    (clip,) = _clips(apart)
    heard = Search({"stranger": SHOUTED, "customer": SAID[0], "agent": SAID[1]}).found(clip)
    assert heard.keys() == {"customer", "agent"}
