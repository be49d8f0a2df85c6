"""The signalling bench's own honesty: whole calls are counted, those that fail or are changed are seen."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as commands
from bench import machine
from bench.peers import Proxy, Proxying, Stand
from bench.peers.kamailio import kamailio
from bench.peers.signalling import anchored, direct
from bench.processes import BenchError
from bench.signalling import Result, once
from bench.telephones import Ends, Run, Traffic
from demo.phone import free_port

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

LITTLE = Traffic("paced", rate=20, seconds=0.5, warm_up=0.25)
FULL = Traffic("full", rate=0, at_once=2, seconds=0.3, warm_up=0.1)


@pytest.mark.parametrize(
    ("proxy", "traffic", "is_anchored"),
    [(direct, FULL, False), (kamailio, LITTLE, False), (kamailio, FULL, False), (anchored(), LITTLE, True)],
    ids=["direct", "kamailio", "kamailio-full", "doelband"],
)
def test_every_call_through_a_proxy_is_whole(proxy: Proxy, traffic: Traffic, is_anchored: bool) -> None:
    if proxy is kamailio and shutil.which("kamailio") is None:
        pytest.skip("kamailio is not installed")
    run = once(proxy, traffic, is_first=False)
    assert run.begun == run.completed > 0
    assert (run.refused, run.unfinished, run.strange) == (0, 0, 0)
    assert bool(run.anchored) == is_anchored
    assert run.cpu_us_per_call > 0 or proxy is direct


def _forward_badly(entry: socket.socket, callee: int, exit: socket.socket) -> None:
    """Refuses a call, sends one on changed and with no way back, loses one, and so on."""
    number = 0
    while (packet := entry.recvfrom(4096))[0]:
        if packet[0].startswith(b"INVITE"):
            number += 1
        if number % 3 == 1:
            entry.sendto(b"SIP/2.0 503 No\r\n" + packet[0].partition(b"\r\n")[2], packet[1])
        elif number % 3 == 2:
            exit.sendto(packet[0].replace(b"audio 40000", b"audio 50000"), ("127.0.0.1", callee))


@contextmanager
def faulty(stand: Stand) -> Iterator[Proxying]:
    """A proxy that is none."""
    ends = Ends(free_port(), free_port(), free_port())
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as entry,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exit,
    ):
        entry.bind(("127.0.0.1", ends.proxy))
        forwarding = threading.Thread(target=_forward_badly, args=(entry, ends.callee_port, exit))
        forwarding.start()
        try:
            yield Proxying((), (), ends)
        finally:
            entry.sendto(b"", ("127.0.0.1", ends.proxy))
            forwarding.join()


def test_calls_that_fail_are_seen() -> None:
    run = once(faulty, replace(LITTLE, rate=40), is_first=False)
    third = run.begun // 3
    assert run.completed == 0
    assert abs(run.refused - third) <= 1
    assert abs(run.unfinished - 2 * third) <= 2
    assert abs(run.anchored - third) <= 1


def results(*costs: tuple[float, ...], is_first: bool = False) -> Result:
    """Rounds in which a call took each proxy so much."""

    def runs(*costs: float) -> dict[str, list[Run]]:
        made = [Run(it, 0, 0, 1, 0, 1, 1, *[0] * 11) for it in costs]
        return {"full": made, "paced": made}

    names = ("doelband", "doelband-anchored", "kamailio", "direct")
    return Result(
        {name: runs(*it) for name, it in zip(names, costs, strict=True)}, [1.5] * len(costs[0]), is_first
    )


ROUNDS = ((100, 400, 90), (200, 200, 200), (10, 20, 9), (1, 1, 1))


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    figures = results(*ROUNDS).figures()
    assert figures["kamailio_ratio"] == 0.1
    assert figures["kamailio_ratio_anchored"] == 0.05


def test_rounds_that_were_run_apart_count_as_if_they_were_run_together() -> None:
    whole = results(*ROUNDS)
    first, *others = (results(*((cost[at],) for cost in ROUNDS)) for at in range(3))
    for later in others:
        written = json.dumps(first.value())
        first = Result.read(json.loads(written)).and_then(later)
    assert (first.figures(), first.value()) == (whole.figures(), whole.value())


def test_rounds_of_another_scheduling_are_not_added() -> None:
    with pytest.raises(BenchError, match="another scheduling"):
        results(*ROUNDS).and_then(results(*ROUNDS, is_first=True))


def test_rounds_of_another_version_are_not_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured then, and what is there stays."""
    file = tmp_path / "signalling.json"
    file.write_text(json.dumps({"machine": {**machine.describe(), "commit": "another"}}))
    monkeypatch.setattr(commands, "RESULTS", tmp_path)
    monkeypatch.setattr("bench.signalling.measure", lambda *_: pytest.fail("it was measured"))
    monkeypatch.setattr(sys, "argv", ["bench", "signalling", "--add"])
    before = file.read_text()
    assert commands.main() == 1
    assert file.read_text() == before
