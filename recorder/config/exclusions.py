"""Adding and removing exclusions in the text of a configuration file: nothing else of it is touched.

Only the lines of one [[exclusions]] section change; comments, order and format of all others stay byte for
byte. What comes out is read again and compared with what was meant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from recorder.config.places import HEADER

LISTS = ("numbers", "aliases")
_IDLE = re.compile(r"\s*(#.*)?$")


class EditError(Exception):
    """The section cannot be changed by a program; the text says what to do by hand."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What to exclude under one name. An entry that is there already keeps its reason."""

    name: str
    reason: str
    numbers: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def add(text: str, entry: Entry) -> str:
    """The text with these numbers and aliases under this name. Raises EditError."""
    wanted = {key: list(getattr(entry, key)) for key in LISTS}
    entries = _entries(text)
    names = [it["name"] for it in entries]
    if entry.name in names:
        index = names.index(entry.name)
        entries[index] = {**entries[index], **_joined(entries[index], wanted)}
        return _checked(_edited(text, index, partial(_extend, wanted)), entries)
    fresh = {"name": entry.name, "reason": entry.reason, **{key: it for key, it in wanted.items() if it}}
    return _checked(_with_section(text, fresh), [*entries, fresh])


def remove(text: str, is_meant: Callable[[str, str], bool]) -> str:
    """The text without what `is_meant(name, pattern)`; a section with nothing left goes. Raises EditError."""
    entries = _entries(text)
    left: list[dict[str, Any]] = []
    for index in reversed(range(len(entries))):
        kept = _kept(entries[index], is_meant)
        if not any(kept.values()):
            text = _without_section(text, index)
            continue
        left.insert(0, {**entries[index], **kept})
        if left[0] != entries[index]:
            text = _edited(text, index, partial(_reduce, kept))
    return _checked(text, left)


def _entries(text: str) -> list[dict[str, Any]]:
    return list(tomllib.loads(text).get("exclusions", []))


def _joined(entry: Mapping[str, Any], wanted: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Both lists with what is new at their end."""
    both = {key: [*entry.get(key, []), *_missing(entry.get(key, []), wanted[key])] for key in LISTS}
    return {key: it for key, it in both.items() if key in entry or it}


def _missing(there: Iterable[str], wanted: Iterable[str]) -> list[str]:
    known = set(there)
    return [it for it in wanted if it not in known]


def _kept(entry: Mapping[str, Any], is_meant: Callable[[str, str], bool]) -> dict[str, list[str]]:
    name = entry["name"]
    return {key: [it for it in entry[key] if not is_meant(name, it)] for key in LISTS if key in entry}


def _extend(wanted: Mapping[str, list[str]], table: Any) -> None:
    for key, values in wanted.items():
        if key not in table and values:
            table.add(key, values)
        for value in _missing(table.get(key, []), values):
            table[key].append(value)


def _reduce(kept: Mapping[str, list[str]], table: Any) -> None:
    for key, values in kept.items():
        for place in reversed(range(len(table[key]))):
            if table[key][place] not in values:
                del table[key][place]


def _sections(lines: list[str]) -> Iterator[tuple[int, int]]:
    """First line and end of each [[exclusions]], without the idle lines that follow it."""
    headers = [number for number, line in enumerate(lines) if HEADER.match(line)]
    for number, following in zip(headers, [*headers[1:], len(lines)], strict=True):
        found = HEADER.match(lines[number])
        if found and found[1] == "[[" and found[2].strip("\"'") == "exclusions":
            end = following
            while _IDLE.match(lines[end - 1]):
                end -= 1
            yield number, end


def _edited(text: str, index: int, edit: Callable[[Any], None]) -> str:
    lines = text.splitlines(keepends=True)
    first, end = _section(lines, index)
    try:
        document: Any = tomlkit.parse("".join(lines[first:end]))
        edit(document["exclusions"][0])
        changed = tomlkit.dumps(document)
    except TOMLKitError as error:
        raise _by_hand() from error
    return "".join([*lines[:first], changed, *lines[end:]])


def _with_section(text: str, entry: Mapping[str, Any]) -> str:
    """After the last section of its kind, else at the end of the file."""
    lines = text.splitlines(keepends=True)
    ends = [end for _, end in _sections(lines)]
    place = ends[-1] if ends else len(lines)
    newline = "\r\n" if "\r\n" in text else "\n"
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += newline
    document = tomlkit.document()
    sections = tomlkit.aot()
    sections.append(tomlkit.item(dict(entry)))
    document.append("exclusions", sections)
    section = newline + tomlkit.dumps(document).strip().replace("\n", newline) + newline
    return "".join([*lines[:place], section, *lines[place:]])


def _without_section(text: str, index: int) -> str:
    """The section goes with the empty line before it; what stands behind it stays."""
    lines = text.splitlines(keepends=True)
    first, end = _section(lines, index)
    if first and not lines[first - 1].strip():
        first -= 1
    return "".join([*lines[:first], *lines[end:]])


def _section(lines: list[str], index: int) -> tuple[int, int]:
    try:
        return list(_sections(lines))[index]
    except IndexError:
        raise _by_hand() from None


def _checked(text: str, meant: list[dict[str, Any]]) -> str:
    """The text, if it says what was meant."""
    try:
        if _entries(text) == meant:
            return text
    except tomllib.TOMLDecodeError:
        pass
    raise _by_hand()


def _by_hand() -> EditError:
    return EditError(
        "the exclusions are written in a way that only people can edit; edit the file by hand, then run "
        "`doelband ctl reload`"
    )
