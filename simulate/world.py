"""One history as it happens: agents around the proxy; who speaks, what was shown, what was kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import count
from random import Random
from typing import TypeVar

from recorder.policy import Policy
from simulate.dialogue import Agent, Dialog, Word
from simulate.intervals import Interval, common, without
from simulate.link import QUALITIES, Link
from simulate.oracle import Demand, Entry, demands, doubts
from simulate.people import HORIZON_SECONDS, Person
from simulate.proxy import PBX, US, Proxy
from simulate.text import Message, read
from sip_hooks.events import CallOffered
from sip_hooks.settings import Address

PATIENCE_SECONDS = 70.0
Choice = TypeVar("Choice")


class World:
    """`chance` draws everything, so that the same chance gives the same history."""

    def __init__(self, chance: Random, policy: Policy, is_told: bool = False) -> None:
        self.chance = chance
        self.link = Link(chance, chance.choice(QUALITIES))
        self.is_approved = chance.random() >= 0.02
        in_force = policy if self.is_approved else replace(policy, approved=False)
        self.proxy = Proxy(self.link, chance, in_force, self._leave, self._tell)
        self.pbx = Agent(self, PBX, "pbx", chance.random() < 0.1)
        self.entries: list[Entry] = []
        self.told: list[str] = []
        self.given_up: list[str] = []
        """The legs that the proxy gave up although it had seen an answer."""
        self._is_told = is_told
        self._agents: dict[Address, Callable[[bytes], None]] = {PBX: self.pbx.deliver}
        self._phones: dict[str, Agent] = {}
        self._legs: dict[str, str] = {}  # by conversation
        self._shown: set[Word] = set()
        self._drawn = count(1)

    # --- what agents need

    def draw(self, prefix: str) -> str:
        """A name that nothing else has."""
        name = f"{prefix}{next(self._drawn)}"
        if prefix == "leg":
            self._legs[hashlib.sha256(name.encode()).hexdigest()[:32]] = name
        return name

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        self.link.later(seconds, act)

    def send(self, data: str, source: Address, shows: Sequence[Word] = ()) -> None:
        """Let a datagram travel to the proxy; when it arrives first, it shows something."""
        octets = data.encode("latin-1")
        self.link.carry(lambda: self._arrive(octets, source, shows))

    def _arrive(self, data: bytes, source: Address, shows: Sequence[Word]) -> None:
        for word in shows:
            if word not in self._shown:
                self._shown.add(word)
                self.note(*word[:3])
        self._tell(f"{source[0]} →", data)
        self.proxy.receive(data, source)

    def _leave(self, data: bytes, destination: Address) -> None:
        if data.startswith(b"SIP/2.0 408 "):
            self._give_up(read(data))
        deliver = self._agents.get(destination)
        if deliver is not None:
            self._tell(f"→ {destination[0]}", data)
            self.link.carry(lambda: deliver(data))

    def _give_up(self, response: Message) -> None:
        """Whoever called is told that nobody answers (RFC 3261 §16.8): a later answer reaches nobody."""
        leg = response.get("call-id")
        if response.get("cseq") == "1 INVITE":
            self.given_up += [leg for it in self.entries if (it.leg, it.word) == (leg, "answered")]
            self.note(leg, "ended", False)

    # --- what stories need

    def node(self, address: Address, deliver: Callable[[bytes], None]) -> None:
        """Something else than an agent takes the datagrams to this address."""
        self._agents[address] = deliver

    def phone(self, person: Person, user: str = "") -> Agent:
        """The telephone of somebody."""
        if person.name not in self._phones:
            address = f"10.0.1.{len(self._phones) + 1}", 5060
            made = Agent(self, address, user or person.users[0], self.chance.random() < 0.1)
            self._phones[person.name] = made
            self._agents[address] = made.deliver
        return self._phones[person.name]

    def choose(self, *among: Choice) -> Choice:
        """One of these."""
        return self.chance.choice(among)

    def chances(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.chance.random() < probability

    def word(self, leg: str, word: str, people: Iterable[Person] = (), marked: str = "") -> Word:
        """What a message shows; what is `marked` alike is shown once."""
        return leg, word, any(it.is_never for it in people), marked or self.draw("")

    def stop(self) -> None:
        """Somebody ends all recordings."""
        self.proxy.stop()
        self._tell("stop", "all recordings")

    def speak(self, leg: str, *people: Person) -> None:
        """From now on these speak on the leg, and nobody else."""
        self._tell("speak", f"{leg}: {', '.join(it.name for it in people) or 'nobody'}")
        self.note(leg, "speak", any(it.is_never for it in people))

    def note(self, leg: str, word: str, never: bool) -> None:
        """Something is true, or shown, from now on."""
        self.entries.append(Entry(self.link.now, leg, word, never))
        if word != "speak":
            self._tell("shown", f"{leg}: {word}{' (never)' if never else ''}")

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        self.until(lambda: False, seconds)

    def until(self, holds: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> bool:
        """Let things happen until something holds; False when patience ends before."""
        end = self.link.now + patience
        while not holds():
            due, alarm = self.link.next(), self.proxy.engine.next_timer()
            at = min(it for it in (due, alarm, end) if it is not None)
            if at >= end:
                self.link.now = end
                return holds()
            if alarm is not None and alarm <= at:
                self.link.now = alarm
                self.proxy.handle_timer()
            else:
                self.link.step()
        return True

    def shadow(self, leg: str) -> list[str]:
        """What a call shows of another one that its telephone is in as well, and that is not on hold."""
        found = [it for it in self.entries if it.leg == leg and it.word not in ("barred", "stopped")]
        if any(it.word == "private" or (it.word == "named" and it.never) for it in found):
            return ["named"]
        is_open = any(until == self.link.now for _, until in doubts(found, self.link.now))
        has_changed = any(it.word == "change" for it in found)
        return [word for word, is_there in (("doubt", is_open), ("change", has_changed)) if is_there]

    def finds(self, agent: Agent, leg: str) -> Dialog | None:
        """The called end of a leg, once its INVITE is there."""
        self.until(lambda: leg in agent.called)
        return agent.called.get(leg)

    # --- what came of it

    def demands(self) -> dict[str, Demand]:
        """What the oracle says of each leg. Without the works council's signature no call is to be kept."""
        if not self.is_approved:
            self.entries += [Entry(self.link.now, leg, "barred") for leg in self._legs.values()]
        return demands(self.entries, self.link.now, HORIZON_SECONDS)

    def committed(self) -> dict[str, list[Interval]]:
        """By leg, what is in clips."""
        found: dict[str, list[Interval]] = {}
        for number, kept in self.proxy.media.committed(self.link.now).items():
            leg = self.leg_of(number)
            found.setdefault(leg, []).extend(kept)
        return found

    def leg_of(self, number: int) -> str:
        """Whose media relay and capture know by this number."""
        return self._legs[self.proxy.conversations[number]]

    def _tell(self, kind: str, what: object) -> None:
        if self._is_told and not isinstance(what, CallOffered):
            self.told.append(f"{self.link.now:9.3f}  {kind:12} {_brief(what)}")


def leaked(demand: Demand, kept: list[Interval]) -> list[Interval]:
    """What was committed and must not have been."""
    return [it for it in common(kept, demand.forbidden) if it[1] - it[0] > 1e-6]


def missing(demand: Demand, kept: list[Interval]) -> list[Interval]:
    """What was owed and is in no clip."""
    return [it for it in without(demand.owed, kept) if it[1] - it[0] > 1e-6]


def _brief(what: object) -> str:
    if not isinstance(what, bytes):
        return str(what)
    text = what.decode("latin-1").partition("\r\n\r\n")
    lines = text[0].split("\r\n")
    skipped = ("via", "v:", "record-route", "max-forwards", "content-", "c:", "l:", "route")
    kept = [line for line in lines[1:] if not line.lower().startswith(skipped)]
    direction = [
        line for line in text[2].split("\r\n") if line.startswith(("a=send", "a=recv", "a=inact", "c=", "m="))
    ]
    return " | ".join([lines[0], *kept, *direction])


__all__ = ["US", "World", "leaked", "missing"]
