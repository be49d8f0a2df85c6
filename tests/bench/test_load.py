"""The bench's own honesty: every packet is counted, and one that is not as it was sent is seen."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bench.load import Load, Run
from bench.measure import Result, once
from bench.peers import Peer, Running, Site
from bench.peers.doelband import doelband
from bench.peers.minimal import minimal
from bench.peers.recording import recording
from bench.peers.rtpengine import rtpengine
from bench.processes import BenchError
from bench.tags import Tags

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

LITTLE = Load(calls=4, seconds=0.4, warm_up=0.2, seed=7)
SENT = 4 * 2 * 30
"""Packets of 0.6 s."""


@pytest.mark.parametrize("peer", [minimal(), minimal(500), doelband("all")])
def test_every_packet_through_a_relay_is_counted(peer: Peer) -> None:
    run = once(peer, LITTLE)
    assert abs(run.sent - SENT) <= 8
    assert (run.lost, run.strange) == (0, 0)
    assert run.delay_us_p50 <= run.delay_us_p99


@pytest.mark.skipif(shutil.which("rtpengine") is None, reason="rtpengine is not installed")
def test_every_packet_that_rtpengine_records_is_counted() -> None:
    run = once(rtpengine(is_recording=True), LITTLE)
    assert (run.lost, run.recorded) == (0, run.sent)


def test_every_packet_that_is_recorded_is_counted_in_sealed_clips() -> None:
    run = once(recording, LITTLE)
    assert (run.lost, run.recorded) == (0, run.sent)


def test_what_was_recorded_otherwise_than_it_was_sent_is_no_result() -> None:
    audio = struct.pack("=QQII", 0x444F454C42414E44, 1, 2, 3) + bytes(136)
    tags = Tags()
    for _ in range(2):
        assert tags.add_audio(audio) == (2, 3)
    assert tags.count == 1
    for other in (audio[:-1] + b"x", audio[:-1], b"x" + audio[1:]):
        with pytest.raises(BenchError):
            tags.add_audio(other)


def _relay_badly(source: socket.socket, target: socket.socket) -> None:
    number = 0
    while packet := source.recv(4096):
        number += 1
        if number % 2:
            target.send(packet if number % 3 else packet[:-1] + bytes([packet[-1] ^ 1]))


@contextmanager
def faulty(site: Site) -> Iterator[Running]:
    """Loses every second packet and changes every third; shows one port pair for all calls."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b,
        ThreadPoolExecutor() as pool,
    ):
        for side, end in zip((a, b), site.ends, strict=True):
            side.bind(("127.0.0.1", 0))
            side.connect(("127.0.0.1", end))
        ways = [pool.submit(_relay_badly, a, b), pool.submit(_relay_badly, b, a)]
        yield Running((os.getpid(),), [(a.getsockname()[1], b.getsockname()[1])] * site.calls)
        for side in (a, b):
            side.shutdown(socket.SHUT_RDWR)
        assert [way.result(5) for way in ways] == [None, None]


def test_lost_and_changed_packets_are_seen() -> None:
    run = once(faulty, LITTLE)
    returned = (run.sent // 2 + 1) // 2 * 2
    assert abs(run.received + run.strange - returned) <= 2
    assert abs(run.strange - returned // 3) <= 2


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    def runs(*percent: float) -> dict[int, list[Run]]:
        return {4: [Run(4, it, it / 4, 0, 0, 1, 1, 0, 0, 0, 0) for it in percent]}

    result = Result({"one": runs(10, 40, 9), "other": runs(10, 20, 9)}, [])
    assert result.ratio("one", "other", 4) == 1
    assert result.ratio("other", "one", 4) == 1
    assert Result({"one": runs(30), "other": runs(20)}, []).ratio("one", "other", 4) == 1.5


def test_a_run_that_lost_audio_has_no_part_in_a_ratio() -> None:
    whole = Run(4, 10, 2.5, 0, 0, 1000, 1000, 0, 0, 0, 0, recorded=1000)
    for broken in (replace(whole, recorded=998), replace(whole, received=998)):
        result = Result({"one": {4: [broken]}, "other": {4: [whole]}}, [])
        with pytest.raises(BenchError):
            result.ratio("one", "other", 4)


def test_rounds_are_added_to_those_that_were_run_before() -> None:
    def result(percent: float) -> Result:
        return Result({"one": {4: [Run(4, percent, percent / 4, 0, 0, 1, 1, 0, 0, 0, 0)]}}, [percent])

    before = json.loads(json.dumps(result(1).value()))
    assert Result.read(before).and_then(result(2)) == Result(
        {"one": {4: [*result(1).runs["one"][4], *result(2).runs["one"][4]]}}, [1, 2]
    )
