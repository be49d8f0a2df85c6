"""What a command prints, and the status it exits with: the same for every command."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 1000
"""Columns of a pipe or a file: nothing is folded for a screen that is not there."""

out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False, soft_wrap=True)

MARKS = {True: "✓", False: "✗", None: "–"}
"""Before what was found out: good, not good, neither."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table.")]


class Exit(IntEnum):
    """Exit statuses, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    CONFIGURATION = 5
    FINDINGS = 6
    TEMPORARY = 75


class Id(str):
    """An identifier in a table: its first 8 characters, never folded, enough to give to a command."""

    SHOWN = 8


def show(value: Any, as_json: bool, table: Table | str) -> None:
    """Print `value` as JSON when asked for, else `table`."""
    if as_json:
        typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))
    else:
        say(table)


def say(table: Table | str) -> None:
    """Print a table, or a text as it is: a terminal folds it, a pipe gets it whole."""
    if isinstance(table, str):
        out.print("\n".join(printable(line) for line in table.split("\n")), soft_wrap=True)
    else:
        out.print(table)


def rows(title: str, columns: Sequence[str], lines: Sequence[Sequence[Any]], nothing: str) -> Table | str:
    """A table with a title, or the sentence `nothing` where there is no line.

    Headings, identifiers and instants (UTC, to the minute) are never folded; other cells are.
    """
    if not lines:
        return nothing
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for column, first in zip(columns, lines[0], strict=True):
        whole = isinstance(first, (Id, date))
        table.add_column(column, overflow="fold", no_wrap=whole, min_width=len(column))
    for line in lines:
        table.add_row(*(Text(_cell(value, "%Y-%m-%d %H:%M")) for value in line))
    return table


def facts(title: str, values: Mapping[str, Any]) -> Table | str:
    """What, and its value, in words: `until_at` is shown as "until"."""
    table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column("what", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in values.items():
        table.add_row(_label(name), Text(_cell(value)))
    return table


def complain(message: str) -> None:
    """Print an error to stderr: what went wrong and what to do about it."""
    text = "\n".join(printable(line) for line in message.split("\n"))
    err.print(Text.assemble(("doelband:", "bold red"), " ", text))


def printable(text: str) -> str:
    """The text without control characters, which could move or hide what a terminal shows."""
    return "".join(it for it in text if it.isprintable())


def _label(name: str) -> str:
    return name.removesuffix("_at").removesuffix("_day").replace("_", " ")


def _cell(value: Any, instant: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(str(name))}: {_cell(part)}" for name, part in value.items()) or "none"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(_cell(part) for part in value) or "-"
    return printable(_word(value, instant))


def _word(value: Any, instant: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime(instant)
    if isinstance(value, float):
        return f"{value:.1f}"
    return value[: Id.SHOWN] if isinstance(value, Id) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value) if not isinstance(value, tuple) else list(value)
    return str(value)
