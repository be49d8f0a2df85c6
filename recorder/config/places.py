"""On which line of a TOML text a key stands, for error messages: a light scan, not a parser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

Key = tuple[str | int, ...]

HEADER = re.compile(r"""\s*(\[\[?)\s*([\w.\-"' ]+?)\s*\]""")
_PAIR = re.compile(r"""\s*([\w\-]+|"[^"]+"|'[^']+')\s*=""")


def places(text: str) -> Mapping[Key, int]:
    """Line numbers, from 1, of tables, elements of arrays of tables, and keys."""
    found: dict[Key, int] = {}
    counts: Counter[Key] = Counter()
    table: Key = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = tuple(part.strip().strip("\"'") for part in header[2].split("."))
            if header[1] == "[[":
                found.setdefault(table, number)
                counts[table] += 1
                table = (*table, counts[table] - 1)
            found.setdefault(table, number)
        elif pair := _PAIR.match(line):
            found.setdefault((*table, pair[1].strip("\"'")), number)
    return found


def place_of(key: Key, known: Mapping[Key, int]) -> int | None:
    """The line of this key, or of the nearest thing around it."""
    while key and key not in known:
        key = key[:-1]
    return known.get(key)
