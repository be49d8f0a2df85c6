"""What becomes of a call while it goes on, without a transfer."""

from __future__ import annotations

from collections.abc import Sequence

from simulate import naming
from simulate.dialogue import Asked, Dialog, Word
from simulate.openings import Talk
from simulate.people import CUSTOMERS, NEVER
from simulate.world import World

HOLDS = ("sendonly", "inactive", "0.0.0.0", "port 0")


def settle(world: World, asked: Asked) -> bool:
    """Wait for the final answer; whether it is a 2xx."""
    world.until(lambda: asked.status > 0)
    return 200 <= asked.status < 300


def reoffer(dialog: Dialog, direction: str = "", *headers: str, shows: Sequence[Word] = ()) -> Asked:
    """A re-INVITE with a description; who is on hold stays so if no other direction is given."""
    dialog.direction = direction or dialog.direction
    return dialog.ask("INVITE", headers, dialog.sdp, shows=shows)


def disturbs(talk: Talk, end: Dialog, direction: str = "", shows: Sequence[Word] = ()) -> bool:
    """A re-INVITE that leaves open who speaks. If it is refused (glare), all is as it was."""
    other = talk.far if end is talk.phone else talk.phone
    before, other.refusing = end.direction, talk.shows("clear")
    is_done = settle(talk.world, reoffer(end, direction, shows=shows))
    other.refusing = ()
    end.direction = end.direction if is_done else before
    return is_done


def hold(talk: Talk, end: Dialog, direction: str, *shows: Word) -> bool:
    """One end holds, in this way; if it does already that is no further doubt."""
    marks = talk.shows("doubt") if end.direction == "sendrecv" else ()
    if marks:
        return disturbs(talk, end, direction, [*marks, *shows])
    return settle(talk.world, reoffer(end, direction, shows=shows))


def refreshes(talk: Talk) -> None:
    """A session timer: re-INVITE or UPDATE, by either end, and nothing changes."""
    world, end = talk.world, talk.world.choose(talk.phone, talk.far)
    if world.chances(0.5):
        settle(world, reoffer(end))
    else:
        settle(world, end.ask("UPDATE", ["Session-Expires: 1800;refresher=uac"]))


def glare(talk: Talk) -> None:
    """Both refresh at once; both are refused, one tries again."""
    first, second = reoffer(talk.phone), reoffer(talk.far)
    settle(talk.world, first)
    settle(talk.world, second)
    if first.status == 491:
        settle(talk.world, reoffer(talk.phone))


def holds(talk: Talk) -> None:
    """Hold in one of its spellings, by either end, and resume; meanwhile somebody else may have come."""
    world = talk.world
    end = world.choose(talk.phone, talk.far)
    if not hold(talk, end, world.choose(*HOLDS)):
        return
    world.wait(world.choose(0.5, 5.0))
    if world.chances(0.3):
        other = world.choose(*NEVER)
        talk.speak(other)
        header = naming.own(world, other)
        if end is talk.far:
            settle(world, reoffer(end, "sendrecv", header, shows=talk.shows("named", other)))
        else:
            talk.far.replies["INVITE"] = 200, (header,), talk.shows("named", other)
            settle(world, reoffer(end, "sendrecv"))
        talk.other = other
        return
    resumes(talk, end)


def resumes(talk: Talk, end: Dialog, *shows: Word) -> None:
    """The same people go on: certain when the other end has agreed. `shows`: what else is shown by that."""
    other = talk.far if end is talk.phone else talk.phone
    other.replies["INVITE"] = 200, (), talk.shows("clear")
    settle(talk.world, reoffer(end, "sendrecv", shows=shows))


def connected_line(talk: Talk) -> None:
    """The PBX says that somebody else is connected: UPDATE or re-INVITE, before or after media changed."""
    world, other = talk.world, talk.world.choose(*CUSTOMERS, *NEVER)
    header = naming.any_of(world, other)
    if other is talk.other:
        shows = talk.shows("named" if other.is_never else "known", other)
        settle(world, talk.far.ask("UPDATE", [naming.own(world, other, False)], shows=shows))
        return
    early, late = world.choose((0.0, 0.0), (1.5, 0.0), (0.0, 1.0))
    if early:
        talk.speak(other)
        world.wait(early)
    shows = talk.shows("named", other) if other.is_never else talk.shows("change") + talk.shows("known")
    body = talk.far.sdp if world.chances(0.6) else ""
    asked = talk.far.ask(world.choose("INVITE", "UPDATE") if body else "UPDATE", [header], body, shows=shows)
    settle(world, asked)
    world.wait(late)
    talk.other = other
    talk.speak(other)


def changes_name(talk: Talk) -> None:
    """RFC 4916: From itself changes within the dialog."""
    world, other = talk.world, talk.world.choose(*NEVER)
    tag = talk.far.tags[0]
    talk.far.here = f"<sip:{world.choose(*other.users)}@{naming.HOST}>;tag={tag}"
    settle(world, talk.far.ask("UPDATE", (), talk.far.sdp, shows=talk.shows("named", other)))
    talk.other = other
    talk.speak(other)


def becomes_nobody(talk: Talk) -> None:
    """The PBX says that a queue, a parking place or a feature code is connected now: anybody may speak."""
    world, other = talk.world, talk.world.choose(*NEVER)
    said_in = world.choose(
        "P-Asserted-Identity", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"
    )
    header = f"{said_in}: <sip:{world.choose('queue', '*80', '9')}@{naming.HOST}>"
    shows = talk.shows("nameless") + talk.shows("change")
    settle(world, talk.far.ask("UPDATE", [header], shows=shows))
    talk.other = other
    talk.speak(other)


def takes_the_phone(talk: Talk) -> None:
    """Somebody else sits down at the agent's telephone, and it says so."""
    world, other = talk.world, talk.world.choose(*NEVER)
    asked = reoffer(
        talk.phone, "sendrecv", naming.own(world, other, is_target=False), shows=talk.shows("named", other)
    )
    settle(world, asked)
    talk.with_them.append(other)
    talk.speak(talk.other)


def moves_media(talk: Talk) -> None:
    """The PBX leads the media elsewhere and does not say to whom."""
    other = talk.world.choose(*CUSTOMERS, *NEVER)
    talk.far.port += 100
    if not disturbs(talk, talk.far, shows=talk.shows("doubt")):
        talk.far.port -= 100
        return
    talk.other = other
    talk.speak(other)


def changes_unseen(talk: Talk) -> None:
    """A transfer inside the PBX of which it says nothing: no message shows it."""
    talk.other = talk.world.choose(*NEVER)
    talk.speak(talk.other)


def becomes_a_conference(talk: Talk) -> None:
    """The PBX takes the call into a conference of its own, and its Contact says so (RFC 4579 §5.2)."""
    world, other = talk.world, talk.world.choose(*NEVER)
    talk.far.focus = world.choose("room", "0207654321", "860")
    settle(world, reoffer(talk.far, shows=talk.shows("doubt")))
    talk.other = other
    talk.speak(other)


def mentions(talk: Talk) -> None:
    """A request outside the call speaks of it (RFC 4538): somebody is about to do something with it."""
    world, other = talk.world, talk.world.choose(*NEVER)
    ours, theirs = talk.phone.tags
    stranger = world.choose(talk.far.agent, world.phone(CUSTOMERS[1]))
    header = f"Target-Dialog: {talk.leg};local-tag={ours};remote-tag={theirs}"
    target = f"sip:{talk.phone.agent.user}@{talk.phone.agent.place}"
    made = Dialog(stranger, world.draw("leg"), "<sip:x@pbx.example>;tag=z", f"<{target}>", target, 4000)
    stranger.dialogs[made.leg, "z"] = made
    made.ask("REFER", [header, f"Refer-To: <{naming.uri(world, other)}>"], shows=talk.shows("doubt"))
    world.wait(2.0)
    talk.other = other
    talk.speak(other)


def stops(talk: Talk) -> None:
    """Somebody who may ends the recording of this call, for good; the call goes on."""
    talk.world.stop()
    talk.world.note(talk.leg, "stopped", False)


def hang_up(talk: Talk) -> None:
    """Either end hangs up, or both at once."""
    world = talk.world
    ends = world.choose((talk.phone,), (talk.far,), (talk.phone, talk.far))
    for end in ends:
        end.ask("BYE", shows=talk.shows("ended"))
    world.until(lambda: any(end.is_over for end in ends))
    world.speak(talk.leg)
