"""Calls between PBX and trunk: what happens inside shows in no message, or in one that does not say what.

Who speaks inside is said by a witness, late. What it has not said when the call ends is not waited for
(docs/threat-model.md), so these calls go on until it has.
"""

from __future__ import annotations

from simulate import naming
from simulate.dialogue import Dialog
from simulate.openings import Talk, answer, ringing
from simulate.people import AGENTS, ANNA, BERT, BUSINESS_NUMBER, CUSTOMERS, NEVER, Person
from simulate.proxy import INNER
from simulate.turns import HOLDS, hold, reoffer, settle
from simulate.world import World


def trunk_brings(world: World) -> Talk | None:
    """The provider brings a customer's call for the business number."""
    other = world.choose(*CUSTOMERS)
    caller = world.provider.call(
        f"sip:{BUSINESS_NUMBER}@{naming.HOST}",
        f"sip:{other.users[0]}@provider.example",
        shows=lambda leg: [world.word(leg, "witnessed"), world.word(leg, "nameless")],
    )
    return _answered(world, caller, world.finds(world.pbx, caller.leg), other)


def trunk_takes(world: World) -> Talk | None:
    """The PBX calls a customer, under the business number."""
    other = world.choose(*CUSTOMERS)
    caller = world.pbx.call(
        f"sip:{other.users[0]}@provider.example",
        f"sip:{BUSINESS_NUMBER}@{naming.HOST}",
        shows=lambda leg: [world.word(leg, "witnessed"), world.word(leg, "nameless")],
        through=INNER,
    )
    return _answered(world, caller, world.finds(world.provider, caller.leg), other)


def _answered(world: World, caller: Dialog, called: Dialog | None, other: Person) -> Talk | None:
    """Somebody inside speaks from the answer on: an agent, or whoever is nearest."""
    if called is None:
        return None
    inside = world.choose(*AGENTS, *AGENTS, *NEVER)
    ends = (caller, called) if caller.agent is world.pbx else (called, caller)
    talk = Talk(world, *ends, inside, other, is_on_trunk=True)
    world.witness.connect(caller.leg, inside)
    return answer(world, caller, called, talk, rings=ringing(world), also=("nameless",))


# --- what becomes of it


def passes_on(talk: Talk) -> None:
    """The PBX connects somebody else; a re-INVITE, or the media, may show that something has happened."""
    world = talk.world
    sign, is_first = world.choose(_nothing, _refresh, _moves, _breaks), world.chances(0.5)
    if is_first:
        sign(talk)
    talk.agent = world.choose(*NEVER)
    world.witness.connect(talk.leg, talk.agent)
    talk.speak(talk.other)
    if not is_first:
        sign(talk)


def _nothing(_: Talk) -> None:
    """The PBX relays the media, and nobody outside sees anything."""


def _breaks(talk: Talk) -> None:
    """Another SSRC, a jump of timestamps: capture hears it on our side of the call, a moment later."""
    talk.world.later(talk.world.choose(0.02, 0.1), lambda: talk.world.break_media(talk.leg))


def _moves(talk: Talk) -> None:
    """The PBX sends and wants its media elsewhere, and does not say why."""
    talk.phone.port += 2
    talk.far.replies["INVITE"] = 200, (), talk.shows("nameless")
    settle(talk.world, reoffer(talk.phone, shows=talk.shows("nameless")))


def _refresh(talk: Talk) -> None:
    """A re-INVITE that changes nothing, by either end: the timer of the session, or whatever it was."""
    settle(talk.world, reoffer(talk.world.choose(talk.phone, talk.far)))


def goes_on(talk: Talk) -> None:
    """The same people speak, whatever it looks like; it has to be said anew who is inside."""
    talk.world.wait(talk.world.choose(1.0, 8.0))
    talk.world.choose(_nothing, _refresh, _moves, _breaks)(talk)
    talk.world.wait(talk.world.choose(1.0, 8.0, 20.0))


def holds_on_trunk(talk: Talk) -> None:
    """Either end holds; when it goes on, the same people speak or others."""
    world = talk.world
    end, other = world.choose((talk.phone, talk.far), (talk.far, talk.phone))
    other.replies["INVITE"] = 200, (), talk.shows("nameless")
    hold(talk, end, world.choose(*HOLDS), *talk.shows("nameless"))
    world.wait(world.choose(0.5, 5.0))
    if world.chances(0.3):
        passes_on(talk)
    other.replies["INVITE"] = 200, (), talk.shows("clear") + talk.shows("nameless")
    settle(world, reoffer(end, "sendrecv"))


def informs_on_trunk(talk: Talk) -> None:
    """The PBX sends an INFO of which nobody knows what it means."""
    settle(talk.world, talk.phone.ask("INFO", (), "x", "application/x-orders", shows=talk.shows("stopped")))


def listens_in(talk: Talk) -> None:
    """A supervisor comes in, and leaves: meanwhile the witness is not sure of anybody."""
    world = talk.world
    world.witness.connect(talk.leg, ANNA, BERT)
    world.wait(world.choose(1.0, 6.0))
    world.witness.connect(talk.leg, talk.agent)


def falls_silent(talk: Talk) -> None:
    """The witness says nothing any more, and meanwhile the PBX connects somebody else."""
    world = talk.world
    if world.witness.lateness > 1.0:
        return
    world.witness.fall_silent()
    world.wait(world.choose(0.0, 1.0, 3.5))
    passes_on(talk)
    world.wait(world.choose(4.5, 8.0))


TURNS = (
    passes_on,
    passes_on,
    goes_on,
    goes_on,
    holds_on_trunk,
    informs_on_trunk,
    listens_in,
    falls_silent,
)
