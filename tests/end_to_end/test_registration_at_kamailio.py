"""Phones register at Kamailio through us, by Contact and by Path, and call each other."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from demo.phone import free_port
from sip_hooks.engine import EngineSettings, Listener
from sip_hooks.events import CallOffered, Event, ForwardCall
from sip_hooks.transport import Transport
from tests.end_to_end.peers import kamailio
from tests.end_to_end.peers.kamailio import Kamailio
from tests.end_to_end.peers.scripted import Phone, converse
from tests.fakes.sip import EPOCH
from tests.fakes.speech import voice

if reason := kamailio.missing():
    pytest.skip(reason, allow_module_level=True)

HOST, PASSWORD = "127.0.0.1", "pbx-password"
NUMBERS = {"+31201234567": "201"}


def proxy(pbx: Kamailio, registration: Literal["contact", "path"]) -> tuple[Transport, tuple[str, int]]:
    """A proxy beside this PBX, and where phones find it. Nothing is recorded."""
    inner, outer = (HOST, free_port()), (HOST, free_port())
    listeners = (Listener("in", "phones", *inner), Listener("out", "pbx", *outer))
    settings = EngineSettings(
        listeners, pbx.address, frozenset(), (1, 2), b"k" * 32, registration=registration
    )

    def go_on(event: Event) -> None:
        if isinstance(event, CallOffered):
            made.execute(ForwardCall(event.call, 0, None))

    made = Transport(settings, go_on, lambda: EPOCH)
    return made, inner


@pytest.mark.parametrize("registration", ["contact", "path"])
async def test_a_phone_is_registered_and_called_through_us(
    tmp_path: Path, registration: Literal["contact", "path"]
) -> None:
    async with Kamailio(tmp_path / "pbx", "2[0-9][0-9]", PASSWORD, NUMBERS) as pbx:
        through, address = proxy(pbx, registration)
        await through.open()
        try:
            async with Phone("201", PASSWORD, address) as one, Phone("202", PASSWORD, address) as other:
                (contact,) = await pbx.contacts("201")
                assert (contact == one.contact) is (registration == "path")
                made, taken = await converse(other, one, "+31201234567", (voice("a", 0.3), voice("b", 0.3)))
                assert (made.heard(), taken.heard()) == (voice("b", 0.3), voice("a", 0.3))
        finally:
            through.close()
