"""The trial: a customer's call is transferred to somebody privileged, by the service and the PBX that run.

Three telephones of ours register through the service. The privileged one answers at once and says nothing
until the clips of before are sealed: so the files of these show by themselves that no word of it is in them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from recorder.config import Config
from recorder.config.listening import ANY
from recorder.probe.telephone import Account
from recorder.selftest.handset import Call, Handset, NotDone
from recorder.selftest.speech import Speech, octets
from recorder.selftest.verdict import Kind, Seen
from recorder.selftest.witness import Witness
from recorder.service.listening import listeners
from recorder.words import in_words
from sip_hooks.settings import Address
from storage.errors import NotFound

MORE_SECONDS = 1.0
"""What is said before a transfer is so much longer than the horizon, which is dropped then."""
TALK_SECONDS = 1.0
_REGISTERED_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who takes part. `line`: what the customer dials; `agents`: who the agent's telephone is."""

    customer: Account
    agent: Account
    privileged: Account
    line: str
    agents: frozenset[str]


@dataclass(frozen=True, slots=True)
class Told:
    """One transfer: what was seen, and what was said before it and with the privileged telephone."""

    seen: Seen
    before: tuple[Speech, ...] = field(default=(), repr=False)
    after: tuple[Speech, ...] = field(default=(), repr=False)


async def try_out(
    witness: Witness, wanted: Wanted, kinds: tuple[Kind, ...], tell: Callable[[str], None]
) -> list[Told]:
    """Transfer once in each way. Raises NotFound without a listener for telephones, NotDone when the PBX
    refuses one, NotRunning.
    """
    server, media = _place(witness.config)
    told = []
    async with _registered(wanted, server, media) as (customer, agent, privileged):
        for kind in kinds:
            tell(f"calling {wanted.line}, and transferring to {wanted.privileged.user} ({kind})")
            stage = _Stage(witness, wanted, kind, customer, agent, privileged)
            told.append(await stage.play())
    return told


@dataclass(slots=True)
class _Stage:
    """One transfer, and what is said in it."""

    witness: Witness
    wanted: Wanted
    kind: Kind
    customer: Handset
    agent: Handset
    privileged: Handset
    before: tuple[Speech, ...] = ()
    after: tuple[Speech, ...] = ()

    async def play(self) -> Told:
        """Raises NotRunning."""
        now, horizon = self.witness.now(), self.witness.config.media.horizon
        counted = await self.witness.counted(now)
        seen = Seen(self.kind, self.wanted.agents, now, now, now, now, now, horizon)
        try:
            seen = await self._transferred(seen)
        except NotDone as error:
            seen = replace(seen, failure=str(error), ended_at=self.witness.now())
        await self._hang_up()
        if not seen.failure:
            seen = await self.witness.settled(replace(seen, ended_at=self.witness.now()), counted)
            grown, strays = await self.witness.grown(seen.grown)
            seen = replace(seen, grown=grown, strays=strays)
        return Told(seen, self.before, self.after)

    async def _transferred(self, seen: Seen) -> Seen:
        """The call, from its beginning to the last word of the privileged telephone."""
        taken = len(self.agent.calls)
        theirs = await self.customer.dial(self.customer.uri(self.wanted.line))
        ours = await self.agent.newest(taken)
        seconds = seen.horizon.total_seconds() + MORE_SECONDS
        is_heard, self.before = await _converse(theirs, ours, seconds)
        purposes = await self._purposes(seen)
        seen = replace(seen, purposes=purposes, is_heard_before=is_heard, certain_until=self.witness.now())
        rang, target = len(self.privileged.calls), self.agent.uri(self.wanted.privileged.user)
        consultation = await self._consult(ours, target) if self.kind == "attended" else None
        seen = replace(seen, transferred_at=self.witness.now())
        await self.agent.transfer(ours, target, consultation)
        await self.agent.hang_up(ours)
        privileged = await self.privileged.newest(rang)
        return await self._spoken(seen, privileged)

    async def _purposes(self, seen: Seen) -> tuple[str, ...]:
        """For which the call is recorded now. Raises NotDone when it is not: nothing can be shown then."""
        if purposes := await self.witness.recorded(self.wanted.agents, seen.began):
            return purposes
        calls = await self.witness.running(self.wanted.agents, seen.began)
        why = ", ".join(sorted({in_words(code) for it in calls for code in it["reasons"]}))
        why = why or "nothing of it may be shown; see whom the PBX says that calls, and `doelband explain`"
        raise NotDone(f"the call was not recorded before the transfer either ({why})")

    async def _consult(self, ours: Call, target: str) -> Call:
        rang = len(self.privileged.calls)
        await self.agent.hold(ours)
        consultation = await self.agent.dial(target)
        _, self.after = await _converse(consultation, await self.privileged.newest(rang), TALK_SECONDS)
        return consultation

    async def _spoken(self, seen: Seen, privileged: Call) -> Seen:
        """Customer and privileged telephone speak, when all of before is sealed."""
        await self.witness.sealed(self.wanted.agents, seen.began, seen.transferred_at)
        files, at = await asyncio.to_thread(self.witness.files), self.witness.now()
        theirs = next(it for it in reversed(self.customer.calls) if not it.is_over)
        talking = asyncio.create_task(_converse(theirs, privileged, TALK_SECONDS))
        await asyncio.sleep(TALK_SECONDS / 2)
        during = await self.witness.recorded(self.wanted.agents, seen.began)
        is_heard, said = await talking
        self.after += said
        return replace(seen, spoke_at=at, grown=files, during=during, is_heard_after=is_heard)

    async def _hang_up(self) -> None:
        for handset in (self.customer, self.agent, self.privileged):
            for call in handset.calls:
                await handset.hang_up(call)


async def _converse(one: Call, other: Call, seconds: float) -> tuple[bool, tuple[Speech, ...]]:
    """Both speak at once; whether both have heard the other, and what they said."""
    said = (Speech(secrets.token_bytes(octets(seconds))), Speech(secrets.token_bytes(octets(seconds))))
    await asyncio.gather(one.speak(said[0]), other.speak(said[1]))
    is_heard = said[0].is_heard(bytes(other.ear.audio)) and said[1].is_heard(bytes(one.ear.audio))
    return is_heard, said


@asynccontextmanager
async def _registered(
    wanted: Wanted, server: Address, media: tuple[str, str]
) -> AsyncIterator[tuple[Handset, Handset, Handset]]:
    """The three telephones, registered inside. Raises NotDone when the PBX refuses one."""
    accounts = (wanted.customer, wanted.agent, wanted.privileged)
    async with AsyncExitStack() as stack:
        handsets = [await stack.enter_async_context(Handset(it, server, media)) for it in accounts]
        for it in handsets:
            answer = await it.register(_REGISTERED_SECONDS)
            if answer is None or answer.status != 200:
                said = f"it was answered {answer.status}" if answer else "nobody answered"
                raise NotDone(f"{it.account.user} registered: {said}")
            stack.push_async_callback(it.register, 0)
        yield handsets[0], handsets[1], handsets[2]


def _place(config: Config) -> tuple[Address, tuple[str, str]]:
    """Where telephones find the service, and where their media is. Raises NotFound."""
    for it in listeners(config):
        if it.side in ("phones", "both") and not it.is_stream:
            here = it.advertised[0] if it.address in ANY.values() else it.address
            return (here, it.port), (here, it.advertised[0])
    raise NotFound(
        "register as phones do",
        'no listener with side = "phones" or "both" has transport = "udp"; add one to [[listeners]]',
    )
