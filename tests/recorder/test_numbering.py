"""Numbers are compared in one form, permits by certain readings, vetoes by all of them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recorder.numbering import (
    Numbering,
    PatternError,
    extension_in,
    forms,
    is_e164,
    is_number,
    normalise,
    number_set,
    outward_forms,
    plain_forms,
    possible_forms,
)

DUTCH = Numbering()
BEHIND_A_ZERO = Numbering(outside_line="0")
AMERICAN = Numbering(country_code="1", national_prefix="1", international_prefix="011")
ITALIAN = Numbering(country_code="39", national_prefix="")


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("+31201234567", "+31201234567"),
        ("0031201234567", "+31201234567"),
        ("020-123 45 67", "+31201234567"),
        ("(020) 123.45.67", "+31201234567"),
        ("+31 (0)20 123 45 67", "+31201234567"),
        ("0031 (0)20 1234567", "+31201234567"),
        ("tel:+31201234567", "+31201234567"),
        ("tel:+31201234567;phone-context=example.nl", "+31201234567"),
        ("0049301234567", "+49301234567"),
        ("31201234567", "31201234567"),
        ("201", "201"),
        ("01", "01"),
        ("0112", "+31112"),
        ("*8", "*8"),
        ("*310612345678", "*310612345678"),
        ("Dr.Jansen", "dr.jansen"),
        ("jan-willem", "jan-willem"),
        ("sip:Jansen@Example.NL", "jansen@example.nl"),
        ("", ""),
        ("+", "+"),
        ("+a.b", "+a.b"),
        ("06.12.34.56.78", "+31612345678"),
        ("020.123.45.67", "+31201234567"),
        ("10.0.0.256", "1000256"),
        ("10.0.0.25", "10.0.0.25"),
        ("10.20.30.40.50", "1020304050"),
        ("٠٦١٢٣٤٥٦٧٨", "٠٦١٢٣٤٥٦٧٨"),
    ],
)
def test_one_normal_form(identity: str, expected: str) -> None:
    assert normalise(identity, DUTCH) == expected


@pytest.mark.parametrize(
    ("numbering", "identity", "expected"),
    [
        (AMERICAN, "12125550123", "+12125550123"),
        (AMERICAN, "01131201234567", "+31201234567"),
        (AMERICAN, "123.45.67.89", "123.45.67.89"),
        (ITALIAN, "+390612345678", "+390612345678"),
        (ITALIAN, "0612345678", "0612345678"),
    ],
)
def test_other_countries_have_other_prefixes(numbering: Numbering, identity: str, expected: str) -> None:
    assert normalise(identity, numbering) == expected


def test_an_address_is_read_as_itself_its_user_and_the_users_number() -> None:
    assert forms("0612345678@pbx.example.nl", DUTCH) == {
        "0612345678@pbx.example.nl",
        "0612345678",
        "+31612345678",
    }


def test_an_outside_line_may_stand_in_front() -> None:
    assert "+31612345678" in outward_forms("00612345678", BEHIND_A_ZERO)
    assert "+31612345678" not in outward_forms("00612345678", DUTCH)
    assert outward_forms("90612345678", BEHIND_A_ZERO) == forms("90612345678", BEHIND_A_ZERO)


@pytest.mark.parametrize(
    "identity",
    [
        "+31612345678",
        "0031612345678",
        "0612345678",
        "06-12345678",
        "31612345678",
        "310612345678",
        "612345678",
        "+0612345678",
        "00612345678",
        "0612345678@10.0.0.1",
        "tel:+31-6-12345678",
    ],
)
def test_a_veto_finds_every_way_to_write_a_number(identity: str) -> None:
    assert number_set(["06-12345678"], BEHIND_A_ZERO).holds(possible_forms(identity, BEHIND_A_ZERO))


@pytest.mark.parametrize(
    ("identity", "number", "extension"),
    [
        ("201", True, ""),
        ("201@10.0.0.9", True, ""),
        ("tel:+31-20-1234567", True, ""),
        ("020-1234567", True, ""),
        ("*8", True, ""),
        ("201-0x55d0@10.0.0.9", False, "201"),
        ("jansen-201", False, ""),
        ("-0x55d0", False, ""),
        ("201a", False, ""),
        ("10.0.0.9", False, ""),
        ("agent", False, ""),
        ("", False, ""),
    ],
)
def test_a_number_is_told_from_a_name(identity: str, number: bool, extension: str) -> None:
    assert (is_number(identity), extension_in(identity)) == (number, extension)


def test_a_veto_hears_the_number_that_a_name_begins_with() -> None:
    assert "201" in possible_forms("201-0x55d0", DUTCH)
    assert "201" not in forms("201-0x55d0", DUTCH)


@pytest.mark.parametrize("identity", ["5678", "12345678", "+32612345678", "+316123456789", "2345678@06"])
def test_trailing_digits_are_not_a_number(identity: str) -> None:
    assert not number_set(["0612345678"], DUTCH).holds(possible_forms(identity, DUTCH))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("+31201234567", True),
        ("+318001234", True),
        ("+31112", False),
        ("+1234567890123456", False),
        ("31201234567", False),
        ("+٣١٢٠١٢٣٤٥٦٧", False),
        ("+3120123456x", False),
        ("", False),
    ],
)
def test_a_whole_international_number(form: str, expected: bool) -> None:
    assert is_e164(form) is expected


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("201", ["201", "201@pbx"], ["2010", "20", "+201"]),
        ("200-219", ["200", "219", "210@pbx"], ["199", "220", "20", "2000", "2xx", "21a", "21-"]),
        ("+31201234500-+31201234599", ["0201234550", "+31201234599"], ["0201234600", "550"]),
        ("0201234500-0201234599", ["0201234550", "+31201234500"], ["0201234600"]),
        ("06*", ["0612345678", "+31612345678", "0031612345678"], ["+32612345678", "201"]),
        ("0900*", ["09001234", "+319001234", "0031 900 1234"], ["0800123", "900"]),
        ("dr.jansen", ["dr.jansen", "Dr.Jansen@anywhere"], ["drjansen", "jansen"]),
        ("doctor@example.nl", ["Doctor@example.nl"], ["doctor", "doctor@elsewhere.nl"]),
        ("020-1234567", ["0201234567"], ["020", "021"]),
        ("*8", ["*8"], ["*81", "8"]),
        ("abc-200", ["abc-200"], ["150"]),
        ("200-abc", ["200-abc"], ["250"]),
        ("100000-199999", ["100000", "199999"], ["99999"]),
    ],
)
def test_patterns(pattern: str, inside: list[str], outside: list[str]) -> None:
    numbers = number_set([pattern], DUTCH)
    assert [it for it in inside if not numbers.holds(forms(it, DUTCH))] == []
    assert [it for it in outside if numbers.holds(forms(it, DUTCH))] == []


@pytest.mark.parametrize(
    "pattern", ["", " ", "219-200", "200-200", "*", "jan*", "1000000-1100000", "0012-0212", "2*1", "a*b"]
)
def test_a_pattern_that_says_nothing_is_refused_with_what_to_write(pattern: str) -> None:
    with pytest.raises(PatternError, match="write"):
        number_set([pattern], DUTCH)


def test_no_patterns_hold_nothing() -> None:
    assert not number_set([], DUTCH).holds({"", "201"})


@settings(max_examples=300, derandomize=True)
@example("t1@192.0.2.1", BEHIND_A_ZERO)
@example("0t1", BEHIND_A_ZERO)
@example("201-0x55d0", DUTCH)
@given(st.text("at019.-@+*:;_ É", max_size=8), st.sampled_from((DUTCH, BEHIND_A_ZERO)))
def test_a_name_that_is_no_number_has_no_other_reading(identity: str, numbering: Numbering) -> None:
    if plain := plain_forms(identity, numbering):
        assert plain == forms(identity, numbering) == possible_forms(identity, numbering)
        assert plain == outward_forms(identity, numbering)
        assert not (is_number(identity) or extension_in(identity))


def test_the_name_of_a_telephone_is_plain_and_what_may_be_a_number_is_not() -> None:
    assert plain_forms("t1@pc-3.example.nl", DUTCH) == {"t1", "t1@pc-3.example.nl"}
    assert not any(plain_forms(it, DUTCH) for it in ("201", "+31201234567", "201@192.0.2.1", "201-a", "Anne"))
