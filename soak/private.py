"""`make soak private`: calls become private at random instants; nothing of these is left, all of others is.

Each agent has one call at a time, since a telephone that speaks in two at once makes both private. The code
comes in INFO requests (application/dtmf-relay).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from demo.installation import CUSTOMER
from demo.registrar import Registrar
from demo.telephony import PASSWORD, pbx
from recorder.config import load
from recorder.service import places
from soak.clips import PERSON, PURPOSE, REASON, read
from soak.media import Conversation, Pump
from soak.service import FIRST_PORT, Service, eventually
from soak.telephone import Dialog, Telephone
from soak.voice import Voice
from storage.errors import StorageError
from storage.keydoor import KeyDoor

CODE = "*77"
BUSINESS = 10
"""One call in so many stays what it is: the control."""
_KEY_SECONDS = 0.15
_DESTROYED_SECONDS = 30.0
_MIDNIGHT = "T00:00:00.000000Z"
_CLIPS = "SELECT count(*) FROM recording JOIN clip ON recording = recording.id"
_LEAVES = "SELECT count(*) FROM audit JOIN clip ON object = clip.id"
_OPEN = f"{_CLIPS} WHERE state = 'open' AND agent = ?"


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` in all, of `agents` at once, each of `shortest` to `longest` seconds."""

    calls: int = 1000
    seed: int = 1
    agents: int = 8
    shortest: float = 3.0
    longest: float = 6.0


@dataclass(slots=True)
class Totals:
    """What came of the calls. `waits`: seconds from the last key until no row named the call's agent."""

    private: int = 0
    business: int = 0
    unanswered: int = 0
    waits: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Installation(Service):
    """A service with so many agents, each with an extension and an id of its own."""

    def __init__(self, directory: Path, agents: int) -> None:
        super().__init__(directory, horizon=1.0, first_port=FIRST_PORT)
        self.agents = {str(204 + it): f"a-{9204 + it}" for it in range(agents)}
        text = self.config.read_text(encoding="utf-8")
        rows = (
            f'[[agents]]\nid = "{id}"\nextensions = ["{number}"]\nlines = ["service"]\n'
            for number, id in self.agents.items()
        )
        text = text.replace("[[agents]]", "\n".join(rows) + "\n[[agents]]", 1)
        text = text.replace('prefix = "', f'in_call_code = "{CODE}"\nprefix = "', 1)
        self.config.write_text(text, encoding="utf-8")

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the catalogue."""
        place = f"file:{self.directory / 'storage' / 'catalogue.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(place, uri=True, timeout=15)) as database:
            return list(database.execute(text, values))


class Office:
    """The agents' telephones, the one that calls them, and what they did."""

    def __init__(self, service: Installation, plan: Plan) -> None:
        self.totals = Totals()
        self._service, self._plan = service, plan
        self._chance = random.Random(plan.seed)
        self._voice, self._pump = Voice(plan.seed), Pump()
        self._number = 0
        self._customer = Telephone(CUSTOMER, PASSWORD, service.address)

    async def run(self) -> Totals:
        """All calls, and what they left."""
        await self._customer.open()
        pumping = asyncio.create_task(self._pump.run())
        async with asyncio.TaskGroup() as group:
            for extension, agent in self._service.agents.items():
                group.create_task(self._shift(extension, agent))
        pumping.cancel()
        await self._customer.close()
        return self.totals

    async def _shift(self, extension: str, agent: str) -> None:
        telephone = Telephone(extension, PASSWORD, self._service.address)
        await telephone.open()
        while self._number < self._plan.calls:
            self._number += 1
            await self._call(telephone, agent, self._number)
            sys.stderr.write(
                f"\r{self._number} of {self._plan.calls} calls, {len(self.totals.faults)} faults "
            )
        await telephone.close()

    async def _call(self, telephone: Telephone, agent: str, number: int) -> None:
        conversation, call_id = (
            Conversation(self._voice, number),
            f"{number}-{secrets.token_hex(8)}@127.0.0.1",
        )
        telephone.awaited[call_id] = conversation
        self._pump.add(conversation)
        try:
            dialog = await self._customer.dial(conversation, call_id, telephone.number)
            if dialog is None:
                self.totals.unanswered += 1
                return
            await self._talk(telephone, conversation, call_id, agent)
            await self._customer.hang_up(dialog)
        finally:
            self._pump.remove(conversation)
            conversation.end(asyncio.get_running_loop().time())
            del telephone.awaited[call_id]
            telephone.dialogs.pop(call_id, None)

    async def _talk(self, telephone: Telephone, conversation: Conversation, call_id: str, agent: str) -> None:
        seconds = self._chance.uniform(self._plan.shortest, self._plan.longest)
        at = self._chance.uniform(0.0, seconds)
        conversation.is_talking = True
        if conversation.number % BUSINESS == 0:
            self.totals.business += 1
            await asyncio.sleep(seconds)
        else:
            self.totals.private += 1
            await asyncio.sleep(at)
            await self._press(telephone, telephone.dialogs[call_id])
            pressed = asyncio.get_running_loop().time()
            await self._is_forgotten(agent, conversation.number)
            self.totals.waits.append(asyncio.get_running_loop().time() - pressed)
            await asyncio.sleep(seconds - at)
        conversation.is_talking = False

    async def _press(self, telephone: Telephone, dialog: Dialog) -> None:
        for key in CODE:
            dialog.number += 1
            body = f"Signal={key}\r\nDuration=160\r\n".encode()
            await telephone.ask(dialog.lines("INFO", "Content-Type: application/dtmf-relay"), body)
            await asyncio.sleep(_KEY_SECONDS)

    async def _is_forgotten(self, agent: str, number: int) -> None:
        """Until no row names the agent but those of business calls before, and every clip is destroyed."""
        clock = asyncio.get_running_loop().time
        until = clock() + _DESTROYED_SECONDS
        while (await asyncio.to_thread(self._service.query, _OPEN, agent))[0][0]:
            if clock() > until:
                self.totals.faults.append(f"call {number} is still named after {_DESTROYED_SECONDS:.0f} s")
                return
            await asyncio.sleep(0.01)


def left_behind(service: Installation, totals: Totals, seed: int) -> Iterator[str]:
    """What is wrong with what the calls left: rows, files, keys, log."""
    states = dict(service.query("SELECT state, count(*) FROM clip GROUP BY state"))
    kept = [it for (it,) in service.query("SELECT id FROM clip WHERE state = 'sealed'")]
    if set(states) - {"sealed", "erased"} or len(kept) != totals.business:
        yield f"{states}, and {totals.business} business calls"
    gone = [it for (it,) in service.query("SELECT id FROM clip WHERE state = 'erased'")]
    yield from _rows(service, totals, len(gone))
    files = {it.name.partition(".")[0] for it in (service.directory / "storage" / "clips").iterdir()}
    yield from (f"a file of {it}" for it in files & set(gone))
    log = service.log.read_text(encoding="utf-8")
    yield from (f"the log names {it}" for it in (*service.agents.values(), CUSTOMER[-9:]) if it in log)
    yield from service.findings()
    contents = read(service.config, seed, kept)
    yield from (fault for it in contents for fault in it.faults)
    calls = {it.call for it in contents}
    yield from (f"call {it} was to be destroyed" for it in calls if it is None or it % BUSINESS)
    yield from asyncio.run(_opened(service, gone))


def _rows(service: Installation, totals: Totals, gone: int) -> Iterator[str]:
    named = f"{_CLIPS} WHERE state = 'erased' AND "
    when = f"{named} (substr(started_at, 11) != ? OR substr(opened_at, 11) != ?)"
    leaves = f"{_LEAVES} WHERE state = 'erased' AND substr(at, 11) != ?"
    counted = service.query("SELECT sum(count) FROM withheld_count")[0][0]
    ledger = service.query("SELECT count(*) FROM call_outcome")[0][0]
    certified = service.query("SELECT count(*) FROM certificate")[0][0]
    for wrong, found, wanted in (
        ("rows name somebody", service.query(named + "(agent || line || purpose) != ''")[0][0], 0),
        ("rows tell when", service.query(when, _MIDNIGHT, _MIDNIGHT)[0][0], 0),
        ("leaves tell when", service.query(leaves, _MIDNIGHT)[0][0], 0),
        ("private calls are counted", counted, totals.private),
        ("calls are in the ledger", ledger, totals.business),
        ("certificates", certified, gone),
    ):
        if found != wanted:
            yield f"{found} {wrong}, not {wanted}"


async def _opened(service: Installation, gone: list[str]) -> list[str]:
    """The destroyed clips that open all the same."""
    door, found = KeyDoor(places.keys(load(service.config))), []
    for clip in gone:
        with contextlib.suppress(StorageError):
            await door.open_clip(clip, PURPOSE, "play", REASON, PERSON)
            found.append(f"clip {clip} opens")
    return found


@contextlib.contextmanager
def serving(directory: Path, agents: int) -> Iterator[tuple[Installation, Registrar]]:
    """The installation, signed, and its PBX."""
    service = Installation(directory, agents)
    service.set_up()
    with pbx(service.pbx_port, (CUSTOMER, *service.agents)) as exchange:
        try:
            service.start()
            service.sign()
            yield service, exchange
        finally:
            service.stop()


def run(directory: Path, plan: Plan) -> dict[str, Any]:
    """One whole run in a fresh installation; returns the report, in which `faults` is empty if all held."""
    with serving(directory, plan.agents) as (service, _):

        async def working() -> Totals:
            totals = await Office(service, plan).run()
            done = "SELECT count(*) FROM clip WHERE state NOT IN ('sealed', 'erased')"
            await eventually(lambda: service.query(done)[0][0], lambda it: it == 0)
            counted = "SELECT ifnull(sum(count), 0) FROM withheld_count"
            await eventually(lambda: service.query(counted)[0][0], lambda it: it >= totals.private)
            return totals

        totals = asyncio.run(working())
        totals.faults += left_behind(service, totals, plan.seed)
    if totals.unanswered > plan.calls * 0.01:
        totals.faults.append(f"{totals.unanswered} calls were not answered")
    waits = np.array(totals.waits or [0.0])
    return {
        "plan": asdict(plan),
        "private": totals.private,
        "business": totals.business,
        "unanswered": totals.unanswered,
        "seconds_until_nobody_is_named": {
            name: round(float(np.percentile(waits, share)), 3)
            for name, share in (("p50", 50), ("p99", 99), ("max", 100))
        },
        "faults": totals.faults,
    }
