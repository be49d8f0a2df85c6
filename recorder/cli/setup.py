"""`doelband setup` and `doelband keygen`: once, before the first start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Json, facts, show
from recorder.config import load
from recorder.service import founding
from storage.errors import Refused
from storage.signing import create_key, parse_public, public_bytes, public_text


def keygen(
    file: Annotated[
        Path, typer.Argument(help="Where to write the private key; FILE.pub gets the public half.")
    ],
    as_json: Json = False,
) -> None:
    """Make an Ed25519 key pair for the works council or for management.

    Do it on the holder's own machine: who has the private key can approve a scheme, or grant listening.
    """
    public = public_text(public_bytes(create_key(file)))
    beside = file.with_name(file.name + ".pub")
    beside.write_text(public + "\n", encoding="ascii")
    value = {"private": str(file), "public_file": str(beside), "public": public}
    show(value, as_json, facts("Key pair", value))


def setup(
    management: Annotated[
        Path,
        typer.Option(help="Public key file of the centre's management, which grants listening (KSF 3.3)."),
    ],
    council: Annotated[
        Path | None,
        typer.Option(help="Public key file of the works council, which approves the scheme (KSF 3.11)."),
    ] = None,
    no_council: Annotated[
        str | None,
        typer.Option(
            help="Why no works council is required; management signs this and approves in its place."
        ),
    ] = None,
    management_key: Annotated[
        Path | None,
        typer.Option(help="With --no-council: management's private key, to sign the declaration."),
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Make the directories, the catalogue and the keys, and enrol who approves and who grants.

    Run it once, as the service's own user. Run again after adding a purpose: it makes what is missing and
    replaces nothing; an enrolled key stays enrolled.
    """
    if (council is None) == (no_council is None) or (no_council is None) != (management_key is None):
        raise Refused(
            "council-or-declaration",
            "set up",
            "give --council FILE, or --no-council TEXT together with --management-key FILE",
        )
    people = founding.People(
        management=_public(management),
        council=_public(council) if council else None,
        declaration=no_council,
        management_key=management_key,
    )
    value = asyncio.run(founding.found(load(config), people))
    show(value, as_json, facts("Set up", value))


def _public(path: Path) -> bytes:
    try:
        return parse_public(path.read_text(encoding="ascii"))
    except (UnicodeDecodeError, ValueError) as error:
        raise Refused(
            "not-a-public-key", f"read {path}", "give the .pub file that `doelband keygen` wrote"
        ) from error
