"""How a call begins: who calls whom, over which kind of PBX, and what its messages say of who speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from simulate import naming
from simulate.dialogue import Agent, Dialog, Word
from simulate.people import AGENTS, BUSINESS_NUMBER, CUSTOMERS, DOCTOR, KIM, NEVER, PREFIX, Person
from simulate.world import World


@dataclass(slots=True)
class Talk:
    """A call that goes on. `phone` and `far` are its two ends; `other` is who speaks at the far end."""

    world: World
    phone: Dialog
    far: Dialog
    agent: Person
    other: Person
    with_them: list[Person] = field(default_factory=list)
    is_on_trunk: bool = False

    @property
    def leg(self) -> str:
        return self.phone.leg

    @property
    def is_up(self) -> bool:
        return self.phone.is_up and self.far.is_up and not self.phone.is_over and not self.far.is_over

    def shows(self, word: str, *people: Person) -> tuple[Word, ...]:
        """What a message of this leg shows."""
        return (self.world.word(self.leg, word, people),)

    def speak(self, *others: Person) -> None:
        """Agent and others speak."""
        self.world.speak(self.leg, self.agent, *others, *self.with_them)


def answer(
    world: World,
    caller: Dialog,
    called: Dialog,
    talk: Talk,
    headers: Sequence[str] = (),
    *people: Person,
    rings: Sequence[tuple[int, Sequence[str], tuple[Person, ...]]] = (),
    word: str = "answered",
    also: Sequence[str] = (),
) -> Talk | None:
    """Ring, answer, and let them speak; `people` are those whom the answer names, as `rings` do. `also`: what
    else the answer shows.
    """
    assert called.invite is not None
    for status, said, named in rings:
        shows = [talk.shows("named", *named)[0]] if named else []
        called.respond(called.invite, status, said, called.sdp if status == 183 else "", shows)
        if named:  # a response that comes after the answer is `rung_late`
            world.until(partial(_has_heard, caller, status), 4.0)
        world.wait(world.choose(0.05, 1.0, 4.0))
    shows = [*talk.shows(word), *(talk.shows("named", *people) if people else ())]
    shows += [talk.shows(it)[0] for it in also]
    called.respond(called.invite, 200, headers, called.sdp, shows)
    talk.speak(talk.other)
    world.until(lambda: caller.is_up)
    world.wait(world.choose(0.5, 3.0, 12.0))
    return talk if talk.is_up else None


def _has_heard(dialog: Dialog, status: int) -> bool:
    return any(not it.is_request and it.status == status for it in dialog.heard)


def ringing(world: World) -> tuple[tuple[int, tuple[str, ...], tuple[Person, ...]], ...]:
    """What comes before an answer that names nobody."""
    return world.choose((), ((180, (), ()),), ((183, (), ()),), ((180, (), ()), (183, (), ())))


def outward(
    world: World,
    agent: Person,
    dialled: str,
    word: str = "",
    *people: Person,
    headers: Sequence[str] = (),
    offers: bool = True,
) -> tuple[Dialog, Dialog | None]:
    """A telephone calls by way of the PBX; `word` and `people` are what the INVITE shows."""
    caller = world.phone(agent).call(
        f"sip:{dialled}@{naming.HOST}",
        f"sip:{agent.users[0]}@{naming.HOST}",
        headers,
        lambda leg: (world.word(leg, word, people),) if word else (),
        offers=offers,
    )
    return caller, world.finds(world.pbx, caller.leg)


def inward(
    world: World,
    phone: Agent,
    sender: str,
    to: str,
    headers: list[str],
    word: str = "",
    *people: Person,
) -> tuple[Dialog, Dialog | None]:
    """The PBX calls a telephone."""
    caller = world.pbx.call(
        f"sip:{phone.user}@{phone.place}",
        sender,
        headers,
        lambda leg: (world.word(leg, word, people),) if word else (),
        to=to,
    )
    return caller, world.finds(phone, caller.leg)


# --- business


def calls_customer(world: World) -> Talk | None:
    """An agent calls a customer."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    caller, called = outward(world, agent, other.dialled)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, caller, called, agent, other), rings=ringing(world))


def customer_calls(world: World) -> Talk | None:
    """A customer calls the business number, or the agent."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    to = world.choose(BUSINESS_NUMBER, agent.users[0])
    headers = [f"P-Called-Party-ID: <sip:{agent.users[0]}@{naming.HOST}>"] if world.chances(0.2) else []
    sender = f"sip:{world.choose(*other.users)}@{naming.HOST}"
    if world.chances(0.1):
        sender = "sip:anonymous@anonymous.invalid"
    caller, called = inward(world, world.phone(agent), sender, f"sip:{to}@{naming.HOST}", headers)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, agent, other), rings=ringing(world))


# --- somebody who is never recorded


def calls_never(world: World) -> Talk | None:
    """An agent calls somebody who is never recorded, by any of the names."""
    agent, other = world.choose(*AGENTS), world.choose(*NEVER)
    caller, called = outward(world, agent, world.choose(*other.users), "named", other)
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, caller, called, agent, other), rings=ringing(world))


def never_calls(world: World) -> Talk | None:
    """Somebody who is never recorded calls an agent; one header or another says so."""
    agent, other = world.choose(*AGENTS), world.choose(*NEVER)
    sender, headers = f"sip:{world.choose(*other.users)}@{naming.HOST}", []
    if world.chances(0.7):
        sender = world.choose(
            f"sip:{world.choose(*CUSTOMERS[0].users)}@{naming.HOST}", "sip:anonymous@anonymous.invalid"
        )
        headers = [naming.own(world, other, is_target=False)]
    caller, called = inward(
        world,
        world.phone(agent),
        sender,
        f"sip:{agent.users[0]}@{naming.HOST}",
        headers,
        "named",
        other,
    )
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, agent, other), rings=ringing(world))


def answered_by_never(world: World) -> Talk | None:
    """An agent calls a customer, a group or a feature code; who answers is named in a response."""
    agent, other = world.choose(*AGENTS), world.choose(*NEVER)
    dialled = world.choose("0612345678", "0201112233", "600", "*8", "701")
    caller, called = outward(world, agent, dialled)
    if called is None:
        return None
    talk = Talk(world, caller, called, agent, other)
    header = naming.any_of(world, other)
    if world.chances(0.5) or other is KIM:
        return answer(world, caller, called, talk, (header,), other, rings=ringing(world))
    status = world.choose(180, 181, 183)
    return answer(world, caller, called, talk, rings=((status, (header,), (other,)), *ringing(world)))


def forwarded_by_never(world: World) -> Talk | None:
    """A customer calls the doctor, who has the call forwarded to an agent: any privileged hop."""
    agent, other, hop = world.choose(*AGENTS), world.choose(*CUSTOMERS), world.choose(*NEVER[:3])
    caller, called = inward(
        world,
        world.phone(agent),
        f"sip:{world.choose(*other.users)}@{naming.HOST}",
        f"sip:{agent.users[0]}@{naming.HOST}",
        [naming.others(world, hop)],
        "named",
        hop,
    )
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, agent, other), rings=ringing(world))


def to_never(world: World) -> Talk | None:
    """A customer calls somebody whose telephone registers through us and who is never recorded."""
    callee, other = world.choose(DOCTOR, KIM), world.choose(*CUSTOMERS)
    caller, called = inward(
        world,
        world.phone(callee),
        f"sip:{world.choose(*other.users)}@{naming.HOST}",
        f"sip:{world.choose(callee.users[0], BUSINESS_NUMBER)}@{naming.HOST}",
        [],
        "named",
        callee,
    )
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, callee, other), rings=ringing(world))


def shared_line(world: World) -> Talk | None:
    """The doctor's line rings at the agent's telephone too: the line counts, not the device."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    caller, called = inward(
        world,
        world.phone(agent),
        f"sip:{world.choose(*other.users)}@{naming.HOST}",
        f"sip:{agent.users[0]}@{naming.HOST}",
        [f"P-Called-Party-ID: <{naming.uri(world, DOCTOR)}>"],
        "named",
        DOCTOR,
    )
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, called, caller, DOCTOR, other), rings=ringing(world))


# --- private, emergency


def private(world: World) -> Talk | None:
    """The agent dials the private prefix, before a number or before the doctor."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS, DOCTOR)
    caller, called = outward(world, agent, PREFIX + other.dialled, "private")
    if called is None:
        return None
    return answer(world, caller, called, Talk(world, caller, called, agent, other), rings=ringing(world))


def emergency(world: World) -> Talk | None:
    """The agent calls 112, and 112 may call back."""
    agent, other = world.choose(*AGENTS), CUSTOMERS[0]
    if world.chances(0.7):
        caller, called = outward(world, agent, world.choose("112", "0112", "+31112"), "private")
        ends: tuple[Dialog | None, Dialog | None] = caller, called
    else:
        to = f"sip:{agent.users[0]}@{naming.HOST}"
        caller, called = inward(world, world.phone(agent), f"sip:112@{naming.HOST}", to, [], "private")
        ends = called, caller
    if called is None or ends[0] is None or ends[1] is None:
        return None
    return answer(world, caller, called, Talk(world, ends[0], ends[1], agent, other))
