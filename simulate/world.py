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
from simulate.link import QUALITIES, TRAVEL_SECONDS, Link
from simulate.oracle import Demand, Entry, demands, doubts
from simulate.people import HORIZON_SECONDS, TRUNK_HORIZON_SECONDS, Person
from simulate.proxy import PBX, TRUNK, US, Proxy
from simulate.text import Message, keys_in, place_in, read
from simulate.witness import Witness
from sip_hooks.events import CallOffered
from sip_hooks.settings import Address

PATIENCE_SECONDS = 70.0
KEYS = (0, 101, 101, 96)
"""In which payload type somebody takes keys in RTP, 0 for those who take none."""
Choice = TypeVar("Choice")


class World:
    """`chance` draws everything, so that the same chance gives the same history."""

    def __init__(self, chance: Random, policy: Policy, is_told: bool = False) -> None:
        self.chance = chance
        self.link = Link(chance, chance.choice(QUALITIES))
        self.is_approved = chance.random() >= 0.02
        in_force = policy if self.is_approved else replace(policy, approved=False)
        self.proxy = Proxy(self.link, chance, in_force, self._leave, self._tell, self._heard)
        self._is_told_first = bool(policy.announcements)
        self.pbx = Agent(self, PBX, "pbx", chance.random() < 0.1)
        self.pbx.keys = chance.choice(KEYS)
        self.entries: list[Entry] = []
        self.told: list[str] = []
        self.given_up: list[str] = []
        """The legs that the proxy gave up although it had seen an answer."""
        self._is_told = is_told
        self.provider = Agent(self, TRUNK, "provider")
        self.provider.keys = self.pbx.keys
        self.witness = Witness(self.link, chance, self._vouched, self._unvouched)
        self.proxy.ask = self.witness.ask
        self._agents: dict[Address, Callable[[bytes], None]] = {
            PBX: self.pbx.deliver,
            TRUNK: self.provider.deliver,
        }
        self._phones: dict[str, Agent] = {}
        self._legs: dict[str, str] = {}  # by conversation
        self._shown: set[Word] = set()
        self._refusals: set[bytes] = set()
        self._drawn = count(1)

    # --- what agents need

    def draw(self, prefix: str) -> str:
        """A name that nothing else has."""
        name = f"{prefix}{next(self._drawn)}"
        if prefix == "leg":
            self._legs[_conversation(name)] = name
        return name

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        self.link.later(seconds, act)

    def send(self, data: str, source: Address, shows: Sequence[Word] = ()) -> None:
        """Let a datagram travel to the proxy; when it arrives first, it shows something."""
        octets = data.encode("latin-1")
        self.link.carry(lambda: self._arrive(octets, source, shows))

    def press(self, end: Dialog, key: str, shows: Sequence[Word] = ()) -> None:
        """Let a key travel in RTP, which shows something when it arrives."""
        (host, port), payload_type = place_in(end.theirs), keys_in(end.theirs)

        def arrives() -> None:
            self._show(shows)
            self._tell("key", f"{key} of {end.agent.address[0]}, type {payload_type}")
            if host == US[0]:
                self.proxy.press(port, payload_type, key)

        self.link.later(TRAVEL_SECONDS, arrives)

    def _show(self, shows: Sequence[Word]) -> None:
        for word in shows:
            if word not in self._shown:
                self._shown.add(word)
                self.note(*word[:3])

    def _arrive(self, data: bytes, source: Address, shows: Sequence[Word]) -> None:
        self._show(shows)
        self._tell(f"{source[0]} →", data)
        self.proxy.receive(data, source)

    def _leave(self, data: bytes, destination: Address) -> None:
        if data.startswith(b"SIP/2.0 408 ") and data not in self._refusals:
            self._refusals.add(data)  # what is repeated was decided when it left first
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
            made.keys, made.presses = self.choose(*KEYS), self.choose("rtp", "rtp", "info", "both")
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

    def _heard(self, number: int) -> None:
        self.note(self.leg_of(number), "told", False)

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
        """What a call shows of another one that its telephone is in as well, and that is not on hold. In one
        that may not be kept at all nobody hears the keys, either.
        """
        found = [it for it in self.entries if it.leg == leg and it.word != "stopped"]
        if any(it.word == "private" or (it.word == "named" and it.never) for it in found):
            return ["named"]
        is_barred = any(it.word == "barred" for it in found)
        is_open = is_barred or any(until == self.link.now for _, until in doubts(found, self.link.now))
        has_changed = any(it.word == "change" for it in found)
        return [word for word, is_there in (("doubt", is_open), ("change", has_changed)) if is_there]

    # --- of the trunk

    def break_media(self, leg: str) -> None:
        """Our side's audio of a call on the trunk does not go on as it did; if it is kept, it is heard."""
        if self.proxy.break_media(_conversation(leg)):
            self.note(leg, "nameless", False)

    def _vouched(self, leg: str, inside: tuple[Person, ...], at: float) -> None:
        """The witness says who speaks inside. As of before the last sign of a change it says nothing."""
        alone = inside[0] if len(inside) == 1 else None
        signs = [it.at for it in self.entries if (it.leg, it.word) == (leg, "nameless")]
        if alone is None:
            self.note(leg, "nameless", False)
        elif at >= max(signs, default=at):
            self.note(leg, "named" if alone.is_never else "known", alone.is_never)
        self._tell("witness", f"{leg}: {', '.join(it.name for it in inside)} as of {at:.3f}")
        self.proxy.vouch(_conversation(leg), frozenset(alone.users) if alone else None, at)

    def _unvouched(self) -> None:
        for leg in {it.leg for it in self.entries if it.word == "witnessed"}:
            self.note(leg, "nameless", False)
        self.proxy.lose_evidence()

    def finds(self, agent: Agent, leg: str) -> Dialog | None:
        """The called end of a leg, once its INVITE is there."""
        self.until(lambda: leg in agent.called)
        return agent.called.get(leg)

    # --- what came of it

    def demands(self) -> dict[str, Demand]:
        """What the oracle says of each leg. Without the works council's signature no call is to be kept."""
        if not self.is_approved:
            self.entries += [Entry(self.link.now, leg, "barred") for leg in self._legs.values()]
        return demands(
            self.entries, self.link.now, HORIZON_SECONDS, TRUNK_HORIZON_SECONDS, self._is_told_first
        )

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


def _conversation(leg: str) -> str:
    return hashlib.sha256(leg.encode()).hexdigest()[:32]


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
