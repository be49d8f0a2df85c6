"""Call records as PBXs write them: Asterisk's cdr_csv, FreeSWITCH's mod_cdr_csv, and a file with headings.

asterisk     accountcode, src, dst, dcontext, clid, channel, dstchannel, lastapp, lastdata, start, answer,
             end, duration, billsec, disposition, amaflags, and if so configured uniqueid, userfield and
             more (Asterisk, cdr/cdr_csv.c; Master.csv)
freeswitch   caller_id_name, caller_id_number, destination_number, context, start_stamp, answer_stamp,
             end_stamp, duration, billsec, hangup_cause, uuid, bleg_uuid, accountcode, …
             (template "example" of mod_cdr_csv)
generic      a first line with the headings start, caller, callee, duration, and if wanted answered (yes, no);
             start as ISO 8601, with an offset or in the zone that is given; duration in seconds, as answered
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

Format = Literal["asterisk", "freeswitch", "generic"]
Zone = Callable[[datetime], datetime]
"""From a local time without an offset, its `fold` heeded, to an aware instant."""

_CHANNEL = re.compile(r"[A-Za-z0-9]+/(?:[^/]*/)?([^/@;]+?)(?:@[^;]*)?-[0-9a-fA-F]+(?:;[12])?")
_HEADINGS = ("start", "caller", "callee", "duration")
_YES, _NO = {"yes", "y", "true", "1", "answered"}, {"no", "n", "false", "0", ""}


class UnknownFormat(ValueError):
    """It cannot be told which PBX wrote this."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call of the PBX. `number`: where it begins in the file, counted from 1.

    `starts`: the instant; two where the clocks were put back and the file does not say which. `seconds`: from
    the answer to the end. `ids` tie the legs of one call together.
    """

    number: int
    starts: tuple[datetime, ...]
    seconds: float
    is_answered: bool
    caller: frozenset[str] = field(repr=False)
    callee: frozenset[str] = field(repr=False)
    dialled: str = field(repr=False)
    lasts: float = 0.0
    """Seconds from the start to the end, ringing and waiting included."""
    ids: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that cannot be read, and why; nothing of what stands in it."""

    number: int
    why: str


def read(lines: Iterable[str], zone: Zone, format: Format | None = None) -> Iterator[Row | Malformed]:
    """All rows, in order. Raises UnknownFormat if no format is given and none can be recognised."""
    numbered = _numbered(lines)
    first = next(numbered, None)
    if first is None:
        return
    chosen = format or _recognised(first[1])
    if chosen == "generic":
        headings = [it.strip().lower() for it in first[1]]
        if missing := [it for it in _HEADINGS if it not in headings]:
            raise UnknownFormat(f"the first line lacks the headings {', '.join(missing)}")
        rest: Iterable[tuple[int, list[str]]] = numbered
    else:
        headings, rest = [], _chain(first, numbered)
    for number, cells in rest:
        try:
            yield _READERS[chosen](number, cells, headings, zone)
        except (ValueError, IndexError, OverflowError) as error:
            yield Malformed(number, str(error) if isinstance(error, _Fault) else "it lacks columns")


class _Fault(ValueError):
    """What is wrong with a row, in words that quote nothing of it."""


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader, begins = csv.reader(lines, strict=False), 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = []
            yield begins, cells
        else:
            if any(it.strip() for it in cells):
                yield begins, cells
        begins = reader.line_num + 1


def _chain(
    first: tuple[int, list[str]], rest: Iterable[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _recognised(cells: Sequence[str]) -> Format:
    if {it.strip().lower() for it in cells} >= set(_HEADINGS):
        return "generic"
    if len(cells) >= 16 and _is_stamp(cells[9]):
        return "asterisk"
    if len(cells) >= 13 and _is_stamp(cells[4]):
        return "freeswitch"
    raise UnknownFormat("the first line is neither of Asterisk's cdr_csv nor of FreeSWITCH's mod_cdr_csv")


def _asterisk(number: int, cells: Sequence[str], _: Sequence[str], zone: Zone) -> Row:
    source, destination = cells[1].strip(), cells[2].strip()
    return Row(
        number=number,
        starts=_instants(cells[9], zone),
        seconds=_seconds(cells[13]),
        is_answered=cells[14].strip().upper() == "ANSWERED",
        caller=_names(source, _peer(cells[5])),
        callee=_names(destination, _peer(cells[6])),
        dialled=destination,
        lasts=_seconds(cells[12]),
        ids=_names(*cells[16:17]),
    )


def _freeswitch(number: int, cells: Sequence[str], _: Sequence[str], zone: Zone) -> Row:
    destination = cells[2].strip()
    return Row(
        number=number,
        starts=_instants(cells[4], zone),
        seconds=_seconds(cells[8]),
        is_answered=bool(cells[5].strip()),
        caller=_names(cells[1]),
        callee=_names(destination),
        dialled=destination,
        lasts=_seconds(cells[7]),
        ids=_names(*cells[10:12]),
    )


def _generic(number: int, cells: Sequence[str], headings: Sequence[str], zone: Zone) -> Row:
    if len(cells) != len(headings):
        raise _Fault(f"it has {len(cells)} columns where the headings are {len(headings)}")
    said: Mapping[str, str] = dict(zip(headings, cells, strict=True))
    seconds = _seconds(said["duration"])
    answered = said.get("answered", "yes").strip().lower()
    if answered not in _YES | _NO:
        raise _Fault("answered is neither yes nor no")
    return Row(
        number=number,
        starts=_instants(said["start"], zone),
        seconds=seconds,
        is_answered=answered in _YES,
        caller=_names(said["caller"]),
        callee=_names(said["callee"]),
        dialled=said["callee"].strip(),
        lasts=seconds,
    )


_READERS: Mapping[Format, Callable[[int, Sequence[str], Sequence[str], Zone], Row]] = {
    "asterisk": _asterisk,
    "freeswitch": _freeswitch,
    "generic": _generic,
}


def _is_stamp(text: str) -> bool:
    try:
        datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return len(text.strip()) > len("2026-01-01")


def _instants(text: str, zone: Zone) -> tuple[datetime, ...]:
    if not _is_stamp(text):
        raise _Fault("the start is no date with a time, as 2026-03-01 09:00:00")
    said = datetime.fromisoformat(text.strip())
    if said.tzinfo is not None:
        return (said.astimezone(UTC),)
    return tuple(sorted({zone(said.replace(fold=fold)).astimezone(UTC) for fold in (0, 1)}))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
        timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise _Fault("a duration is no number of seconds") from None
    if seconds < 0:
        raise _Fault("a duration is negative")
    return seconds


def _peer(channel: str) -> str:
    """The endpoint in a channel's name: 201 in PJSIP/201-0000001a and in Local/201@agents-00000003;1."""
    match = _CHANNEL.fullmatch(channel.strip())
    return match[1] if match else ""


def _names(*texts: str) -> frozenset[str]:
    return frozenset(it.strip() for it in texts if it.strip())
