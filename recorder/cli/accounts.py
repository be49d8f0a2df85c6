"""Options for accounts at the PBX that telephones of ours use, and the passwords of these."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer


def token(text: str | None) -> str | None:
    """What may stand in an address. Raises typer.BadParameter."""
    if text is not None and (
        not text.isascii() or not text.isprintable() or set(text) & set(' "<>@') or not text
    ):
        raise typer.BadParameter("write a name or number without spaces, quotes, brackets and @")
    return text


def option(name: str, metavar: str, words: str) -> Any:
    """An option whose value may stand in an address."""
    return typer.Option(name, metavar=metavar, callback=token, help=words)


def password(variable: str, user: str) -> str:
    """From the environment, or from whoever sits at the terminal. Raises typer.BadParameter."""
    if variable in os.environ:
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"no password for {user}: set {variable}, or run this at a terminal")
    entered: str = typer.prompt(f"Password of {user}", hide_input=True, err=True)
    return entered
