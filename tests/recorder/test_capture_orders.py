"""What signalling may order of capture, and what a payload type means."""

from __future__ import annotations

import pytest

from recorder.capture.codecs import Use, both_sides
from recorder.capture.orders import OrderError, begins_of, ending_of, refusals
from recorder.decision import CallFacts, Direction
from recorder.facts import parties
from tests.fakes.orders import begin
from tests.fakes.rtp import PCMU


def test_instants_without_an_offset_are_refused() -> None:
    with pytest.raises(OrderError):
        ending_of({"op": "finish", "session": 1, "ended_at": "2026-03-02T09:00:00"})


def test_parties_are_in_no_representation() -> None:
    assert "+31201234567" not in repr(begins_of(begin()))


def test_a_long_name_of_a_party_is_cut_before_it_is_sent() -> None:
    names = frozenset({"x" * 128}), frozenset({"\u0190" * 9000})
    facts = CallFacts(Direction.OUTBOUND, inside=names[0], outside=names[1])
    assert parties(facts) == {"agent": "x" * 128, "outside": "\u0190" * 128}


def test_a_begin_that_is_not_carried_out_fails_every_recording_that_can_be_read() -> None:
    def check(recordings: object, *expected: tuple[str, int]) -> None:
        events = refusals({"op": "begin", "session": 7, "recordings": recordings}, "too-large")
        if expected:
            failed = {"event": "failed", "clip": None, "seconds": 0, "bytes": 0, "reason": "too-large"}
            assert events == [failed | {"recording": name, "part": part} for name, part in expected]
        else:
            assert events == [{"event": "refused", "session": 7, "error": "too-large"}]

    check(begin("coaching", "evidence")["recordings"], (f"{0:032x}", 1), (f"{1:032x}", 1))
    check([5, {"recording": "x", "part": 2}, {"recording": 5, "part": 1}, {"recording": "y"}], ("x", 2))
    check([])
    check(None)
    check([{}])


def test_a_payload_type_means_what_either_side_named_it() -> None:
    sides = both_sides(
        {"a": [(8, "PCMA", 8000), (96, "PCMU", 8000)], "b": [(4, "G723", 8000), (97, "G728", 8000)]}
    )

    def check(side: str, payload_type: int, expected: Use) -> None:
        assert sides[side].use(payload_type) is expected

    check("a", 8, Use.KEEP)
    check("a", 96, Use.KEEP)
    check("b", 96, Use.KEEP)
    check("a", PCMU, Use.KEEP)
    check("a", 4, Use.REFUSE)
    check("b", 97, Use.REFUSE)
    check("a", 13, Use.LEAVE_OUT)
    check("a", 101, Use.LEAVE_OUT)
