"""`doelband config`: is the file right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Exit, Json, complain, show
from recorder.config import ConfigError, findings, load
from recorder.scheme import scheme_hash

app = typer.Typer(
    help="Look at the configuration file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _group() -> None:
    """Look at the configuration file."""


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The file; else the one of --config.")
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Read the file as the service would. Exit 5: it cannot be used; 6: it can, and looks unintended."""
    path = file or config
    try:
        scheme = load(path).scheme()
    except ConfigError as error:
        if as_json:
            faults = [{"line": it.line, "key": it.key, "message": it.text} for it in error.problems]
            show({"file": str(path), "errors": faults}, True, "")
        raise
    found = findings(path)
    for each in found:
        complain(str(each))
    value = {"file": str(path), "scheme": scheme_hash(scheme), "findings": [str(it) for it in found]}
    show(value, as_json, f"{path}: the configuration can be used. Scheme {scheme_hash(scheme)}")
    raise typer.Exit(Exit.FINDINGS if found else Exit.OK)
