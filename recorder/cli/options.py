"""Options that many commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="DOELBAND_CONFIG", help="The configuration file.", show_default=True
    ),
]
DEFAULT = Path("/etc/doelband/config.toml")
Person = Annotated[
    str | None,
    typer.Option(
        "--as",
        help="The person you act for, when you work as root or as the service's own user. "
        "The audit log names both.",
    ),
]
