"""The command line: what it offers, and how every error leaves it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from recorder.cli import calls, clips, config, grants, processes, purge, scheme, setup, status
from recorder.cli.output import Exit, complain
from recorder.config import ConfigError
from recorder.control import NotRunning
from storage.errors import NotFound, Refused, StorageError, Unavailable

EPILOG = (
    "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 refused by policy, 5 configuration, "
    "6 findings, 75 try again later."
)

app = typer.Typer(
    name="doelband",
    help="Records business calls for their purpose, never a private or privileged one; destroys in time.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(setup.setup)
app.command()(setup.keygen)
app.add_typer(config.app, name="config")
app.add_typer(scheme.app, name="scheme")
app.command()(processes.serve)
app.command()(status.status)
app.command()(calls.calls)
app.add_typer(clips.app, name="clips")
app.add_typer(grants.app, name="grant")
app.add_typer(purge.app, name="purge")
for process in (processes.signalling, processes.relay, processes.capture, processes.keys):
    app.command(rich_help_panel="Single processes, started by `serve`")(process)


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
    try:
        app()
    except Exception as error:
        code = _exit_of(error)
        if code is None:
            raise
        complain(str(error))
        sys.exit(code)


def _exit_of(error: Exception) -> Exit | None:
    """The status for an error that has an answer; None for a fault of our own, which shows its traceback."""
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
