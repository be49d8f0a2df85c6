"""Edits change what they name, and not one byte more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_hooks.edits import Edits
from sip_hooks.errors import EditError
from sip_hooks.message import parse

RAW = (
    b"INVITE sip:*9201@pbx SIP/2.0\r\n"
    b"X-First:1\r\n"
    b"v :  SIP/2.0/UDP b ;branch=b ,\r\n SIP/2.0/UDP a;branch=a\r\n"
    b"Via: SIP/2.0/TCP c\r\n"
    b"rOUTE: <sip:us;lr>\r\n"
    b"Route: <sip:us;lr> , <sip:them;lr>\r\n"
    b"Content-length: 005\r\n"
    b"\r\n"
    b"v=0\r\nrest"
)
Step = Callable[[Edits], None]


def edited(*steps: Step) -> bytes:
    edits = Edits(parse(RAW))
    for step in steps:
        step(edits)
    return edits.apply()


def test_no_edit_changes_nothing() -> None:
    assert edited() == RAW


@pytest.mark.parametrize(
    ("step", "old", "new"),
    [
        (lambda e: e.set_request_uri(b"sip:201@pbx"), b"sip:*9201@pbx SIP", b"sip:201@pbx SIP"),
        (lambda e: e.remove_first_via(), b"v :  SIP/2.0/UDP b ;branch=b ,\r\n SIP", b"v :  SIP"),
        (
            lambda e: e.remove_first(b"via", 2),
            b"v :  SIP/2.0/UDP b ;branch=b ,\r\n SIP/2.0/UDP a;branch=a\r\n",
            b"",
        ),
        (lambda e: e.remove_first(b"route"), b"rOUTE: <sip:us;lr>\r\n", b""),
        (
            lambda e: e.remove_first(b"route", 2),
            b"rOUTE: <sip:us;lr>\r\nRoute: <sip:us;lr> , <sip:them;lr>",
            b"Route: <sip:them;lr>",
        ),
        (lambda e: e.insert_top(b"Via", b"new"), b"v :", b"Via: new\r\nv :"),
        (lambda e: e.insert_top(b"V", b"new"), b"v :", b"V: new\r\nv :"),
        (
            lambda e: e.insert_top(b"Record-Route", b"<sip:us>"),
            b"X-First",
            b"Record-Route: <sip:us>\r\nX-First",
        ),
        (lambda e: e.set_body(b"v=00\r\n"), b"005\r\n\r\nv=0\r\n", b"6\r\n\r\nv=00\r\n"),
        (lambda e: e.set_body(b"v=1\r\n"), b"v=0", b"v=1"),
        (lambda e: e.set_body(b""), b"005\r\n\r\nv=0\r\n", b"0\r\n\r\n"),
        (lambda e: e.replace(0, 6, b"invite"), b"INVITE", b"invite"),
    ],
)
def test_an_edit_changes_its_own_bytes_only(step: Step, old: bytes, new: bytes) -> None:
    assert RAW.count(old) == 1
    assert edited(step) == RAW.replace(old, new)


def test_the_later_insertion_stands_on_top() -> None:
    result = edited(
        lambda e: e.insert_top(b"Record-Route", b"<sip:inner>"),
        lambda e: e.insert_top(b"Record-Route", b"<sip:outer>"),
    )
    assert result == RAW.replace(
        b"X-First", b"Record-Route: <sip:outer>\r\nRecord-Route: <sip:inner>\r\nX-First"
    )


def test_a_hop_can_be_replaced_by_removal_and_insertion_in_either_order() -> None:
    def remove(edits: Edits) -> None:
        edits.remove_first(b"via", 2)

    def insert(edits: Edits) -> None:
        edits.insert_top(b"Via", b"new")

    assert edited(remove, insert) == edited(insert, remove)
    assert edited(remove, insert).startswith(RAW[: RAW.index(b"v :")] + b"Via: new\r\nVia: SIP/2.0/TCP c\r\n")


def test_a_parameter_can_be_added_behind_the_topmost_via() -> None:
    top = parse(RAW).members(b"via")[0]
    assert edited(lambda e: e.replace(top.end, top.end, b";received=1")) == RAW.replace(
        b";branch=b ,", b";branch=b;received=1 ,"
    )


def test_a_value_is_replaced_with_its_folds() -> None:
    header = parse(RAW).fields(b"via")[0]
    assert edited(lambda e: e.replace_value(header, b"x")) == RAW.replace(
        b"SIP/2.0/UDP b ;branch=b ,\r\n SIP/2.0/UDP a;branch=a", b"x"
    )


def test_a_body_without_content_length_needs_none() -> None:
    raw = b"INVITE sip:a SIP/2.0\r\n\r\nold"
    edits = Edits(parse(raw))
    edits.set_body(b"newer")
    edits.insert_top(b"Via", b"x")
    assert edits.apply() == b"INVITE sip:a SIP/2.0\r\nVia: x\r\n\r\nnewer"


@pytest.mark.parametrize(
    "steps",
    [
        [lambda e: e.replace(10, 20, b""), lambda e: e.replace(19, 30, b"")],
        [lambda e: e.replace(10, 20, b""), lambda e: e.replace(5, 11, b"")],
        [lambda e: e.replace(10, 20, b""), lambda e: e.replace(12, 14, b"")],
        [lambda e: e.replace(10, 20, b""), lambda e: e.replace(15, 15, b"x")],
        [lambda e: e.replace(15, 15, b"x"), lambda e: e.replace(10, 20, b"")],
        [lambda e: e.remove_first_via(), lambda e: e.remove_first_via()],
        [lambda e: e.set_body(b"a"), lambda e: e.set_body(b"b")],
        [lambda e: e.replace(0, len(RAW) + 1, b"")],
        [lambda e: e.replace(2, 1, b"")],
        [lambda e: e.remove_first(b"route", 4)],
        [lambda e: e.remove_first(b"path")],
        [lambda e: e.insert_top(b"Via", b"a\r\nX: b")],
        [lambda e: e.insert_top(b"Via", b"a\nb")],
        [lambda e: e.insert_top(b"Via", b"a\rb")],
        [lambda e: e.set_request_uri(b"sip:a b")],
        [lambda e: e.set_request_uri(b"")],
    ],
)
def test_contradicting_or_framing_edits_are_refused(steps: list[Step]) -> None:
    with pytest.raises(EditError):
        edited(*steps)


@pytest.mark.parametrize("raw", [b"SIP/2.0 200 OK\r\n\r\n", b"INVITE sip:a\r\n\r\n"])
def test_without_a_complete_request_line_there_is_no_request_uri_to_edit(raw: bytes) -> None:
    with pytest.raises(EditError):
        Edits(parse(raw)).set_request_uri(b"sip:a")


@pytest.mark.parametrize("value", [b"a\r\nX: b", b"a\rb", b"a\nb"])
def test_a_header_value_with_a_line_end_is_refused(value: bytes) -> None:
    message = parse(RAW)
    with pytest.raises(EditError):
        Edits(message).replace_value(message.headers[0], value)


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, len(RAW)), st.integers(0, 9), st.binary(max_size=3)), max_size=8))
def test_what_no_edit_names_stays(wanted: list[tuple[int, int, bytes]]) -> None:
    edits, accepted, inserted = Edits(parse(RAW)), [], 0
    for start, length, new in wanted:
        try:
            edits.replace(start, start + length, new)
        except EditError:
            continue
        inserted += len(new)
        if length:
            accepted.append((start, start + length))
    kept = bytes(byte for at, byte in enumerate(RAW) if not any(a <= at < b for a, b in accepted))
    result = iter(edits.apply())
    assert all(byte in result for byte in kept)
    assert len(edits.apply()) == len(kept) + inserted
