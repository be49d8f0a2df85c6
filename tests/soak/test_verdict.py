"""A soak run is worth what its verdicts are: each thing that may be missing or wrong is found."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from soak.clips import Contents
from soak.media import Conversation
from soak.verdict import Judgement, Kind, Outage, is_settled, judge
from soak.voice import AGENT, OUTSIDE, Voice
from tests.fakes.rtp import SAMPLES

HORIZON = 2.0
PACKETS = 500
"""Ten seconds, from second 100 to second 110."""


@pytest.fixture
def call() -> Iterator[Conversation]:
    """A call in which each said everything and heard everything."""
    call = Conversation(Voice(1), 7)
    call.dialled_at, call.answered_at, call.ended_at = 99.0, 99.5, 110.5
    call.is_answered = call.is_hung_up = True
    for leg in call.legs:
        leg.sent_at = array("d", (100 + 0.02 * it for it in range(PACKETS)))
        leg.heard = set(range(PACKETS))
        leg.towards = ("127.0.0.1", 1)
        leg.socket.close()
    yield call


def clip(first: int = 0, last: int = PACKETS, **otherwise: Any) -> Contents:
    """A clip with these packets of both, each where it belongs."""
    indices = array("I", range(first, last)), array("I", range(first, last))
    positions = tuple(array("Q", (it * SAMPLES for it in one)) for one in indices)
    made = Contents("c1", "r1", 1, None, "complete", 11.0, 7, indices, (positions[0], positions[1]))
    return replace(made, **otherwise)


def weighed(call: Conversation, *clips: Contents, kind: Kind | None = None, at: float = 106.0) -> Judgement:
    """With a kill of this kind, if there is one, whose process was back after a second."""
    return judge(call, clips, [Outage(kind, at, at + 1)] if kind else [], HORIZON)


def test_a_whole_call_has_no_fault(call: Conversation) -> None:
    judgement = weighed(call, clip())
    assert (judgement.faults, judgement.must, judgement.kept) == ([], 2 * PACKETS, 2 * PACKETS)


@pytest.mark.parametrize(
    ("clips", "fault"),
    [
        ([], "miss"),
        ([clip(1)], "miss"),
        ([clip(0, PACKETS - 1)], "miss"),
        ([clip(ending="truncated")], "end as"),
        ([clip(seconds=9.0)], "lasted"),
        ([clip(faults=["not decoded"])], "not decoded"),
        ([clip(part=2, previous="c0")], "first part"),
        ([clip(), clip(clip="c2", recording="r2")], "more than one recording"),
        ([clip(positions=(array("Q", range(PACKETS)), array("Q", range(PACKETS))))], "where they belong"),
    ],
)
def test_what_is_wrong_with_its_clips_is_found(call: Conversation, clips: list[Contents], fault: str) -> None:
    assert any(fault in it for it in weighed(call, *clips).faults)


def test_what_the_phones_notice_is_found(call: Conversation) -> None:
    call.legs[AGENT].heard.discard(3)
    call.legs[AGENT].longest_gap = 3.1
    call.legs[OUTSIDE].wrong = 1
    faults = weighed(call, clip()).faults
    assert [any(word in it for it in faults) for word in ("arrive", "3.1 s", "else's")] == [True] * 3


@pytest.mark.parametrize(
    ("kind", "kept_until", "goes_on_at", "is_right"),
    [
        ("capture", 101, 375, True),  # said at 102: older than 106 by horizon + 2 s
        ("capture", 100, 375, False),
        ("capture", 101, 376, False),  # 107.5: back at 107, and half a second for it
        ("signalling", 101, PACKETS, True),
        ("everything", 100, PACKETS, False),
        ("relay", PACKETS, PACKETS, True),
        ("relay", 270, PACKETS, False),
        ("relay", 276, 374, True),
    ],
)
def test_what_a_kill_excuses(
    call: Conversation, kind: Kind, kept_until: int, goes_on_at: int, is_right: bool
) -> None:
    parts = [
        clip(0, kept_until, ending="truncated"),
        clip(goes_on_at, PACKETS, clip="c2", part=2, previous="c1"),
    ]
    assert (weighed(call, *parts, kind=kind).faults == []) is is_right


@pytest.mark.parametrize(("at", "is_lost"), [(106.0, True), (110.6, False)])
def test_a_call_has_its_media_until_everything_is_killed(
    call: Conversation, at: float, is_lost: bool
) -> None:
    call.legs[AGENT].heard.discard(3)
    faults = weighed(call, clip(), kind="everything", at=at).faults
    assert any("did not arrive" in it for it in faults) is not is_lost


def test_a_packet_in_two_parts_is_found(call: Conversation) -> None:
    parts = [clip(0, 200, ending="truncated"), clip(199, PACKETS, clip="c2", part=2, previous="c1")]
    assert any("twice" in it for it in weighed(call, *parts, kind="capture").faults)


def test_a_call_that_was_passed_by_has_no_clip(call: Conversation) -> None:
    call.legs[OUTSIDE].towards = ("127.0.0.1", call.legs[AGENT].port)
    judgement = weighed(call)
    assert (judgement.faults, judgement.is_passed_by) == ([], True)
    assert weighed(call, clip()).faults


def test_a_call_that_nobody_answered_is_found_unless_something_was_killed(call: Conversation) -> None:
    call.is_answered = False
    assert any("nobody answered" in it for it in weighed(call, clip()).faults)
    assert not any("nobody answered" in it for it in weighed(call, clip(), kind="signalling", at=99.2).faults)


def test_a_call_is_not_judged_before_its_clips_can_be_sealed(call: Conversation) -> None:
    killed = Outage("everything", 106.0)  # nobody is back yet
    assert is_settled(call, [], HORIZON, 111.0)
    assert not is_settled(call, [], HORIZON, 110.0)
    assert not is_settled(call, [killed], HORIZON, 200.0)
    killed.until = 150.0
    assert not is_settled(call, [killed], HORIZON, 149.0)
    assert is_settled(call, [killed, Outage("relay", 130.0)], HORIZON, 151.0)
