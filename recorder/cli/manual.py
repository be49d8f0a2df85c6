"""`doelband manual`: the manual page, written from the commands themselves, so that it cannot lie.

The page is roff with the man macros, man(7). `make manual` writes docs/doelband.1; the wheel installs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
import typer.main

_FILES = (
    ("/etc/doelband/config.toml", "The configuration, unless `--config` names another one."),
    ("/var/lib/doelband/storage", "Catalogue, sealed clips, audit log, unless configured otherwise."),
    ("/var/lib/doelband/keys", "Keystore and purpose keys, unless configured otherwise."),
    ("/var/lib/doelband-epoch", "Epoch keys, unless configured otherwise. Keep them out of every backup."),
    ("/run/doelband", "Sockets between the processes, unless configured otherwise."),
)


def manual() -> None:
    """Print the manual page (roff)."""
    from recorder.cli import app

    command: Any = typer.main.get_command(app)
    context: Any = command.make_context("doelband", [], resilient_parsing=True)
    typer.echo("\n".join(page(command, context)))


def page(command: Any, context: Any) -> Iterator[str]:
    """The lines of the page about a group of commands and everything under it."""
    yield '.TH DOELBAND 1 "" "doelband" "User Commands"'
    yield ".SH NAME"
    yield r"doelband \- telephony recording proxy with purpose tagging"
    yield ".SH SYNOPSIS"
    yield r"\fBdoelband\fP \fICOMMAND\fP [\fIARGUMENTS\fP]"
    yield ".SH DESCRIPTION"
    yield from _prose(command.help)
    yield ".SH COMMANDS"
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if not found.hidden:
            yield from _commands(f"doelband {name}", found)
    yield ".SH EXIT STATUS"
    yield from _prose(command.epilog)
    yield ".SH FILES"
    for path, text in _FILES:
        yield from _item(rf"\fI{_escaped(path)}\fP", text)


def _commands(path: str, command: Any) -> Iterator[str]:
    """A command, or a group with every command of it."""
    members = getattr(command, "commands", None)
    if members is None:
        yield from _command(path, command)
        return
    for name, member in members.items():
        if not member.hidden:
            yield from _commands(f"{path} {name}", member)


def _command(path: str, command: Any) -> Iterator[str]:
    shown = [it for it in command.params if not getattr(it, "hidden", False)]
    arguments = " ".join(_operand(it) for it in shown if it.param_type_name == "argument")
    yield f".SS {_escaped(path)} {_escaped(arguments)} [OPTIONS]"
    yield from _prose(command.help)
    for parameter in shown:
        if parameter.help:
            yield from _item(_name(parameter), parameter.help)


def _operand(parameter: Any) -> str:
    name = str(parameter.name).upper() + ("..." if parameter.nargs != 1 else "")
    return name if parameter.required else f"[{name}]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return rf"\fI{_escaped(_operand(parameter))}\fP"
    names = [rf"\fB{_escaped(it)}\fP" for it in (*parameter.opts, *parameter.secondary_opts)]
    value = "" if parameter.is_flag else rf" \fI{_escaped(str(parameter.name).upper())}\fP"
    return ", ".join(names) + value


def _item(name: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield name
    yield _line(text)


def _prose(text: str | None) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", (text or "").strip())):
        if number:
            yield ".PP"
        yield _line(paragraph)


def _line(text: str) -> str:
    """Text on one line; Markdown's back quotes become bold. A leading dot or quote is no request."""
    escaped = _escaped(" ".join(text.split()))
    escaped = re.sub(r"`([^`]*)`", r"\\fB\1\\fP", escaped)
    return r"\&" + escaped if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")
