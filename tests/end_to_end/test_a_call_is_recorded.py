"""Start here. Real phones call each other through the proxy; then the command line exports the recording.

Each leg of a clip is compared with what was handed to that phone's sender. What phones and PBX said in SIP
has passed unchanged but for the edits that `peers/wire.py` lists and undoes.
"""

from __future__ import annotations

import audioop
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from demo import speech
from demo.listening import correlation, samples
from demo.phone import Phone
from demo.telephony import PASSWORD, converse, phones
from tests.end_to_end.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CLIENT,
    COLLEAGUE,
    CUSTOMER,
    HOME,
    PREFIX,
    Recorder,
)
from tests.end_to_end.peers import baresip, sipp
from tests.end_to_end.peers.wire import Wire, missing, strange

ALIKE = 0.99
SAID = (speech.load("customer")[:16_000], speech.load("agent")[:16_000])


@pytest.fixture(scope="module")
def wire(recorder: Recorder) -> Iterator[Wire]:
    """Every SIP message of this file's calls."""
    if reason := missing():
        pytest.skip(reason)
    with Wire(recorder.address) as wire:
        yield wire


@pytest.fixture(scope="module")
def pyvoip(recorder: Recorder, wire: Wire) -> Iterator[dict[str, Phone]]:
    """The demo's phones, registered through the proxy."""
    with phones(recorder.address) as connected:
        yield connected


def test_a_customer_calls_the_business_number(
    recorder: Recorder, wire: Wire, pyvoip: dict[str, Phone]
) -> None:
    said = converse(pyvoip[CUSTOMER], pyvoip[AGENT], BUSINESS_NUMBER, SAID)
    agent, outside = recorder.export(recorder.next_clip())
    assert correlation(samples(said.callee), agent) >= ALIKE
    assert correlation(samples(said.caller), outside) >= ALIKE
    assert_unchanged(wire, "REGISTER")


def test_the_agent_calls_a_customer(recorder: Recorder, wire: Wire, pyvoip: dict[str, Phone]) -> None:
    said = converse(pyvoip[AGENT], pyvoip[CUSTOMER], CUSTOMER, SAID)
    agent, outside = recorder.export(recorder.next_clip())
    assert correlation(samples(said.caller), agent) >= ALIKE
    assert correlation(samples(said.callee), outside) >= ALIKE
    assert_unchanged(wire)


def test_the_agent_calls_home_with_the_private_prefix(
    recorder: Recorder, wire: Wire, pyvoip: dict[str, Phone]
) -> None:
    clips = recorder.clips()
    converse(pyvoip[AGENT], pyvoip[HOME], PREFIX + HOME, SAID)
    assert recorder.clips() == clips
    assert_unchanged(wire)


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
async def test_sipp_calls_baresip(recorder: Recorder, wire: Wire, tmp_path: Path, codec: sipp.Codec) -> None:
    skip_without_peers()
    customer = sipp.Sipp(tmp_path / "sipp", recorder.address, CLIENT, noise(1, codec), codec)
    await customer.register(PASSWORD)
    async with baresip.Baresip(
        tmp_path / "baresip",
        recorder.address,
        COLLEAGUE,
        sound(noise(2, codec), codec),
        codec,
        PASSWORD,
    ) as phone:
        await customer.call(COLLEAGUE)
        await phone.event("CALL_CLOSED")
    agent, outside = recorder.export(recorder.next_clip())
    assert correlation(phone.speech.astype(float), agent) >= ALIKE
    assert correlation(sound(customer.speech, codec).astype(float), outside) >= ALIKE
    assert_unchanged(wire)


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
async def test_baresip_calls_sipp(recorder: Recorder, wire: Wire, tmp_path: Path, codec: sipp.Codec) -> None:
    skip_without_peers()
    customer = sipp.Sipp(tmp_path / "sipp", recorder.address, CLIENT, noise(3, codec), codec)
    await customer.register(PASSWORD)
    phone = baresip.Baresip(
        tmp_path / "baresip",
        recorder.address,
        COLLEAGUE,
        sound(noise(4, codec), codec),
        codec,
        PASSWORD,
    )
    async with phone, customer.answering():
        await phone.dial(CLIENT)
        await phone.has_heard(2.5)
        await phone.hang_up()
    agent, outside = recorder.export(recorder.next_clip())
    assert correlation(phone.speech.astype(float), agent) >= ALIKE
    assert correlation(sound(customer.speech, codec).astype(float), outside) >= ALIKE
    assert_unchanged(wire)


def assert_unchanged(wire: Wire, *more: str) -> None:
    assert {"INVITE", "ACK", "BYE", *more} <= wire.methods()
    found = strange(wire.seen, wire.proxy, PREFIX)
    assert not found, "\n".join(found)


def skip_without_peers() -> None:
    if reason := sipp.missing() or baresip.missing():
        pytest.skip(reason)


def noise(seed: int, codec: sipp.Codec) -> bytes:
    """G.711: a third of a second of silence, then a second and a half of a voice that nobody else has."""
    white = np.random.default_rng(seed).normal(0, 4000, 12_008)
    smooth = np.convolve(white, np.ones(4) / 2, "same")[:12_000].astype(np.int16)
    compress = {"PCMA": audioop.lin2alaw, "PCMU": audioop.lin2ulaw}[codec]
    return compress(np.append(np.zeros(2400, np.int16), smooth).tobytes(), 2)


def sound(g711: bytes, codec: sipp.Codec) -> NDArray[np.int16]:
    """The same as linear samples, shape (n,)."""
    expand = {"PCMA": audioop.alaw2lin, "PCMU": audioop.ulaw2lin}[codec]
    return np.frombuffer(expand(g711, 2), np.int16)
