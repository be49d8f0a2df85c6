"""Transfers by the phone: blind and attended."""

from __future__ import annotations

import asyncio

from tests.end_to_end.interop.calling import Make, both, connect, named, part
from tests.end_to_end.interop.scenarios import scenario
from tests.end_to_end.interop.stage import Stage

TRANSFERRED = "the third phone rings and answers; the two others hear each other; both see the end"


def blind(transferee: Make, transferor: Make, target: Make) -> None:
    title = f"{named(transferor)} transfers {named(transferee)} blindly to {named(target)}"

    @scenario(title, TRANSFERRED, None)
    async def play(stage: Stage) -> str:
        one = await stage.phone(transferee[0], stage.outside(1), transferee[1])
        other = await stage.phone(transferor[0], stage.inside(2), transferor[1])
        third = await stage.phone(target[0], stage.inside(3), target[1])
        await connect(one, other, other.number)
        await both(one, other)
        await other.transfer(third.number)
        await third.rings()
        await third.accept()
        await asyncio.gather(third.talks(), one.talks())
        if transferor[0] == "baresip":  # it has to be told; until then two calls write into one file
            await other.hang_up()
            await asyncio.gather(other.ended(), one.ended())
        heard = await both(third, one, (len(third.heard()), len(one.heard())))
        await part(third, one)
        return TRANSFERRED.replace("the two others hear each other", _others(heard))


def _others(heard: str) -> str:
    return "the two others hear each other" if heard == "both hear each other" else heard


blind(("baresip", "udp"), ("baresip", "udp"), ("baresip", "udp"))
blind(("baresip", "tcp"), ("baresip", "tls"), ("linphone", "udp"))
blind(("linphone", "udp"), ("linphone", "tcp"), ("baresip", "tls"))


def attended(transferee: Make, transferor: Make, target: Make) -> None:
    title = f"{named(transferor)} asks {named(target)} first and then transfers {named(transferee)}"

    @scenario(title, TRANSFERRED, None)
    async def play(stage: Stage) -> str:
        one = await stage.phone(transferee[0], stage.outside(1), transferee[1])
        other = await stage.linphone(stage.inside(2), transferor[1])
        third = await stage.phone(target[0], stage.inside(3), target[1])
        await connect(one, other, other.number)
        await both(one, other)
        await asyncio.gather(other.hold(), one.is_held())
        await connect(other, third, third.number)
        await both(other, third)
        await other.phone.tell("transfer 1 --to-call 2")
        await asyncio.gather(one.talks(), third.talks())
        heard = await both(third, one)
        await part(third, one)
        return TRANSFERRED.replace("the two others hear each other", _others(heard))


attended(("linphone", "udp"), ("linphone", "udp"), ("linphone", "udp"))
