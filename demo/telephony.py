"""The demo's telephone network: a registrar that stands for the PBX, phones, and calls between them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from demo.installation import AGENT, BUSINESS_NUMBER, CUSTOMER, DOCTOR, HOME
from demo.phone import Phone
from demo.registrar import Registrar

NUMBERS = {AGENT: "agent", DOCTOR: "doctor", CUSTOMER: "customer", HOME: "home"}
PASSWORD = "demo-password"


@dataclass(frozen=True, slots=True)
class Spoken:
    """µ-law that each party handed to its sender in one call."""

    caller: bytes
    callee: bytes


@contextlib.contextmanager
def pbx(port: int, users: Iterable[str] = tuple(NUMBERS), host: str = "127.0.0.1") -> Iterator[Registrar]:
    """Run the registrar in a thread of its own; the business number rings the agent."""
    registrar = Registrar(dict.fromkeys(users, PASSWORD), {BUSINESS_NUMBER: AGENT}, (host, port))
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with registrar:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="PBX")
    thread.start()
    ready.wait()
    try:
        yield registrar
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


@contextlib.contextmanager
def phones(proxy: tuple[str, int]) -> Iterator[dict[str, Phone]]:
    """All phones, registered through the proxy."""
    with contextlib.ExitStack() as stack:
        yield {number: stack.enter_context(Phone(number, PASSWORD, proxy)) for number in NUMBERS}


def converse(caller: Phone, callee: Phone, number: str, said: tuple[bytes, bytes]) -> Spoken:
    """One call: dial `number`, both sides say their piece to the end, the caller hangs up."""
    caller.speech, callee.speech = said
    index = len(callee.conversations)
    outgoing = caller.call(number)
    incoming = callee.conversation(index)
    for conversation in (outgoing, incoming):
        conversation.spoken.wait(30)
    caller.hang_up()
    incoming.ended.wait(10)
    return Spoken(bytes(outgoing.sent), bytes(incoming.sent))
