"""`doelband setup` and `doelband keygen`: once, before the first start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import DEFAULT, ConfigPath, private_key, public_key, some_text
from recorder.cli.output import Json, facts, show
from recorder.config import load
from recorder.service import founding
from storage.bundle import DECLARATION_LABEL, Declaration
from storage.signing import create_key, public_bytes, public_text, sign


def keygen(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Where to write the private key; FILE.pub gets the public half."),
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
        typer.Option(
            metavar="FILE",
            help="Public key file of the centre's management, which grants listening (KSF 3.3).",
        ),
    ],
    council: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Public key file of the works council, which approves the scheme (KSF 3.11)."
        ),
    ] = None,
    no_council: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            callback=some_text,
            help="Why no works council is required; management signs this and approves in its place.",
        ),
    ] = None,
    management_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --no-council: management's private key, to sign the declaration."
        ),
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Make the directories, the catalogue and the keys, and enrol who approves and who grants.

    Run it once, as the service's own user. Run again after adding a purpose: it makes what is missing and
    replaces nothing; an enrolled key stays enrolled.
    """
    if (council is None) == (no_council is None) or (no_council is None) != (management_key is None):
        raise typer.BadParameter(
            "give --council FILE, or --no-council TEXT together with --management-key FILE"
        )
    declaration = _declared(no_council, management_key, management)
    people = _people(management, council, declaration)
    value = asyncio.run(founding.found(load(config), people))
    show(value, as_json, facts("Set up", value))


def _people(management: Path, council: Path | None, declaration: Declaration | None) -> founding.People:
    people = founding.People(public_key(management), public_key(council) if council else None, declaration)
    if people.council == people.management:
        raise typer.BadParameter(
            "the works council and management need keys of their own; for no council use --no-council"
        )
    return people


def _declared(text: str | None, key: Path | None, management: Path) -> Declaration | None:
    """Management's signed word that there is no council; none where there is one."""
    if text is None or key is None:
        return None
    private = private_key(key)
    if public_bytes(private) != public_key(management):
        raise typer.BadParameter(f"{key} is not the private half of {management}")
    return Declaration(text, sign(private, DECLARATION_LABEL, text.encode()))
