"""`doelband scheme`: what the works council approves, and whether it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath, private_key
from recorder.cli.output import Exit, Json, facts, say, show
from recorder.config import load
from recorder.gate import Act, sign_approval
from recorder.scheme import canonical, scheme_hash
from recorder.scheme_text import render
from recorder.service import gatekeeper
from storage import bundle
from storage.errors import Refused
from storage.model import Approval, ApprovalKind
from storage.signing import public_bytes, public_text

app = typer.Typer(
    help="The scheme: purposes, lines, agents, exclusions, frequencies, terms (KSF 3.1).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
KeyFile = Annotated[
    Path,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The works council's private key (PEM), made with `doelband keygen`; management's where a "
        "declaration says that no council is required.",
    ),
]


@app.command("show")
def show_scheme(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Print the whole scheme as it is written in the configuration, with its hash."""
    scheme = load(config).scheme()
    if as_json:
        show({"hash": scheme_hash(scheme), "scheme": json.loads(canonical(scheme))}, True, "")
    else:
        say(render(scheme))


@app.command()
def sign(key: KeyFile, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Approve exactly this scheme (KSF 3.11, WOR 27). A running service records from then on."""
    _act("approve", key, config, as_json)


@app.command()
def withdraw(key: KeyFile, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Withdraw the approval. A running service stops recording at once."""
    _act("withdraw", key, config, as_json)


@app.command()
def status(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Say whether recording is allowed, and why. Exit 6 when nothing may be recorded."""

    async def look(installation: Installation) -> gatekeeper.Gate:
        return await gatekeeper.look(installation.config, installation.catalogue)

    gate = work(config, look)
    value = {
        "recording_allowed": gate.approved,
        "reason": gate.reason,
        "scheme": gate.policy.scheme_hash,
        "explanation": gatekeeper.explain(gate.reason, gate.declared),
    }
    words = {"recording allowed": gate.approved, "why": value["explanation"], "scheme": value["scheme"]}
    show(value, as_json, facts("Scheme", words))
    raise typer.Exit(Exit.OK if gate.approved else Exit.FINDINGS)


def _act(act: Literal["approve", "withdraw"], key: Path, config: Path, as_json: bool) -> None:
    gate = work(config, lambda installation: _sign(installation, act, key))
    value = {"act": act, "scheme": gate.policy.scheme_hash, "recording_allowed": gate.approved}
    show(value, as_json, facts("Scheme", value))


async def _sign(installation: Installation, act: Act, key: Path) -> gatekeeper.Gate:
    private = private_key(key)
    keys = bundle.load(installation.config.storage.directory)
    enrolled = keys.council or keys.management
    if enrolled != public_bytes(private):
        raise Refused(
            "not-the-enrolled-key",
            f"sign with {key} ({public_text(public_bytes(private))})",
            "this is not the key that was enrolled at set-up; use the key of "
            + ("the works council" if keys.council else "management, which approves in the council's place"),
        )
    signed = sign_approval(act, installation.config.scheme(), installation.now(), private)
    row = Approval(
        kind=ApprovalKind(act),
        scheme_hash=signed.scheme_hash,
        scheme=signed.document.decode(),
        signature=signed.signature,
        at=signed.at,
    )
    await installation.catalogue.approvals.add(
        row, installation.by("works council" if keys.council else "management")
    )
    return await gatekeeper.look(installation.config, installation.catalogue)
