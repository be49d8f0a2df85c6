"""`doelband ctl`: what a running service can be told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import typer

from recorder import control
from recorder.cli import ctl_silence
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Json, complain, show
from recorder.cli.reloads import exit_of, reload, words
from recorder.config import Config, ConfigError, load
from recorder.service import places

app = typer.Typer(
    help="Tell the running service something.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

app.add_typer(ctl_silence.app, name="calls")

UNCHANGED = "nothing was reloaded: the running configuration stays as it was"


@app.callback()
def _group() -> None:
    """Tell the running service something."""


@app.command("reload")
def reload_configuration(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Let the service read its configuration file again. SIGHUP does the same.

    The whole scheme takes effect at once, for running calls too. Exit 5: the file cannot be used, and
    nothing has changed; 75: some process did not answer.
    """
    try:
        result = asyncio.run(reload(_loaded(config, as_json)))
    except ConfigError:
        complain(UNCHANGED)
        raise
    if not result["running"]:
        raise control.NotRunning(places.signalling(load(config)))
    for problem in result["problems"]:
        complain(problem)
    show({"file": str(config), **result}, as_json, "\n".join(words(result)))
    raise typer.Exit(exit_of(result))


def _loaded(path: Path, as_json: bool) -> Config:
    """The configuration. Raises ConfigError, after having said so to machines."""
    try:
        return load(path)
    except ConfigError as error:
        problems: Any = [{"line": it.line, "key": it.key, "message": it.text} for it in error.problems]
        if as_json:
            show({"file": str(path), "errors": problems, "message": UNCHANGED}, True, "")
        raise
