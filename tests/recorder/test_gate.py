"""The gate opens for the authority's signature over exactly this scheme, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.gate import (
    Act,
    Approval,
    Authority,
    GateReason,
    GateStatus,
    approval_bytes,
    authority,
    judge_approvals,
    sign_approval,
)
from recorder.scheme import Exclusion, Scheme, canonical, scheme_hash
from tests.recorder.test_scheme import COACHING, DOCTOR, EVIDENCE, SCHEME

COUNCIL = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
EMPLOYER = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
AUTHORITY = Authority(COUNCIL.public_key().public_bytes_raw())
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STRICTER = replace(SCHEME, exclusions=(*SCHEME.exclusions, Exclusion("Counsellor", "secrecy", ("251",))))
CHANGED = replace(SCHEME, purposes=(replace(COACHING, retention_days=31), EVIDENCE))


def act(what: Act, scheme: Scheme = SCHEME, hour: int = 0, key: Ed25519PrivateKey = COUNCIL) -> Approval:
    return sign_approval(what, scheme, NOON + timedelta(hours=hour), key)


def check(scheme: Scheme, approvals: list[Approval], reason: GateReason) -> GateStatus:
    status = judge_approvals(scheme, approvals, AUTHORITY)
    assert status == judge_approvals(scheme, approvals[::-1], AUTHORITY)
    assert status.reason is reason
    assert status.approved is (reason in (GateReason.APPROVED, GateReason.AWAITING_RATIFICATION))
    return status


def test_the_councils_signature_over_exactly_this_scheme_opens() -> None:
    status = check(SCHEME, [act("approve")], GateReason.APPROVED)
    assert (status.in_force, status.approved_at, status.awaiting_ratification) == ((SCHEME,), NOON, False)


def test_without_an_approval_it_is_shut() -> None:
    check(SCHEME, [], GateReason.NEVER_APPROVED)


def test_any_change_shuts_it() -> None:
    check(CHANGED, [act("approve")], GateReason.CHANGED)


def test_a_stricter_scheme_acts_at_once_together_with_the_approved_one() -> None:
    status = check(STRICTER, [act("approve")], GateReason.AWAITING_RATIFICATION)
    assert status.awaiting_ratification
    assert [scheme_hash(it) for it in status.in_force] == [scheme_hash(STRICTER), scheme_hash(SCHEME)]


def test_ratified_it_stands_alone() -> None:
    assert check(STRICTER, [act("approve"), act("approve", STRICTER, 1)], GateReason.APPROVED).in_force == (
        STRICTER,
    )


def test_a_newer_approval_replaces_the_older_one() -> None:
    check(CHANGED, [act("approve", CHANGED), act("approve", SCHEME, 1)], GateReason.CHANGED)


def test_withdrawal_shuts_it_for_every_scheme_until_a_new_approval() -> None:
    acts = [act("approve"), act("withdraw", hour=1)]
    for scheme in (SCHEME, STRICTER, CHANGED):
        check(scheme, acts, GateReason.WITHDRAWN)
    check(SCHEME, [*acts, act("approve", hour=2)], GateReason.APPROVED)


def test_at_the_same_instant_the_withdrawal_wins() -> None:
    check(SCHEME, [act("withdraw"), act("approve")], GateReason.WITHDRAWN)


def test_a_withdrawal_counts_whatever_became_of_its_document() -> None:
    damaged = replace(act("withdraw", hour=1), document=b"")
    check(SCHEME, [act("approve"), damaged], GateReason.WITHDRAWN)


GOOD = act("approve")


@pytest.mark.parametrize(
    "edited",
    [
        replace(GOOD, scheme_hash=scheme_hash(CHANGED), document=canonical(CHANGED)),
        replace(GOOD, at=NOON + timedelta(seconds=1)),
        replace(GOOD, act="withdraw"),
        replace(GOOD, signature=GOOD.signature[:-1] + bytes([GOOD.signature[-1] ^ 1])),
        replace(GOOD, signature=b""),
        replace(GOOD, at=NOON.replace(tzinfo=None)),
        act("approve", CHANGED, key=EMPLOYER),
    ],
)
def test_an_edited_row_opens_nothing_and_is_counted(edited: Approval) -> None:
    assert check(CHANGED, [edited], GateReason.NEVER_APPROVED).ignored == 1
    assert check(CHANGED, [edited, GOOD], GateReason.CHANGED).ignored == 1


def test_a_document_swapped_under_a_good_signature_makes_nothing_stricter() -> None:
    loose = replace(SCHEME, purposes=(replace(COACHING, retention_days=99), EVIDENCE))
    for document in (canonical(loose), b"{}"):
        check(CHANGED, [replace(GOOD, document=document)], GateReason.CHANGED)


def test_removing_an_exclusion_from_the_file_shuts_the_gate() -> None:
    check(replace(SCHEME, exclusions=(DOCTOR,)), [GOOD], GateReason.CHANGED)


def test_without_an_enrolled_key_nobody_can_approve() -> None:
    status = judge_approvals(SCHEME, [GOOD], None)
    assert (status.approved, status.reason) == (False, GateReason.NO_AUTHORITY)


def test_management_signs_only_where_a_declaration_says_that_no_council_is_required() -> None:
    council, management = b"c" * 32, b"m" * 32
    assert authority(council, management, "fewer than fifty employees") == Authority(council)
    assert authority(None, management, "fewer than fifty employees") == Authority(
        management, "fewer than fifty employees"
    )
    assert authority(None, management, None) is None
    assert authority(None, management, "") is None
    assert authority(None, None, "fewer than fifty employees") is None


def test_what_is_signed_is_the_act_the_hash_and_the_instant_under_a_label() -> None:
    amsterdam = timezone(timedelta(hours=1))
    body = b'{"act":"approve","at":"2026-03-02T12:00:00.000000+00:00","scheme":"ab"}'
    expected = b"doelband scheme approval v1\0" + body
    assert approval_bytes("approve", "ab", NOON) == expected
    assert approval_bytes("approve", "ab", NOON.astimezone(amsterdam)) == expected
    with pytest.raises(ValueError, match="time zone"):
        approval_bytes("approve", "ab", NOON.replace(tzinfo=None))
