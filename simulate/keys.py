"""Keys that somebody presses during a call, in RTP (RFC 4733), in INFO, or in both.

From the first key of a code on anybody may speak. What only begins as a code does costs the time until it is
known that it is none.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulate.dialogue import Dialog, Word
from simulate.openings import Talk
from simulate.people import CUSTOMERS, KEY_SECONDS, NEVER, PAUSE_SECONDS
from simulate.transfers import consult, end
from simulate.turns import HOLDS, hang_up, hold, holds, refreshes, resumes, settle
from simulate.world import World

CODES = ("##", "*2")
MENUS = (("14", "", "2"), ("", "*", "1"), ("0", "#", "5"))
"""Keys that are none, one that may begin a code, one after which it is none."""


def info_of(world: World, key: str) -> tuple[str, str]:
    """The body of an INFO that tells of a key, and its type, as different telephones write it."""
    number = str("0123456789*#".index(key))
    signal = world.choose(
        f"Signal={key}", f"Signal= {key}", f"signal={number}", f"Duration=160\r\nSignal={key}"
    )
    return world.choose(
        (f"{signal}\r\n", "application/dtmf-relay"),
        (f"{key}\r\n", "application/dtmf"),
        (key, "Application/DTMF"),
    )


def press(world: World, end: Dialog, keys: str, shows: Sequence[Word] = ()) -> None:
    """One end of a call presses keys; the first of them shows something."""
    for index, key in enumerate(keys):
        marks = () if index else shows
        if end.presses != "info":
            world.press(end, key, marks)
        if end.presses != "rtp":
            settle(world, end.ask("INFO", (), *info_of(world, key), shows=marks))
        world.wait(world.choose(0.01, 0.2, 0.2, 3.0))


def _marks(world: World, word: str, *legs: str) -> list[Word]:
    return [world.word(leg, word) for leg in legs]


def _dial(world: World, end: Dialog, *legs: str) -> None:
    """A code, perhaps after other keys: nobody knows from then on who speaks on these legs."""
    press(world, end, world.choose("", "", "1", "05"))
    code = world.choose(*CODES)
    press(world, end, code[0], _marks(world, "doubt", *legs))
    world.wait(world.choose(0.0, 0.0, 5.0, KEY_SECONDS - 15.0))
    press(world, end, code[1:])


TOLD_SECONDS = 0.6
"""By then a key has been told, where it was not lost."""


def _choose(world: World, end: Dialog, *legs: str) -> None:
    """What is no code, though it may begin as one does; another key says so, or that none follows."""
    before, begun, after = world.choose(*MENUS)
    press(world, end, before)
    press(world, end, begun, _marks(world, "perhaps", *legs))
    if begun and world.chances(0.4):
        world.wait(KEY_SECONDS + 3.0)
    else:
        press(world, end, after)
        world.wait(1.0)
    for leg in legs:
        world.note(leg, "harmless", False)


def presses_feature_code(talk: Talk) -> None:
    """The agent presses a code of the PBX, and the PBX connects somebody else."""
    _dial(talk.world, talk.phone, talk.leg)
    talk.other = talk.world.choose(*CUSTOMERS, *NEVER)
    talk.speak(talk.other)


def presses_keys(talk: Talk) -> None:
    """The agent presses keys, for somebody's menu."""
    _choose(talk.world, talk.phone, talk.leg)


def becomes_private(talk: Talk) -> None:
    """The agent says that the call is private: not a frame of it may be left, whatever comes until its end.
    What is joined to it from then on is kept out as well, so nothing is.
    """
    press(talk.world, talk.phone, "*77")
    talk.world.wait(TOLD_SECONDS)  # who hangs up before may be past help (docs/threat-model.md)
    talk.world.note(talk.leg, "barred", False)
    if talk.is_up and talk.world.chances(0.6):
        talk.world.choose(refreshes, holds)(talk)
    if talk.is_up:
        hang_up(talk)


def pauses(talk: Talk) -> None:
    """The agent pauses the recording, as for card data, and resumes it, or lets it end by itself: not a frame
    from the last key of the code on. How soon it goes on is owed to nobody.
    """
    world, began = talk.world, talk.world.link.now
    press(world, talk.phone, "*7", talk.shows("perhaps"))
    press(world, talk.phone, "8", talk.shows("doubt"))
    world.wait(world.choose(0.5, 3.0, 20.0))
    if world.chances(0.2):
        press(world, talk.phone, "*78")
    is_by_itself = world.chances(0.3)
    world.wait(began + PAUSE_SECONDS - world.link.now if is_by_itself else 0.0)
    for word in talk.shows("clear"):
        world.note(*word[:3])
    if is_by_itself:
        world.wait(PAUSE_SECONDS)
    else:
        press(world, talk.phone, "*79")
        world.wait(1.0)
    world.note(talk.leg, "harmless", False)


def other_presses(talk: Talk) -> None:
    """The other party presses what would be a code: the PBX takes none from there."""
    press(talk.world, talk.far, talk.world.choose("1", "#", "*77", "*78", *CODES))


def presses_around_a_hold(talk: Talk) -> None:
    """A code, begun just before a hold or during it: who is there when the call goes on?"""
    world, other = talk.world, talk.world.choose(*NEVER)
    code, is_begun = world.choose(*CODES), world.chances(0.5)
    if is_begun:
        _tap(talk, code[0])
    if not hold(talk, talk.phone, world.choose(*HOLDS)):
        return
    press(world, talk.phone, code[1:] if is_begun else code, () if is_begun else talk.shows("doubt"))
    talk.other = other
    talk.speak(other)
    world.wait(world.choose(0.5, 4.0))
    resumes(talk, talk.phone)


def _tap(talk: Talk, key: str) -> None:
    """A key that is pressed and is not waited for, if it goes by RTP alone."""
    if talk.phone.presses == "rtp":
        talk.world.press(talk.phone, key, talk.shows("doubt"))
    else:
        press(talk.world, talk.phone, key, talk.shows("doubt"))


def beside(talk: Talk) -> None:
    """A telephone mixes two calls, and keys are pressed in one of them: both hear whom a code lets in."""
    world, other = talk.world, talk.world.choose(*CUSTOMERS)
    if {talk.phone.direction, talk.far.direction} != {"sendrecv"}:
        return
    second = consult(talk, other, is_held=False)
    if second is None or not talk.is_up:
        return
    talk.speak(talk.other, other)
    world.speak(second.leg, talk.agent, talk.other, other)
    world.wait(world.choose(0.5, 3.0))
    where, legs = world.choose(talk.phone, second), (talk.leg, second.leg)
    if world.chances(0.4):
        _choose(world, where, *legs)
        end(talk, second)
        return
    _dial(world, where, *legs)
    third = world.choose(*NEVER)
    talk.speak(talk.other, other, third)
    world.speak(second.leg, talk.agent, talk.other, other, third)
    world.wait(world.choose(1.0, 4.0))
    if where is talk.phone:
        talk.other = third
    end(talk, second, *(talk.shows("clear") if where is second else ()))
