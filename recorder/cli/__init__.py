"""The command line: what it offers, and how every error leaves it."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer.core
import typer.main

from recorder.cli.output import Exit, complain

EPILOG = (
    "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by policy, 5 configuration, "
    "6 findings, 75 try again later."
)

COMMANDS = {
    "setup": "setup",
    "keygen": "setup",
    "config": "config",
    "announcement": "announcement",
    "scheme": "scheme",
    "serve": "processes",
    "status": "status",
    "calls": "calls",
    "reconcile": "reconcile",
    "pbx": "pbx",
    "selftest": "selftest",
    "ctl": "ctl",
    "exclude": "exclude",
    "explain": "explain",
    "clips": "clips",
    "grant": "grants",
    "purge": "purge",
    "fsck": "fsck",
    "media": "processes",
    "signalling": "processes",
    "relay": "processes",
    "capture": "processes",
    "keys": "processes",
    "watch": "processes",
    "crm": "processes",
    "manual": "manual",
}
"""Every command, and the module of this package that has it. A module is loaded when it is asked for: the
processes that `serve` starts load nothing of the others."""


class Commands(typer.core.TyperGroup):
    """The group of all commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"recorder.cli.{COMMANDS[cmd_name]}")
        group: typer.Typer | None = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            group.command(cmd_name, hidden=cmd_name in INNER)(getattr(module, cmd_name))
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


INNER = frozenset({"media", "signalling", "relay", "capture", "keys", "manual", "watch", "crm"})
"""Not in the list of commands: single processes, which `serve` starts, or a unit each; the manual page."""

app = typer.Typer(
    name="doelband",
    cls=Commands,
    help="Records business calls for their purpose, never a private or privileged one; destroys in time.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"doelband {version('doelband')}")
        raise typer.Exit


@app.callback()
def doelband(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Names the program; the commands do the work."""


def main() -> None:
    """Run one command and exit with its status."""
    if not all(map(_is_text, sys.argv)):
        complain("an argument is not UTF-8; write it in UTF-8, and rename a file that is named so")
        sys.exit(Exit.USAGE)
    try:
        app()
    except Exception as error:
        code = _exit_of(error)
        if code is None:
            raise
        _say(_message(error))
        sys.exit(code)


def _is_text(argument: str) -> bool:
    """Whether this was text: bytes that are none come as surrogates (PEP 383)."""
    return not any("\ud800" <= it <= "\udfff" for it in argument)


def _say(message: str) -> None:
    """To the person at the terminal; of a service whose log is for machines, to the log."""
    from recorder.service.journal import log_end

    if not log_end(message):
        complain(message)


def _exit_of(error: Exception) -> Exit | None:
    """The status for an error that has an answer; None for a fault of our own, which shows its traceback."""
    from recorder.config import ConfigError
    from recorder.control import NotRunning
    from storage.errors import NotFound, Refused, StorageError, Unavailable

    if isinstance(error, Unavailable) and _lasts(error.__cause__):
        return Exit.FAILED
    kinds: tuple[tuple[type[Exception], Exit], ...] = (
        (ConfigError, Exit.CONFIGURATION),
        (NotFound, Exit.NOT_FOUND),
        (Refused, Exit.REFUSED),
        (Unavailable, Exit.TEMPORARY),
        (NotRunning, Exit.TEMPORARY),
        (StorageError, Exit.FAILED),
        (OSError, Exit.FAILED),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), None)


_IN_THE_WAY = "a file stands where a directory must be; move it away"
_NOT_ALLOWED = "this user may not; run as the service's own user or root"
LASTING = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EISDIR: "it is a directory; name a file",
    errno.ELOOP: "its links lead nowhere; name a file",
    errno.ENAMETOOLONG: "the name is too long; write a shorter one",
    errno.ENOENT: "there is no such file or directory; make it first",
    errno.EROFS: "the disk can only be read; name another place",
}
"""What is wrong with a path and stays so until somebody mends it, with what to do; waiting does not help."""


def _lasts(cause: BaseException | None) -> bool:
    """A fault of a path. A socket's error names no file: there the service may come yet."""
    return isinstance(cause, OSError) and cause.filename is not None and cause.errno in LASTING


def _message(error: Exception) -> str:
    """What was attempted, and what to do about it, in one line."""
    from storage.errors import Unavailable

    cause = error if isinstance(error, OSError) else error.__cause__
    if not isinstance(error, (OSError, Unavailable)) or not isinstance(cause, OSError):
        return str(error)
    attempted = error.attempted if isinstance(error, Unavailable) else f"use {cause.filename or 'the system'}"
    if _lasts(cause):
        return f"{attempted}: {LASTING[cause.errno or 0]}"
    if isinstance(error, Unavailable):
        return str(error)
    return f"{attempted}: {(cause.strerror or 'it failed').lower()}; look at the disk and try again"
