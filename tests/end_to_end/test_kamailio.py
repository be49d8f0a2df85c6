"""Kamailio by itself, as the PBX that the proxy is later put beside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.certificates import Authority
from tests.fakes.speech import voice

if reason := kamailio.missing():
    pytest.skip(reason, allow_module_level=True)

PASSWORD = "pbx-password"


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Kamailio]:
    credentials = Authority(tmp_path / "ca").issue("pbx.example")
    numbers = {"+31201234567": "201"}
    async with Kamailio(tmp_path / "pbx", "2[0-9][0-9]", PASSWORD, numbers, credentials=credentials) as pbx:
        yield pbx


async def test_it_registers_qualifies_and_connects_phones(pbx: Kamailio) -> None:
    async with Phone("201", PASSWORD, pbx.address) as agent, Phone("202", PASSWORD, pbx.address) as other:
        (contact,) = await pbx.contacts("201")
        assert contact == agent.contact
        assert await pbx.options(contact) == 200
        made, taken = await converse(other, agent, "+31201234567", (voice("a", 0.3), voice("b", 0.3)))
        assert (made.heard(), taken.heard()) == (voice("b", 0.3), voice("a", 0.3))
        assert made.routes, "it stays in the dialog"


async def test_it_refuses_a_wrong_password_an_absent_account_and_an_unknown_number(pbx: Kamailio) -> None:
    with pytest.raises(RuntimeError, match="401"):
        async with Phone("201", "wrong", pbx.address):
            pass
    assert await pbx.contacts("201") == []
    async with Phone("202", PASSWORD, pbx.address) as phone:
        for number, status in {"203": "480", "399": "404"}.items():
            with pytest.raises(RuntimeError, match=status):
                await phone.dial(number)
