"""Each rule is switched off, and the simulator notices: who notices nothing proves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from recorder import facts as told
from recorder.decision import CallFacts, Rule
from recorder.facts import disturbed
from simulate import branching, openings, transfers, turns, uncertain
from simulate.history import Opening, Turn, happen, seeded
from simulate.people import policy
from sip_hooks import call, identity
from sip_hooks.events import Disturbance
from sip_hooks.identity import Identities, Identity

QUIET: Sequence[Turn] = [turns.refreshes]
ATTEMPTS = 150

# By the name of the rule, on which path it shows that it is missing.
RULES: dict[str, tuple[Opening, Sequence[Turn]]] = {
    "private_prefix": (openings.private, QUIET),
    "emergency": (openings.emergency, QUIET),
    "exclusions": (openings.forwarded_by_never, QUIET),
    "internal": (openings.calls_never, QUIET),
    "outside_evidence": (uncertain.feature_code, QUIET),
    "placement": (openings.calls_customer, QUIET),
    "nobody_else": (uncertain.guest, QUIET),
    "_untold.<locals>.<lambda>": (openings.calls_customer, QUIET),
    "_chosen.<locals>.not_requested": (openings.calls_customer, QUIET),
    "_withheld_elsewhere": (branching.twice_masked, QUIET),
    "_approval": (openings.customer_calls, QUIET),
    "_inside_known": (uncertain.hidden_inside, QUIET),
    "_answered": (openings.customer_calls, QUIET),
    "_not_stopped": (openings.customer_calls, [turns.stops]),
    "_undisturbed": (openings.customer_calls, [transfers.taken_over]),
    "certain": (openings.customer_calls, [transfers.blind]),
    "feature_codes": (uncertain.forwards, QUIET),
    "newcomers": (openings.customer_calls, [turns.becomes_nobody]),
    "_possible": (uncertain.keyed, QUIET),
}

UNSEEN = {"_anchored_once", "_inside_vouched_for"}
"""The first sees to it that a conversation is accounted for once; the pass that it concerns has no agent at
its end. The second is about the trunk side, where no history happens."""

HEADERS: dict[str, Opening] = {
    "from": openings.customer_calls,
    "p-asserted-identity": openings.answered_by_never,
    "p-preferred-identity": openings.answered_by_never,
    "remote-party-id": openings.answered_by_never,
    "x-fs-display-number": openings.answered_by_never,
    "diversion": openings.forwarded_by_never,
    "history-info": openings.forwarded_by_never,
    "referred-by": openings.forwarded_by_never,
    "p-called-party-id": openings.shared_line,
}
"""Not Contact, To and Request-URI: each says again what another of them says, also of the next message."""

CAUSES: dict[str, tuple[Opening, Sequence[Turn]]] = {
    "refer": (openings.customer_calls, [transfers.blind]),
    "replaces": (openings.customer_calls, [transfers.taken_over]),
    "join": (openings.customer_calls, [transfers.taken_over]),
    "identity-changed": (openings.customer_calls, [turns.takes_the_phone]),
    "second-answer": (branching.two_answers, QUIET),
}


def name_of(rule: Rule) -> str:
    """A rule is called by its name within its class or maker."""
    return rule.__qualname__.removeprefix("_Lookup.")


def is_caught(opening: Opening, then: Sequence[Turn], **more: Any) -> bool:
    """Whether any of some histories on this path does not hold."""
    outcomes = (happen(seeded(6, it), among=[opening], then=then, **more) for it in range(ATTEMPTS))
    return any(not outcome.holds for outcome in outcomes)


def test_every_rule_has_a_control() -> None:
    assert {name_of(rule) for rule in policy().rules} == RULES.keys() | UNSEEN


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_taken_out_is_missed(name: str) -> None:
    kept = tuple(rule for rule in policy().rules if name_of(rule) != name)
    opening, then = RULES[name]
    assert is_caught(opening, then, in_force=replace(policy(), rules=kept))
    assert not is_caught(opening, then)


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_is_not_read_is_missed(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = identity.identities

    def blind(message: Any) -> Identities:
        found = read(message)
        return replace(found, named=tuple(it for it in found.named if it.header != header))

    monkeypatch.setattr(call, "identities", blind)
    assert is_caught(HEADERS[header], QUIET)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_disturbance_that_is_not_heeded_is_missed(cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(facts: CallFacts, happened: Disturbance, named: Iterable[Identity]) -> CallFacts:
        return facts if happened == cause else disturbed(facts, happened, named)

    monkeypatch.setattr(told, disturbed.__name__, deaf)
    assert is_caught(*CAUSES[cause])
