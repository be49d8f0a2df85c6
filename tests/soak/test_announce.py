"""What `make soak announce` demands of a call is found where it is not so."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from soak.announce import ANNOUNCED_SECONDS, judge
from soak.clips import Contents
from soak.media import Conversation
from soak.voice import OUTSIDE, Voice
from storage.records import Announcement
from tests.fakes.rtp import SAMPLES

SHA256 = "ab" * 32
PACKETS, FIRST = 300, 90
"""Six seconds of talk; 1.8 s after its beginning recording has begun, 0.3 s after the announcement's end."""
TICKS = int(ANNOUNCED_SECONDS * 8000)


@pytest.fixture
def call() -> Iterator[Conversation]:
    call = Conversation(Voice(1), 7)
    call.is_answered = True
    for leg in call.legs:
        leg.sent_at = array("d", (100 + 0.02 * it for it in range(PACKETS)))
        leg.socket.close()
    call.legs[OUTSIDE].wrong_at = 101.5
    yield call


def clip(first: int = FIRST, **otherwise: Any) -> Contents:
    indices = array("I", range(first, PACKETS)), array("I", range(first, PACKETS))
    positions = tuple(array("Q", (it * SAMPLES for it in range(len(one)))) for one in indices)
    made = Contents("c1", "r1", 1, None, "complete", 4.2, 7, indices, (positions[0], positions[1]))
    made.announced.append(Announcement(-TICKS - 100, -100, bytes.fromhex(SHA256)))
    return replace(made, **otherwise)


def test_a_call_that_was_told_first_has_no_fault(call: Conversation) -> None:
    assert judge(call, [clip()], SHA256).faults == []


def test_a_call_of_which_nothing_is_kept_counts_as_not_told(call: Conversation) -> None:
    judgement = judge(call, [], SHA256)
    assert (judgement.faults, judgement.is_untold) == ([], True)


@pytest.mark.parametrize(
    ("clips", "fault"),
    [
        ([clip(74)], "before the announcement's end"),
        ([clip(160)], "miss that were said later"),
        ([clip(announced=[])], "it proves 0"),
        ([clip(announced=[Announcement(-TICKS - 100, -100, bytes(32))])], "or others"),
        ([clip(announced=[Announcement(-4000, -100, bytes.fromhex(SHA256))])], "0.49 s"),
        ([clip(announced=[Announcement(-TICKS + 50, 50, bytes.fromhex(SHA256))])], "too late"),
        ([clip(faults=["audio that nobody said"])], "nobody said"),
        ([clip(), clip()], "another clip"),
    ],
)
def test_what_is_wrong_is_found(call: Conversation, clips: list[Contents], fault: str) -> None:
    assert any(fault in it for it in judge(call, clips, SHA256).faults)


def test_a_clip_of_a_call_in_which_nobody_heard_an_announcement_is_found(call: Conversation) -> None:
    call.legs[OUTSIDE].wrong_at = None
    assert judge(call, [clip()], SHA256).faults
