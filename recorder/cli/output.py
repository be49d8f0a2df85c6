"""What a command prints, and the status it exits with: the same for every command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)

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


def show(value: Any, as_json: bool, table: Table | str) -> None:
    """Print `value` as JSON when asked for, else `table`."""
    if as_json:
        typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))
    else:
        out.print(table)


def rows(title: str, columns: Sequence[str], lines: Sequence[Sequence[Any]], nothing: str) -> Table | str:
    """A table with a title, or the sentence `nothing` where there is no line."""
    if not lines:
        return nothing
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(_cell(value) for value in line))
    return table


def facts(title: str, values: Mapping[str, Any]) -> Table | str:
    """A table of two columns: what, and its value."""
    return rows(title, ("what", "value"), list(values.items()), f"{title}: nothing")


def complain(message: str) -> None:
    """Print an error to stderr: what went wrong and what to do about it."""
    err.print(f"[bold red]doelband:[/] {_escape(message)}")


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S UTC")
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(_cell(part) for part in value) or "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    return _escape(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value) if not isinstance(value, tuple) else list(value)
    return str(value)
