"""Ways on which somebody comes into a call, or into its place, as a PBX and telephones bring them about.

Each is played with somebody who must not be heard and with somebody who may be. Everybody says a sequence of
their own, another one with each other party.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from demo.telephony import PASSWORD
from tests.end_to_end.peers.b2bua import PARK, PICKUP, B2bua
from tests.end_to_end.peers.dialogs import DOMAIN, Telling
from tests.end_to_end.peers.processes import until
from tests.end_to_end.peers.scripted import PATIENCE_SECONDS, Call, Phone
from tests.fakes.speech import voice

Address = tuple[str, int]
SECONDS, BEFORE_SECONDS = 1.5, 3.5
"""What is said before somebody comes in is longer than the horizon, which is dropped then."""


@dataclass(slots=True)
class Play:
    """One path, played once: its people are its own. `third` is who comes in, inside or outside."""

    pbx: B2bua
    proxy: Address
    index: int
    is_harmless: bool
    exits: contextlib.AsyncExitStack
    voices: dict[str, bytes] = field(default_factory=dict)
    phones: list[Phone] = field(default_factory=list)

    def number(self, last: int) -> str:
        """An extension: 1 the agent's, 2 a colleague's, 9 of somebody privileged, 5 of nobody."""
        return f"1{self.index:02}{last}"

    def outside(self, last: int) -> str:
        """A number outside, likewise: 1 a customer's, 2 a client's, 9 of somebody privileged."""
        return f"+31610{self.index:03}00{last}"

    @property
    def inside_third(self) -> str:
        return self.number(2 if self.is_harmless else 9)

    @property
    def outside_third(self) -> str:
        return self.outside(2 if self.is_harmless else 9)

    async def phone(self, number: str, answers: bool = True) -> Phone:
        """Those inside register through the proxy; those outside reach the PBX without it."""
        server = self.proxy if number.startswith("1") else self.pbx.address
        self.phones.append(Phone(number, PASSWORD, server, answers=answers))
        return await self.exits.enter_async_context(self.phones[-1])

    async def over(self) -> None:
        """Wait until nobody is in a call any more."""
        calls = [call for phone in self.phones for call in phone.calls.values()]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(call.ended.wait() for call in calls))

    async def talk(self, *calls: Call, to: str = "third") -> None:
        """All say their piece at once; `to` tells it from what they say to others."""
        names = [f"{self.index} {call.phone.number} to {to}" for call in calls]
        seconds = BEFORE_SECONDS if to == "business" else SECONDS
        self.voices |= {name: voice(name, seconds) for name in names}
        spoken = zip(calls, names, strict=True)
        await asyncio.gather(*(call.speak(self.voices[name]) for call, name in spoken))

    async def business(self) -> tuple[Phone, Phone, Call, Call]:
        """Agent and customer, and their ends of a call that the customer has made and that is recorded."""
        agent, customer = await self.phone(self.number(1)), await self.phone(self.outside(1))
        theirs = await customer.dial(agent.number)
        ours = await agent.newest()
        await self.talk(ours, theirs, to="business")
        return agent, customer, ours, theirs

    async def meets(self, theirs: Call, third: Phone) -> None:
        """The customer talks with who came in, and hangs up."""
        await self.talk(await third.newest(), theirs)
        await theirs.hang_up()


CAUTIOUS = (
    "attended transfer",
    "INVITE with Replaces",
    "parking",
    "transfer inside the PBX, told by re-INVITE",
    "transfer inside the PBX, told by UPDATE",
    "transfer inside the PBX, not told",
)
"""Where who may be heard is not looked for: media moved, or a call began inside or with a code."""

Path = Callable[[Play], Awaitable[None]]
PATHS: dict[str, Path] = {}


def path(name: str) -> Callable[[Path], Path]:
    """List a path by its row in the table."""

    def listed(made: Path) -> Path:
        PATHS[name] = made
        return made

    return listed


@path("blind transfer at the phone")
async def blind(play: Play) -> None:
    _, _, ours, theirs = await play.business()
    third = await play.phone(play.inside_third)
    await ours.request("REFER", f"Refer-To: <sip:{third.number}@{DOMAIN}>")
    await play.meets(theirs, third)


@path("attended transfer")
async def attended(play: Play) -> None:
    agent, _, ours, theirs = await play.business()
    third = await play.phone(play.inside_third)
    await ours.reinvite("sendonly")
    asking = await agent.dial(third.number)
    await play.talk(asking, await third.newest(), to="consultation")
    await ours.request(
        "REFER", f"Refer-To: <sip:{third.number}@{DOMAIN}?Replaces={_replaces(asking, '%3B', '%3D')}>"
    )
    await play.meets(theirs, third)


def _replaces(call: Call, semicolon: str = ";", equals: str = "=") -> str:
    """This phone's dialog as the PBX knows it (RFC 3891 §3)."""
    theirs, ours = (value.partition("tag=")[2] for value in (call.remote, call.local))
    return f"{call.id}{semicolon}to-tag{equals}{theirs}{semicolon}from-tag{equals}{ours}"


@path("INVITE with Replaces")
async def replaces(play: Play) -> None:
    _, _, ours, theirs = await play.business()
    third = await play.phone(play.inside_third)
    await third.dial(play.number(1), f"Replaces: {_replaces(ours)}")
    await play.meets(theirs, third)


@path("pickup")
async def pickup(play: Play) -> None:
    agent = await play.phone(play.number(1), answers=False)
    customer, third = await play.phone(play.outside(1)), await play.phone(play.inside_third)
    dialling = asyncio.create_task(customer.dial(agent.number))
    await until(lambda: bool(agent.ringing))
    await third.dial(f"{PICKUP}{agent.number}")
    await play.meets(await dialling, third)


@path("parking")
async def parking(play: Play) -> None:
    _, _, ours, theirs = await play.business()
    third, place = await play.phone(play.inside_third), f"{PARK}{play.index:02}"
    await ours.request("REFER", f"Refer-To: <sip:{place}@{DOMAIN}>")
    await asyncio.wait_for(ours.ended.wait(), 20)
    await third.dial(place)
    await play.meets(theirs, third)


@path("queue")
async def queue(play: Play) -> None:
    customer, third = await play.phone(play.outside(1)), await play.phone(play.inside_third)
    theirs = await customer.dial(play.number(5))
    await play.meets(theirs, third)


@path("hunt group")
async def group(play: Play) -> None:
    await play.phone(play.number(1), answers=False)
    customer, third = await play.phone(play.outside(1)), await play.phone(play.inside_third)
    theirs = await customer.dial(play.number(6))
    await play.meets(theirs, third)


@path("forwarding inside")
async def forwarded(play: Play) -> None:
    customer, third = await play.phone(play.outside(1)), await play.phone(play.inside_third)
    theirs = await customer.dial(play.number(7))
    await play.meets(theirs, third)


@path("forwarding outside")
async def answers_elsewhere(play: Play) -> None:
    agent, third = await play.phone(play.number(1)), await play.phone(play.outside_third)
    ours = await agent.dial(play.outside(7))
    await play.talk(ours, await third.newest())
    await ours.hang_up()


def named(tells: Telling) -> Path:
    async def play_it(play: Play) -> None:
        """The telephone outside is handed to somebody else."""
        _, _, ours, theirs = await play.business()
        await play.pbx.name(play.pbx.leg_of(play.number(1)), play.outside_third, tells)
        await play.talk(ours, theirs)
        await theirs.hang_up()

    return play_it


path("identity change by re-INVITE")(named("re-INVITE"))
path("identity change by UPDATE")(named("UPDATE"))


def connected(tells: Telling) -> Path:
    async def play_it(play: Play) -> None:
        """The PBX lets the agent meet somebody else, whoever wanted that."""
        _, _, ours, theirs = await play.business()
        third = await play.phone(play.outside_third)
        mine, leg = play.pbx.leg_of(play.number(1)), play.pbx.leg_of(play.outside(1))
        other = await play.pbx.call(third.number, mine)
        assert other is not None
        await play.pbx.connect(mine, other, tells)
        leg.other = None
        await play.talk(ours, await third.newest())
        await theirs.hang_up()
        await ours.hang_up()

    return play_it


path("transfer inside the PBX, told by re-INVITE")(connected("re-INVITE"))
path("transfer inside the PBX, told by UPDATE")(connected("UPDATE"))
path("transfer inside the PBX, not told")(connected("nothing"))


@path("hold")
async def hold(play: Play) -> None:
    """Who speaks at the agent's desk while the customer is on hold is the third here."""
    _, _, ours, theirs = await play.business()
    if not play.is_harmless:
        await ours.reinvite("sendonly")
    await play.talk(ours, theirs)
    await ours.hang_up()


@path("conference at the server")
async def conference(play: Play) -> None:
    agent = await play.phone(play.number(1))
    ours = await agent.dial(play.outside(8))
    await play.talk(ours)
    await ours.hang_up()


@path("private prefix")
async def private(play: Play) -> None:
    agent, third = await play.phone(play.number(1)), await play.phone(play.outside(2))
    ours = await agent.dial(third.number if play.is_harmless else f"*31{third.number}")
    await play.talk(ours, await third.newest())
    await ours.hang_up()


@path("shared line")
async def shared(play: Play) -> None:
    """Somebody else's number rings at the agent's telephone: P-Called-Party-ID (RFC 7315 §4.2)."""
    agent, customer = await play.phone(play.number(1)), await play.phone(play.outside(1))
    theirs = await customer.dial(play.number(8))
    await play.talk(await agent.newest(), theirs)
    await theirs.hang_up()
