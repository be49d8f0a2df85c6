"""`doelband grant`: management says who may listen (KSF 3.3). The administrator cannot."""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from portal import access
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath, person_name, private_key, utc_day, whole_id
from recorder.cli.output import Id, Json, facts, rows, show
from storage import bundle
from storage.errors import NotFound, Refused
from storage.model import Grant
from storage.signing import public_bytes, sign

app = typer.Typer(
    help="Who may listen, for which purpose, until when (KSF 3.3).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
KeyFile = Annotated[
    Path,
    typer.Option(
        "--key", metavar="FILE", help="Management's private key (PEM), made with `doelband keygen`."
    ),
]
ACTIONS = tuple(access.Action)
ALL_LINES = "all lines"


@app.command()
def add(
    person: Annotated[
        str,
        typer.Argument(
            metavar="PERSON", callback=person_name, help="Who may listen: the account or person's name."
        ),
    ],
    purpose: Annotated[str, typer.Option(metavar="PURPOSE", help="For which purpose.")],
    until: Annotated[
        datetime,
        typer.Option(parser=utc_day, metavar="YYYY-MM-DD", help="Up to the start of this UTC day."),
    ],
    key: KeyFile,
    line: Annotated[
        list[str] | None, typer.Option(metavar="LINE", help="Only on this line; may be given several times.")
    ] = None,
    action: Annotated[
        list[access.Action] | None,
        typer.Option(
            metavar="ACTION",
            help="Only this: list, play, download or export; may be given several times. Else everything.",
        ),
    ] = None,
    granted_by: Annotated[
        str, typer.Option(metavar="PERSON", callback=person_name, help="Who of management gives it.")
    ] = "management",
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Let a person listen. Signed with management's key, so that nobody else can make a grant."""
    wanted = {
        "person": person,
        "purpose": purpose,
        "lines": tuple(sorted(line or ())),
        "actions": frozenset(action or ACTIONS),
        "until_at": until,
        "granted_by": granted_by,
    }
    grant = work(config, lambda installation: _add(installation, wanted, key))
    _show("Granted", grant, as_json)


@app.command("list")
def list_grants(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """List every grant, also those that have ended: who may listen to whom is no secret (KSF 3.3)."""
    found = work(config, lambda installation: installation.catalogue.grants.all())
    lines = [
        (
            Id(it.id),
            it.person,
            it.purpose,
            it.lines or ALL_LINES,
            "all" if len(_actions(it)) == len(ACTIONS) else _actions(it),
            it.until_at.date(),
            it.revoked_at.date() if it.revoked_at else None,
        )
        for it in found
    ]
    columns = ("grant", "person", "purpose", "lines", "actions", "until", "revoked")
    show([described(it) for it in found], as_json, rows("Grants", columns, lines, "No grants."))


@app.command()
def revoke(
    grant: Annotated[
        str,
        typer.Argument(
            metavar="GRANT",
            help="The grant's identifier, or its first characters, as `grant list` shows them.",
        ),
    ],
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """End a grant now. This needs no key: taking away is never refused."""

    title, ended = work(config, lambda installation: _revoke(installation, grant))
    _show(title, ended, as_json)


async def _revoke(installation: Installation, given: str) -> tuple[str, Grant]:
    grants = installation.catalogue.grants
    known = {it.id: it for it in await grants.all()}
    chosen = whole_id("grant", given, list(known))
    if chosen in known and known[chosen].revoked_at is not None:
        return "Revoked already", known[chosen]
    return "Revoked", await grants.revoke(chosen, installation.by())


async def _add(installation: Installation, wanted: dict[str, Any], key: Path) -> Grant:
    _check_names(installation, wanted)
    if wanted["until_at"] <= installation.now():
        raise typer.BadParameter(f"--until {wanted['until_at']:%Y-%m-%d} is past; name a later day")
    private = private_key(key)
    enrolled = bundle.load(installation.config.storage.directory).management
    if enrolled != public_bytes(private):
        raise Refused(
            "not-the-enrolled-key", f"sign a grant with {key}", "use the management key enrolled at set-up"
        )
    told = access.Grant(id=secrets.token_hex(16), granted_at=installation.now(), **wanted)
    document = access.grant_document(told)
    row = Grant(
        id=told.id,
        person=told.person,
        purpose=told.purpose,
        lines=told.lines,
        until_at=told.until_at,
        granted_by=told.granted_by,
        granted_at=told.granted_at,
        document=document,
        signature=sign(private, access.GRANT_LABEL, document),
    )
    await installation.catalogue.grants.add(row, installation.by(told.granted_by))
    return row


def _instead(names: list[str]) -> str:
    return f"there is none of that name; the scheme has {', '.join(names)}"


def _check_names(installation: Installation, wanted: dict[str, Any]) -> None:
    scheme = installation.config.scheme()
    purposes = sorted(it.name for it in scheme.purposes)
    if wanted["purpose"] not in purposes:
        raise NotFound(f"grant for purpose {wanted['purpose']!r}", _instead(purposes))
    lines = sorted(it.name for it in scheme.lines)
    for line in wanted["lines"]:
        if line not in lines:
            raise NotFound(f"grant for line {line!r}", _instead(lines))


def _show(title: str, grant: Grant, as_json: bool) -> None:
    value = described(grant)
    show(value, as_json, facts(title, value | {"lines": value["lines"] or ALL_LINES}))


def _actions(grant: Grant) -> list[str]:
    """What was signed; nothing where the document is none of ours, for then it allows nothing."""
    try:
        return sorted(access.parse_grant(grant.document).actions)
    except ValueError:
        return []


def described(grant: Grant) -> dict[str, Any]:
    """A grant for people and machines."""
    return {
        "grant": grant.id,
        "person": grant.person,
        "purpose": grant.purpose,
        "lines": list(grant.lines),
        "actions": _actions(grant),
        "until_at": grant.until_at,
        "granted_by": grant.granted_by,
        "granted_at": grant.granted_at,
        "revoked_at": grant.revoked_at,
    }
