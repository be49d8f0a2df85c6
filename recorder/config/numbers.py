"""What may stand in a list of numbers: a typing error must not become a name, or another number.

Either would match nobody, and an exclusion would be void without a word. So extensions are plain digits, only
whole national and international numbers have separators in them, and names go under aliases.
"""

from __future__ import annotations

import re

from recorder.numbering import Numbering, PatternError, is_e164, normalise, number_set
from sip_hooks.address import host, in_brackets

_SEPARATORS = re.compile(r"[ .()\u00a0-]")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
_NUMBER = re.compile(r"\+?[0-9]+|[*#][0-9]+#?")
_END = re.compile(r"\+?[0-9]+")
_SHORTEST, _LONGEST = 2, 15  # digits; the longest is E.164's
_WHOLE = 10  # digits with the country's from which a further "-69" is a second end, not a part


def check_number(pattern: str, numbering: Numbering) -> None:
    """Refuse what is no number, range "200-219" or beginning "0900*". Raises PatternError with the remedy."""
    text = pattern.strip()
    _refuse_signs(text)
    low, high = _parts(text)
    if low and len(low) == len(high):
        _refuse_half_prefixed(text, low, high, numbering)
        number_set([text], numbering)
        _refuse_length(text, low)
        return
    number_set([text], numbering)
    if not text.endswith("*"):
        _refuse_fragment(text, normalise(text, numbering))
    if _SEPARATORS.search(text):
        _refuse_unless_whole(text, numbering)


def check_alias(pattern: str, numbering: Numbering) -> None:
    """A name or an address may be anything; what has no letters in it is a number. Raises PatternError.

    An IPv6 address has many spellings and calls are compared with one of them.
    """
    user, at, reference = pattern.strip().rpartition("@")
    if reference[:1] == "[":
        try:
            canonical = f"{user}{at}{host(in_brackets(reference))}"
        except ValueError:
            raise PatternError(f'"{pattern}" has no readable address; write "name@[2001:db8::1]"') from None
        if canonical != pattern.strip():
            raise PatternError(f'"{pattern}" is compared in another spelling; write "{canonical}"')
    if not any(it.isalpha() or it == "@" for it in pattern):
        check_number(pattern, numbering)


def _refuse_signs(text: str) -> None:
    """Signs that no telephone number has, each with what was probably meant."""
    if (hyphened := text.translate(_DASHES).replace("..", "-")) != text:
        raise PatternError(f'"{text}": a range has a hyphen; write "{hyphened}"')
    if any(sign in text for sign in "/,;&"):
        raise PatternError(f'"{text}": write two entries')
    digits = text.rstrip("xX?")
    if (masked := len(text) - len(digits)) and _END.fullmatch(start := _plain(digits)):
        low, high = start + "0" * masked, start + "9" * masked
        raise PatternError(f'"{text}" has masked digits; write "{low}-{high}"')
    if any(it.isalpha() or it == "@" for it in text):
        raise PatternError(f'"{text}" is a name, not a number; write digits, names go under aliases')


def _refuse_half_prefixed(text: str, low: str, high: str, numbering: Numbering) -> None:
    """ "0900-1234" has two ends of one length, and yet is no range."""
    if len(normalise(low, numbering)) != len(normalise(high, numbering)):
        raise PatternError(
            f'"{text}" would be a range with a prefix at one end only; write "{low}{high}" for the number, '
            "or both ends in the same way"
        )


def _refuse_fragment(text: str, number: str) -> None:
    """Nothing but digits, a plus before them, and the signs of a feature code."""
    if not _NUMBER.fullmatch(number):
        raise PatternError(f'"{text}" is not a number; write digits, for example "201" or "+31201234567"')
    _refuse_length(text, number)


def _refuse_length(text: str, number: str) -> None:
    if len(number) < _SHORTEST:
        raise PatternError(f'"{text}" is too short for a number; write the whole number')
    if len(number.removeprefix("+")) > _LONGEST:
        raise PatternError(
            f'"{text}" is too long for a number; write each number by itself, a range as '
            '"+31201234500-+31201234599"'
        )


def _refuse_unless_whole(text: str, numbering: Numbering) -> None:
    """Spaces, hyphens, dots and brackets are harmless only in a number that has its prefix."""
    number = normalise(text.removesuffix("*"), numbering)
    if text.endswith("*") and number[:1] == "+":
        return
    _refuse_shortened_range(text, numbering)
    if is_e164(number):
        return
    low, high = _parts(text)
    if low and not text.endswith("*"):
        raise PatternError(f'"{text}": both ends of a range have the same length; {_range_like(low, high)}')
    raise PatternError(
        f'"{text}": write an extension without spaces or signs, and two of them as two entries'
    )


def _refuse_shortened_range(text: str, numbering: Numbering) -> None:
    """ "0201234560-69": before the hyphen stands a whole number already."""
    before, _, after = text.rpartition("-")
    whole, low = normalise(before, numbering), _plain(before)
    if is_e164(whole) and len(whole) > _WHOLE:
        high = low[: -len(after)] + after
        raise PatternError(f'"{text}" may be a range; write "{low}-{high}", or the number without the hyphen')


def _parts(text: str) -> tuple[str, str]:
    """What stands before and after the one hyphen, if both are digits, else nothing."""
    low, _, high = (part.strip() for part in text.partition("-"))
    return (low, high) if _END.fullmatch(low) and _END.fullmatch(high) else ("", "")


def _range_like(low: str, high: str) -> str:
    """The range that was probably meant by ends of unequal length."""
    missing = len(high) - len(low)
    if missing > 0:
        low = high[:missing] + low
    else:
        high = low[:-missing] + high
    return f'write "{low}-{high}"' if low < high else 'write both in full, as "200-219"'


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", text)
