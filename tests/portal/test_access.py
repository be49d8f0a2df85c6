"""Who may open a clip: every rule, and the reason it gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from portal.access import (
    Action,
    ClipFacts,
    Grant,
    Reason,
    Request,
    Verdict,
    grant_document,
    may,
    parse_grant,
)

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
GRANT = Grant(
    id="9a" * 16,
    person="anna",
    purpose="coaching",
    lines=("sales",),
    actions=frozenset({Action.PLAY, Action.LIST}),
    until_at=NOW + timedelta(hours=1),
    granted_by="management",
    granted_at=NOW - timedelta(days=1),
)
CLIP = ClipFacts("c1" * 16, "coaching", "sales", NOW.date(), True)
REQUEST = Request("anna", Action.PLAY, "coaching", "weekly coaching")

CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], Reason]] = [
    ("all is well", {}, {}, {}, Reason.GRANTED),
    ("a grant without lines is for all lines", {}, {}, {"lines": ()}, Reason.GRANTED),
    ("somebody else", {"actor": "bob"}, {}, {}, Reason.NO_GRANT),
    ("a grant for another purpose", {}, {}, {"purpose": "assessment"}, Reason.GRANTED_OTHERWISE),
    (
        "another purpose is asked for",
        {"purpose": "assessment"},
        {},
        {"purpose": "assessment"},
        Reason.OTHER_PURPOSE,
    ),
    ("a clip of another purpose", {}, {"purpose": "evidence"}, {}, Reason.OTHER_PURPOSE),
    ("another line", {}, {"line": "support"}, {}, Reason.OTHER_LINE),
    ("another action", {"action": Action.EXPORT}, {}, {}, Reason.OTHER_ACTION),
    ("an ended grant", {}, {}, {"until_at": NOW}, Reason.GRANT_ENDED),
    ("no reason given", {"reason": " "}, {}, {}, Reason.NO_REASON),
    ("a list needs no reason", {"action": Action.LIST, "reason": ""}, {}, {}, Reason.GRANTED),
    ("past the deadline", {}, {"deadline_day": date(2030, 4, 30)}, {}, Reason.PAST_DEADLINE),
    ("not finished or destroyed", {}, {"is_sealed": False}, {}, Reason.NOT_SEALED),
]


@pytest.mark.parametrize(("_name", "request_", "clip", "grant", "reason"), CASES, ids=[it[0] for it in CASES])
def test_every_rule_is_asked(
    _name: str, request_: dict[str, Any], clip: dict[str, Any], grant: dict[str, Any], reason: Reason
) -> None:
    verdict = may(replace(REQUEST, **request_), replace(CLIP, **clip), [replace(GRANT, **grant)], NOW)
    assert verdict == Verdict(reason is Reason.GRANTED, (reason,))


def test_nobody_may_without_a_grant() -> None:
    assert may(REQUEST, CLIP, [], NOW).reasons == (Reason.NO_GRANT,)


def test_all_that_forbids_is_told() -> None:
    clip = replace(CLIP, is_sealed=False, deadline_day=date(2030, 4, 1))
    verdict = may(replace(REQUEST, reason=""), clip, [], NOW)
    assert verdict.reasons == (
        Reason.NOT_SEALED,
        Reason.PAST_DEADLINE,
        Reason.NO_REASON,
        Reason.NO_GRANT,
    )


def test_halves_of_two_grants_make_no_whole_one() -> None:
    other_line = replace(GRANT, lines=("support",))
    other_action = replace(GRANT, actions=frozenset({Action.EXPORT}))
    assert not may(REQUEST, CLIP, [other_line, other_action], NOW).allowed
    assert may(REQUEST, CLIP, [other_line, other_action, GRANT], NOW).allowed


def test_the_deadline_day_itself_is_within() -> None:
    grants = [replace(GRANT, until_at=NOW + timedelta(days=9))]
    last = datetime(2030, 5, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    assert may(REQUEST, CLIP, grants, last).allowed
    assert not may(REQUEST, CLIP, grants, last + timedelta(microseconds=1)).allowed


def test_allowed_exactly_when_person_purpose_line_action_and_time_fit() -> None:
    """The matrix, against a plain statement of the rule."""
    people, purposes, lines = ("anna", "bob"), ("coaching", "assessment", "evidence"), ("sales", "support")
    hours = (0, 2)
    for actor, asked, recorded, line, action, hour in product(
        people, purposes, purposes, lines, Action, hours
    ):
        request = Request(actor, action, asked, "because")
        clip = replace(CLIP, purpose=recorded, line=line)
        fits = (actor, asked, recorded, line) == ("anna", "coaching", "coaching", "sales")
        expected = fits and action in GRANT.actions and hour == 0
        assert may(request, clip, [GRANT], NOW + timedelta(hours=hour)).allowed == expected


def test_a_grant_comes_back_from_its_document() -> None:
    assert parse_grant(grant_document(GRANT)) == GRANT
    assert grant_document(GRANT).startswith(
        b'{"actions":["list","play"],"granted_at":"2030-04-30T12:00:00.000000+00:00"'
    )


NOT_GRANTS = [
    b"",
    b"[]",
    b"{}",
    b"[" * 10_000,
    grant_document(GRANT) + b" ",
    grant_document(GRANT).replace(b'"play"', b'"fly"'),
    grant_document(GRANT).replace(b'"lines":["sales"]', b'"lines":"sales"'),
    grant_document(GRANT).replace(b'"id"', b'"x":1,"id"'),
]


@pytest.mark.parametrize("document", NOT_GRANTS)
def test_what_is_no_grant_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_grant(document)
