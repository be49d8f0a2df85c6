"""Each rule is switched off, and the simulator notices: who notices nothing proves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from recorder import facts as told
from recorder.calls import Calls
from recorder.decision import CallFacts, Rule
from recorder.facts import disturbed
from recorder.policy import Policy
from recorder.rules import _Lookup
from recorder.session import Session
from recorder.spreading import Spreading
from recorder.taping import Taping
from recorder.trunk_legs import TrunkLegs
from simulate import branching, keys, openings, transfers, trunk, turns, uncertain
from simulate.history import Opening, Turn, happen, seeded
from simulate.people import HORIZON_SECONDS, policy
from simulate.recording import Media
from sip_hooks import call, identity, registration
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
    "_not_paused": (openings.customer_calls, [keys.pauses]),
    "_undisturbed": (openings.customer_calls, [transfers.taken_over]),
    "certain": (openings.customer_calls, [transfers.blind]),
    "feature_codes": (uncertain.forwards, QUIET),
    "newcomers": (openings.customer_calls, [turns.becomes_nobody]),
    "_possible": (uncertain.keyed, QUIET),
    "_inside_vouched_for": (trunk.trunk_brings, [trunk.goes_on]),
}

UNSEEN = {"_anchored_once", "_not_withdrawn"}
"""The first lets a conversation be accounted for once; the pass that it concerns has no agent at its end. The
second lets nothing begin in a call that is withdrawn: what has begun there is destroyed and never begun anew.
"""

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


# --- keys


def test_a_caller_who_is_believed_to_call_an_agent_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "_claimed", lambda *_: frozenset())
    assert is_caught(uncertain.claimed, QUIET)


def test_an_account_that_is_not_read_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "LONGEST_ACCOUNT", 0)
    assert is_caught(uncertain.claimed, QUIET)


def test_keys_in_media_that_are_not_told_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "on_keys", lambda *_: [])
    assert is_caught(openings.customer_calls, [keys.presses_feature_code])


def test_keys_in_a_call_that_is_only_listened_to_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Media, "hears", lambda self, session, *_: self._taps[session].level == "all")
    assert is_caught(openings.customer_calls, [keys.presses_around_a_hold])


def test_keys_of_the_other_party_that_are_heeded_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Media, "hears", lambda self, session, *_: session in {it for it, _ in self._listened})
    monkeypatch.setattr(Session, "is_outside", lambda *_: False)
    assert is_caught(openings.customer_calls, [keys.other_presses])


def test_a_key_that_counts_from_when_it_was_told_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    on_keys = Calls.on_keys
    monkeypatch.setattr(
        Calls, "on_keys", lambda self, number, said, _, at: on_keys(self, number, said, at, at)
    )
    assert is_caught(openings.customer_calls, [keys.presses_feature_code])


def test_a_first_key_that_is_forgotten_with_the_horizon_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = policy().feature_codes
    assert codes is not None
    hasty = replace(policy(), feature_codes=replace(codes, key_seconds=int(HORIZON_SECONDS)))
    assert is_caught(openings.customer_calls, [keys.presses_feature_code], in_force=hasty)


def test_a_private_code_that_nobody_heeds_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spreading, "withdraw", lambda *_: [])
    assert is_caught(openings.customer_calls, [keys.becomes_private])


def test_a_pause_that_is_not_told_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Taping, "pause", lambda *_: [])
    assert is_caught(openings.customer_calls, [keys.pauses])


def test_keys_whose_time_is_never_over_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "on_reminder", lambda *_: [])
    assert is_caught(openings.customer_calls, [keys.presses_keys])


@pytest.mark.parametrize("entry", ["on_keys", "on_reminder", "on_event"])
def test_what_becomes_of_keys_in_one_call_and_not_in_the_one_beside_it_is_noticed(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weigh, act = Spreading.weigh_company, getattr(Calls, entry)

    def alone(self: Calls, *arguments: Any) -> Any:
        monkeypatch.setattr(Spreading, "weigh_company", lambda *_: [])
        try:
            return act(self, *arguments)
        finally:
            monkeypatch.setattr(Spreading, "weigh_company", weigh)

    monkeypatch.setattr(Calls, entry, alone)
    assert is_caught(openings.customer_calls, [keys.beside])


# --- conference rooms


@pytest.mark.parametrize(
    ("are_permitted", "opening"), [(True, uncertain.conference), (False, uncertain.room)]
)
def test_a_room_is_a_room_of_the_list_and_no_other(
    are_permitted: bool, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rooms permitted: somebody is kept who must not be. None: what is owed is missing."""
    assert not is_caught(opening, QUIET)
    monkeypatch.setattr(_Lookup, "_are_permitted", lambda *_: are_permitted)
    assert is_caught(opening, QUIET)


def test_a_call_that_is_taken_into_a_conference_unnoticed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Lookup, "_are_permitted", lambda *_: True)
    assert is_caught(openings.customer_calls, [turns.becomes_a_conference])


# --- the trunk


def test_a_pause_that_leaves_what_is_held_is_missed_on_the_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens inside is told as late as the horizon is long."""
    monkeypatch.setattr(Policy, "horizon_of", lambda self, _: self.horizon)
    assert is_caught(trunk.trunk_brings, [trunk.passes_on])


def test_a_witness_that_falls_silent_unnoticed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "on_evidence_lost", lambda *_: [])
    assert is_caught(trunk.trunk_takes, [trunk.falls_silent])


@pytest.mark.parametrize("what", ["is_disturbed_by", "disturb"])
def test_a_discontinuity_that_takes_nothing_back_is_missed(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrunkLegs, what, lambda *_: False)
    assert is_caught(trunk.trunk_brings, [trunk.goes_on])


def test_a_break_in_the_media_that_is_not_heard_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "on_discontinuity", lambda *_: [])
    assert is_caught(trunk.trunk_brings, [trunk.goes_on])
