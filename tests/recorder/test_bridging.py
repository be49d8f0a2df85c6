"""Two IP versions in one call: each party has its media at our address of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.effects import CloseMedia, Forward, NoteOutcome, OpenMedia, SetRemote, TellCapture
from recorder.ends import Ends
from sip_hooks.events import Anchor, CallEnded, MediaNegotiated
from tests.recorder.test_session import (
    ANSWER,
    CALL,
    PORTS,
    answered,
    description,
    negotiated,
    of_kind,
    offered,
    policy,
    session,
)

BOTH = policy(media_addresses={4: "192.0.2.10", 6: "2001:db8::10"})


def test_each_party_is_shown_the_address_of_its_own_ip_version() -> None:
    made = session(offered("201", "+31612345678", families=(4, 6)), BOTH)
    (effect,) = of_kind(made.begin(), OpenMedia)
    assert effect.families == (4, 6)
    shown = Anchor(("192.0.2.10", PORTS[0]), ("2001:db8::10", PORTS[1]), effect.session)
    assert made.media_opened(PORTS) == [Forward(CALL, 0, shown)]


def test_without_an_address_of_a_partys_ip_version_the_call_goes_on_and_failed() -> None:
    made = session(offered("201", "+31612345678", families=(4, 6)))
    begun = made.begin()
    assert of_kind(begun, Forward) == [Forward(CALL, 0, None)] and not of_kind(begun, OpenMedia)
    effects = made.on_event(CallEnded(CALL, ANSWER, "bye", 200), ANSWER)
    (note,) = of_kind(effects, NoteOutcome)
    assert note.outcome == "failed" and "no-media-address" in note.reasons


@pytest.mark.parametrize(("families", "is_bridge"), [((6, 6), False), ((6, 4), True)])
def test_a_later_pass_bridges_where_the_first_has_led_the_media_to_the_other_version(
    families: tuple[int, int], is_bridge: bool
) -> None:
    """It is anchored again, and is no second recording."""
    made = session(offered("201", "+31612345678", already_anchored=True, families=families), BOTH)
    begun = made.begin()
    assert (bool(of_kind(begun, OpenMedia)), bool(of_kind(begun, Forward))) == (is_bridge, not is_bridge)
    if is_bridge:
        made.media_opened(PORTS)
    effects = made.on_event(negotiated(), ANSWER) + made.on_event(answered(), ANSWER)
    assert not of_kind(effects, TellCapture)
    ended = made.on_event(CallEnded(CALL, ANSWER, "bye", 200), ANSWER)
    assert bool(of_kind(ended, CloseMedia)) is is_bridge
    assert not of_kind(ended, NoteOutcome)


def test_who_holds_with_no_address_still_sends_from_where_it_was() -> None:
    """Music on hold comes from there; nothing is sent to 0.0.0.0, which would be this machine."""
    ends = Ends()
    caller, callee = description("192.0.2.31", 4000).end, description("192.0.2.20", 6000).end
    ends.learn(MediaNegotiated(CALL, "t", caller, callee, True, frozenset()))
    held = description("0.0.0.0", 4000).end
    ends.learn(MediaNegotiated(CALL, "t", held, callee, True, frozenset()))
    assert [it.remotes for it in ends.remotes(1)] == [
        (("192.0.2.31", 4000, 4001),),
        (("192.0.2.20", 6000, 6001),),
    ]
    ends = Ends()
    ends.learn(MediaNegotiated(CALL, "t", held, None, False, frozenset()))
    (remote,) = ends.remotes(1)
    assert isinstance(remote, SetRemote) and remote.remotes == ()


@pytest.mark.parametrize(
    ("told", "hidden_at", "is_encrypted", "learned_at"),
    [
        ("192.168.1.20", "198.51.100.7", False, "198.51.100.7"),
        ("192.168.1.20", "", False, ""),  # its listener does not say so
        ("198.51.100.7", "198.51.100.7", False, ""),  # behind none
        ("192.168.1.20", "198.51.100.7", True, ""),  # nobody who learns could tell its packets from others
    ],
)
def test_a_port_is_learned_only_of_who_may_be_behind_a_nat(
    told: str, hidden_at: str, is_encrypted: bool, learned_at: str
) -> None:
    caller, callee = description(told, 4000).end, description("192.0.2.20", 6000).end
    assert caller is not None
    caller = replace(caller, is_secured=is_encrypted)
    ends = Ends()
    ends.learn(MediaNegotiated(CALL, "t", caller, callee, True, frozenset(), (hidden_at, "")))
    assert [it.learn for it in ends.remotes(1)] == [learned_at, ""]
    ends = Ends()
    ends.learn(MediaNegotiated(CALL, "t", callee, caller, True, frozenset(), ("", hidden_at)))
    assert [it.learn for it in ends.remotes(1)] == ["", learned_at]


def test_a_fork_that_is_the_only_one_is_certain_only_when_it_has_answered() -> None:
    """Another may come; and a socket that is connected hears nobody else."""
    ends = Ends()
    caller, callee = description("192.0.2.31", 4000).end, description("192.0.2.20", 6000).end
    for is_answered in (False, True):
        ends.learn(MediaNegotiated(CALL, "t", caller, callee, is_answered, frozenset()))
        assert [it.final for it in ends.remotes(1)] == [is_answered] * 2
