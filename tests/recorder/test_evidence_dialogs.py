"""Dialog events (RFC 4235): an extension vouches while a full state that was asked for says that it is in
this call and in no other. Whatever else is told can only take that away.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from recorder.evidence.dialogs import REFUSED_FOR, WATCH_SECONDS
from recorder.evidence.statements import ASK_AFTER, LOST_AFTER
from tests.fakes.notifier import (
    CALL,
    FOCUS,
    HELD,
    OTHER_ID,
    Line,
    Told,
    dialog,
    document,
)

AGENT = frozenset({"201"})
HORIZON = timedelta(seconds=5)


def talking(*extensions: str) -> Line:
    """The first extension is in the call, and that is said."""
    line = Line(*extensions)
    line.passes(0)
    line.tells(line.extensions[0], dialog())
    assert line.inside() == AGENT
    return line


def test_an_extension_that_is_in_the_call_vouches_as_of_when_it_was_asked() -> None:
    line = Line()
    assert line.passes(0) == []
    assert line.reader.is_ready
    line.now += timedelta(seconds=3)
    (said,) = line.tells("201", dialog())
    assert (said.conversation, said.inside, said.at) == (CALL, AGENT, line.now)


def test_a_call_that_was_there_before_is_found() -> None:
    line = Line(dialogs={"201": [dialog()]})
    line.passes(0)
    assert line.inside() == AGENT


def test_whatever_its_end_is_called_besides_is_said_too() -> None:
    line = Line()
    line.passes(0)
    line.tells("201", dialog(name="sip:+31201234567@pbx.example"))
    assert line.inside() == frozenset({"201", "+31201234567"})


@pytest.mark.parametrize("state", ["trying", "proceeding", "early", "terminated"])
def test_a_call_that_is_not_confirmed_vouches_for_nobody(state: str) -> None:
    line = Line()
    line.passes(0)
    assert line.tells("201", dialog(state)) == []
    assert line.pbx.looks() == 0


@pytest.mark.parametrize(
    "dialogs",
    [
        [dialog(more=HELD)],
        [dialog(more=FOCUS)],
        [dialog(), dialog(call_id=OTHER_ID, id="2")],
        [dialog(), dialog(id="2")],
        [dialog(call_id="")],
        [dialog("early", OTHER_ID), dialog()],  # two of one name
        [dialog(), "<dialog id='2' call-id='x'/>"],
        ["<dialog id='1' call-id='7f1c4d@198.51.100.5'/>"],
        ["<dialog/>"],
        [],
    ],
)
def test_what_is_not_certain_is_said_of_nobody_and_takes_back_what_was_said(dialogs: list[str]) -> None:
    line = talking()
    line.tells("201", *dialogs)
    assert line.inside() is None
    fresh = Line(dialogs={"201": dialogs})
    fresh.passes(0)
    assert {it.inside for it in fresh.said} <= {None}


def test_a_second_call_that_only_rings_changes_nothing() -> None:
    line = talking()
    said = line.tells("201", dialog(), dialog("early", OTHER_ID, id="2"))
    assert [it.inside for it in said] == [AGENT]


def test_a_call_that_two_extensions_are_in_is_nobodys() -> None:
    line = talking("201", "202")
    line.tells("202", dialog(name="sip:202@pbx.example"))
    assert line.inside() is None
    line.passes()
    assert line.inside() is None
    line.tells("202")
    line.passes()
    assert line.inside() == AGENT


def test_a_call_that_has_ended_is_taken_back_at_once_even_if_the_next_look_is_not_answered() -> None:
    line = talking()
    line.pbx.is_mute = True
    line.tells("201", dialog("terminated"))
    assert line.inside() is None


def test_what_is_no_dialog_information_takes_back_what_was_said() -> None:
    line = talking()
    line.pbx.is_mute = True
    told = line.pbx.watches["201"][-1]
    line.comes(told.notify(document(dialog(), version=told.number + 1), kind="text/xml"))
    assert line.inside() is None


def asked(line: Line) -> Told:
    """A look that the PBX has not answered yet."""
    line.pbx.is_mute = True
    line.now += timedelta(seconds=0.1)
    line.reader.ask(line.now, CALL)
    line.comes(b"\r\n\r\n")
    (look,) = (it for it in line.pbx.asked[-1:] if it.first(b"expires") == b"0")
    return Told(look, "late")


def test_a_look_at_an_extension_that_is_watched_no_more_vouches_for_nobody() -> None:
    line = talking()
    look = asked(line)
    line.comes(line.pbx.watches["201"][-1].notify(b"", "terminated"))
    assert line.inside() is None
    line.comes(look.notify(document(dialog()), "terminated;reason=timeout"))
    assert line.inside() is None


def test_a_notification_that_has_no_from_tag_is_of_no_subscription() -> None:
    line = talking()
    look = asked(line)
    notify = look.notify(document(dialog()), "terminated;reason=timeout")
    said = line.comes(notify.replace(b"From: <sip:201@pbx.example>;tag=late", b"From: <sip:201@pbx.example>"))
    assert (said, line.pbx.answered[-1]) == ([], 481)


# --- partial states and versions


def test_a_partial_state_that_denies_the_call_takes_it_back() -> None:
    line = talking()
    line.pbx.is_mute = True
    told = line.pbx.watches["201"][-1]
    partial = document(dialog("terminated"), version=told.number + 1, state="partial")
    line.comes(told.notify(partial))
    assert line.inside() is None


def test_a_partial_state_of_another_call_leaves_it() -> None:
    line = talking()
    line.pbx.is_mute = True
    told = line.pbx.watches["201"][-1]
    partial = document(dialog("early", OTHER_ID, id="2"), version=told.number + 1, state="partial")
    line.comes(told.notify(partial))
    assert line.inside() == AGENT


def test_a_partial_state_never_vouches() -> None:
    line = Line()
    line.passes(0)
    line.pbx.says = document(dialog(), state="partial")
    line.tells("201", dialog())
    assert line.pbx.looks() == 1
    assert line.inside() is None


@pytest.mark.parametrize("version", [1, 2, 4, 9])
def test_a_missing_version_takes_everything_back_until_the_next_full_state(version: int) -> None:
    line = talking()
    told = line.pbx.watches["201"][-1]
    said = line.comes(told.notify(document(dialog(), version=version)))
    assert [it.inside for it in said] == [None, AGENT]


def test_a_notification_that_another_one_has_overtaken_is_not_taken() -> None:
    line = talking()
    told = line.pbx.watches["201"][-1]
    assert line.comes(told.notify(document(version=3), number="1")) == []
    assert line.pbx.answered[-1] == 500


# --- how long it counts


def test_a_call_is_looked_at_every_two_seconds_while_it_runs() -> None:
    line = talking()
    before = line.pbx.looks()
    for _ in range(5):
        (said,) = line.passes()
        assert (said.inside, said.at) == (AGENT, line.now)
    assert line.pbx.looks() == before + 5
    line.tells("201")
    before = line.pbx.looks()
    line.passes()
    assert line.pbx.looks() == before


@pytest.mark.parametrize("pause", [0.2, 0.9, 1.9])
def test_a_pbx_that_no_longer_says_so_is_missed_within_the_horizon(pause: float) -> None:
    line = talking()
    line.passes()
    true_at = line.now
    line.pbx.refusals = {"look": "mute"}
    line.pbx.is_mute = True
    line.now += timedelta(seconds=pause)
    line.comes(b"\r\n\r\n")  # that somebody is there says nothing of the extension
    while line.inside() is not None:
        line.passes(ASK_AFTER.total_seconds())
    assert line.now - true_at < HORIZON


def test_who_is_asked_for_is_looked_at_again_and_nobody_else() -> None:
    line = talking("201", "202")
    line.tells("202", dialog(call_id=OTHER_ID))
    before = line.pbx.looks("202")
    line.now += timedelta(seconds=0.1)
    line.reader.ask(line.now, CALL)
    (said,) = line.comes(b"\r\n\r\n")
    assert (said.conversation, said.at) == (CALL, line.now)
    assert line.pbx.looks("202") == before


def test_a_look_that_is_under_way_does_not_answer_what_is_asked_meanwhile() -> None:
    line = talking()
    line.reader.ask(line.now, CALL)
    asked = line.reader.to_send()
    line.now += timedelta(seconds=0.5)
    line.reader.ask(line.now, CALL)
    said = line.comes(line.pbx.take(asked))
    assert [it.at for it in said] == [line.now - timedelta(seconds=0.5), line.now]


def test_a_watch_is_made_anew_before_it_ends_and_nothing_is_taken_back() -> None:
    line = talking()
    before = len(line.pbx.watches["201"])
    for _ in range(WATCH_SECONDS // 2):
        line.passes()
    assert len(line.pbx.watches["201"]) == before + 1
    assert None not in {it.inside for it in line.said}
    old = line.pbx.watches["201"][-2]
    line.comes(old.notify(document(version=9)))
    assert line.pbx.answered[-1] == 481
    assert line.inside() == AGENT


@pytest.mark.parametrize("state", ["terminated;reason=noresource", "pending;expires=600"])
def test_a_watch_that_the_pbx_ends_vouches_no_more_until_there_is_another(state: str) -> None:
    line = talking()
    told = line.pbx.watches["201"][-1]
    line.comes(told.notify(document(dialog(), version=told.number + 1), state))
    assert line.inside() is None
    assert not line.reader.is_ready
    if state.startswith("terminated"):
        line.passes(ASK_AFTER.total_seconds())
        line.passes(0)
        assert line.inside() == AGENT


def test_a_watch_that_is_not_answered_is_asked_for_again() -> None:
    line = Line()
    line.pbx.is_mute = True
    line.passes(0)
    asked = len(line.pbx.asked)
    line.passes(LOST_AFTER.total_seconds())
    assert {it.method for it in line.pbx.asked[asked:]} == {b"SUBSCRIBE", b"OPTIONS"}


# --- what is refused


@pytest.mark.parametrize(("kind", "status"), [("watch", "403 Forbidden"), ("look", "400 Bad Request")])
def test_a_refusal_is_said_and_not_tried_again_at_once(kind: str, status: str) -> None:
    line = Line(dialogs={"201": [dialog()]})
    line.pbx.refusals = {kind: status}
    line.passes(0)
    assert status[:3] in line.reader.state
    asked = len(line.pbx.asked)
    line.passes(REFUSED_FOR.total_seconds() - 1)
    assert {it.method for it in line.pbx.asked[asked:]} == {b"OPTIONS"}
    line.pbx.refusals = {}
    line.passes(2)
    line.passes(2)
    assert line.inside() == AGENT


def test_a_wrong_password_is_tried_once() -> None:
    line = Line()
    line.pbx.asks_for_password = False
    line.pbx.refusals = {"watch": "401 Unauthorized"}
    line.passes(0)
    assert sum(it.method == b"SUBSCRIBE" for it in line.pbx.asked) <= 2
    assert line.reader.state == "0 of 1 extensions are watched, the last refusal was 401"


def test_a_pbx_that_wants_to_be_asked_for_longer_is() -> None:
    line = Line()
    line.pbx.refusals = {"watch": "423 Interval Too Brief"}
    line.passes(0)
    assert line.pbx.asked[-1].first(b"expires") == b"3600"


def test_a_pbx_that_asks_for_no_password_is_given_none() -> None:
    line = Line(dialogs={"201": [dialog()]})
    line.pbx.asks_for_password = False
    line.passes(0)
    assert line.inside() == AGENT


def test_many_extensions_are_not_all_asked_for_at_once() -> None:
    line = Line(*(str(it) for it in range(200, 300)))
    line.pbx.is_mute = True
    line.passes(0)
    assert sum(it.method == b"SUBSCRIBE" for it in line.pbx.asked) == 20
    line.pbx.is_mute = False
    for _ in range(8):
        line.passes(LOST_AFTER.total_seconds())
    assert line.reader.state == "100 of 100 extensions are watched"


def test_whoever_becomes_an_agent_is_watched_and_whoever_is_none_any_more_is_not() -> None:
    line = talking("201")
    line.extensions = ("202",)
    line.passes()
    assert line.inside() is None
    assert "202" in line.pbx.watches
    assert line.reader.state == "1 of 1 extensions are watched"
