"""Registering, un-registering, being asked whether one is there, short messages."""

from __future__ import annotations

from tests.end_to_end.interop.scenarios import scenario
from tests.end_to_end.interop.stage import PASSWORD, Stage, Transport

REGISTERED = "registered; the PBX has one contact"


async def contacts(stage: Stage, number: str) -> str:
    count = len(await stage.pbx.contacts(number))
    return f"registered; the PBX has {'one contact' if count == 1 else f'{count} contacts'}"


def registers(kind: str, transport: Transport) -> None:
    @scenario(f"{kind} registers over {transport.upper()}", REGISTERED)
    async def play(stage: Stage) -> str:
        number = stage.inside(1)
        await stage.phone(kind, number, transport)
        return await contacts(stage, number)


for kind in ("baresip", "linphone"):
    for transport in ("udp", "tcp", "tls"):
        registers(kind, transport)
registers("pyVoIP", "udp")


def sipp_registers(transport: Transport) -> None:
    @scenario(f"sipp registers over {transport.upper()}", REGISTERED)
    async def play(stage: Stage) -> str:
        number = stage.inside(1)
        phone, _ = stage.sipp(number, "udp" if transport == "udp" else "tcp")
        await phone.register(PASSWORD)
        return await contacts(stage, number)


sipp_registers("udp")
sipp_registers("tcp")


def is_refused(kind: str, transport: Transport) -> None:
    @scenario(
        f"{kind} registers over {transport.upper()} with a wrong password", "refused; the PBX has no contact"
    )
    async def play(stage: Stage) -> str:
        number = stage.inside(1)
        try:
            await stage.phone(kind, number, transport, "wrong")
        except RuntimeError:
            return f"refused; the PBX has {'no' if not await stage.pbx.contacts(number) else 'a'} contact"
        return "registered"


is_refused("baresip", "udp")
is_refused("baresip", "tls")
is_refused("linphone", "tcp")


@scenario("baresip un-registers", "registered; the PBX has one contact; then none")
async def baresip_leaves(stage: Stage) -> str:
    number = stage.inside(1)
    handset = await stage.baresip(number)
    seen = await contacts(stage, number)
    handset.phone.tell("uadelall")
    await stage.pbx.forgets(number)
    return f"{seen}; then none"


@scenario("a phone registers again from another port", "registered; the PBX has 2 contacts")
async def registers_twice(stage: Stage) -> str:
    number = stage.inside(1)
    await stage.baresip(number)
    await stage.baresip(number, "tcp")
    return await contacts(stage, number)


def qualified(kind: str, transport: Transport) -> None:
    @scenario(f"the PBX qualifies {kind} over {transport.upper()} with OPTIONS", "200")
    async def play(stage: Stage) -> str:
        number = stage.inside(1)
        await stage.phone(kind, number, transport)
        (contact,) = await stage.pbx.contacts(number)
        return str(await stage.pbx.options(contact))


qualified("baresip", "udp")
qualified("baresip", "tcp")
qualified("linphone", "udp")


@scenario("a phone asks another for its OPTIONS", "200")
async def asks_for_options(stage: Stage) -> str:
    caller = await stage.scripted(stage.inside(5))
    await stage.baresip(stage.inside(1))
    answer = await caller.ask(caller.request_lines("OPTIONS", stage.inside(1)))
    return answer.start.split(b" ")[1].decode()


def message(kind: str, transport: Transport) -> None:
    @scenario(f"a MESSAGE for {kind} over {transport.upper()}", "200")
    async def play(stage: Stage) -> str:
        sender = await stage.scripted(stage.inside(5))
        await stage.phone(kind, stage.inside(1), transport)
        lines = sender.request_lines("MESSAGE", stage.inside(1), "Content-Type: text/plain")
        answer = await sender.ask(lines)
        return answer.start.split(b" ")[1].decode()


message("baresip", "tcp")
message("linphone", "udp")
