"""What becomes of a call when one end brings somebody else in."""

from __future__ import annotations

from simulate import naming
from simulate.dialogue import Dialog, Word
from simulate.openings import Talk
from simulate.people import CUSTOMERS, NEVER, Person
from simulate.turns import hold, resumes, settle


def _notify(talk: Talk, by: Dialog, status: int, shows: str = "", named: Person | None = None) -> None:
    body = naming.fragment(status, named)
    marks = [*(talk.shows(shows) if shows else ()), *(talk.shows("named", named) if named else ())]
    headers = ["Event: refer", "Subscription-State: active"]
    settle(talk.world, by.ask("NOTIFY", headers, body, "message/sipfrag", shows=marks))


def blind(talk: Talk) -> None:
    """The agent transfers the caller to somebody; it may fail, and may take a while."""
    world, other = talk.world, talk.world.choose(*CUSTOMERS, *NEVER)
    asked = talk.phone.ask("REFER", [f"Refer-To: <{naming.uri(world, other)}>"], shows=_refer(talk, other))
    if not settle(world, asked):
        return
    _notify(talk, talk.far, 100)
    world.wait(world.choose(0.1, 3.0))
    if world.chances(0.3):
        _notify(talk, talk.far, 503, "" if other.kind == "privileged" else "clear")
        return
    if world.chances(0.5):
        talk.speak(other)  # the PBX lets them meet before it hangs up
        world.wait(1.0)
    _notify(talk, talk.far, 200, "", other if other.kind == "privileged" and world.chances(0.5) else None)
    talk.far.ask("BYE", shows=talk.shows("ended"))
    world.until(lambda: talk.phone.is_over)


def _refer(talk: Talk, other: Person) -> list[tuple[str, str, bool, str]]:
    """That one of us who is merely not listed is to come does not say that he was there."""
    return [*talk.shows("doubt"), *(talk.shows("named", other) if other.kind == "privileged" else ())]


def consult(talk: Talk, other: Person, is_held: bool = True) -> Dialog | None:
    """The agent calls somebody else meanwhile. What is shown of a first call that is not on hold counts for
    both; of one that is dialled while the first is on hold nothing is owed: a consultation is held.
    """
    world, phone = talk.world, talk.phone.agent
    shadow = ["change"] if is_held else world.shadow(talk.leg)

    def shows(leg: str) -> list[tuple[str, str, bool, str]]:
        marks = [world.word(leg, "named" if other.is_never else "answering", (other,))]
        marks += [world.word(leg, it, NEVER) for it in shadow]
        return marks + (list(talk.shows("named", other)) if not is_held and other.is_never else [])

    dialled = world.choose(*other.users) if other.is_never else other.dialled
    made = phone.call(f"sip:{dialled}@{naming.HOST}", f"sip:{talk.agent.users[0]}@{naming.HOST}", shows=shows)
    called = world.finds(world.pbx, made.leg)
    if called is None or called.invite is None:
        return None
    called.respond(called.invite, 180)
    called.respond(called.invite, 200, body=called.sdp, shows=[world.word(made.leg, "answered")])
    world.speak(made.leg, talk.agent, other)
    world.until(lambda: made.is_up)
    return made if made.is_up else None


def attended(talk: Talk) -> None:
    """Hold, consult, transfer with Replaces: after the answer, or before it (semi-attended)."""
    world, other = talk.world, talk.world.choose(*CUSTOMERS, *NEVER)
    if not hold(talk, talk.phone, "sendonly"):
        return
    second = consult(talk, other)
    if second is None or not talk.is_up:
        return
    world.wait(world.choose(0.5, 4.0))
    ours, theirs = second.tags
    replaces = f"{second.leg}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}"
    refer = f"Refer-To: <sip:{other.users[0]}@{naming.HOST}?Replaces={replaces}>"
    marks = [*_refer(talk, other), world.word(second.leg, "doubt", (other,))]
    settle(world, talk.phone.ask("REFER", [refer], shows=marks))
    talk.speak(other)
    world.speak(second.leg, talk.other, other)
    end(talk, second)


def three_way(talk: Talk) -> None:
    """The telephone mixes two calls: each of the three hears both others."""
    world, other = talk.world, talk.world.choose(*CUSTOMERS, *NEVER)
    if talk.far.direction != "sendrecv":
        return
    is_held = talk.phone.direction != "sendrecv"  # a transfer has come to nothing
    if not is_held and world.chances(0.5):
        is_held = hold(talk, talk.phone, "sendonly")
    second = consult(talk, other, is_held)
    if second is None or not talk.is_up:
        return
    if is_held:
        resumes(talk, talk.phone, *(talk.shows("named", other) if other.is_never else ()))
    talk.speak(talk.other, other)
    world.speak(second.leg, talk.agent, talk.other, other)
    world.wait(world.choose(2.0, 6.0))
    end(talk, second)


def end(talk: Talk, second: Dialog, *shows: Word) -> None:
    """The second call is over; `shows`: what that shows of the first."""
    second.ask("BYE", shows=[talk.world.word(second.leg, "ended"), *shows])
    talk.world.until(lambda: second.is_over)
    talk.world.speak(second.leg)
    talk.speak(talk.other)


def sent_away(talk: Talk) -> None:
    """The far end sends the agent's telephone to somebody else, whom it then calls (RFC 3515)."""
    world, other = talk.world, talk.world.choose(*CUSTOMERS, *NEVER)
    refer = f"Refer-To: <sip:{world.choose(*other.users)}@{naming.HOST}>"
    if not settle(world, talk.far.ask("REFER", [refer], shows=_refer(talk, other))):
        return
    second = consult(talk, other, {talk.phone.direction, talk.far.direction} != {"sendrecv"})
    if second is None:
        return
    talk.phone.ask("BYE", shows=[*talk.shows("ended"), world.word(second.leg, "clear")])
    world.until(lambda: talk.phone.is_over)
    world.wait(1.0)
    end(talk, second)


def taken_over(talk: Talk) -> None:
    """An INVITE with Replaces or Join from the PBX: somebody takes the call over, or comes into it."""
    world, other = talk.world, talk.world.choose(*NEVER)
    ours, theirs = talk.phone.tags
    joins = world.chances(0.5)
    tags = f"{talk.leg};to-tag={ours};from-tag={theirs}"
    phone = talk.phone.agent
    made = world.pbx.call(
        f"sip:{phone.user}@{phone.place}",
        f"sip:{world.choose(*CUSTOMERS[1].users)}@{naming.HOST}",
        [f"{'Join' if joins else 'Replaces'}: {tags}"],
        lambda leg: [world.word(leg, "doubt"), *talk.shows("doubt")],
        to=f"sip:{talk.agent.users[0]}@{naming.HOST}",
    )
    called = world.finds(phone, made.leg)
    if called is None or called.invite is None:
        return
    called.respond(called.invite, 200, body=called.sdp, shows=[world.word(made.leg, "answered")])
    world.speak(made.leg, talk.agent, other)
    world.until(lambda: made.is_up)
    if joins:
        talk.speak(talk.other, other)
        world.wait(4.0)
    else:
        talk.phone.ask("BYE", shows=talk.shows("ended"))
        world.wait(4.0)
    end(talk, made)
