"""Keeps telephone numbers, SIP users, keys and session descriptions out of every text that is logged.

Unknown means masked. Three digits or more are a number, however they are written, unless they stand in one of
the forms of KNOWN, by which a reader tells them for something else. Who logs a quantity logs an int; it stays
as it is. Who writes "port 201" of an extension is believed: no code here does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

NUMBER, USER, SECRET, DESCRIPTION = "[number]", "[user]", "[secret]", "[SDP]"
LONGEST = 20_000
"""Characters of a text; what is beyond them is cut."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_TIME = r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_WORDS = "port|ports|pid|process|errno|exit|status|signal|byte|fd|revision|epoch|seq|version"
_UNITS = "ms|s|seconds|days|bytes|KiB|MiB|GiB|Hz|packets|records|calls|clips|descriptors"

KNOWN = (
    rf"(?:{_OCTET}\.){{3}}{_OCTET}(?::\d{{1,5}})?",  # IPv4, with a port
    r"\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\](?::\d{1,5})?",  # IPv6 in brackets, with a port
    r"[0-9a-fA-F]{0,4}(?:::?[0-9a-fA-F]{1,4}){2,7}(?:::)?",  # IPv6 by itself
    rf"\d{{4}}-\d\d-\d\d(?:[T ]{_TIME})?(?:Z|[+-]\d\d:?\d\d)?",  # ISO 8601
    _TIME,
    r"[0-9a-f]{32}|[0-9a-f]{64}|[0-9a-f]{128}|0x[0-9a-f]+",  # identifiers, digests, addresses in memory
    r'(?<=", line )\d+|(?<=\.py:)\d+|(?<=\.toml:)\d+',  # places in files, as Python and we write them
    rf"(?i:\b(?:{_WORDS})[ =]\d{{1,5}})",
    rf"\d{{1,6}}(?:\.\d{{1,6}})? (?:{_UNITS})\b",
)
"""Forms of digits that are no telephone number. None of them may stand in the middle of a longer word."""

_BEFORE, _AFTER = r"(?<![\w+*#])", r"(?![\w*#]|[.:-]\d)"
_TEXT = re.compile(
    "|".join(
        (
            r"(?P<description>\bv=0(?:\\r|\\n|\s).*)",
            r"(?P<secret>a=crypto:[^\r\n]*|\binline:\S+)",
            r"""(?P<uri>"[^"\r\n]{0,200}"\s*<(?=sips?:)|(?i:sips?:|tel:)[^\s@<>]+(?:@(?=\S)|))""",
            r"""(?P<user>[^\s@<>"'(),;:=/]+@(?=[\w\[]))""",
            rf"(?P<known>{_BEFORE}(?:{'|'.join(KNOWN)}){_AFTER})",
            r"(?P<number>[+*#(]{0,3}\d(?:[ \-./()*#\u00a0]{0,3}\d){2,})",
        )
    ),
    re.DOTALL,
)


def mask(text: str) -> str:
    """The text without numbers, users, crypto lines and SDP."""
    return _TEXT.sub(_replacement, text[:LONGEST])


def mask_value(value: Any) -> Any:
    """A value as it may be logged: quantities stay, texts are masked, containers are gone through.

    What is none of these is shown by its repr, masked.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {mask(str(key)): mask_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask_value(each) for each in value]
    if isinstance(value, (bytes, bytearray)):
        return mask(bytes(value).decode("latin-1"))
    return mask(value if isinstance(value, str) else repr(value))


def _replacement(match: re.Match[str]) -> str:
    return _REPLACEMENTS[match.lastgroup or "number"](match[0])


def _uri(found: str) -> str:
    """The display name before a URI goes, and the URI's user; a host alone stays."""
    if found.startswith('"'):
        return f'"{USER}" <'
    scheme, _, rest = found.partition(":")
    if scheme.lower() == "tel":
        return f"{scheme}:{NUMBER}"
    return f"{scheme}:{USER}@" if rest.endswith("@") else f"{scheme}:{mask(rest)}"


_REPLACEMENTS: Mapping[str, Callable[[str], str]] = {
    "description": lambda _: DESCRIPTION,
    "secret": lambda _: SECRET,
    "uri": _uri,
    "user": lambda _: f"{USER}@",
    "known": lambda found: found,
    "number": lambda _: NUMBER,
}
