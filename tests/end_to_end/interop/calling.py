"""Calls from every make and transport to every other, refused ones, cancelled ones, and holding."""

from __future__ import annotations

import asyncio
from typing import Literal

from tests.end_to_end.interop.handset import Handset, hears
from tests.end_to_end.interop.scenarios import scenario
from tests.end_to_end.interop.stage import PASSWORD, Stage, Transport
from tests.end_to_end.peers.sipp import Codec

TALKED = "rang; answered; both hear each other; both see the end"


async def connect(caller: Handset, callee: Handset, number: str) -> None:
    """A call that is answered."""
    await caller.dial(number)
    await asyncio.gather(caller.hears_ringing(), callee.rings())
    await callee.accept()
    await asyncio.gather(caller.talks(), callee.talks())


async def part(one: Handset, other: Handset) -> None:
    """One hangs up; both see it."""
    await one.hang_up()
    await asyncio.gather(one.ended(), other.ended())


async def both(one: Handset, other: Handset, since: tuple[int, int] = (0, 0)) -> str:
    """Wait until they hear each other, after so many samples each."""
    match await asyncio.gather(hears(one, other.speech, since[0]), hears(other, one.speech, since[1])):
        case [True, True]:
            return "both hear each other"
        case [forth, back]:
            return f"{one.number} hears {forth}, {other.number} hears {back}"
    raise AssertionError


Make = tuple[str, Transport]


def named(make: Make) -> str:
    return f"{make[0]} over {make[1].upper()}"


def caller_digit(caller: Make) -> int:
    """pyVoIP cannot answer the challenge of an INVITE after a 100, so the PBX does not challenge it."""
    return 5 if caller[0] == "pyVoIP" else 1


def call(caller: Make, callee: Make, ends: str, recorded: int | None = 1) -> None:
    """From outside to an agent, so that it is recorded once, although it crosses us twice."""

    @scenario(f"{named(caller)} calls {named(callee)}; the {ends} hangs up", TALKED, recorded)
    async def play(stage: Stage) -> str:
        one = await stage.phone(caller[0], stage.outside(caller_digit(caller)), caller[1])
        other = await stage.phone(callee[0], stage.inside(2), callee[1])
        await connect(one, other, other.number)
        heard = await both(one, other)
        await part(*((one, other) if ends == "caller" else (other, one)))
        return f"rang; answered; {heard}; both see the end"


call(("baresip", "udp"), ("baresip", "udp"), "caller")
call(("baresip", "udp"), ("baresip", "tcp"), "callee")
call(("baresip", "tcp"), ("baresip", "tls"), "callee")
call(("baresip", "tls"), ("baresip", "udp"), "caller")
call(("linphone", "udp"), ("baresip", "udp"), "caller")
call(("baresip", "udp"), ("linphone", "udp"), "callee")
call(("linphone", "tcp"), ("baresip", "tls"), "callee")
call(("baresip", "tcp"), ("linphone", "tls"), "caller")
call(("linphone", "tls"), ("linphone", "udp"), "callee")
call(("linphone", "tcp"), ("pyVoIP", "udp"), "caller")
call(("pyVoIP", "udp"), ("pyVoIP", "udp"), "caller")
call(("pyVoIP", "udp"), ("linphone", "udp"), "callee")


def sipp_calls(transport: Transport, callee: Make) -> None:
    @scenario(f"sipp over {transport.upper()} calls {named(callee)} and hangs up", "answered; is heard", 1)
    async def play(stage: Stage) -> str:
        other = await stage.phone(callee[0], stage.inside(2), callee[1])
        caller, voice = stage.sipp(stage.outside(5), "udp" if transport == "udp" else "tcp")
        await caller.register(PASSWORD)
        calling = asyncio.create_task(caller.call(other.number))
        await other.rings()
        await other.accept()
        await calling
        await other.ended()
        return f"answered; {'is heard' if await hears(other, voice) else 'is not heard'}"


sipp_calls("udp", ("baresip", "udp"))
sipp_calls("tcp", ("baresip", "tcp"))


def is_answered_by_sipp(caller: Make, transport: Transport) -> None:
    @scenario(
        f"{named(caller)} calls sipp over {transport.upper()} and hangs up", "answered; sipp is heard", 1
    )
    async def play(stage: Stage) -> str:
        over: Literal["udp", "tcp"] = "udp" if transport == "udp" else "tcp"
        codec: Codec = "PCMU" if caller[0] == "pyVoIP" else "PCMA"
        callee, voice = stage.sipp(stage.inside(2), over, codec)
        await callee.register(PASSWORD)
        one = await stage.phone(caller[0], stage.outside(caller_digit(caller)), caller[1])
        async with callee.answering():
            await one.dial(callee.user)
            await one.talks()
            heard = await hears(one, voice)
            await one.hang_up()
        await one.ended()
        return f"answered; {'sipp is heard' if heard else 'sipp is not heard'}"


is_answered_by_sipp(("baresip", "tcp"), "udp")
is_answered_by_sipp(("linphone", "tls"), "udp")
is_answered_by_sipp(("pyVoIP", "udp"), "udp")


def refused(caller: Make, callee: Make, expected: str) -> None:
    @scenario(f"{named(callee)} refuses {named(caller)}", f"rang; the caller sees {expected}")
    async def play(stage: Stage) -> str:
        one = await stage.phone(caller[0], stage.outside(1), caller[1])
        other = await stage.phone(callee[0], stage.inside(2), callee[1])
        await one.dial(other.number)
        await asyncio.gather(one.hears_ringing(), other.rings())
        await other.hang_up()
        return f"rang; the caller sees {await one.ended()}"


refused(("baresip", "udp"), ("baresip", "tcp"), "486")
refused(("baresip", "tls"), ("baresip", "udp"), "486")
refused(("baresip", "tcp"), ("linphone", "udp"), "603")


def unanswered(caller: Make, callee: Make) -> None:
    @scenario(
        f"{named(callee)} lets {named(caller)} ring until the PBX gives up", "rang; 408; it stops ringing"
    )
    async def play(stage: Stage) -> str:
        one = await stage.phone(caller[0], stage.outside(1), caller[1])
        other = await stage.phone(callee[0], stage.inside(2), callee[1])
        await one.dial(other.number)
        await asyncio.gather(one.hears_ringing(), other.rings())
        seen = await one.ended()
        await other.ended()
        return f"rang; {seen}; it stops ringing"


unanswered(("baresip", "udp"), ("baresip", "tls"))
unanswered(("baresip", "tcp"), ("linphone", "udp"))


def cancelled(caller: Make, callee: Make) -> None:
    @scenario(f"{named(caller)} gives up while {named(callee)} rings", "rang; both see the end")
    async def play(stage: Stage) -> str:
        one = await stage.phone(caller[0], stage.outside(1), caller[1])
        other = await stage.phone(callee[0], stage.inside(2), callee[1])
        await one.dial(other.number)
        await asyncio.gather(one.hears_ringing(), other.rings())
        await part(one, other)
        return "rang; both see the end"


cancelled(("baresip", "udp"), ("baresip", "udp"))
cancelled(("baresip", "tls"), ("linphone", "tcp"))
cancelled(("linphone", "udp"), ("baresip", "tls"))


@scenario("a caller gives up at the moment of the answer, five times", "each time both see the end", None)
async def race(stage: Stage) -> str:
    one, other = await stage.baresip(stage.outside(1)), await stage.linphone(stage.inside(2), "tcp")
    for _ in range(5):
        await one.dial(other.number)
        await asyncio.gather(one.hears_ringing(), other.rings())
        await asyncio.gather(other.accept(), one.hang_up())
        await asyncio.gather(one.ended(), other.ended())
    return "each time both see the end"


@scenario("baresip over UDP calls pyVoIP, which cannot read its INVITE", "the caller sees 408")
async def unread(stage: Stage) -> str:
    """Its field `Supported:` is empty, and pyVoIP drops whatever has an empty field."""
    one, other = await stage.baresip(stage.outside(1)), await stage.pyvoip(stage.inside(2))
    await one.dial(other.number)
    return f"the caller sees {await one.ended()}"


def not_there(name: str, number: str, expected: str) -> None:
    @scenario(f"a call to {name}", f"the caller sees {expected}")
    async def play(stage: Stage) -> str:
        one = await stage.baresip(stage.inside(1))
        await one.dial(number or stage.inside(9))
        return f"the caller sees {await one.ended()}"


not_there("an extension that is not registered", "", "480")
not_there("a number that nobody has", "77777", "404")


def held(caller: Make, callee: Make, holder: str) -> None:
    """From extension to extension: what is not recorded either way is compared."""
    title = f"{named(caller)} calls {named(callee)}; the {holder} holds and resumes"

    @scenario(title, "held; resumed; both hear each other; both see the end", None)
    async def play(stage: Stage) -> str:
        one = await stage.phone(caller[0], stage.outside(1), caller[1])
        other = await stage.phone(callee[0], stage.inside(2), callee[1])
        await connect(one, other, other.number)
        await both(one, other)
        active, passive = (one, other) if holder == "caller" else (other, one)
        await asyncio.gather(active.hold(), passive.is_held())
        before = len(one.heard()), len(other.heard())
        await asyncio.gather(active.resume(), passive.is_resumed())
        heard = await both(one, other, before)
        await part(active, passive)
        return f"held; resumed; {heard}; both see the end"


held(("baresip", "udp"), ("baresip", "tcp"), "caller")
held(("baresip", "tls"), ("linphone", "udp"), "callee")
held(("linphone", "tcp"), ("baresip", "udp"), "caller")


@scenario("a re-INVITE that changes nothing, from both sides", "200; 200; both still hear", None)
async def refreshed(stage: Stage) -> str:
    one, other = await stage.scripted(stage.outside(5)), await stage.scripted(stage.inside(6))
    call = await one.dial(other.number)
    taken = await other.taken(call.id)
    seen = [int((await it.reinvite()).start.split(b" ")[1]) for it in (call, taken)]
    await asyncio.gather(call.speak(b"\x2a" * 1600), taken.speak(b"\x2b" * 1600))
    await asyncio.gather(call.hears(10), taken.hears(10))
    await call.hang_up()
    return f"{seen[0]}; {seen[1]}; both still hear"


def dialled_within(kind: str, dtmf: Literal["rtpevent", "info"]) -> None:
    @scenario(f"digits within a call, as {kind}", "159# arrives as 159#", None)
    async def play(stage: Stage) -> str:
        one = await stage.baresip(stage.outside(1), dtmf=dtmf)
        other = await stage.baresip(stage.inside(2), "tcp", dtmf=dtmf)
        await connect(one, other, other.number)
        await both(one, other)
        arrived = ""
        for digit in "159#":
            one.phone.tell("sndcode", digit)
            arrived += await other.phone.sees("CALL_DTMF_START")
        await part(one, other)
        return f"159# arrives as {arrived}"


dialled_within("RFC 4733 events", "rtpevent")
dialled_within("INFO", "info")


@scenario("a call rings two phones of one account", "both ring; one answers; the other stops ringing", 1)
async def forked(stage: Stage) -> str:
    one = await stage.baresip(stage.outside(1))
    first, second = await stage.baresip(stage.inside(2)), await stage.linphone(stage.inside(2), "tcp")
    await one.dial(first.number)
    await asyncio.gather(first.rings(), second.rings())
    await first.accept()
    await asyncio.gather(one.talks(), first.talks(), second.ended())
    await both(one, first)
    await part(one, first)
    return "both ring; one answers; the other stops ringing"


def is_taken(name: str, number: str, only_through: bool = False, rings: str = "") -> None:
    """A number that has to get through, and of which nothing may be kept."""

    @scenario(name, TALKED, 0, only_through)
    async def play(stage: Stage) -> str:
        one = await stage.baresip(stage.inside(1), "tls")
        other = await stage.baresip(rings or number)
        await connect(one, other, number)
        heard = await both(one, other)
        await part(one, other)
        return f"rang; answered; {heard}; both see the end"


is_taken("an emergency call over TLS", "112")
is_taken("an agent calls somebody privileged", "250")
is_taken("an agent calls privately, with the prefix", "*31+31687654321", True, "+31687654321")
