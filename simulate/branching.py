"""How a call begins on more than one branch: forks, redirections, races, a PBX that is a proxy itself."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from simulate import naming
from simulate.dialogue import Agent, Word
from simulate.openings import Talk, answer, inward, outward, ringing
from simulate.people import (
    AGENTS,
    ANNA,
    BERT,
    BUSINESS_NUMBER,
    CUSTOMERS,
    DOCTOR,
    JAN,
    KIM,
    NEVER,
    PREFIX,
    Person,
)
from simulate.text import read
from simulate.world import World


def forks(world: World) -> Talk | None:
    """The PBX tries several; on one that rings or speaks early is somebody who is never recorded."""
    agent, other, loser = world.choose(*AGENTS), world.choose(*CUSTOMERS), world.choose(*NEVER)
    caller, called = outward(world, agent, other.dialled)
    if called is None or called.invite is None:
        return None
    talk = Talk(world, caller, called, agent, other)
    header, status = naming.own(world, loser), world.choose(180, 183)
    body = called.sdp if status == 183 else ""
    called.respond(called.invite, status, (header,), body, talk.shows("change"), tag="loser")
    world.speak(talk.leg, agent, loser)
    world.wait(world.choose(0.1, 2.0))
    return answer(world, caller, called, talk, rings=ringing(world))


def two_answers(world: World) -> Talk | None:
    """Two branches answer; the telephone takes the second one too, and whoever is there speaks."""
    agent, other, second = world.choose(*AGENTS), world.choose(*CUSTOMERS), world.choose(*NEVER)
    caller, called = outward(world, agent, other.dialled)
    if called is None or called.invite is None:
        return None
    talk = answer(world, caller, called, Talk(world, caller, called, agent, other))
    if talk is None:
        return None
    headers = (naming.own(world, second),) if world.chances(0.5) else ()
    shows = talk.shows("named", second) if headers else talk.shows("doubt")
    port, called.port = called.port, called.port + 40
    called.respond(called.invite, 200, headers, called.sdp, shows, tag="second")
    called.port = port
    talk.speak(other, second)
    world.wait(2.0)
    return talk if talk.is_up else None


def redirected(world: World) -> Talk | None:
    """302: the telephone is to call somebody else, and does so; or 181, and somebody else answers."""
    agent, other = world.choose(*AGENTS), world.choose(*NEVER)
    caller, called = outward(world, agent, CUSTOMERS[0].dialled)
    if called is None or called.invite is None:
        return None
    talk = Talk(world, caller, called, agent, other)
    named = talk.shows("named", other)
    if world.chances(0.5) and other is not KIM:
        header = naming.any_of(world, other)
        return answer(world, caller, called, talk, rings=((181, (header,), (other,)), *ringing(world)))
    called.respond(called.invite, 302, (f"Contact: <{naming.uri(world, other)}>",), shows=named)
    world.until(lambda: caller.is_over)
    dialled = world.choose(*other.users)
    again, accepted = outward(world, agent, dialled, "named", other)
    if accepted is None:
        return None
    return answer(world, again, accepted, Talk(world, again, accepted, agent, other))


def cancelled(world: World) -> Talk | None:
    """The caller gives up while the answer is on its way: either may come first."""
    agent, other = world.choose(*AGENTS), world.choose(*CUSTOMERS)
    caller, called = outward(world, agent, other.dialled)
    if called is None or called.invite is None:
        return None
    talk = Talk(world, caller, called, agent, other)
    called.respond(called.invite, 180)
    world.wait(world.choose(0.05, 2.0))
    if world.chances(0.5):
        caller.ask("CANCEL")
        world.wait(world.choose(0.0, 0.003))
    if not called.is_over and world.chances(0.5):
        return answer(world, caller, called, talk)
    called.respond(called.invite, world.choose(486, 480, 603, 404))
    world.until(lambda: caller.is_over or caller.is_up)
    return None


def group(world: World) -> Talk | None:
    """The PBX calls two telephones for one caller; either wins, the other is cancelled."""
    other, agent, rival = world.choose(*CUSTOMERS), world.choose(*AGENTS), world.choose(DOCTOR, KIM)
    sender = f"sip:{world.choose(*other.users)}@{naming.HOST}"
    ends = []
    for person in world.choose((agent, rival), (rival, agent)):
        word = "named" if person.is_never else "ringing"
        pair = inward(
            world, world.phone(person), sender, f"sip:{BUSINESS_NUMBER}@{naming.HOST}", [], word, person
        )
        ends.append((person, *pair))
    for _, _, called in ends:
        if called is not None and called.invite is not None:
            called.respond(called.invite, 180)
    world.wait(1.0)
    (person, caller, called), (_, loser, _) = world.choose((ends[0], ends[1]), (ends[1], ends[0]))
    if called is None:
        return None
    talk = answer(world, caller, called, Talk(world, called, caller, person, other))
    loser.ask("CANCEL")
    world.until(lambda: loser.is_over, 5.0)
    return talk


class Switch:
    """A PBX that is a proxy: it sends a call on under the same Call-ID, so that it crosses us twice. The
    call is answered when the answer has crossed us twice too.

    `targets`: by the user that is dialled, the telephone; `adds`: a header it writes into what it sends on;
    `masks`: a URI in whose place it writes that the caller is anonymous.
    """

    def __init__(self, world: World, targets: dict[str, Agent], adds: str = "", masks: str = "") -> None:
        self._world, self._targets, self._adds, self._masks = world, targets, adds, masks
        world.node(world.pbx.address, self.deliver)

    def deliver(self, data: bytes) -> None:
        """A datagram arrives."""
        message, text = read(data), data.decode("latin-1")
        if not message.is_request:
            if len(message.all("via")) > 1:
                first, _, rest = text.partition("\r\n")
                kept = rest.partition("\r\n")[2]
                is_answer = message.method == "INVITE" and 200 <= message.status < 300
                word = self._world.word(message.get("call-id"), "answered", marked="answered")
                self._send(f"{first}\r\n{kept}", [word] if is_answer else [])
            else:
                self._world.pbx.deliver(data)
            return
        uri = message.first.split(" ")[1]
        target = self._targets.get(uri.partition(":")[2].partition("@")[0])
        if target is None or (message.tag("to") and message.method != "ACK"):
            self._world.pbx.deliver(data)
            return
        branch = f"z9hG4bKpbx{crc32(message.all('via')[0].encode()):08x}"
        via = f"Via: SIP/2.0/UDP {self._world.pbx.place};branch={branch}"
        first, _, rest = text.partition("\r\n")
        first = first.replace(uri, f"sip:{target.user}@{target.place}", 1)
        if self._masks and message.method == "INVITE":
            rest = rest.replace(f"<{self._masks}>", "<sip:anonymous@anonymous.invalid>", 1)
        added = [self._adds] if self._adds and message.method == "INVITE" else []
        self._send("\r\n".join([first, via, *added, rest]))

    def _send(self, data: str, shows: Sequence[Word] = ()) -> None:
        self._world.send(data, self._world.pbx.address, shows)


def _twice(
    world: World, agent: Person, dialled: str, callee: Person, word: str, adds: str = ""
) -> Talk | None:
    target = world.phone(callee)
    Switch(world, {dialled.removeprefix(PREFIX): target}, adds)
    caller = world.phone(agent).call(
        f"sip:{dialled}@{naming.HOST}",
        f"sip:{agent.users[0]}@{naming.HOST}",
        shows=lambda leg: (world.word(leg, word, (callee,)),) if word else (),
    )
    called = world.finds(target, caller.leg)
    if called is None:
        return None
    talk = Talk(world, caller, called, agent, callee)
    return answer(world, caller, called, talk, rings=ringing(world), word="answering")


def twice(world: World) -> Talk | None:
    """A business call to a customer whose telephone registers through us: two passes, one recording."""
    return _twice(world, world.choose(*AGENTS), JAN.dialled, JAN, "")


def twice_private(world: World) -> Talk | None:
    """The first pass has the private prefix, the second one no more."""
    return _twice(world, world.choose(*AGENTS), PREFIX + JAN.dialled, JAN, "private")


def twice_among_us(world: World) -> Talk | None:
    """Two of our own telephones, by way of a PBX that is a proxy; the first pass may show less."""
    callee = world.choose(DOCTOR, KIM)
    dialled = world.choose(callee.users[0], "0201112233")
    adds = naming.own(world, callee, is_target=False) if world.chances(0.5) else ""
    return _twice(world, world.choose(ANNA, BERT), dialled, callee, "named", adds)


def twice_masked(world: World) -> Talk | None:
    """One of us calls the business number, or dials the prefix before it; pass two is anonymous."""
    agent, caller, is_private = world.choose(*AGENTS), world.choose(DOCTOR, KIM), world.chances(0.5)
    target, sender = world.phone(agent), f"sip:{caller.users[0]}@{naming.HOST}"
    Switch(world, {"0201234567": target}, masks=sender)
    phone = world.phone(caller, "x")
    made = phone.call(
        f"sip:{PREFIX if is_private else ''}0201234567@{naming.HOST}",
        sender,
        shows=lambda leg: (world.word(leg, "private" if is_private else "named", (caller,)),),
    )
    called = world.finds(target, made.leg)
    if called is None:
        return None
    return answer(world, made, called, Talk(world, called, made, agent, caller), word="answering")
