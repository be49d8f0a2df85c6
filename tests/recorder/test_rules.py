"""Which calls are recorded, told in calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from recorder.decision import Action, CallFacts, Direction, Kind, Outcome, Reason, Verdict, decide
from recorder.feature_codes import FeatureCodes
from recorder.numbering import Numbering, NumberSet
from recorder.rules import Directory, compile_rules
from recorder.scheme import Agent, Exclusion, Line, Purpose, Scheme

IN, OUT = Direction.INBOUND, Direction.OUTBOUND
CUSTOMER, SERVICE, DOCTOR = "+31612345678", "+31201234567", "0687654321"


def purpose(name: str, announcement: str = "", exemption: str = "in the contract") -> Purpose:
    return Purpose(
        name, "quality", "what for", "ground", 30, announcement=announcement, announcement_exemption=exemption
    )


SCHEME = Scheme(
    numbering=Numbering(internal=("200-299",), outside=("0900*", "14020"), emergency=("112", "144")),
    private_prefix="*31",
    feature_codes=FeatureCodes(forward=("*72",)),
    purposes=(
        purpose("coaching"),
        purpose("announced", announcement="hello.wav", exemption=""),
        purpose("silent", exemption=""),
        purpose("evidence"),
    ),
    lines=(
        Line("service", "Service", (SERVICE, "201", "202"), ("coaching", "announced", "silent")),
        Line("orders", "Orders", ("+31201234568", "221"), ("coaching", "evidence")),
    ),
    agents=(
        Agent("a-1", ("201",), ("service",)),
        Agent("a-2", ("202", "221"), ("service", "orders")),
        Agent("a-3", ("203", "anne"), ("service",)),
        Agent("a-4", ("204",), ("service",)),
    ),
    exclusions=(
        Exclusion("Company doctor", "secrecy", ("250", DOCTOR), ("dr.jansen", "doctor@example.nl")),
        Exclusion("Works council", "secrecy", ("260-264", "204")),
    ),
)
RULES = compile_rules(SCHEME)


def inbound(*inside: str, caller: str = CUSTOMER, others: tuple[str, ...] = ()) -> CallFacts:
    """An answered call to our side, under an approved scheme."""
    outside = frozenset({caller} - {""})
    return CallFacts(
        IN, frozenset(inside), outside, outside.union(inside, others), inside[0], answered=True, approved=True
    )


def outbound(*inside: str, dialled: str = "0612345678", others: tuple[str, ...] = ()) -> CallFacts:
    outside = frozenset({dialled})
    return CallFacts(
        OUT, frozenset(inside), outside, outside.union(inside, others), dialled, answered=True, approved=True
    )


def check(facts: CallFacts, kind: Kind, *reasons: Reason, recorded: tuple[str, ...] = ()) -> Verdict:
    verdict = decide(facts, RULES)
    assert (verdict.kind, verdict.recorded()) == (kind, recorded)
    assert not set(reasons) - set(verdict.reasons), verdict.reasons
    return verdict


def test_a_customer_calling_the_business_line_is_recorded() -> None:
    verdict = check(inbound("201", SERVICE), Kind.BUSINESS, recorded=("coaching",))
    assert (verdict.line, verdict.agent, verdict.anchor) == ("service", "a-1", True)
    assert verdict.outcome is Outcome.RECORDING


def test_an_agent_calling_a_customer_is_recorded() -> None:
    verdict = check(outbound("201", "201@pbx.example.nl"), Kind.BUSINESS, recorded=("coaching",))
    assert (verdict.line, verdict.agent) == ("service", "a-1")


@pytest.mark.parametrize(
    "identity", ["250", DOCTOR, "+31687654321", "dr.jansen@anywhere", "doctor@example.nl"]
)
def test_a_company_doctor_is_never_recorded_on_either_side(identity: str) -> None:
    for facts in (
        inbound("201", SERVICE, caller=identity),
        inbound(identity, "201"),
        outbound("201", dialled=identity),
        outbound(identity, "201"),
        inbound("201", others=(identity,)),
        outbound("201", others=(identity,)),
    ):
        verdict = check(facts, Kind.PRIVILEGED, Reason.EXCLUDED)
        assert (verdict.anchor, verdict.line, verdict.agent) == (False, None, None)


def test_an_identity_is_excluded_also_where_it_stands_on_one_side_only() -> None:
    everyone = frozenset({CUSTOMER, "201"})
    check(inbound("201", DOCTOR)._replace(everyone=everyone), Kind.PRIVILEGED)
    check(inbound("201", caller=DOCTOR)._replace(everyone=everyone), Kind.PRIVILEGED)
    check(outbound("201")._replace(dialled=DOCTOR), Kind.PRIVILEGED)


def test_an_exclusion_beats_the_enrolment_of_an_agent() -> None:
    check(inbound("204", SERVICE), Kind.PRIVILEGED)


@pytest.mark.parametrize("dialled", ["*310612345678", "*31", "*31250", "*31112", "*31*8"])
def test_a_private_call_is_stripped_and_never_anchored(dialled: str) -> None:
    verdict = check(outbound("201", dialled=dialled), Kind.PRIVATE, Reason.PRIVATE_PREFIX)
    assert (verdict.strip, verdict.anchor, verdict.outcome) == (3, False, Outcome.NONE)


def test_the_private_prefix_works_for_everybody_and_before_everything() -> None:
    facts = outbound("290", dialled="*310612345678", others=("250",))
    verdict = check(facts._replace(approved=False, obstacles=frozenset({"ice"})), Kind.PRIVATE)
    assert verdict.strip == 3


def test_the_private_prefix_means_nothing_in_an_inbound_call() -> None:
    facts = inbound("201", SERVICE)._replace(dialled="*31201")
    assert check(facts, Kind.BUSINESS, recorded=("coaching",)).strip == 0


@pytest.mark.parametrize("dialled", ["112", "144", "0112", "+31112", "+112", "urn:service:sos.ambulance"])
def test_an_emergency_call_is_forwarded_untouched(dialled: str) -> None:
    verdict = check(outbound("201", dialled=dialled), Kind.EMERGENCY, Reason.EMERGENCY_NUMBER)
    assert (verdict.strip, verdict.anchor) == (0, False)


def test_the_emergency_centre_calling_back_is_not_recorded() -> None:
    check(inbound("201", SERVICE, caller="112"), Kind.EMERGENCY)


def test_no_prefix_swallows_an_emergency_number() -> None:
    rules = compile_rules(replace(SCHEME, private_prefix="1"))
    assert decide(outbound("201", dialled="112"), rules).kind is Kind.EMERGENCY


@pytest.mark.parametrize("other", ["250", "299", "202", "+31201234568", "020-1234567", "anne@pbx", "203"])
def test_calls_among_ourselves_are_not_recorded(other: str) -> None:
    for facts in (outbound("201", dialled=other), inbound("201", SERVICE, caller=other)):
        assert decide(facts, RULES).kind in (Kind.INTERNAL, Kind.PRIVILEGED)
    if other != "250":
        check(outbound("201", dialled=other), Kind.INTERNAL, Reason.INTERNAL_CALL)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (inbound("290", SERVICE), Reason.NO_AGENT),
        (inbound("", SERVICE), Reason.NO_AGENT),
        (inbound("201", "202", SERVICE), Reason.SEVERAL_AGENTS),
        (inbound("203"), Reason.NO_LINE),
        (inbound("203", "+31201234568"), Reason.AGENT_NOT_ON_LINE),
        (inbound("201", "+31201234568"), Reason.AGENT_NOT_ON_LINE),
        (outbound("203"), Reason.NO_LINE),
        (outbound("0031612345679"), Reason.NO_AGENT),
    ],
)
def test_what_is_not_listed_is_not_recorded(facts: CallFacts, reason: Reason) -> None:
    verdict = check(facts, Kind.UNLISTED, reason)
    assert (verdict.anchor, verdict.outcome) == (False, Outcome.NONE)


@pytest.mark.parametrize(
    "other",
    [
        "230",
        "230@10.0.0.7",
        "230-0x55d0",  # the Contact of baresip
        "0230",
        "+31230",
        "205",  # in the range of a line, and an extension that is nobody's
        "+31201234568",  # a line on which this agent is not
        "+31612345670",
        "31201234567",  # perhaps the line; perhaps not
        "*8",
        "anne",
    ],
)
def test_somebody_else_on_our_side_is_not_the_agent(other: str) -> None:
    lines = (replace(SCHEME.lines[0], numbers=(SERVICE, "201-219")), SCHEME.lines[1])
    rules = compile_rules(replace(SCHEME, lines=lines))
    for facts in (inbound("201", SERVICE, other), inbound("201", other), outbound("201", other)):
        verdict = decide(facts, rules)
        assert (verdict.kind, verdict.recorded()) == (Kind.UNLISTED, ())
    assert Reason.ANOTHER_OF_US in decide(inbound("201", "230"), rules).reasons


@pytest.mark.parametrize(
    "other", ["agent", "201-0x55d0", "pbx.example.nl", "10.0.0.7", "201@10.0.0.7", "020-1234567", "jan-2", ""]
)
def test_another_name_of_the_agent_or_of_nobody_is_no_objection(other: str) -> None:
    for facts in (inbound("201", SERVICE, other), outbound("201", other)):
        check(facts, Kind.BUSINESS, recorded=("coaching",))


def test_a_range_of_whole_numbers_is_the_lines_own() -> None:
    line = replace(SCHEME.lines[0], numbers=("+31201234500-+31201234599",))
    rules = compile_rules(replace(SCHEME, lines=(line,)))
    assert decide(inbound("201", "0201234555"), rules).recorded() == ("coaching",)


def test_a_line_alone_is_nobodys_and_another_phone_is_not_its_agent() -> None:
    check(inbound(SERVICE, "230"), Kind.UNLISTED, Reason.NO_AGENT, Reason.ANOTHER_OF_US)


def test_the_company_doctors_phone_is_known_by_the_number_in_its_name() -> None:
    check(inbound("201", SERVICE, others=("250-0x55d0",)), Kind.PRIVILEGED)


MANY = tuple(Agent(f"m-{it}", (str(3000 + it),), ("service",)) for it in range(1000))


@pytest.mark.parametrize(
    ("agent", "spoken"),
    [
        (Agent("by-range", ("5000-5099",), ("service",)), "5042"),
        (Agent("by-beginning", ("77*",), ("service",)), "7742"),
        (Agent("by-name", ("Johanna",), ("service",)), "johanna"),
        (Agent("by-both", ("5200", "5300-5399"), ("service",)), "5311"),
    ],
)
def test_an_agent_is_found_among_a_thousand_others_by_whatever_names_him(agent: Agent, spoken: str) -> None:
    rules = compile_rules(replace(SCHEME, agents=(*MANY[:500], agent, *MANY[500:])))
    assert decide(outbound(spoken, SERVICE), rules).agent == agent.id
    assert decide(outbound("3777", SERVICE), rules).agent == "m-777"


def test_not_every_agent_is_asked_who_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = compile_rules(replace(SCHEME, agents=MANY))
    asked: list[NumberSet] = []
    holds = NumberSet.holds

    def counted(numbers: NumberSet, found: Iterable[str]) -> bool:
        asked.append(numbers)
        return holds(numbers, found)

    monkeypatch.setattr(NumberSet, "holds", counted)
    assert decide(outbound("3777", SERVICE), rules).agent == "m-777"
    assert len(asked) < 100


def test_the_business_number_puts_an_agent_without_listed_extension_on_the_line() -> None:
    check(inbound("203", SERVICE), Kind.BUSINESS, recorded=("coaching",))


def test_a_call_on_two_lines_gets_only_what_both_allow() -> None:
    verdict = check(inbound("221", SERVICE), Kind.BUSINESS, Reason.NOT_PERMITTED, recorded=("coaching",))
    assert verdict.purposes["evidence"].action is Action.REFRAIN
    assert verdict.line == "orders"


def test_a_purpose_of_one_line_only_is_recorded_there() -> None:
    check(inbound("221", "+31201234568"), Kind.BUSINESS, recorded=("coaching", "evidence"))


@pytest.mark.parametrize("dialled", ["*8", "*21*0612345678", "9", "reception", "31612345678", ""])
def test_a_party_of_whom_nothing_is_certain_is_held_until_it_is(dialled: str) -> None:
    facts = outbound("201", dialled=dialled)
    verdict = check(facts, Kind.UNCERTAIN, Reason.OUTSIDE_UNKNOWN)
    assert (verdict.anchor, verdict.outcome) == (True, Outcome.PENDING)
    check(facts._replace(outside=facts.outside | {CUSTOMER}), Kind.BUSINESS, recorded=("coaching",))
    check(facts._replace(outside=facts.outside | {"205"}), Kind.INTERNAL)


@pytest.mark.parametrize("dialled", ["09001234", "14020", "0612345678", "+4930123456", "0031612345678"])
def test_whole_numbers_and_listed_patterns_are_outside_parties(dialled: str) -> None:
    check(outbound("201", dialled=dialled), Kind.BUSINESS, recorded=("coaching",))


@pytest.mark.parametrize(
    ("dialled", "kind"),
    [
        ("250", Kind.PRIVILEGED),
        ("112", Kind.EMERGENCY),
        ("290", Kind.INTERNAL),
        ("0612345678", Kind.BUSINESS),
    ],
)
def test_what_is_dialled_names_the_other_party_even_if_no_header_repeats_it(dialled: str, kind: Kind) -> None:
    facts = outbound("201", dialled=dialled)._replace(outside=frozenset(), everyone=frozenset({"201"}))
    assert decide(facts, RULES).kind is kind


def test_an_outside_party_may_be_anonymous_an_inside_party_may_not() -> None:
    unknown = inbound("201", SERVICE, caller="anonymous")._replace(anonymous=True)
    check(unknown, Kind.BUSINESS, recorded=("coaching",))
    check(unknown._replace(anonymous=False), Kind.UNCERTAIN)
    ours = outbound("201")._replace(anonymous=True)
    assert check(ours, Kind.UNCERTAIN, Reason.INSIDE_ANONYMOUS).purposes["coaching"].action is Action.HOLD
    both = outbound("201", dialled="*8")._replace(anonymous=True)
    check(both, Kind.UNCERTAIN, Reason.INSIDE_ANONYMOUS, Reason.OUTSIDE_UNKNOWN)


def test_nothing_is_recorded_before_the_answer() -> None:
    verdict = check(inbound("201")._replace(answered=False), Kind.BUSINESS, Reason.NOT_ANSWERED)
    assert (verdict.anchor, verdict.purposes["coaching"].action) == (True, Action.HOLD)


def test_an_unapproved_scheme_records_nothing() -> None:
    verdict = check(inbound("201")._replace(approved=False), Kind.UNAPPROVED, Reason.UNAPPROVED)
    assert (verdict.anchor, verdict.outcome) == (False, Outcome.SUPPRESSED)


def test_facts_are_unapproved_until_somebody_says_otherwise() -> None:
    assert CallFacts(IN).approved is False


def test_the_other_party_is_told_or_there_is_a_documented_exemption() -> None:
    purposes = decide(inbound("201"), RULES).purposes
    assert purposes["coaching"].reasons == (Reason.LINE_ALLOWS,)
    assert purposes["announced"].reasons == (Reason.ANNOUNCEMENT_UNAVAILABLE,)
    assert purposes["silent"].reasons == (Reason.NOBODY_TOLD,)


def test_a_disturbed_call_is_suppressed_with_the_cause() -> None:
    verdict = check(inbound("201")._replace(disturbances=frozenset({"refer", "hold"})), Kind.BUSINESS)
    assert (verdict.outcome, verdict.reasons) == (
        Outcome.SUPPRESSED,
        (Reason.DISTURBED, Reason.NOBODY_TOLD, Reason.ANNOUNCEMENT_UNAVAILABLE),
    )
    assert verdict.details == ("hold", "refer")


def test_what_cannot_be_recorded_has_failed_and_is_not_anchored() -> None:
    srtp, facts = frozenset({"srtp"}), inbound("201")
    for impossible in (facts._replace(obstacles=srtp), facts._replace(failures=srtp)):
        verdict = check(impossible, Kind.BUSINESS)
        assert (verdict.outcome, verdict.anchor, verdict.details) == (Outcome.FAILED, False, ("srtp",))


def test_one_conversation_that_crosses_twice_is_recorded_once() -> None:
    verdict = check(inbound("201")._replace(already_anchored=True), Kind.BUSINESS, Reason.ALREADY_ANCHORED)
    assert (verdict.outcome, verdict.anchor) == (Outcome.NONE, False)


def test_two_schemes_record_only_what_both_permit() -> None:
    without_evidence = replace(
        SCHEME, lines=(SCHEME.lines[0], replace(SCHEME.lines[1], purposes=("coaching",)))
    )
    facts = inbound("221", "+31201234568")
    assert decide(facts, compile_rules(without_evidence, SCHEME)).recorded() == ("coaching",)


def test_a_removed_line_opens_nothing_that_it_stood_in_the_way_of() -> None:
    facts = inbound("221", SERVICE)
    narrowed = replace(SCHEME, lines=(replace(SCHEME.lines[0], purposes=("coaching", "evidence")),))
    both = replace(narrowed, lines=(*narrowed.lines, replace(SCHEME.lines[1], purposes=("coaching",))))
    assert decide(facts, compile_rules(both)).recorded() == ("coaching",)
    assert decide(facts, compile_rules(narrowed)).recorded() == ("coaching", "evidence")
    assert decide(facts, compile_rules(narrowed, both)).recorded() == ("coaching",)


@pytest.mark.parametrize(
    "dialled",
    ["112", "0112", "+112", "+31112", "*31112", "144", "0144"],
)
def test_an_emergency_call_is_known_as_one_before_anything_is_decided(dialled: str) -> None:
    assert Directory(SCHEME).is_emergency(dialled)


@pytest.mark.parametrize("dialled", ["", "201", "1120", "+31612345112", "0612345112", "anne", "*31201", "12"])
def test_a_number_that_only_ends_like_an_emergency_number_is_none(dialled: str) -> None:
    assert not Directory(SCHEME).is_emergency(dialled)


def test_emergency_numbers_may_be_a_range_or_a_beginning() -> None:
    numbering = replace(SCHEME.numbering, emergency=("110-119", "80*"))
    directory = Directory(replace(SCHEME, numbering=numbering))
    assert [it for it in ("112", "115", "801", "120", "201") if directory.is_emergency(it)] == [
        "112",
        "115",
        "801",
    ]


@pytest.mark.parametrize(
    ("inside", "is_for_all"),
    [
        (("201", SERVICE, "270"), True),  # somebody else of us beside the agent
        (("270",), False),  # a colleague's own call
        (("201", SERVICE), False),
    ],
)
def test_a_colleague_beside_the_agent_keeps_out_all_that_belongs_to_the_call(
    inside: tuple[str, ...], is_for_all: bool
) -> None:
    assert decide(outbound(*inside), RULES).concerns_all is is_for_all
