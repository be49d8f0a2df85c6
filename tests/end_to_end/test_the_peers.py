"""sipp and baresip by themselves: what the proxy is later put between."""

from __future__ import annotations

import audioop
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from demo.registrar import Registrar
from tests.end_to_end.peers import baresip, sipp

if reason := baresip.missing() or sipp.missing():
    pytest.skip(reason, allow_module_level=True)

ACCOUNTS = {"201": "secret-201", "0612345678": "secret-customer"}
EXPAND = {"PCMA": audioop.alaw2lin, "PCMU": audioop.ulaw2lin}
COMPRESS = {"PCMA": audioop.lin2alaw, "PCMU": audioop.lin2ulaw}


def voice(seed: int, seconds: float) -> NDArray[np.int16]:
    """Noise that nobody else makes, below 2 kHz so that it sounds like somebody."""
    rng = np.random.default_rng(seed)
    white = rng.normal(0, 4000, int(seconds * 8000) + 8)
    return np.convolve(white, np.ones(4) / 2, "same")[: int(seconds * 8000)].astype(np.int16)


def share_heard(said: NDArray[np.int16], heard: NDArray[np.int16]) -> float:
    """The share of `said`, in pieces of 100 ms, that occurs in `heard`; both (n,). A phone may stumble."""
    sound = heard.astype(float)
    found = 0
    pieces = [piece.astype(float) for piece in np.split(said, range(800, len(said), 800))]
    for piece in pieces:
        products = np.correlate(sound, piece, "valid")
        powers = np.convolve(sound**2, np.ones(len(piece)), "valid")
        likeness = products / np.sqrt(powers * (piece**2).sum() + 1e-9)
        found += likeness.max() > 0.99
    return found / len(pieces)


@pytest.fixture
async def registrar() -> AsyncIterator[Registrar]:
    async with Registrar(ACCOUNTS) as registrar:
        yield registrar


@pytest.mark.parametrize("codec", ["PCMA", "PCMU"])
async def test_sipp_calls_baresip_and_is_heard(
    registrar: Registrar, tmp_path: Path, codec: sipp.Codec
) -> None:
    said = voice(1, 2.0)
    speech = COMPRESS[codec](said.tobytes(), 2)
    caller = sipp.Sipp(tmp_path / "sipp", registrar.address, "0612345678", speech, codec)
    await caller.register("secret-customer")
    async with baresip.Baresip(
        tmp_path / "baresip", registrar.address, "201", voice(2, 2.0), codec, "secret-201"
    ) as called:
        await caller.call("201")
        await called.event("CALL_CLOSED")
    expected = np.frombuffer(EXPAND[codec](speech, 2), np.int16)
    assert share_heard(expected, called.heard()) >= 0.8


async def test_baresip_calls_sipp_and_hears_it(registrar: Registrar, tmp_path: Path) -> None:
    speech = COMPRESS["PCMA"](voice(3, 1.5).tobytes(), 2)
    called = sipp.Sipp(tmp_path / "sipp", registrar.address, "0612345678", speech)
    await called.register("secret-customer")
    caller = baresip.Baresip(
        tmp_path / "baresip", registrar.address, "201", voice(4, 2.0), password="secret-201"
    )
    async with caller, called.answering():
        await caller.dial("0612345678")
        await caller.has_heard(2.0)
        await caller.hang_up()
    expected = np.frombuffer(audioop.alaw2lin(speech, 2), np.int16)
    assert share_heard(expected, caller.heard()) >= 0.8


async def test_baresip_is_heard_too(registrar: Registrar, tmp_path: Path) -> None:
    agent = baresip.Baresip(tmp_path / "a", registrar.address, "201", voice(5, 1.5), password="secret-201")
    customer = baresip.Baresip(
        tmp_path / "b", registrar.address, "0612345678", voice(6, 1.5), password="secret-customer"
    )
    async with agent, customer:
        await customer.dial("201")
        await agent.has_heard(2.0)
        await customer.has_heard(2.0)
        await customer.hang_up()
        await agent.event("CALL_CLOSED")
    assert share_heard(customer.speech, agent.heard()) >= 0.8
    assert share_heard(agent.speech, customer.heard()) >= 0.8
