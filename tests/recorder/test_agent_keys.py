"""What an agent presses during a call: it becomes private, pauses, goes on, is recorded on demand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from recorder import agent_keys
from recorder.agent_keys import AgentKeys, Pressed, Wish
from recorder.config import parse, questionable
from recorder.effects import Destroy, TellCapture
from recorder.feature_codes import FeatureCodes
from recorder.policy import Policy
from recorder.scheme import canonical, is_stricter, scheme_hash
from recorder.scheme import parse as parse_scheme
from recorder.scheme_text import render
from sip_hooks.events import CallDisturbed, Disturbance, KeysPressed
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_config import BASE, refused
from tests.recorder.test_on_demand import running
from tests.recorder.test_related_calls import Site
from tests.recorder.test_session import ANSWER, CALL, of_kind, policy

KEYS = AgentKeys(private="*77", pause="*78", resume="*79", record="*76")
SECTIONS = """\
in_call_code = "*77"

[pause]
code = "*78"
resume_code = "*79"
limit = "60 s"

[on_demand]
code = "*76"
"""
CODES = KEYS.wishes()
BETWEEN = timedelta(seconds=4)


NONE = FeatureCodes()


def in_force(codes: FeatureCodes | None = NONE) -> Policy:
    return replace(policy(), feature_codes=codes, codes=CODES)


def pressed(*keys: tuple[str, float], pad: Pressed | None = None, way: str = "rtp") -> list[Wish]:
    pad = pad or Pressed()
    found = [pad.press(way, key, ANSWER + timedelta(seconds=at), CODES, BETWEEN) for key, at in keys]
    return [wish for one in found for wish, _ in one]


def said(site: Site, keys: str, at: float = 5.0, pressed_at: float | None = None) -> list[Any]:
    """Keys in the agent's audio; what comes of the last of them."""
    effects: list[Any] = []
    number = site.calls._sessions[CALL].number
    assert number is not None
    for key in keys:
        when = ANSWER + timedelta(seconds=at if pressed_at is None else pressed_at)
        effects = site.calls.on_keys(number, key, when, ANSWER + timedelta(seconds=at))
    return effects


def orders(effects: list[Any]) -> list[str]:
    told = [it.message["op"] for it in of_kind(effects, TellCapture)]
    return [it for it in told if it != "listen"]


# --- what is pressed


def test_a_code_is_known_among_other_keys_and_in_one_message() -> None:
    assert pressed(("1", 0), ("*", 1), ("7", 2), ("7", 3)) == [Wish.PRIVATE]
    assert pressed(("12*78", 0)) == [Wish.PAUSE]
    assert pressed(("*78*79", 0)) == [Wish.PAUSE, Wish.RESUME]
    assert pressed(("*7", 0), ("5", 1)) == [] and pressed(("**77", 0)) == [Wish.PRIVATE]


def test_keys_that_lie_far_apart_are_no_code() -> None:
    assert pressed(("*", 0), ("7", 1), ("7", 5.1)) == []
    assert pressed(("*", 0), ("7", 4), ("7", 8)) == [Wish.PRIVATE]


def test_what_is_heard_twice_is_not_mixed() -> None:
    pad = Pressed()
    assert pressed(("*", 0), pad=pad) + pressed(("*", 0), pad=pad, way="info") == []
    assert pressed(("7", 1), pad=pad) + pressed(("7", 1), pad=pad, way="info") == []
    assert pressed(("7", 2), pad=pad) == [Wish.PRIVATE]


def test_a_pause_begins_with_the_first_key_of_its_code() -> None:
    pad = Pressed()
    for key, at in (("5", 0), ("*", 1), ("7", 2)):
        pad.press("rtp", key, ANSWER + timedelta(seconds=at), CODES, BETWEEN)
    ((wish, since),) = pad.press("rtp", "8", ANSWER + timedelta(seconds=3), CODES, BETWEEN)
    assert (wish, since) == (Wish.PAUSE, ANSWER + timedelta(seconds=1))


def test_of_two_meanings_the_stronger_counts() -> None:
    both = agent_keys.joined(({"*77": Wish.RECORD, "*1": Wish.RESUME}, {"*77": Wish.PRIVATE}))
    assert both == {"*77": Wish.PRIVATE, "*1": Wish.RESUME}


# --- what comes of it


def test_the_private_code_destroys_what_was_recorded() -> None:
    site = Site(in_force()).recorded()
    effects = said(site, "*77")
    assert orders(effects) == ["discard"] and of_kind(effects, Destroy)
    assert site.calls.summaries() == []


def test_it_counts_where_nobody_knows_the_pbxs_codes_and_after_what_ended_the_recording() -> None:
    site = Site(in_force(None)).recorded()
    assert orders(said(site, "*")) == ["taint"], "any key may be a code"
    assert orders(said(site, "77")) == ["discard"]
    site = Site(in_force()).recorded()
    site.tell(CallDisturbed(CALL, Disturbance.INFO, ()))
    assert orders(said(site, "*77")) == ["discard"]


def test_keys_are_heard_for_it_although_the_pbx_has_no_codes() -> None:
    facts = Site(in_force()).recorded().calls._sessions[CALL].facts
    assert in_force().hears_keys(facts) and not in_force().heeds_keys(facts)
    assert not replace(in_force(), codes={}).hears_keys(facts)


def test_info_of_the_agent_counts_and_that_of_the_other_party_does_not() -> None:
    site = Site(in_force()).recorded()
    assert orders(site.calls.on_event(KeysPressed(CALL, "callee", "*77"), ANSWER)) == []
    assert orders(site.calls.on_event(KeysPressed(CALL, "caller", "*77"), ANSWER)) == ["discard"]


def test_pause_and_resume() -> None:
    site = Site(in_force()).recorded()
    effects = said(site, "*78", at=5.0, pressed_at=4.0)
    (order,) = [it.message for it in of_kind(effects, TellCapture)]
    assert (order["op"], order["at"]) == ("pause", (ANSWER + timedelta(seconds=4)).isoformat())
    assert orders(said(site, "*78", at=6.0)) == [], "again changes nothing"
    assert orders(said(site, "*79", at=7.0)) == ["resume"]
    assert orders(said(site, "*79", at=8.0)) == []


def test_a_call_is_recorded_on_demand_from_the_code_on() -> None:
    calls, call = running()
    calls._policy = replace(calls._policy, codes=CODES)
    number = calls._sessions[CALL].number
    assert number is not None
    effects = calls.on_keys(number, "*76", ANSWER, ANSWER)
    (begun,) = [it.message for it in of_kind(effects, TellCapture) if it.message["op"] == "begin"]
    assert [it["purpose"] for it in begun["recordings"]] == ["assessment"]
    assert [row["purposes"] for row in calls.summaries() if row["call"] == call] == [
        ["assessment", "coaching"]
    ]


# --- how it is written


def configured(sections: str = SECTIONS, text: str = CONFIGURATION) -> str:
    before, after = text.split("[private]\n")
    prefix, rest = after.split("\n", 1)
    return f"{before}[private]\n{prefix}\n{sections}\n{rest}"


def test_the_scheme_has_the_codes_and_says_them() -> None:
    scheme = parse(configured(), "c.toml", BASE).scheme()
    assert scheme.agent_keys == AgentKeys("*77", "*78", "*79", "*76", 60)
    assert parse_scheme(canonical(scheme)) == scheme
    text = render(scheme)
    assert all(code in text for code in CODES) and "at most 60 s" in text


def test_a_scheme_without_them_is_signed_as_it_was() -> None:
    scheme = parse(CONFIGURATION, "c.toml", BASE).scheme()
    assert b"agent_keys" not in canonical(scheme)
    assert scheme_hash(scheme) != scheme_hash(replace(scheme, agent_keys=KEYS))


@pytest.mark.parametrize(
    ("approved", "current", "is_allowed"),
    [
        (AgentKeys(), AgentKeys(private="*77"), True),
        (AgentKeys(private="*77"), AgentKeys(), False),
        (AgentKeys(private="*77"), AgentKeys(private="*7#"), False),
        (AgentKeys(pause="*78", resume="*79"), AgentKeys(pause="*78", resume="*79", pause_seconds=200), True),
        (AgentKeys(pause="*78", resume="*79"), AgentKeys(pause="*78", resume="*79", pause_seconds=60), False),
        (AgentKeys(record="*76"), AgentKeys(), True),
        (AgentKeys(), AgentKeys(record="*76"), False),
        (AgentKeys(), AgentKeys(resume="*79"), False),
    ],
)
def test_what_lets_more_be_kept_needs_a_signature(
    approved: AgentKeys, current: AgentKeys, is_allowed: bool
) -> None:
    scheme = parse(CONFIGURATION, "c.toml", BASE).scheme()
    before, after = (replace(scheme, agent_keys=it) for it in (approved, current))
    assert is_stricter(before, after) is is_allowed


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ('in_call_code = "7"', "2 to 8 keys"),
        ('in_call_code = "*77"\n[pause]\ncode = "*7"\nresume_code = "*9"', "are pressed together"),
        ('[pause]\ncode = "*78"', "has one code of two"),
        ('[pause]\ncode = "*78"\nresume_code = "*78"', "are pressed together"),
        ('[pause]\ncode = "*78"\nresume_code = "*79"\nlimit = "5 s"', "after 10 s to 1800 s"),
        ('[on_demand]\ncode = "*310"', "contains the private prefix"),
        ('in_call_code = "##7"', "the PBX's code ##"),
    ],
)
def test_what_contradicts_is_refused_in_words(sections: str, says: str) -> None:
    text = configured(sections).replace("[feature_codes]", '[feature_codes]\ntransfer = ["##"]')
    assert says in "\n".join(refused(text))


def test_a_code_to_pause_needs_to_know_the_pbxs_codes_and_the_private_one_does_not() -> None:
    text = configured().replace("\n[feature_codes]\n", "")
    said_of = "\n".join(refused(text))
    assert said_of.count("write a section [feature_codes]") == 3 and "in_call_code" not in said_of


def test_a_code_on_demand_without_such_a_purpose_is_questionable() -> None:
    assert "so pressing it does nothing" in str(questionable(parse(configured(), "c.toml", BASE)))
