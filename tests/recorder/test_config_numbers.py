"""A list of numbers holds numbers: what is mistyped is refused, and what to write instead is said."""

from __future__ import annotations

import pytest

from recorder.config.numbers import check_alias, check_number
from recorder.numbering import Numbering, PatternError

DUTCH = Numbering()
ITALIAN = Numbering(country_code="39", national_prefix="")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("25O", '"25O" is a name, not a number; write digits, names go under aliases'),
        ("doctor", '"doctor" is a name, not a number'),
        ("doc*", '"doc*" is a name, not a number'),
        ("250@pbx", '"250@pbx" is a name'),
        ("tel:+31201234567", '"tel:+31201234567" is a name'),
        ("60-264", '"60-264": both ends of a range have the same length; write "260-264"'),
        ("260-64", '"260-64": both ends of a range have the same length; write "260-264"'),
        ("20-299", '"20-299": both ends of a range have the same length; write "220-299"'),
        ("300-020-1", '"300-020-1": write an extension without'),
        ("99-100", '"99-100": both ends of a range have the same length; write both in full'),
        ("001-99", '"001-99": both ends of a range have the same length'),
        ("260\u2013264", 'a range has a hyphen; write "260-264"'),
        ("260 \u2014 264", 'a range has a hyphen; write "260 - 264"'),
        ("260..264", 'a range has a hyphen; write "260-264"'),
        ("260.264", '"260.264": write an extension without spaces or signs'),
        ("260 261", '"260 261": write an extension without spaces or signs'),
        ("(250)", '"(250)": write an extension without spaces or signs'),
        ("250-", '"250-": write an extension without spaces or signs'),
        ("60-26*", '"60-26*": write an extension without'),
        ("260/261", '"260/261": write two entries'),
        ("260,261", '"260,261": write two entries'),
        ("260;261", '"260;261": write two entries'),
        ("+31 20 12345xx", 'has masked digits; write "+31201234500-+31201234599"'),
        ("2XX", 'has masked digits; write "200-299"'),
        ("06-1234567?", 'has masked digits; write "0612345670-0612345679"'),
        ("2", '"2" is too short'),
        ("2-9", '"2-9" is too short'),
        ("0201234560-69", '"0201234560-69" may be a range; write "0201234560-0201234569"'),
        ("020-1234500 - 020-1234599", "is too long for a number; write each number by itself"),
        ("+31201234500-31201234599", "is too long"),
        ("2012022032042052", "is too long"),
        ("0900-1234", 'would be a range with a prefix at one end only; write "09001234"'),
        ("10.0.0.25", '"10.0.0.25" is not a number'),
        ("\u0662\u0660\u0661", "is not a number"),
        ("201+202", "is not a number"),
        ("250#", "is not a number"),
        ("", "is not a number"),
        ("219-200", "runs backwards"),
    ],
)
def test_a_typing_error_is_no_number(pattern: str, expected: str) -> None:
    with pytest.raises(PatternError, match="write") as caught:
        check_number(pattern, DUTCH)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "20",
        "201",
        "200-219",
        "200 - 219",
        "020-123 45 67",
        "(020) 123.45.67",
        "+31 (0)20 123 45 67",
        "0031 20 1234567",
        "+31-6-12345678",
        "06-12-34-56-78",
        "06.12.34.56.78",
        "0800-112",
        "+31201234500-+31201234599",
        "0201234500-0201234599",
        "0900*",
        "020-12*",
        "2*",
        "14020",
        "*8",
        "*310612345678",
        "#31",
        "#31#",
    ],
)
def test_a_number_in_any_usual_spelling_is_one(pattern: str) -> None:
    check_number(pattern, DUTCH)
    check_alias(pattern, DUTCH)


def test_without_a_national_prefix_a_number_at_home_has_no_separators() -> None:
    check_number("0612345678", ITALIAN)
    check_number("+39 06 12345678", ITALIAN)
    with pytest.raises(PatternError, match="write"):
        check_number("06 12345678", ITALIAN)


@pytest.mark.parametrize(
    "alias", ["dr.jansen", "doctor@example.nl", "250@10.0.0.25", "jan-willem", "user-20"]
)
def test_an_alias_may_be_a_name(alias: str) -> None:
    check_alias(alias, DUTCH)


@pytest.mark.parametrize("alias", ["60-264", "260/261", "260\u2013264", "2"])
def test_an_alias_without_letters_is_a_number(alias: str) -> None:
    with pytest.raises(PatternError, match="write"):
        check_alias(alias, DUTCH)
