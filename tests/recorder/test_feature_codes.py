"""Feature codes and conference rooms: who speaks is unknown, until somebody says so or it does not matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from recorder.config import parse, questionable
from recorder.decision import CallFacts, Direction, Reason, decide
from recorder.effects import Remind, TellCapture
from recorder.explanation import imagine
from recorder.feature_codes import FeatureCodes, joined
from recorder.policy import Policy
from recorder.rules import compile_rules
from recorder.scheme import canonical, is_stricter
from recorder.scheme import parse as parse_scheme
from recorder.scheme_text import render
from sip_hooks.events import CallDisturbed, Disturbance, KeysPressed, KeysTaken
from sip_hooks.identity import Identity
from tests.recorder.schemes import CONFIGURATION
from tests.recorder.test_config import BASE, refused, small
from tests.recorder.test_never_record import ENDED, PAUSED, WENT_ON, did
from tests.recorder.test_related_calls import CUSTOMER, SECOND, Site
from tests.recorder.test_session import ANSWER, CALL, of_kind, offered, policy
from tests.recorder.test_session import session as session_of

SECTION = """\
[feature_codes]
pickup = ["*8"]
directed_pickup = ["**", "0777"]
park = ["700"]
retrieve = ["701-720"]
intercom = ["*80"]
forward = ["*72"]
transfer = ["##"]
attended_transfer = ["*2"]

[conferences]
rooms = ["850-859"]

[private]"""
NO_SECTION = CONFIGURATION.replace("\n[feature_codes]\n", "")
TEXT = NO_SECTION.replace("[private]", SECTION)
SCHEME = parse(TEXT, "c.toml", BASE).scheme()
RULES = compile_rules(SCHEME)
CODES = SCHEME.feature_codes
assert CODES is not None


def in_force(codes: FeatureCodes | None = CODES) -> Policy:
    return replace(policy(TEXT), feature_codes=codes)


# --- codes that are dialled


def dialling(dialled: str, *named: str, **changes: Any) -> CallFacts:
    """An answered call of the agent; the answer names somebody."""
    outside = frozenset({dialled, f"{dialled}@pbx.example", *named})
    facts = CallFacts(
        Direction.OUTBOUND, frozenset({"201"}), outside, outside, dialled, answered=True, approved=True
    )
    return facts._replace(**changes)


@pytest.mark.parametrize("code", ["*8", "**201", "700", "701", "720", "*80230", "0777201", "07771234567"])
def test_who_answers_a_code_is_unknown_until_a_number_is_named(code: str) -> None:
    verdict = decide(dialling(code), RULES)
    assert verdict.recorded() == ()
    assert Reason.OUTSIDE_UNKNOWN in verdict.reasons
    assert verdict.anchor, "it may still turn out to be a customer"
    assert decide(dialling(code, CUSTOMER), RULES).recorded() == ("coaching",)


def test_a_code_that_looks_like_a_number_is_a_number_where_it_is_not_listed() -> None:
    """The control."""
    without = compile_rules(replace(SCHEME, feature_codes=None))
    assert decide(dialling("0777201"), without).recorded() == ("coaching",)


@pytest.mark.parametrize("named", ["250", "202"])
def test_who_is_named_and_must_not_be_recorded_is_not(named: str) -> None:
    assert decide(dialling("*8", named), RULES).recorded() == ()


def test_telling_the_pbx_where_calls_go_is_nobodys_call() -> None:
    verdict = decide(dialling("*720612345678", CUSTOMER), RULES)
    assert (verdict.recorded(), verdict.anchor) == ((), False)
    assert Reason.FEATURE_CODE in verdict.reasons


@pytest.mark.parametrize("number", ["+31777123456", "0612345678", "7010", "1701", "*9", "*7", "x*8"])
def test_what_is_no_code_is_none(number: str) -> None:
    assert CODES is not None and CODES.dialled_as(number) is None


def test_explain_says_what_a_code_is() -> None:
    assert CODES is not None
    assert CODES.said_of("*8") == [("pickup", "takes a call that rings elsewhere")]
    assert [kind for kind, _ in CODES.said_of("##")] == ["transfer"]
    (case,) = imagine(SCHEME, RULES, True, "201", "*8")
    assert case.speaks == (Reason.OUTSIDE_UNKNOWN,)


# --- keys during a call


class Keys:
    """A recorded call whose agent presses keys."""

    def __init__(self, codes: FeatureCodes | None = CODES) -> None:
        self.site = Site(in_force(codes))
        self.site.recorded()

    def press(self, keys: str, sender: Any = "caller", seconds: float = 0.0) -> list[str]:
        effects: list[Any] = []
        for key in keys:
            event = KeysPressed(CALL, sender, key)
            effects = self.site.calls.on_event(event, ANSWER + timedelta(seconds=seconds))
            self.reminded = of_kind(effects, Remind)
            taken = KeysTaken(CALL, sender)
            effects += self.site.calls.on_event(taken, ANSWER + timedelta(seconds=seconds))
        return did(effects)

    def wait(self, seconds: float) -> list[str]:
        return did(self.site.calls.on_reminder(CALL, ANSWER + timedelta(seconds=seconds)))


@pytest.mark.parametrize("code", ["##", "*2"])
def test_from_the_first_key_of_a_code_on_nothing_is_kept(code: str) -> None:
    keys = Keys()
    assert keys.press(code[0]) == PAUSED
    assert keys.press(code[1]) == []
    assert keys.press("250#", seconds=2) == []
    assert keys.wait(100) == [], "nobody knows any more who speaks"


def test_keys_for_somebodys_menu_cost_nothing() -> None:
    assert Keys().press("1234567890") == []


def test_the_time_of_a_key_is_over_after_the_codes_have_gone_from_the_scheme() -> None:
    """From then on any key may be one: what has begun stays in doubt."""
    keys = Keys()
    assert keys.press("*") == PAUSED
    keys.site.calls.on_policy(in_force(None), ANSWER)
    assert keys.site.calls.on_reminder(CALL, ANSWER + timedelta(seconds=60)) == []


def test_the_beginning_of_a_code_that_is_none_costs_the_time_until_that_is_known() -> None:
    keys = Keys()
    assert keys.press("*") == PAUSED
    assert keys.press("1") == WENT_ON
    assert keys.press("#", seconds=2) == PAUSED
    assert [it.seconds for it in keys.reminded] == [5.0]
    assert keys.wait(5.9) == []
    assert keys.wait(6.1) == WENT_ON


def test_the_other_party_has_no_codes() -> None:
    assert Keys().press("##", sender="callee") == []


def test_a_reminder_for_a_call_that_is_over_is_nothing() -> None:
    assert Keys().site.calls.on_reminder(SECOND, ANSWER) == []


def test_without_a_list_any_key_may_be_a_code() -> None:
    keys = Keys(None)
    assert keys.press("1") == ENDED
    (note,) = [it for it in keys.site.calls.summaries() if it["state"] == "not recorded"]
    assert "disturbed" in note["reasons"]


def test_a_message_of_which_nobody_knows_what_it_does_ends_the_recording() -> None:
    keys = Keys()
    assert keys.site.tell(CallDisturbed(CALL, Disturbance.INFO, ())) == ENDED


def test_no_order_and_no_event_shows_a_key() -> None:
    keys = Keys()
    effects = keys.site.calls.on_event(KeysPressed(CALL, "caller", "#"), ANSWER)
    assert of_kind(effects, TellCapture)
    assert "#" not in repr(effects) + repr(KeysPressed(CALL, "caller", "#"))


# --- rooms


def in_room(*rooms: str, dialled: str = "850") -> CallFacts:
    made = session_of(offered("201", dialled), in_force())
    for room in rooms:
        contact = Identity("callee", "contact", room, f"{room}@192.0.2.20")
        made.on_event(CallDisturbed(CALL, Disturbance.CONFERENCE, (contact,) if room else ()), ANSWER)
    facts: CallFacts = made.facts
    return facts._replace(answered=True)


def test_a_listed_room_is_recorded_whoever_is_in_it() -> None:
    assert decide(in_room("850"), RULES).recorded() == ("coaching",)
    assert decide(in_room(), RULES).recorded() == ("coaching",), "a server need not say that it is one"


@pytest.mark.parametrize("rooms", [("860",), ("850", "860"), ("",), ("850", ""), ("conf-1234",)])
def test_any_other_room_is_not(rooms: tuple[str, ...]) -> None:
    assert decide(in_room(*rooms), RULES).recorded() == ()


def test_a_call_that_becomes_a_conference_in_an_unlisted_room_is_not_recorded() -> None:
    assert decide(in_room("860", dialled="0612345678"), RULES).recorded() == ()


def test_in_a_listed_room_every_other_doubt_counts() -> None:
    made = in_room("850")._replace(disturbances=frozenset({"join"}))
    assert decide(made, RULES).recorded() == ()


# --- the scheme and the file


def test_what_was_signed_before_there_were_codes_stays_signed() -> None:
    old = replace(SCHEME, feature_codes=None, rooms=())
    assert b"feature_codes" not in canonical(old) and b"rooms" not in canonical(old)


def test_the_canonical_form_reads_back() -> None:
    document = canonical(SCHEME)
    assert canonical(parse_scheme(document)) == document
    assert parse_scheme(document).rooms == ("850-859",)


def test_more_codes_and_fewer_rooms_are_stricter_and_the_reverse_is_not() -> None:
    assert CODES is not None
    more = replace(SCHEME, feature_codes=replace(CODES, park_call=("#72",), key_seconds=4), rooms=())
    assert is_stricter(SCHEME, more)
    assert not is_stricter(more, SCHEME)
    unknown = replace(SCHEME, feature_codes=None)
    assert not is_stricter(unknown, SCHEME) and not is_stricter(SCHEME, unknown)


def test_two_schemes_together_have_the_codes_of_both() -> None:
    one, other = FeatureCodes(transfer=("##",)), FeatureCodes(transfer=("*1",), key_seconds=9)
    assert joined([one, other]) == FeatureCodes(transfer=("##", "*1"), key_seconds=9)
    assert joined([one, None]) is None


def test_the_scheme_as_people_read_it_names_every_code_and_room() -> None:
    text = render(SCHEME)
    for code in ("*8", "**, 0777", "700", "701-720", "*80", "*72", "##", "*2", "850-859"):
        assert code in text
    assert "not listed" in render(replace(SCHEME, feature_codes=None))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('pickup = ["*8 "]', "1 to 8 keys"),
        ('pickup = ["E"]', "1 to 8 keys"),
        ('transfer = ["##", "x"]', "1 to 8 keys"),
        ('retrieve = ["720-701"]', "no range"),
        ('retrieve = ["70-720"]', "no range"),
        ('pickup = ["*31"]', "private prefix"),
        ('directed_pickup = ["*3"]', "private prefix"),
        ('directed_pickup = ["11"]', "emergency number 112"),
        ('pickup = ["112"]', "emergency number 112"),
        ('forward = ["0"]', "begin with 0"),
        ('pickup = ["201"]', "extension of agent"),
        ("key_seconds = 0", "key_seconds"),
        ("key_seconds = 31", "key_seconds"),
        ('hook = ["*9"]', "hook"),
    ],
)
def test_a_code_that_cannot_be_meant_is_refused_with_the_remedy(line: str, what: str) -> None:
    (problem,) = refused(small(("[private]", f"[feature_codes]\n{line}\n\n[private]")))
    assert what in problem and "c.toml" in problem


def test_a_room_among_our_own_numbers_would_never_be_recorded() -> None:
    (problem,) = refused(CONFIGURATION.replace("[private]", '[conferences]\nrooms = ["280"]\n\n[private]'))
    assert "numbering.internal" in problem


def test_a_horizon_that_is_shorter_than_what_a_key_takes_is_refused() -> None:
    text = TEXT.replace('ports = "20000-20999"', 'ports = "20000-20999"\nhorizon = "500 ms"')
    (problem,) = refused(text)
    assert "media.horizon" in problem
    assert parse(
        text.replace("[feature_codes]", "[feature_codes]\n#")
        .replace('transfer = ["##"]', "")
        .replace('attended_transfer = ["*2"]', ""),
        "c.toml",
        BASE,
    )


def test_a_file_that_says_nothing_of_codes_is_told_what_that_costs() -> None:
    said = questionable(parse(NO_SECTION, "c.toml", BASE))
    assert any("leave the section empty" in it for it in said)
    assert not any(
        "leave the section empty" in it for it in questionable(parse(CONFIGURATION, "c.toml", BASE))
    )
