"""The outside party, who is told of recording, presses the key by which it objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recorder.config import parse
from recorder.effects import Destroy, NoteOutcome, NoteWithheld, Play, StopPlaying, Tap, TellCapture
from recorder.policy import Announcement, Policy
from recorder.scheme import canonical, is_stricter
from recorder.scheme import parse as parse_scheme
from recorder.scheme_text import render
from sip_hooks.events import CallAnswered, CallEnded, KeysPressed
from tests.recorder.test_announcing import FILE, LATER, TOLD, heard
from tests.recorder.test_config import BASE, refused
from tests.recorder.test_feature_codes import CODES
from tests.recorder.test_private_calls import orders
from tests.recorder.test_related_calls import CUSTOMER, Site
from tests.recorder.test_session import ANSWER, CALL, END, named, of_kind, policy

OFFERED = TOLD.replace('announcement = "nl.wav"', 'announcement = "nl.wav"\nobjection_key = "9"')


def in_force(**changes: Any) -> Policy:
    known = {"coaching": Announcement(FILE, True)}
    offers = {"coaching": frozenset({"9"})}
    return replace(policy(TOLD), announcements=known, **({"objections": offers} | changes))


def told(site: Site) -> Site:
    """A call in which the announcement is played."""
    site.offer(CALL, CUSTOMER)
    site.answer(CALL)
    return site


def recorded(**changes: Any) -> Site:
    site = told(Site(in_force(**changes)))
    assert orders(site.calls.on_announced(CALL, 1, heard(), LATER)) == ["begin"]
    return site


def pressed(site: Site, keys: str, sender: Any = "callee") -> list[Any]:
    return list(site.calls.on_event(KeysPressed(CALL, sender, keys), LATER))


def test_what_was_recorded_is_destroyed_and_the_call_is_in_the_ledger() -> None:
    site = recorded()
    effects = pressed(site, "9")
    assert orders(effects) == ["discard"]
    assert [it.reason for it in of_kind(effects, Destroy)] == ["objection"]
    assert site.calls.summaries()[0]["reasons"] == ["objection"]
    (recording,) = site.calls._sessions[CALL].recordings()
    site.calls.on_capture({"event": "discarded", "recording": recording})
    (note,) = of_kind(list(site.calls.on_event(CallEnded(CALL, END, "bye", 200), END)), NoteOutcome)
    assert (note.outcome, note.reasons, note.purposes) == ("suppressed", ("objection",), ())


def test_during_the_announcement_it_ends_that_too_and_nothing_is_recorded() -> None:
    site = told(Site(in_force()))
    effects = pressed(site, "9")
    assert of_kind(effects, StopPlaying) and not of_kind(effects, Play)
    assert orders(site.calls.on_announced(CALL, 1, heard(), LATER)) == []


def test_another_key_another_party_and_another_scheme_change_nothing() -> None:
    assert orders(pressed(recorded(), "123")) == []
    assert orders(pressed(recorded(), "9", sender="caller")) == []
    assert orders(pressed(recorded(objections={}), "9")) == []
    assert orders(pressed(recorded(objections={"evidence": frozenset({"9"})}), "9")) == []


def test_before_the_answer_it_counts_for_nothing() -> None:
    site = Site(in_force())
    site.offer(CALL, CUSTOMER)
    assert of_kind(pressed(site, "9"), Destroy) == []


def test_a_call_to_which_somebody_objected_may_yet_become_private() -> None:
    site = recorded()
    pressed(site, "9")
    done = site.calls.make_private(site.calls._sessions[CALL].id, LATER)
    assert done is not None and [it.reason for it in of_kind(done.effects, Destroy)] == ["private-code"]
    (recording,) = site.calls._sessions[CALL].recordings()
    site.calls.on_capture({"event": "discarded", "recording": recording})
    notes = list(site.calls.on_event(CallEnded(CALL, END, "bye", 200), END))
    assert of_kind(notes, NoteWithheld) and not of_kind(notes, NoteOutcome)


def test_the_reverse_leaves_a_private_call_private() -> None:
    site = recorded()
    site.calls.make_private(site.calls._sessions[CALL].id, ANSWER)
    assert of_kind(pressed(site, "9"), Destroy) == []


# --- heard in the media


def with_events(site: Site) -> list[Any]:
    """The call is answered; both telephones know events for keys."""
    made = replace(
        site.media(CALL), caller=with_key_events(site, "caller"), callee=with_key_events(site, "callee")
    )
    site.tell(made)
    return list(site.calls.on_event(CallAnswered(CALL, ANSWER, "t", named("callee", CUSTOMER)), ANSWER))


def with_key_events(site: Site, role: Any) -> Any:
    return replace(getattr(site.media(CALL), role), telephone_events=frozenset({101}))


def in_media(**changes: Any) -> tuple[Site, list[Any]]:
    site = Site(in_force(**changes))
    site.offer(CALL, CUSTOMER)
    return site, with_events(site)


def listened(effects: list[Any]) -> set[tuple[str, tuple[int, ...]]]:
    told = [it.message for it in of_kind(effects, TellCapture) if it.message["op"] == "listen"]
    return {(it["side"], tuple(it["payload_types"])) for it in told}


def test_its_key_is_listened_for_from_the_announcement_on_and_counts_in_media_too() -> None:
    site, effects = in_media()
    assert listened(effects) == {("b", (101,))}, "of the agent no key matters to this PBX"
    assert of_kind(effects, Tap)[-1].keys == (("b", (101,)),)
    number = site.calls.numbers()[0]
    assert of_kind(list(site.calls.on_keys(number, "9", LATER, LATER, "rtp", "a")), Destroy) == []
    effects = list(site.calls.on_keys(number, "9", LATER, LATER, "rtp", "b"))
    assert [it.reason for it in of_kind(effects, Destroy)] == ["objection"]
    assert listened(effects) == {("b", ())}, "there is nothing more to object to"


def test_who_cannot_object_is_not_listened_to() -> None:
    assert listened(in_media(objections={})[1]) == set()


def test_both_parties_are_listened_to_where_the_agents_keys_matter() -> None:
    _, effects = in_media(feature_codes=CODES)
    assert listened(effects) == {("a", (101,)), ("b", (101,))}
    assert of_kind(effects, Tap)[-1].keys == (("a", (101,)), ("b", (101,)))


def test_where_keys_were_missed_the_outside_party_may_have_objected() -> None:
    site = recorded()
    site.tell(replace(site.media(CALL), caller=with_key_events(site, "caller")))
    assert "taint" in orders(site.calls.on_media_back(LATER))


def test_the_scheme_says_it_and_to_offer_it_needs_no_new_signature() -> None:
    before, scheme = (parse(it, "c.toml", BASE).scheme() for it in (TOLD, OFFERED))
    assert b"objection_key" not in canonical(before) and parse_scheme(canonical(scheme)) == scheme
    assert "who presses 9 is not recorded" in render(scheme)
    assert is_stricter(before, scheme) and not is_stricter(scheme, before)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OFFERED.replace('"9"', '"99"'), "one key: a digit, * or #"),
        (
            OFFERED.replace('announcement = "nl.wav"', 'announcement_exemption = "told"').replace(
                f'announcement_sha256 = "{FILE}"\n', ""
            ),
            "nobody tells the other party of it",
        ),
    ],
)
def test_what_contradicts_is_refused_in_words(text: str, says: str) -> None:
    assert says in "\n".join(refused(text))
