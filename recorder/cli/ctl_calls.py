"""`doelband ctl calls`: calls that run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from recorder import control
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath, Person, whole_id
from recorder.cli.output import Exit, Id, Json, complain, facts, rows, show
from recorder.config import load
from recorder.service import places
from recorder.words import in_words
from storage.errors import NotFound
from storage.model import By

app = typer.Typer(
    help="Calls that run.", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)
CallId = Annotated[
    str, typer.Argument(metavar="CALL", help="The call's identifier, or its first 8 characters or more.")
]


@app.callback()
def _group() -> None:
    """Calls that run. Nothing is shown of one that is private, privileged or on no flagged line."""


@app.command("list")
def list_calls(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """List the running calls that may be shown."""
    import asyncio

    found = asyncio.run(running(places.signalling(load(config))))
    lines = [
        (
            Id(it["call"]),
            datetime.fromisoformat(it["started_at"]),
            it["direction"],
            it["line"],
            it["agent"],
            it["state"],
            it["purposes"],
        )
        for it in found
    ]
    columns = ("call", "since (UTC)", "direction", "line", "agent", "state", "for")
    show(found, as_json, rows("Running", columns, lines, "No running calls that may be shown."))


@app.command("show")
def show_call(call: CallId, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Show one running call, with the reasons in words."""
    import asyncio

    found = asyncio.run(_one(places.signalling(load(config)), call))
    why = [in_words(it) for it in found["reasons"]]
    show({**found, "explanation": why}, as_json, facts("Call", {**in_sentences(found), "reasons": why}))


@app.command()
def stop(
    call: CallId,
    purpose: Annotated[
        list[str] | None,
        typer.Option(metavar="PURPOSE", help="Only for this one; may be repeated. Else the whole call."),
    ] = None,
    person: Person = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """End the recording of a running call, for good; the call itself goes on.

    The latest seconds, as many as the horizon has, are dropped; what was kept before stays until its
    deadline. A call that is not recorded yet will not be. The audit log names who stopped it.
    """
    value = work(config, lambda installation: _stop(installation, call, purpose or [], person))
    stopped = value["stopped"] or "nothing: it was not being recorded, and will not be"
    show(value, as_json, facts("Call", {"call": Id(value["call"]), "recording stopped": stopped}))
    if not value["is_logged"]:
        complain("it was stopped, but the audit log could not be written")
        raise typer.Exit(Exit.FAILED)


@app.command()
def record(
    call: CallId,
    purpose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PURPOSE", help="What for; may be repeated. Else all that wait to be asked for."
        ),
    ] = None,
    person: Person = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Record a running call from now on, for purposes whose mode is on-demand.

    Every other rule still counts: exit 4 with the reasons when it is not recorded. The audit log names who
    asked.
    """
    value = work(config, lambda installation: _record(installation, call, purpose or [], person))
    refused = list(value["refused"])
    show(value, as_json, facts("Call", {**value, "call": Id(value["call"]), "refused": refused}))
    for name, reasons in value["refused"].items():
        complain(f"{name} is not recorded: {', '.join(in_words(it) for it in reasons)}")
    if not value["recorded"] and not value["refused"]:
        complain("no purpose of this call waits to be asked for; name one with --purpose to hear why")
    raise typer.Exit(Exit.OK if value["recorded"] and not value["refused"] else Exit.REFUSED)


async def running(signalling: Any) -> list[dict[str, Any]]:
    """The running calls that may be shown. Raises NotRunning."""
    return list((await control.ask(signalling, {"op": "calls"}))["calls"])


def in_sentences(call: dict[str, Any]) -> dict[str, Any]:
    """A running call for people: its start as an instant, the reasons of each purpose in words."""
    by_purpose = {name: [in_words(it) for it in codes] for name, codes in call.get("by_purpose", {}).items()}
    return {**call, "started_at": datetime.fromisoformat(call["started_at"]), "by_purpose": by_purpose}


async def _one(signalling: Any, given: str) -> dict[str, Any]:
    found = {it["call"]: it for it in await running(signalling)}
    call = whole_id("call", given, list(found))
    if call not in found:
        raise missing(call)
    return found[call]


async def named(installation: Installation, given: str, purposes: list[str]) -> str:
    """The call's identifier. Raises NotFound, also for a purpose that neither call nor configuration has."""
    found = await _one(places.signalling(installation.config), given)
    known = sorted({*installation.config.purposes, *found["purposes"], *found.get("by_purpose", {})})
    for name in purposes:
        if name not in known:
            raise NotFound(
                f"find purpose {name!r}", f"there is no such purpose; there are {', '.join(known)}"
            )
    return str(found["call"])


async def _record(
    installation: Installation, given: str, purposes: list[str], person: str | None
) -> dict[str, Any]:
    """The audit row comes first: who asked stands there whatever the answer is."""
    signalling = places.signalling(installation.config)
    call = await named(installation, given, purposes)
    by = installation.by(person, ",".join(purposes) or "every-purpose-on-demand")
    await leaf(installation, by, "call.record", call)
    answer = await control.ask(signalling, {"op": "record", "call": call, "purposes": purposes})
    if not answer["found"]:
        raise missing(call)
    return {"call": call, "recorded": answer["recorded"], "refused": answer["refused"]}


async def _stop(
    installation: Installation, given: str, purposes: list[str], person: str | None
) -> dict[str, Any]:
    """Stopping comes first: it protects somebody, and nothing may be in its way."""
    from storage.errors import StorageError

    signalling = places.signalling(installation.config)
    call = await named(installation, given, purposes)
    answer = await control.ask(signalling, {"op": "stop", "call": call, "purposes": purposes})
    if not answer["found"]:
        raise missing(call)
    by = installation.by(person, ",".join(purposes) or "every-purpose")
    try:
        await leaf(installation, by, "call.stop", call)
    except StorageError:
        return {"call": call, "stopped": answer["stopped"], "is_logged": False}
    return {"call": call, "stopped": answer["stopped"], "is_logged": True}


async def leaf(installation: Installation, by: By, action: str, call: str) -> None:
    """Note who did something to a running call. Which call stands in the text, which goes if the call is
    withdrawn: the log itself cannot forget.
    """
    await installation.catalogue.audit.append(replace(by, text=call), action, "running-call")


def missing(call: str) -> NotFound:
    """There is no such call."""
    return NotFound(f"find call {call}", "it does not run; `doelband ctl calls list` shows those that do")
