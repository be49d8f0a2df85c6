"""Dialog events (RFC 4235) that somebody else sends, and documents that nobody can read: they say nothing."""

from __future__ import annotations

import pytest

from recorder.evidence.statements import Broken
from recorder.evidence.subscription import Watcher
from sip_hooks.digest import Login
from tests.fakes.notifier import CALL_ID, Line, dialog, document, in_lines
from tests.recorder.test_evidence_dialogs import AGENT, talking

FORGED = [
    {"call_id": "guessed"},
    {"tag": "of-somebody-else"},
    {"to_tag": "guessed"},
    {"event": "presence"},
    {"tag": ""},
]


@pytest.mark.parametrize("changes", FORGED)
def test_a_notification_of_another_dialog_is_refused_and_says_nothing(changes: dict[str, str]) -> None:
    line = Line()
    line.passes(0)
    told = line.pbx.watches["201"][-1]
    assert line.comes(told.notify(document(dialog(), version=2), **changes)) == []
    assert line.pbx.answered[-1] == 481
    assert line.pbx.looks() == 0


def test_a_forged_answer_to_a_look_does_not_vouch() -> None:
    line = Line()
    line.passes(0)
    line.pbx.is_mute = True
    line.tells("201", dialog())
    look = line.pbx.asked[-1]
    assert look.first(b"expires") == b"0"
    for changes in FORGED[:-1]:
        told = line.pbx.watches["201"][-1]
        forged = told.notify(document(dialog()), "terminated;reason=timeout", **changes)
        assert line.comes(forged) == []
    assert line.inside() is None


def test_what_a_watch_tells_vouches_for_nobody_by_itself() -> None:
    line = Line()
    line.passes(0)
    line.pbx.is_mute = True
    assert line.tells("201", dialog()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"<",
        b"\x00",
        b"<dialog-info/>",
        document(dialog()).replace(b"ns:dialog-info", b"ns:other"),
        document(dialog("gone")),
        document(dialog(), state="whole"),
        document(dialog()).replace(b'version="1"', b'version="x"'),
        document(dialog()).replace(b"</state>", b"</state><state>confirmed</state>"),
        document(dialog()).replace(b"confirmed", b"x<y/>confirmed"),
        document(dialog(name="201")),
        document(dialog(name="sip:" + "2" * 2000 + "@pbx.example")),
        document("<a>" * 20 + "</a>" * 20, dialog()),
        document("<a/>" * 5000, dialog()),
        document(dialog()).replace(b"?>", b"?><!DOCTYPE dialog-info>", 1),
        document(dialog(name="&x;")).replace(
            b"?>", b'?><!DOCTYPE dialog-info [<!ENTITY x "sip:201@pbx.example">]>', 1
        ),
        document(dialog()).replace(b'version="1.0"', b'version="1.0" encoding="no-such"', 1),
    ],
)
def test_a_document_that_cannot_be_read_says_nothing_and_takes_back_what_was_said(body: bytes) -> None:
    line = talking()
    line.pbx.says = body
    told = line.pbx.watches["201"][-1]
    line.comes(told.notify(body))
    assert line.inside() is None
    line.passes()
    assert line.inside() is None


def test_a_body_of_another_kind_says_nothing() -> None:
    line = talking()
    line.pbx.is_mute = True
    told = line.pbx.watches["201"][-1]
    line.comes(told.notify(document(dialog(), version=2), kind="text/plain"))
    assert line.inside() is None


def test_what_is_no_sip_ends_the_connection() -> None:
    line = Line()
    with pytest.raises(Broken, match="no SIP"):
        line.comes(b"SSH-2.0-OpenSSH\r\n\r\n")


def test_a_message_that_cannot_be_read_is_passed_over() -> None:
    line = talking()
    assert line.comes(in_lines("NOTIFY sip:doelband@192.0.2.11 SIP/2.0", "CSeq: many NOTIFY")) == []
    assert line.inside() == AGENT


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("INVITE", 405)])
def test_a_pbx_that_looks_after_us_is_answered(method: str, status: int) -> None:
    line = talking()
    lines = (f"{method} sip:doelband@192.0.2.11 SIP/2.0", "Via: SIP/2.0/TCP 192.0.2.20;branch=z9hG4bKo")
    line.comes(in_lines(*lines, "From: <sip:pbx>;tag=1", "To: <sip:us>", "Call-ID: o", f"CSeq: 1 {method}"))
    assert line.pbx.answered[-1] == status


def test_nothing_of_what_was_heard_is_in_what_may_be_logged() -> None:
    line = talking()
    text = f"{line.said}{line.reader.state}{dialog_info_of(line)}"
    assert "201" not in text.replace("2026", "")
    assert CALL_ID not in text


def dialog_info_of(line: Line) -> str:
    return repr(line.reader._desks.values()) + repr(list(line.reader._subscriptions.values()))


def test_a_user_with_signs_in_it_is_written_as_a_uri_has_it() -> None:
    watcher = Watcher(Login("doel band", "p"), "pbx.example", ("2001:db8::1", 40000))
    sent = watcher.request("OPTIONS", watcher.uri("2 1"), ("c", "t", 1), "b")
    assert b"OPTIONS sip:2%201@pbx.example SIP/2.0\r\n" in sent
    assert b"Contact: <sip:doel%20band@[2001:db8::1]:40000;transport=tcp>" in sent
