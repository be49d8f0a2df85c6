"""Telephone numbers and names, brought to forms that can be compared.

A permit needs certainty, a veto must not miss: `forms` holds only the certain readings of an identity,
`possible_forms` also those that some trunk or PBX might have meant. Trailing digits are never compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sip_hooks.reading import remembered

_SEPARATORS = str.maketrans("", "", " -.()/\u00a0")
_SCHEMES = ("tel:", "sip:", "sips:")
_DIALLED = frozenset("+0123456789*#")
_PLAIN_NAME = re.compile("([a-z0-9]*[a-z][a-z0-9]*)(?:@[a-z0-9.-]+)?")
_SHORTEST_REST = 3  # digits after a prefix: 0112 is 112 with a prefix, 01 is not a number
_E164_DIGITS = range(7, 16)
_LARGEST_RANGE = 100_000
_OCTETS = frozenset(str(octet) for octet in range(256))


@dataclass(frozen=True, slots=True)
class Numbering:
    """How numbers are written here: country code, trunk prefixes, and which numbers are whose.

    `outside_line` is what phones dial before an outside number ("" if nothing). `internal`, `emergency` and
    `outside` are patterns: a number, a range "200-219", or a beginning "0900*".
    """

    country_code: str = "31"
    national_prefix: str = "0"
    international_prefix: str = "00"
    outside_line: str = ""
    internal: tuple[str, ...] = ()
    emergency: tuple[str, ...] = ("112",)
    outside: tuple[str, ...] = ()


class PatternError(ValueError):
    """A number pattern that cannot be read; the text says what to write instead."""


def normalise(identity: str, numbering: Numbering) -> str:
    """E.164 with a plus where the prefix proves it, else the number or name in lower case.

    "020-123 45 67", "0031201234567" and "tel:+31201234567" become "+31201234567"; "201" stays; "31201234567"
    stays too, for it might be anything; "Jansen@Example.nl" becomes "jansen@example.nl".
    """
    text = _bare(identity)
    if _is_host(text):
        return text
    number = text.translate(_SEPARATORS)
    if number[:1] == "+" and _is_digits(number[1:]):
        return _without_trunk_zero(number, numbering)
    if not _is_digits(number):
        return text
    abroad, at_home = (
        (numbering.international_prefix, ""),
        (numbering.national_prefix, numbering.country_code),
    )
    for prefix, lead in (abroad, at_home):
        if prefix and number.startswith(prefix) and len(number) - len(prefix) >= _SHORTEST_REST:
            return _without_trunk_zero(f"+{lead}{number[len(prefix) :]}", numbering)
    return number


def forms(identity: str, numbering: Numbering) -> frozenset[str]:
    """The certain readings: the address, the bare user, and the user's normal form."""
    text = _bare(identity)
    user = text.partition("@")[0]
    return frozenset({text, user, normalise(user, numbering)} - {""})


def outward_forms(identity: str, numbering: Numbering) -> frozenset[str]:
    """The readings of a number that may have been dialled with the prefix for an outside line."""
    return _forms_of({identity, _beyond(identity, numbering)}, numbering)


def plain_forms(identity: str, numbering: Numbering) -> frozenset[str]:
    """All readings, certain and possible, of what is a name and no number, with or without a host; nothing
    where it might be more.
    """
    found = _PLAIN_NAME.fullmatch(identity)
    if found is None or (numbering.outside_line and identity.startswith(numbering.outside_line)):
        return frozenset()
    return frozenset((identity, found[1]))


@remembered
def extension_in(identity: str) -> str:
    """The number that a name begins with before a hyphen, else "": baresip calls itself "201-0x55d0"."""
    head, hyphen, _ = _bare(identity).partition("@")[0].partition("-")
    return head if hyphen and _is_digits(head) and not is_number(identity) else ""


@remembered
def is_number(identity: str) -> bool:
    """Whether an identity is a number or a feature code, and so somebody's or something's: not a name."""
    user = _bare(identity).partition("@")[0]
    dialled = user.translate(_SEPARATORS)
    return bool(dialled) and not _is_host(user) and _DIALLED.issuperset(dialled)


def possible_forms(identity: str, numbering: Numbering) -> frozenset[str]:
    """Every reading that anybody might have meant, for vetoes: a plus or a prefix too many or too few."""
    bare = _bare(identity).partition("@")[0].removeprefix("+")
    dialled = {identity, _beyond(identity, numbering), bare, _beyond(bare, numbering)}
    found = _forms_of(dialled, numbering)
    digits = {form for form in found if _is_digits(form)}
    leads = ("+", f"+{numbering.country_code}")
    named = forms(extension_in(identity), numbering)
    return found | named | {normalise(lead + it, numbering) for lead in leads for it in digits}


def _beyond(identity: str, numbering: Numbering) -> str:
    """What is left of a number without the prefix for an outside line; without it, ""."""
    user = _bare(identity).partition("@")[0]
    return user[len(numbering.outside_line) :] if user.startswith(numbering.outside_line) else ""


def _forms_of(identities: Iterable[str], numbering: Numbering) -> frozenset[str]:
    return frozenset[str]().union(*[forms(it, numbering) for it in identities])


def is_e164(form: str) -> bool:
    """Whether a normal form is a whole international number."""
    return form[:1] == "+" and _is_digits(form[1:]) and len(form) - 1 in _E164_DIGITS


@dataclass(frozen=True, slots=True)
class NumberSet:
    """Numbers and names to look up: exact forms, ranges (low, high; of the same length) and beginnings."""

    exact: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    beginnings: tuple[str, ...] = ()

    def holds(self, found: Iterable[str]) -> bool:
        """Whether any of these forms is in the set."""
        forms = frozenset(found)
        if not self.exact.isdisjoint(forms):
            return True
        if not (self.ranges or self.beginnings):
            return False
        return any(form.startswith(self.beginnings) or self._is_in_range(form) for form in forms)

    def _is_in_range(self, form: str) -> bool:
        for low, high in self.ranges:
            if low <= form <= high and len(low) == len(form) and _is_dialable(form):
                return True
        return False


def number_set(patterns: Iterable[str], numbering: Numbering) -> NumberSet:
    """Read patterns: numbers and names, ranges "200-219", beginnings "0900*". Raises PatternError."""
    exact: set[str] = set()
    ranges: list[tuple[str, str]] = []
    beginnings: list[str] = []
    for pattern in patterns:
        text = pattern.strip()
        if text.endswith("*"):
            beginnings += _beginnings(text, numbering)
        elif (ends := _ends(text)) is not None:
            ranges.append(_range(text, ends, numbering))
        else:
            exact.add(_exact(text, numbering))
    return NumberSet(frozenset(exact), tuple(sorted(ranges)), tuple(sorted(beginnings)))


@remembered
def _bare(identity: str) -> str:
    text = identity.strip().lower()
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    return text.partition(";")[0]


def _without_trunk_zero(number: str, numbering: Numbering) -> str:
    """ "+31 (0)20 …" is how people write +3120."""
    lead = f"+{numbering.country_code}{numbering.national_prefix}"
    if number.startswith(lead):
        return f"+{numbering.country_code}{number[len(lead) :]}"
    return number


def _is_host(text: str) -> bool:
    """An IPv4 address, which some headers hold in the place of a number."""
    groups = text.split(".")
    return len(groups) == 4 and all(it in _OCTETS for it in groups)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_dialable(form: str) -> bool:
    return _is_digits(form.removeprefix("+"))


def _exact(text: str, numbering: Numbering) -> str:
    if not text or "*" in text[1:-1]:
        raise PatternError(f'"{text}" is not a number; write for example "201", "200-219" or "+31201234567"')
    return normalise(text, numbering)


def _beginnings(text: str, numbering: Numbering) -> list[str]:
    """The beginning as it is dialled, and as whole numbers have it: "06*" is "+316" too."""
    start = normalise(text[:-1], numbering)
    if not _is_dialable(start):
        raise PatternError(f'"{text}" has no digits before the star; write for example "0900*"')
    national, abroad = numbering.national_prefix, numbering.international_prefix
    if not national or not start.startswith(national) or (abroad and start.startswith(abroad)):
        return [start]
    return [start, f"+{numbering.country_code}{start.removeprefix(national)}"]


def _ends(text: str) -> tuple[str, str] | None:
    """Both ends if this is a range: a hyphen between numbers of one length, so not "020-1234567"."""
    low, _, high = (part.strip() for part in text.partition("-"))
    if not _is_dialable(low) or not _is_dialable(high) or len(low) != len(high):
        return None
    return low, high


def _range(text: str, ends: tuple[str, str], numbering: Numbering) -> tuple[str, str]:
    low, high = (normalise(end, numbering) for end in ends)
    if low >= high or len(low) != len(high):
        raise PatternError(f'"{text}" runs backwards; write the lower number first, for example "200-219"')
    if int(high.removeprefix("+")) - int(low.removeprefix("+")) >= _LARGEST_RANGE:
        raise PatternError(f'"{text}" is too wide; write ranges of at most {_LARGEST_RANGE} numbers')
    return low, high
