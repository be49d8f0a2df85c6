"""How opinions are weighed: one veto outweighs all permits, silence refrains, the order does not matter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, permutations, product

import pytest

from recorder.asking import SAYING_WHO, is_of_who
from recorder.decision import (
    EFFECTS,
    WITHHELD,
    Action,
    CallFacts,
    Direction,
    Doubt,
    Kind,
    Newcomer,
    Opinion,
    Outcome,
    PurposeVerdict,
    Reason,
    Rules,
    Verdict,
    Vouching,
    decide,
)
from recorder.rules import Directory
from tests.recorder.test_rules import RULES, SCHEME, SERVICE

STRIDE = 61
"""A prime: so many of the product, and yet all of its factors."""
FACTS = CallFacts(Direction.INBOUND)
COACHING, EVIDENCE = frozenset({"coaching"}), frozenset({"evidence"})
PERMIT = Opinion(Reason.LINE_ALLOWS, COACHING, line="service", agent="a-1")


def saying(*opinions: Opinion) -> Rules:
    """One rule for each opinion."""

    def rule(it: Opinion) -> Rules:
        return (lambda facts: (it,),)

    return tuple(found for it in opinions for found in rule(it))


def check(opinions: Iterable[Opinion], actions: dict[str, Action], outcome: Outcome) -> Verdict:
    verdict = decide(FACTS, saying(*opinions))
    assert {name: it.action for name, it in verdict.purposes.items()} == actions
    assert verdict.outcome is outcome
    return verdict


def test_a_permit_and_nothing_against_it_records() -> None:
    verdict = check([PERMIT], {"coaching": Action.RECORD}, Outcome.RECORDING)
    assert (verdict.kind, verdict.line, verdict.agent, verdict.anchor) == (
        Kind.BUSINESS,
        "service",
        "a-1",
        True,
    )
    assert verdict.recorded() == ("coaching",)
    assert verdict.reasons == (Reason.LINE_ALLOWS,)


def test_silence_refrains() -> None:
    verdict = check([], {}, Outcome.NONE)
    assert (verdict.kind, verdict.anchor, verdict.strip) == (Kind.UNLISTED, False, 0)


@pytest.mark.parametrize("reason", [it for it in Reason if EFFECTS[it].action is not Action.RECORD])
def test_every_single_reason_keeps_any_number_of_permits_from_recording(reason: Reason) -> None:
    more = Opinion(Reason.LINE_ALLOWS, COACHING | EVIDENCE, line="orders", agent="a-1")
    assert decide(FACTS, saying(PERMIT, more, Opinion(reason))).recorded() == ()


@pytest.mark.parametrize("kind", sorted(WITHHELD))
def test_what_is_withheld_names_no_line_no_agent_and_no_purpose(kind: Kind) -> None:
    reason = next(it for it in Reason if EFFECTS[it].kind is kind)
    verdict = decide(
        FACTS, saying(PERMIT, Opinion(reason, strip=3), Opinion(Reason.OBSTACLE, details=("ice",)))
    )
    assert verdict == Verdict(kind, 3, False, None, None, {}, (reason,), (), Outcome.NONE)


def test_a_private_call_to_the_company_doctor_says_only_that_it_was_private() -> None:
    verdict = decide(FACTS, saying(Opinion(Reason.PRIVATE_PREFIX, strip=3), Opinion(Reason.EXCLUDED), PERMIT))
    assert (verdict.kind, verdict.reasons) == (Kind.PRIVATE, (Reason.PRIVATE_PREFIX,))


def test_two_permits_record_only_what_both_name() -> None:
    both = Opinion(Reason.LINE_ALLOWS, COACHING | EVIDENCE, line="orders", agent="a-1")
    verdict = check(
        [PERMIT, both], {"coaching": Action.RECORD, "evidence": Action.REFRAIN}, Outcome.RECORDING
    )
    assert verdict.purposes["evidence"] == PurposeVerdict(Action.REFRAIN, (Reason.NOT_PERMITTED,))
    assert verdict.line == "orders"


def test_a_reason_against_one_purpose_leaves_the_other() -> None:
    permit = Opinion(Reason.LINE_ALLOWS, COACHING | EVIDENCE, line="orders", agent="a-1")
    untold = Opinion(Reason.NOBODY_TOLD, COACHING)
    check([permit, untold], {"coaching": Action.REFRAIN, "evidence": Action.RECORD}, Outcome.RECORDING)


@pytest.mark.parametrize(
    ("against", "action", "outcome"),
    [
        ([Reason.NOT_ANSWERED], Action.HOLD, Outcome.PENDING),
        ([Reason.OUTSIDE_UNKNOWN], Action.HOLD, Outcome.PENDING),
        ([Reason.OBSTACLE], Action.REFRAIN, Outcome.FAILED),
        ([Reason.FAILURE, Reason.NOT_ANSWERED], Action.REFRAIN, Outcome.FAILED),
        ([Reason.DISTURBED, Reason.OBSTACLE], Action.REFRAIN, Outcome.SUPPRESSED),
        ([Reason.UNAPPROVED, Reason.FAILURE], Action.REFRAIN, Outcome.SUPPRESSED),
        ([Reason.ALREADY_ANCHORED, Reason.OBSTACLE, Reason.DISTURBED], Action.REFRAIN, Outcome.NONE),
    ],
)
def test_the_strongest_reason_decides_the_outcome(
    against: list[Reason], action: Action, outcome: Outcome
) -> None:
    verdict = check([PERMIT, *(Opinion(it) for it in against)], {"coaching": action}, outcome)
    assert set(verdict.reasons) == set(against)
    assert verdict.anchor is (action is Action.HOLD)


def test_a_failure_of_one_purpose_is_not_hidden_by_another_that_was_not_wanted() -> None:
    permit = Opinion(Reason.LINE_ALLOWS, COACHING | EVIDENCE, line="orders", agent="a-1")
    opinions = [
        permit,
        Opinion(Reason.NOBODY_TOLD, COACHING),
        Opinion(Reason.OBSTACLE, details=("ice", "srtp")),
    ]
    verdict = check(opinions, {"coaching": Action.REFRAIN, "evidence": Action.REFRAIN}, Outcome.FAILED)
    assert verdict.details == ("ice", "srtp")


def test_the_order_of_opinions_does_not_matter() -> None:
    opinions = [Opinion(it) for it in Reason if EFFECTS[it].action is not Action.RECORD]
    for chosen in combinations(opinions, 3):
        verdicts = {str(decide(FACTS, saying(*order))) for order in permutations((PERMIT, *chosen))}
        assert len(verdicts) == 1, chosen


def test_every_reason_has_an_effect_and_only_one_reason_permits() -> None:
    assert set(EFFECTS) == set(Reason)
    assert [it for it in Reason if EFFECTS[it].action is Action.RECORD] == [Reason.LINE_ALLOWS]


def test_the_facts_show_nobody() -> None:
    parties = frozenset({"+31612345678", "doctor@example.nl"})
    facts = CallFacts(Direction.OUTBOUND, parties, parties, parties, dialled="*310612345678")
    assert "612345678" not in repr(facts)
    assert "doctor" not in repr(facts)


# --- the whole product, against an oracle that knows nothing of rules, numbers or opinions ------------------

INSIDE = {
    "agent": ("201", SERVICE),
    "outbound agent": ("201",),
    "two agents": ("201", "202"),
    "stranger": ("290", SERVICE),
    "wrong line": ("201", "+31201234568"),
    "names beside": ("201", SERVICE, "201@10.0.0.9", "201-0x55d0", "agent", "pbx.example.nl", "10.0.0.9"),
    "another phone": ("201", SERVICE, "290"),
    "another phone, named": ("201", SERVICE, "290-0x55d0"),
    "another number": ("201", SERVICE, "+31612345670"),
}
OUTSIDE = {"number": "0612345678", "pattern": "14020", "feature": "*8", "internal": "270"}
DIALLED = {"itself": "", "private": "*310612345679", "emergency": "112"}
SWITCHES = ("anonymous", "answered", "approved", "already", "obstacle", "disturbed", "failure", "excluded")
NEWCOMER = Newcomer("outside", "p-asserted-identity", frozenset({"queue"}))
WISHES = ("stopped", "private code", "objection", "paused")
MORE = (*SWITCHES, *WISHES, "elsewhere", "unvouched", "doubt", "newcomer", "forward", "rumour", "claimed")


@dataclass(frozen=True, slots=True)
class Case:
    outbound: bool
    inside: str
    outside: str
    dialled: str
    on: frozenset[str]

    def facts(self) -> CallFacts:
        inside, other = frozenset(INSIDE[self.inside]), OUTSIDE[self.outside]
        outside = frozenset({other})
        excluded = {"doctor@example.nl"} if "excluded" in self.on else set()
        itself = ("*72" if "forward" in self.on else other) if self.outbound else "201"
        return CallFacts(
            Direction.OUTBOUND if self.outbound else Direction.INBOUND,
            inside,
            outside,
            inside | outside | excluded,
            itself if self.dialled == "itself" else DIALLED[self.dialled],
            anonymous="anonymous" in self.on,
            vouching=Vouching.AWAITED if "unvouched" in self.on else Vouching.NOT_NEEDED,
            answered="answered" in self.on,
            approved="approved" in self.on,
            already_anchored="already" in self.on,
            withheld_elsewhere="elsewhere" in self.on,
            obstacles=frozenset({"ice"} if "obstacle" in self.on else ()),
            stopped=None if "stopped" in self.on else frozenset(),
            withdrawn="private-code"
            if "private code" in self.on
            else "objection"
            if "objection" in self.on
            else None,
            paused="paused" in self.on,
            disturbances=frozenset({"refer"} if "disturbed" in self.on else ()),
            doubts=frozenset({Doubt.TRANSFER} if "doubt" in self.on else ()),
            newcomers=frozenset({NEWCOMER} if "newcomer" in self.on else ()),
            failures=frozenset({"no-ports"} if "failure" in self.on else ()),
            hearsay=(frozenset(), frozenset({"270"} if "rumour" in self.on else ())),
            claimed=inside if "claimed" in self.on else frozenset(),
        )


def every_case() -> list[Case]:
    settings = [
        frozenset(name for name, on in zip(SWITCHES, states, strict=True) if on)
        for states in product((False, True), repeat=len(SWITCHES))
    ]
    settings += [
        frozenset({"answered", "approved", more, it}) for it in SWITCHES for more in MORE[len(SWITCHES) :]
    ]
    return [Case(*it) for it in product((False, True), INSIDE, OUTSIDE, DIALLED, settings)]


def withheld(case: Case) -> Kind | None:
    if "private code" in case.on:
        return Kind.PRIVATE
    if case.outbound and case.dialled == "private":
        return Kind.PRIVATE
    if case.outbound and case.dialled == "emergency":
        return Kind.EMERGENCY
    if "excluded" in case.on:
        return Kind.PRIVILEGED
    if "elsewhere" in case.on:
        return Kind.RELATED
    if case.outside == "internal" or "rumour" in case.on:
        return Kind.INTERNAL
    return None if case.inside in ("agent", "outbound agent", "names beside") else Kind.UNLISTED


def oracle(case: Case) -> tuple[Kind, int, Action | None, Outcome]:
    """Kind, strip, action for the purpose with an exemption (None: no purposes at all), outcome."""
    kind = withheld(case)
    if kind is not None:
        return kind, 3 if case.outbound and case.dialled == "private" else 0, None, Outcome.NONE
    certain = case.outside in ("number", "pattern") or (not case.outbound and "anonymous" in case.on)
    uncertain = not certain or (case.outbound and "anonymous" in case.on)
    uncertain = uncertain or not case.on.isdisjoint({"unvouched", "doubt", "newcomer", "claimed"})
    kind = Kind.UNCERTAIN if uncertain else Kind.BUSINESS
    forwards = "forward" in case.on and case.outbound and case.dialled == "itself"
    kind = Kind.UNCERTAIN if forwards else kind
    kind = kind if "approved" in case.on else Kind.UNAPPROVED
    if "already" in case.on:
        return kind, 0, Action.REFRAIN, Outcome.NONE
    if forwards or case.on & {"disturbed", "stopped", "objection"} or "approved" not in case.on:
        return kind, 0, Action.REFRAIN, Outcome.SUPPRESSED
    if case.on & {"obstacle", "failure"}:
        return kind, 0, Action.REFRAIN, Outcome.FAILED
    if uncertain or "answered" not in case.on:
        return kind, 0, Action.HOLD, Outcome.PENDING
    if "paused" in case.on:
        return kind, 0, Action.PAUSE, Outcome.PENDING
    return kind, 0, Action.RECORD, Outcome.RECORDING


def summary(verdict: Verdict) -> tuple[Kind, int, Action | None, Outcome]:
    coaching = verdict.purposes.get("coaching")
    return verdict.kind, verdict.strip, coaching.action if coaching else None, verdict.outcome


def test_the_whole_product_agrees_with_the_oracle() -> None:
    for case in every_case():
        verdict = decide(case.facts(), RULES)
        assert summary(verdict) == oracle(case), case
        assert verdict.anchor is (verdict.outcome in (Outcome.PENDING, Outcome.RECORDING)), case
        assert set(verdict.recorded()) <= {"coaching"}, case


def test_a_verdict_that_is_kept_is_the_one_that_would_be_made() -> None:
    cases = every_case()
    some = cases[::STRIDE]
    for before, after in (*pairwise(some), *zip(some, cases[1::STRIDE], strict=False)):
        kept = decide(after.facts(), RULES, decide(before.facts(), RULES))
        assert str(kept) == str(decide(after.facts(), RULES)), (before, after)


def test_rules_about_who_is_there_look_at_nothing_else() -> None:
    """Else a call that was kept out once would stay so, or an agent's would not be judged again."""
    about_who = [rule for rule in RULES if is_of_who(rule)]
    assert len(about_who) == 8
    for facts in (case.facts() for case in every_case()[::STRIDE]):
        who = CallFacts(**{name: getattr(facts, name) for name in SAYING_WHO})
        for rule in about_who:
            assert list(rule(facts)) == list(rule(who)), (rule, facts)


def test_whoever_is_asked_later_keeps_nothing_out() -> None:
    """Else a call that is kept out would not be known as private, for one."""
    later = [rule for rule in RULES if not is_of_who(rule)]
    for facts in (case.facts() for case in every_case()[::STRIDE]):
        said = {EFFECTS[it.reason].kind for rule in later for it in rule(facts)}
        assert said.isdisjoint(WITHHELD), facts


def test_no_rule_is_idle() -> None:
    """The control: without any one of the rules some case of the product comes out differently."""
    one_fault = [{"answered", "approved"} ^ {switch} for switch in MORE] + [{"answered", "approved"}]
    cases = [it.facts() for it in every_case() if it.on in one_fault]
    for rule in RULES:
        fewer = tuple(it for it in RULES if it is not rule)
        assert any(str(decide(it, fewer)) != str(decide(it, RULES)) for it in cases), rule


def test_the_same_facts_and_rules_are_not_judged_again_and_others_always_are() -> None:
    rules, others = saying(PERMIT), saying(PERMIT, Opinion(Reason.EXCLUDED))
    before = decide(FACTS, rules)
    assert decide(FACTS._replace(), rules, before) is before
    assert decide(FACTS, others, before).kind is Kind.PRIVILEGED
    withheld = FACTS._replace(withheld_elsewhere=True)
    assert decide(withheld, rules, before).asked == (withheld, rules)


def test_what_a_reason_keeps_from_being_recorded_and_what_it_keeps_alone() -> None:
    permit = Opinion(Reason.LINE_ALLOWS, COACHING | EVIDENCE, line="orders", agent="a-1")
    against = Opinion(Reason.NOT_REQUESTED), Opinion(Reason.NOT_TOLD_YET, EVIDENCE)
    verdict = decide(FACTS, saying(permit, *against))
    assert verdict.because_of(Reason.NOT_REQUESTED) == COACHING | EVIDENCE
    assert verdict.because_of(Reason.NOT_REQUESTED, alone=True) == COACHING
    assert verdict.because_of(Reason.STOPPED) == set()


def test_a_permit_that_names_neither_purpose_nor_line_nor_agent_adds_none() -> None:
    verdict = decide(FACTS, saying(Opinion(Reason.LINE_ALLOWS), Opinion(Reason.LINE_ALLOWS, COACHING)))
    assert (verdict.recorded(), verdict.line, verdict.agent) == (("coaching",), None, None)


def test_a_conference_of_which_nobody_says_in_which_room_it_is_is_in_none_that_is_listed() -> None:
    customer = frozenset({"+31612345678"})
    facts = CallFacts(Direction.INBOUND, frozenset({"201"}), customer, answered=True, approved=True)
    assert Reason.DOUBTFUL not in decide(facts, RULES).reasons
    assert Reason.DOUBTFUL in decide(facts._replace(doubts=frozenset({Doubt.CONFERENCE})), RULES).reasons


def test_a_code_is_what_we_dial_and_not_what_is_dialled_to_us() -> None:
    customer = frozenset({"+31612345678"})
    for direction, is_code in ((Direction.OUTBOUND, True), (Direction.INBOUND, False)):
        facts = CallFacts(direction, frozenset({"201"}), customer, dialled="*720612345678", approved=True)
        assert (Reason.FEATURE_CODE in decide(facts, RULES).reasons) is is_code


@pytest.mark.parametrize(("listed", "called"), [("110-119", "113"), ("14*", "1499"), ("sos", "sos")])
def test_an_emergency_is_found_quickly_or_slowly_however_it_is_listed(listed: str, called: str) -> None:
    directory = Directory(replace(SCHEME, numbering=replace(SCHEME.numbering, emergency=("112", listed))))
    assert directory.is_emergency(called) and directory.is_emergency("112")
    assert directory.is_emergency(f"{SCHEME.private_prefix}{called}")
    assert not directory.is_emergency("0612345678")
