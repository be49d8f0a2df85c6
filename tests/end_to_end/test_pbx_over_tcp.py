"""A PBX over TCP, played by sipp: a call of a phone over UDP goes to it and is recorded."""

from __future__ import annotations

import audioop
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from demo.listening import Samples, correlation
from tests.end_to_end.installation import COLLEAGUE, CUSTOMER, Recorder, running
from tests.end_to_end.peers import sipp
from tests.fakes.ports import free_tcp_port
from tests.fakes.speech import voice

ALIKE = 0.99
SAID = voice("customer", 1.5), voice("agent", 1.5)
TOWARDS = """\
side = "phones"

[[listeners]]
address = "127.0.0.1"
port = {port}
side = "pbx"
transport = "tcp"

[pbx]
transport = "tcp"
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    site = tmp_path / "site"
    site.mkdir()
    more = {'side = "both"\n\n[pbx]\n': TOWARDS.format(port=free_tcp_port())}
    with running(site, more) as recorder:
        yield recorder


async def test_a_call_to_a_pbx_over_tcp_is_recorded(recorder: Recorder, tmp_path: Path) -> None:
    if reason := sipp.missing():
        pytest.skip(reason)
    pbx = sipp.Sipp(
        tmp_path / "pbx", recorder.address, CUSTOMER, SAID[0], transport="tcp", port=recorder.pbx_port
    )
    agent = sipp.Sipp(tmp_path / "agent", recorder.address, COLLEAGUE, SAID[1])
    async with pbx.answering():
        await agent.call(CUSTOMER)
    outside, inside = (linear(said) for said in SAID)
    recorded = recorder.export(recorder.next_clip())
    assert correlation(inside, recorded[0]) >= ALIKE
    assert correlation(outside, recorded[1]) >= ALIKE


def linear(alaw: bytes) -> Samples:
    return np.frombuffer(audioop.alaw2lin(alaw, 2), np.int16).astype(np.float64)
