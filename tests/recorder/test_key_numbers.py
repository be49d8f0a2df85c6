"""Under which payload types keys are heard, where the two ends number them otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recorder.ends import Ends
from sip_hooks.events import MediaNegotiated
from sip_hooks.sdp import MediaEnd
from tests.recorder.test_session import CALL, description


def speaks(keys: set[int], audio: int = 8) -> MediaEnd:
    """One end that takes keys and audio under these numbers."""
    end: MediaEnd = description("192.0.2.31", 4000, audio).end
    return replace(end, telephone_events=frozenset(keys))


@pytest.mark.parametrize(
    ("ours", "theirs", "keys"),
    [
        (speaks({101}), speaks({101}), (101,)),
        (speaks({101}), speaks({96}), (96, 101)),  # some send under numbers of their own
        (speaks(set(), audio=96), speaks({96}), (96,)),  # to the other one it is a key
        (speaks({96}), speaks({101}, audio=96), (101,)),  # to the other one it is audio
    ],
)
def test_what_is_a_key_is_for_the_one_to_say_to_whom_it_is_sent(
    ours: MediaEnd, theirs: MediaEnd, keys: tuple[int, ...]
) -> None:
    for caller, callee in ((ours, theirs), (theirs, ours)):
        ends = Ends()
        ends.learn(MediaNegotiated(CALL, "t", caller, callee, True, frozenset()))
        assert ends.keys("a" if caller is ours else "b") == keys
