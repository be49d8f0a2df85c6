"""The demo's phones and its PBX by themselves: what the proxy is later put between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from demo.phone import Conversation, Phone, PhoneError
from demo.registrar import Registrar

ACCOUNTS = {"201": "secret-201", "+31612345678": "secret-customer"}


@pytest.fixture
async def registrar() -> AsyncIterator[Registrar]:
    async with Registrar(ACCOUNTS, numbers={"+31201234567": "201"}) as registrar:
        yield registrar


def noise(seed: int, seconds: float) -> bytes:
    """µ-law that nobody else says."""
    return random.Random(seed).randbytes(int(seconds * 8000))


def talk(registrar: Registrar, caller: str, dialled: str, callee: str, who_ends: str) -> list[Conversation]:
    with (
        Phone(callee, ACCOUNTS[callee], registrar.address, noise(1, 0.7)) as called,
        Phone(caller, ACCOUNTS[caller], registrar.address, noise(2, 0.5)) as calling,
    ):
        ends = [calling.call(dialled), called.conversation(0)]
        assert all(end.spoken.wait(5) for end in ends)
        {caller: calling, callee: called}[who_ends].hang_up()
        assert all(end.ended.wait(5) for end in ends)
    return ends


@pytest.mark.parametrize(
    ("caller", "dialled", "callee", "who_ends"),
    [
        ("+31612345678", "+31201234567", "201", "+31612345678"),
        ("+31612345678", "201", "201", "201"),
        ("201", "+31612345678", "+31612345678", "201"),
    ],
)
async def test_two_phones_talk_both_ways(
    registrar: Registrar, caller: str, dialled: str, callee: str, who_ends: str
) -> None:
    made, taken = await asyncio.to_thread(talk, registrar, caller, dialled, callee, who_ends)
    assert taken.speech in taken.sent
    assert made.speech in made.sent
    assert made.speech in taken.heard()
    # The called phone speaks before the caller has heard of its answer: the first packets meet a closed port.
    assert taken.speech[1600:] in made.heard()
    assert (made.other, taken.other) == (dialled, caller)
    assert registrar.contacts == {}, "both have unregistered"


async def test_a_wrong_password_is_refused(registrar: Registrar) -> None:
    with pytest.raises(PhoneError, match="register 201"):
        await asyncio.to_thread(Phone("201", "guessed", registrar.address).__enter__)
    assert registrar.contacts == {}


async def test_calling_nobody_is_an_error(registrar: Registrar) -> None:
    def call() -> None:
        with Phone("201", ACCOUNTS["201"], registrar.address) as phone:
            phone.call("999")

    with pytest.raises(PhoneError, match="did not ring"):
        await asyncio.to_thread(call)
