"""`doelband ctl calls pause`, `resume` and `private`."""

from __future__ import annotations

from typing import Any

import typer

from recorder import control
from recorder.cli.ctl_calls import CallId, app, leaf, missing, named
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath, Person
from recorder.cli.output import Exit, Id, Json, complain, facts, show
from recorder.service import places
from recorder.words import in_words
from storage.errors import StorageError

__all__ = ["app"]


@app.command()
def pause(call: CallId, person: Person = None, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Pause the recording of a running call, as for card data; the call itself goes on.

    Silence of the same length is kept in place of what is said. The pause ends by itself after its limit
    (`[pause] limit`), and asking again makes it no longer. Exit 4 with the reasons when it is refused.
    """
    _tell(work(config, lambda installation: _ask(installation, "pause", call, person)), as_json)


@app.command()
def resume(call: CallId, person: Person = None, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """End a pause before its limit. Exit 4 when there is none.

    Whatever else keeps the call from being recorded still does: the state says what it came to.
    """
    _tell(work(config, lambda installation: _ask(installation, "resume", call, person)), as_json)


@app.command()
def private(call: CallId, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Make a running call private, for good, and destroy all that was recorded of it; the call goes on.

    What remains is a random identifier and the day. Nobody is named in the audit log, who asked neither.
    """
    _tell(work(config, lambda installation: _ask(installation, "private", call, None)), as_json)


def _tell(value: dict[str, Any], as_json: bool) -> None:
    refused = [in_words(it) for it in value["refused"]]
    shown = {"call": Id(value["call"]), "state": value["state"]}
    show(value, as_json, facts("Call", shown))
    if not value["is_logged"]:
        complain("it was done, but the audit log could not be written")
        raise typer.Exit(Exit.FAILED)
    if refused:
        complain(f"nothing was done: {'; '.join(refused)}")
        raise typer.Exit(Exit.REFUSED)


async def _ask(installation: Installation, order: str, given: str, person: str | None) -> dict[str, Any]:
    """The order comes first: it protects somebody, and nothing may be in its way."""
    call = await named(installation, given, [])
    answer = await control.ask(places.signalling(installation.config), {"op": order, "call": call})
    if not answer["found"]:
        raise missing(call)
    value = {"call": call, "state": answer["state"], "refused": answer["refused"], "is_logged": True}
    if order == "private":
        return value
    try:
        result = "refused" if answer["refused"] else "done"
        await leaf(installation, installation.by(person, result), f"call.{order}", call)
    except StorageError:
        value["is_logged"] = False
    return value
