"""A recorded call over IPv6, and one between IPv4 phones and an IPv6 PBX: what was said is in the clip."""

from __future__ import annotations

import audioop
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from demo.listening import Samples, correlation
from demo.telephony import PASSWORD
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    COLLEAGUE,
    CUSTOMER,
    HOME,
    PREFIX,
    Recorder,
    running,
)
from tests.end_to_end.peers import baresip
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.speech import voice

ALIKE = 0.99
SAID = (voice("customer", 1.5), voice("agent", 1.5))


def linear(alaw: bytes) -> Samples:
    return np.frombuffer(audioop.alaw2lin(alaw, 2), np.int16).astype(np.float64)


@pytest.fixture(scope="module", params=[("::1", "::1"), ("127.0.0.1", "::1")], ids=str)
def six(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """An installation whose phones and PBX are at these addresses."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback; enable it (net.ipv6.conf.lo.disable_ipv6 = 0)")
    with running(tmp_path_factory.mktemp("six"), hosts=request.param) as recorder:
        yield recorder


async def test_a_call_is_recorded(six: Recorder) -> None:
    async with (
        Phone(CUSTOMER, PASSWORD, six.address) as customer,
        Phone(AGENT, PASSWORD, six.address) as agent,
    ):
        call, taken = await converse(customer, agent, BUSINESS_NUMBER, SAID)
    assert (call.heard(), taken.heard()) == (SAID[1], SAID[0])
    recorded = six.export(six.next_clip())
    assert correlation(linear(SAID[1]), recorded[0]) >= ALIKE
    assert correlation(linear(SAID[0]), recorded[1]) >= ALIKE


async def test_a_call_of_baresip_is_recorded(six: Recorder, tmp_path: Path) -> None:
    if reason := baresip.missing():
        pytest.skip(reason)
    noise = np.random.default_rng(6).normal(0, 4000, 12_000).astype(np.int16)
    async with (
        baresip.Baresip(tmp_path / "baresip", six.address, COLLEAGUE, noise, password=PASSWORD) as phone,
        Phone(CUSTOMER, PASSWORD, six.address) as customer,
    ):
        call = await customer.dial(COLLEAGUE)
        await call.speak(SAID[0])
        await call.hears(75)
        await call.hang_up()
    agent, outside = six.export(six.next_clip())
    assert correlation(phone.speech.astype(float), agent) >= ALIKE
    assert correlation(linear(SAID[0]), outside) >= ALIKE


async def test_a_private_call_is_left_as_it_is(six: Recorder) -> None:
    """Both phones are of one IP version, so they hear each other directly."""
    clips = six.clips()
    async with Phone(AGENT, PASSWORD, six.address) as agent, Phone(HOME, PASSWORD, six.address) as home:
        call, taken = await converse(agent, home, PREFIX + HOME, SAID)
    assert (call.heard(), taken.heard()) == (SAID[1], SAID[0])
    for one, other in ((call, taken), (taken, call)):
        assert one.towards == other.media.get_extra_info("sockname")[:2]
    assert six.clips() == clips
