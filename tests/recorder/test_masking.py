"""Numbers never come out of a log, whatever stands around them; what is no number stays readable."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recorder.masking import mask, mask_value

NUMBERS = ("201", "250", "112", "0612345678", "+31612345678", "0031612345678", "31201234567", "*31612345678")
WRITTEN = (
    "020-123 45 67",
    "+31 20 123 45 67",
    "(020) 123 4567",
    "+31 (0)20 123 4567",
    "020.123.45.67",
    "06/12345678",
    "06 12 34 56 78",
)
digits = st.text("0123456789", min_size=3, max_size=15)
around = st.text(st.characters(exclude_categories=("Nd", "Nl", "No", "Cs")), max_size=12)
frames = st.sampled_from(
    [
        "{}",
        "'{}'",
        '"{}"',
        "<sip:{}@192.0.2.1:5060>",
        "sips:{}@[2001:db8::1]:5061;transport=tls",
        "sip:{}",
        "tel:{}",
        "tel:{};phone-context=example.nl",
        "KeyError: '{}'",
        "call to {} failed",
        "user{}",
        "{}x",
        "number={}",
        "a-{}",
        "call/{}/state",
        "2026-11-{}",
        "{}@pbx.example",
        "From: \\r\\nTo: {}\\r\\n",
        "192.0.2.1:5060 {}",
        "{} 192.0.2.1",
    ]
)


def shows(text: str, number: str) -> bool:
    """Whether somebody finds the number in it, separators or not."""
    return "".join(re.findall(r"\d", number)) in "".join(re.findall(r"\d", text))


@given(digits, around, around, frames)
@example("201", "", "", "{}")
@example("0201234567", "x", "", "{}")
def test_digits_come_out_of_no_position(number: str, before: str, after: str, frame: str) -> None:
    text = before + frame.format(number) + after
    left = mask(text).replace("192.0.2.1:5060", "").replace("192.0.2.1", "").replace("[2001:db8::1]:5061", "")
    assert not shows(left, number)


@given(st.sampled_from(NUMBERS + WRITTEN), frames)
def test_known_numbers_come_out_in_no_spelling(number: str, frame: str) -> None:
    left = mask(frame.format(number)).replace("192.0.2.1:5060", "").replace("192.0.2.1", "")
    assert not shows(left.replace("[2001:db8::1]:5061", ""), number)


@given(
    st.recursive(
        st.sampled_from(NUMBERS), lambda it: st.lists(it) | st.dictionaries(st.sampled_from(NUMBERS), it)
    )
)
def test_nothing_is_too_deep_to_be_masked(value: Any) -> None:
    assert not any(shows(str(mask_value(value)), number) for number in NUMBERS)


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.10:5060",
        "[2001:db8::10]:5060",
        "2001:db8:0:1::10",
        "::1",
        "2026-11-24T19:10:07.123456Z",
        "2026-11-24 19:10:07+00:00",
        "19:10:07",
        "0123456789abcdef0123456789abcdef",
        "port 5060",
        "process 12345 ended, exit 143",
        "[Errno 111] Connection refused",
        "waited 250 ms for 8192 bytes",
        "2.5 s",
        '  File "recorder/session.py", line 201, in begin',
        "config.toml:112: lines",
        "<Task at 0x7f1234567890>",
        "sip:pbx.example;transport=udp",
        "clip 12 of 40",
        "recorder.service.signalling",
    ],
)
def test_what_is_no_number_stays_readable(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("value", [0, 201, 5060, 31612345678, 1.25, True, None])
def test_quantities_stay(value: object) -> None:
    assert mask_value(value) == value


def test_users_and_names_go_too() -> None:
    masked = mask('"Dr. Jansen" <sip:dr.jansen@example.nl;tag=x> and doctor@example.nl')
    assert masked == '"[user]" <sip:[user]@example.nl;tag=x> and [user]@example.nl'


@pytest.mark.parametrize(
    "text",
    [
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0c2VjcmV0",
        "key inline:c2VjcmV0c2VjcmV0|2^20",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\na=crypto:1 X inline:c2VjcmV0c2VjcmV0\r\n",
        repr(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\na=ice-pwd:c2VjcmV0c2VjcmV0\r\n"),
    ],
)
def test_neither_keys_nor_descriptions_are_logged(text: str) -> None:
    assert "c2VjcmV0" not in mask(text)
    assert "IP4" not in mask(text)


def test_what_has_no_form_of_its_own_is_masked_by_its_repr() -> None:
    class Party:
        def __repr__(self) -> str:
            return "Party(number='0612345678')"

    assert mask_value(Party()) == "Party(number='[number]')"
    assert mask_value(b"INVITE sip:201@192.0.2.1") == "INVITE sip:[user]@192.0.2.1"
