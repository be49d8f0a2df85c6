"""On the trunk side headers never suffice: somebody has to say who speaks inside."""

from __future__ import annotations

import pytest

from recorder.decision import CallFacts, Direction, Kind, Outcome, Reason, Vouching, decide
from recorder.facts import first_facts
from sip_hooks.events import Side
from tests.recorder.test_rules import CUSTOMER, RULES, SERVICE, inbound, outbound
from tests.recorder.test_session import offered


def on_trunk(facts: CallFacts, vouching: Vouching) -> CallFacts:
    return facts._replace(vouching=vouching)


@pytest.mark.parametrize("facts", [inbound(SERVICE), inbound("201", SERVICE), outbound("201")])
def test_without_anybody_to_ask_nothing_is_recorded_whatever_the_headers_say(facts: CallFacts) -> None:
    verdict = decide(on_trunk(facts, Vouching.IMPOSSIBLE), RULES)
    assert verdict.recorded() == ()
    assert (verdict.kind, verdict.anchor) == (Kind.UNCERTAIN, False)
    assert verdict.purposes["coaching"].reasons == (Reason.NO_EVIDENCE_SOURCE,)


def test_a_call_on_the_line_waits_for_evidence_with_its_media_at_hand() -> None:
    verdict = decide(on_trunk(inbound(SERVICE), Vouching.AWAITED), RULES)
    assert (verdict.recorded(), verdict.anchor, verdict.outcome) == ((), True, Outcome.PENDING)


def test_evidence_that_names_no_agent_permits_nothing() -> None:
    verdict = decide(on_trunk(inbound(SERVICE), Vouching.GIVEN), RULES)
    assert (verdict.kind, verdict.recorded()) == (Kind.UNLISTED, ())


def test_evidence_that_names_the_agent_permits() -> None:
    verdict = decide(on_trunk(inbound("201", SERVICE), Vouching.GIVEN), RULES)
    assert (verdict.recorded(), verdict.agent) == (("coaching",), "a-1")


@pytest.mark.parametrize("vouching", Vouching)
def test_a_call_on_no_line_never_passes_through_us(vouching: Vouching) -> None:
    assert not decide(on_trunk(inbound("+31201239999"), vouching), RULES).anchor


@pytest.mark.parametrize("vouching", Vouching)
@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        (inbound(SERVICE, others=("250",)), Kind.PRIVILEGED),
        (outbound(SERVICE, dialled="*310612345678"), Kind.PRIVATE),
        (outbound(SERVICE, dialled="112"), Kind.EMERGENCY),
    ],
)
def test_what_is_kept_out_is_kept_out_on_the_trunk_too(
    facts: CallFacts, kind: Kind, vouching: Vouching
) -> None:
    verdict = decide(on_trunk(facts, vouching), RULES)
    assert (verdict.kind, verdict.anchor) == (kind, False)


@pytest.mark.parametrize(
    ("from_side", "to_side", "direction", "vouching"),
    [
        (Side.PHONES, Side.PBX, Direction.OUTBOUND, Vouching.NOT_NEEDED),
        (Side.PBX, Side.PHONES, Direction.INBOUND, Vouching.NOT_NEEDED),
        (Side.TRUNK, Side.PBX, Direction.INBOUND, Vouching.IMPOSSIBLE),
        (Side.PBX, Side.TRUNK, Direction.OUTBOUND, Vouching.IMPOSSIBLE),
    ],
)
def test_direction_is_seen_from_our_own_people(
    from_side: Side, to_side: Side, direction: Direction, vouching: Vouching
) -> None:
    facts = first_facts(offered(CUSTOMER, SERVICE, from_side, to_side=to_side), True, False, {})
    assert (facts.direction, facts.vouching) == (direction, vouching)
