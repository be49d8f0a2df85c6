"""`doelband pbx`: what can the PBX do?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from recorder.cli.accounts import option, password
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import MARKS, Exit, Json, complain, err, rows, say, show
from recorder.config import Config, load
from recorder.probe import findings
from recorder.probe.telephone import Account
from recorder.probe.trial import Wanted, try_out
from sip_hooks.address import host
from sip_hooks.digest import Login

app = typer.Typer(
    help="Find out what the PBX can do.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

PASSWORD, CALLER_PASSWORD = "DOELBAND_PROBE_PASSWORD", "DOELBAND_PROBE_CALLER_PASSWORD"


@app.callback()
def _group() -> None:
    """Find out what the PBX can do."""


_USER = option("--user", "USER", "A test account, which no phone uses.")
_NUMBER = option("--number", "NUMBER", "What rings it; USER if not given.")
_CALLER = option("--caller", "USER", "A second test account, which calls the first one.")
_DOMAIN = option("--domain", "NAME", "Of the accounts; the PBX's address if not given.")
_LOGIN = option("--login", "NAME", "The account's log-in, if not USER.")
_BANS = typer.Option(
    "--try-bans",
    help="Also send ten wrong passwords. A PBX that bans addresses then shuts out every phone here.",
)


@app.command()
def probe(
    user: Annotated[str, _USER],
    number: Annotated[str | None, _NUMBER] = None,
    caller: Annotated[str | None, _CALLER] = None,
    domain: Annotated[str | None, _DOMAIN] = None,
    login: Annotated[str | None, _LOGIN] = None,
    try_bans: Annotated[bool, _BANS] = False,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Register a test account through a proxy of our own, let calls come back, and say what to configure.

    Tries Path (RFC 3327) and our own Contact, the private prefix, and with --caller two accounts from one
    address. Runs beside the service or without it, on its machine. The passwords are asked for, or taken from
    DOELBAND_PROBE_PASSWORD and DOELBAND_PROBE_CALLER_PASSWORD. Exit 0: the PBX can do what is configured; 6:
    something has to be changed; 1: no call comes back; 75: the PBX does not answer.
    """
    loaded = load(config)
    home = domain or host(loaded.pbx.address)
    wanted = Wanted(
        Account(user, home, Login(login or user, password(PASSWORD, user))),
        number or user,
        Account(caller, home, Login(caller, password(CALLER_PASSWORD, caller))) if caller else None,
        try_bans,
    )
    seen = asyncio.run(try_out(loaded, wanted, lambda text: err.print(text, markup=False)))
    _print(loaded, seen, as_json)
    if seen.best is None:
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.FINDINGS if findings.findings(seen) else Exit.OK)


def _print(config: Config, seen: findings.Seen, as_json: bool) -> None:
    found = findings.findings(seen)
    for it in found:
        complain(it)
    value: dict[str, Any] = {
        "pbx": config.pbx.address,
        "rows": [asdict(it) for it in findings.rows(seen)],
        "registration": seen.best,
        "configured": seen.configured,
        "findings": list(found),
    }
    if as_json:
        show(value, True, "")
        return
    lines = [(MARKS[it.is_good], it.question, it.answer) for it in findings.rows(seen)]
    say(rows(f"The PBX at {config.pbx.address}", ("", "question", "answer"), lines, ""))
    if seen.best is not None:
        same = " (as it is)" if seen.best == seen.configured else ""
        say(f'\n[pbx]\nregistration = "{seen.best}"{same}')
