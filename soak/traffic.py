"""So many calls at once, each replaced as it ends."""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from demo.installation import AGENT, BUSINESS_NUMBER, CUSTOMER
from demo.telephony import PASSWORD
from soak.media import Address, Conversation, Pump
from soak.telephone import Telephone
from soak.voice import Voice

PAUSE_SECONDS = 0.3
"""Between answer and first word, and between last word and hanging up."""
_PROMPT_SECONDS = 3.0
_HANG_UP_SECONDS = 32.0
"""How long a telephone repeats a BYE that nobody answers (RFC 3261 §17.1.2.2, timer F)."""


@dataclass(slots=True)
class Traffic:
    """`calls` at once, of `shortest` to `longest` seconds. `ended` is told of each that is over."""

    voice: Voice
    server: Address
    calls: int
    shortest: float
    longest: float
    ended: Callable[[Conversation], None]
    most: float = math.inf
    begun: int = 0
    """Calls so far, which number them; `most`: in the end."""
    pump: Pump = field(default_factory=Pump)
    running: set[Conversation] = field(default_factory=set)
    abandoned: int = 0  # their callers heard no answer, nor do they hear any that is lost on its way
    _draw: random.Random = field(default_factory=random.Random)
    _is_ending: bool = False
    _dropped: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _customer: Telephone = field(init=False)
    _agent: Telephone = field(init=False)

    async def start(self) -> None:
        """Register the phones and begin to call."""
        self._customer = Telephone(CUSTOMER, PASSWORD, self.server)
        self._agent = Telephone(AGENT, PASSWORD, self.server)
        await self._customer.open()
        await self._agent.open()
        self._tasks = [asyncio.create_task(self.pump.run())]
        self._tasks += [asyncio.create_task(self._keep_calling(it)) for it in range(self.calls)]

    @property
    def talking(self) -> int:
        """How many calls have both parties talking now."""
        return sum(it.is_talking for it in self.running)

    def drop(self) -> None:
        """Every call ends here and now, without a BYE: there is nobody left to send it to."""
        self._dropped.set()
        self._dropped = asyncio.Event()

    async def stop(self) -> None:
        """Begin no more, and wait until the last has ended. Raises what went wrong in a call."""
        self._is_ending = True
        await self.finish()

    async def finish(self) -> None:
        """Wait until the last of `most` calls has ended. Raises what went wrong in one."""
        pump, *callers = self._tasks
        await asyncio.gather(*callers)
        pump.cancel()
        await self._customer.close()
        await self._agent.close()

    async def _keep_calling(self, slot: int) -> None:
        await asyncio.sleep(slot * self.shortest / self.calls)
        while not self._is_ending and self.begun < self.most:
            await self._call()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self) -> None:
        self.begun += 1
        conversation = Conversation(self.voice, self.begun)
        call_id = f"{self.begun}-{secrets.token_hex(8)}@127.0.0.1"
        self._agent.awaited[call_id] = conversation
        self.running.add(conversation)
        self.pump.add(conversation)
        try:
            await self._converse(conversation, call_id)
        finally:
            self.running.discard(conversation)
            self.pump.remove(conversation)
            conversation.end(conversation.ended_at or asyncio.get_running_loop().time())
            del self._agent.awaited[call_id]
            self._agent.dialogs.pop(call_id, None)
            self.ended(conversation)

    async def _converse(self, conversation: Conversation, call_id: str) -> None:
        clock, dropped = asyncio.get_running_loop().time, self._dropped
        conversation.dialled_at = clock()
        dialog = await self._customer.dial(conversation, call_id, BUSINESS_NUMBER)
        conversation.answered_at = clock()
        conversation.is_answered = dialog is not None
        self.abandoned += dialog is None
        if dialog is None or dropped.is_set():
            return
        seconds = self._draw.uniform(self.shortest, self.longest)
        await _either(dropped, PAUSE_SECONDS)
        conversation.is_talking = True
        await _either(dropped, seconds)
        conversation.is_talking = False
        await _either(dropped, PAUSE_SECONDS)
        conversation.ended_at = clock()
        if not dropped.is_set():
            is_answered = await self._customer.hang_up(dialog, _HANG_UP_SECONDS)
            conversation.is_hung_up = is_answered and clock() < conversation.ended_at + _PROMPT_SECONDS


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event."""
    wait: Awaitable[object] = event.wait()
    try:
        await asyncio.wait_for(wait, seconds)
    except TimeoutError:
        return
