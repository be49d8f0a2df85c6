"""`doelband selftest`: is what must never be recorded indeed not recorded?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from recorder import control
from recorder.cli.accounts import option, password
from recorder.cli.installation import Installation, account_name, work
from recorder.cli.options import DEFAULT, ConfigPath, Person, some_text
from recorder.cli.output import MARKS, Exit, Json, complain, err, rows, say, show
from recorder.decision import Rules
from recorder.explanation import SOMEBODY, excluded_by, imagine, roles
from recorder.leg import Word, word
from recorder.probe.telephone import Account
from recorder.scheme import Scheme
from recorder.selftest import verdict
from recorder.selftest.handset import NotDone
from recorder.selftest.opening import Listener, opened
from recorder.selftest.transfer import Told, Wanted, try_out
from recorder.selftest.verdict import Kind
from recorder.selftest.witness import Witness
from recorder.service import gatekeeper, places
from recorder.words import in_words
from sip_hooks.address import host
from sip_hooks.digest import Login
from storage.errors import Refused

app = typer.Typer(
    help="Try on the running service what must never be recorded.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

_KINDS: dict[str, tuple[Kind, ...]] = {
    "blind": ("blind",),
    "attended": ("attended",),
    "both": ("blind", "attended"),
}
_NOT_SHOWN = (
    "Not shown: what the PBX itself records, other ways into a call (pickup, conference, barge), and calls "
    "that pass Doelband by."
)


@app.callback()
def _group() -> None:
    """Try on the running service what must never be recorded."""


_CUSTOMER = option("--customer", "USER", "A test account that the PBX shows as somebody outside.")
_AGENT = option("--agent", "USER", "A test account that is an enrolled agent's extension; no phone uses it.")
_LINE = option("--line", "NUMBER", "What the customer dials to reach that agent: on a flagged line.")
_PRIVILEGED = option("--privileged", "USER", "A test account that an exclusion lists; no phone uses it.")
_DOMAIN = option("--domain", "NAME", "Of the accounts; the PBX's address if not given.")
_KIND = typer.Option(metavar="KIND", help="blind, attended or both.")
_PURPOSE = typer.Option(metavar="PURPOSE", callback=some_text, help="Also open the clips for this purpose.")
_REASON = typer.Option(metavar="TEXT", callback=some_text, help="Why they are opened; kept in the audit log.")


@app.command()
def transfer(
    customer: Annotated[str, _CUSTOMER],
    agent: Annotated[str, _AGENT],
    line: Annotated[str, _LINE],
    privileged: Annotated[str, _PRIVILEGED],
    domain: Annotated[str | None, _DOMAIN] = None,
    kind: Annotated[str, _KIND] = "both",
    purpose: Annotated[str | None, _PURPOSE] = None,
    reason: Annotated[str | None, _REASON] = None,
    person: Person = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Transfer test calls to a privileged extension, and show that nothing of it was kept.

    Three telephones of its own register through the running service at the PBX. The customer calls the line,
    the agent answers, both speak; the agent transfers the call, blind (REFER) and after a consultation
    (Replaces); the privileged telephone answers and speaks. Then clips, their files and the ledger are looked
    at, for which no key is needed; with --purpose and --reason the clips are opened too, if you have a grant.
    The test calls stay in clips and ledger until their deadline.

    Passwords are asked for, or taken from DOELBAND_SELFTEST_CUSTOMER_PASSWORD,
    DOELBAND_SELFTEST_AGENT_PASSWORD and DOELBAND_SELFTEST_PRIVILEGED_PASSWORD. Exit 0: nothing was kept; 1:
    something was; 6: it is not proved; 4: the accounts are not what they must be; 75: the service does not
    run.
    """
    if kind not in _KINDS:
        raise typer.BadParameter(f"write one of: {', '.join(_KINDS)}")
    if (purpose is None) != (reason is None):
        raise typer.BadParameter("give --purpose and --reason, or neither")
    users = {"customer": customer, "agent": agent, "privileged": privileged}

    async def act(installation: Installation) -> list[Told]:
        agents = await _agents(installation, users, line)
        home = domain or host(installation.config.pbx.address)
        accounts = {name: _account(name, user, home) for name, user in users.items()}
        witness = Witness(installation.config, installation.catalogue, installation.clock)
        wanted = Wanted(**accounts, line=line, agents=agents)
        told = await try_out(witness, wanted, _KINDS[kind], lambda text: err.print(text, markup=False))
        if purpose is None or reason is None:
            return told
        listener = Listener(person or account_name(), purpose, reason)
        return [await opened(witness, it, listener) for it in told]

    try:
        told = work(config, act)
    except NotDone as error:
        complain(f"nothing is proved: {error}")
        raise typer.Exit(Exit.FINDINGS) from None
    raise typer.Exit(_print([it.seen for it in told], as_json))


def _account(name: str, user: str, home: str) -> Account:
    return Account(user, home, Login(user, password(f"DOELBAND_SELFTEST_{name.upper()}_PASSWORD", user)))


async def _agents(installation: Installation, users: dict[str, str], line: str) -> frozenset[str]:
    """Who the agent's telephone is. Raises NotRunning, and Refused when the test would show nothing."""
    config, scheme = installation.config, installation.config.scheme()
    found = check_accounts(scheme, users, line)
    await control.ask(places.signalling(config), {"op": "status"})
    gate = await gatekeeper.look(config, installation.catalogue)
    check_line(scheme, gate.policy.rules, gate.approved, line)
    return found


def check_line(scheme: Scheme, rules: Rules, is_approved: bool, line: str) -> None:
    """Raises Refused unless each call of somebody outside to this line is recorded from its answer on."""
    always = {it.name for it in scheme.purposes if it.mode == "always"}
    verdicts = [it.verdict for it in imagine(scheme, rules, is_approved, SOMEBODY, line)]
    if not any(always & set(it.recorded()) and word(it) is Word.RECORD for it in verdicts):
        why = sorted({in_words(code.value) for it in verdicts for code in it.reasons})
        raise Refused(
            "not-recorded",
            f"test with the line {line}",
            f"its calls are not always recorded: {', '.join(why)}",
        )


def check_accounts(scheme: Scheme, users: dict[str, str], line: str) -> frozenset[str]:
    """Who the agent's telephone is to the scheme. `users`: customer, agent, privileged. Raises Refused."""
    agent, privileged = users["agent"], users["privileged"]
    agents, lines = roles(scheme, agent)[0], {it.name for it in roles(scheme, line)[1]}
    attempted = f"test a transfer to {privileged}"
    if not excluded_by(scheme, privileged):
        remedy = (
            f"no exclusion lists it; `doelband exclude add {privileged}` would, or name another extension"
        )
        raise Refused("not-excluded", attempted, remedy)
    if not lines:
        raise Refused(
            "not-flagged", attempted, f"{line} is on no flagged line ([[lines]]); name another number"
        )
    if not any(lines & set(it.lines) for it in agents):
        remedy = (
            f"{agent} is no extension of an agent on the line of {line} ([[agents]]); name another account"
        )
        raise Refused("not-enrolled", attempted, remedy)
    for it in (agent, users["customer"], line):
        if excluded_by(scheme, it):
            raise Refused("excluded", attempted, f"{it} is excluded itself, so nothing is recorded anyway")
    return frozenset(it.id for it in agents)


def _print(seen: list[verdict.Seen], as_json: bool) -> Exit:
    kept = [f"{it.kind}: {text}" for it in seen for text in verdict.kept(it)]
    missing = [f"{it.kind}: {text}" for it in seen for text in verdict.missing(it)]
    for text in kept:
        complain(f"SOMETHING WAS KEPT: {text}")
    for text in missing:
        complain(text)
    value: dict[str, Any] = {
        "nothing_kept": not kept and not missing,
        "kept": kept,
        "not_proved": missing,
        "transfers": [
            {
                "kind": it.kind,
                "transferred_at": it.transferred_at,
                "clips": [clip.id for clip in it.own_clips()],
                "calls": [row.call for row in it.own_rows()],
                "rows": [asdict(row) for row in verdict.rows(it)],
            }
            for it in seen
        ],
    }
    if as_json:
        show(value, True, "")
    else:
        for it in seen:
            lines = [(MARKS[row.is_good], row.question, row.answer) for row in verdict.rows(it)]
            say(
                rows(
                    f"Transfer to the privileged telephone, {it.kind}", ("", "question", "answer"), lines, ""
                )
            )
        say(f"\n{_judged(kept, missing)}\n{_NOT_SHOWN}")
    return Exit.FAILED if kept else Exit.FINDINGS if missing else Exit.OK


def _judged(kept: list[str], missing: list[str]) -> str:
    if kept:
        return "SOMETHING WAS KEPT of a privileged conversation. Stop recording until it is known why."
    return "It is not proved that nothing is kept." if missing else "Nothing of it was kept."
