"""`doelband purge`: what is due, destroying it, and the proof."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from purge import sweep as sweeping
from purge.verdict import is_past
from purge.witness import look, take
from recorder.cli.installation import Installation, account_name, work
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Exit, Json, facts, out, rows, show
from recorder.config import load
from recorder.service import places, purging
from recorder.service.children import follow_supervisor
from recorder.service.journal import start_logging
from storage.blobs import Blobs
from storage.keydoor import KeyDoor
from storage.lifecycle import State
from storage.model import By, ClipFilter

app = typer.Typer(
    help="Destruction at the deadline, and its certificates.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


@app.command()
def status(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """What is kept, what is due, and what the clocks say. Exit 6 when something is overdue by a day."""
    value = work(config, _status)
    show(value, as_json, facts("Purge", value))
    raise typer.Exit(Exit.FINDINGS if value["overdue"] else Exit.OK)


@app.command()
def run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be destroyed, and why.")
    ] = False,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Destroy what is due now. The service does this by itself every minute; both may run at once."""
    report = work(config, lambda installation: _sweep(installation, dry_run))
    value: dict[str, Any] = {
        "at": report.at,
        "dry_run": report.is_dry_run,
        "clock_trusted": report.clock.is_trusted,
        "clock": report.clock.reason.value,
        "judged": [
            {
                "clip": it.clip,
                "purpose": it.purpose,
                "deadline_day": it.deadline_day,
                "action": it.verdict.action.value,
                "reasons": [reason.value for reason in it.verdict.reasons],
            }
            for it in report.judged
        ],
        "destroyed": list(report.erased.buried),
        "left": list(report.erased.left),
        "certified": report.erased.certified,
    }
    lines = [
        (it["clip"], it["purpose"], it["deadline_day"], it["action"], it["reasons"]) for it in value["judged"]
    ]
    columns = ("clip", "purpose", "deadline", "action", "why")
    show(value, as_json, rows("Due", columns, lines, f"Nothing is due. Clock: {value['clock']}."))
    if not report.clock.is_trusted:
        raise typer.Exit(Exit.TEMPORARY)
    raise typer.Exit(Exit.FAILED if report.erased.left else Exit.OK)


@app.command()
def certificate(
    clip: Annotated[str, typer.Argument(help="The clip's identifier.")],
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the certificate of a clip's destruction: what was destroyed, how, and how far to believe it."""
    found = work(config, lambda installation: installation.catalogue.erasures.certificate(clip))
    document = json.loads(found.document)
    if as_json:
        show(document, True, "")
    else:
        out.print(facts(f"Certificate of destruction ({found.state.value})", document))


@app.command("confirm-clock")
def confirm_clock(
    person: Annotated[str, typer.Option("--person", help="Who says that the clock is right.")],
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Say that this machine's clock is right, after a restart without synchronised time or after a jump.

    Two different people must say so; until then the purge waits. Both words stand in the audit log.
    """

    async def confirm(installation: Installation) -> bool:
        reading = take(installation.clock)
        return await installation.catalogue.clock.confirm(reading, By(person, reading.wall, "clock"))

    believed = work(config, confirm)
    value = {"person": person, "believed": believed}
    show(
        value,
        as_json,
        "The clock is believed now." if believed else "Noted. A second person must say so too.",
    )


@app.command("work", hidden=True)
def work_on(config: ConfigPath = DEFAULT) -> None:
    """The purge process that `serve` starts."""
    follow_supervisor()
    start_logging("purge")
    asyncio.run(purging.run(load(config)))


async def _status(installation: Installation) -> dict[str, Any]:
    catalogue = installation.catalogue
    witnesses = await look(catalogue, installation.clock)
    reading_at = witnesses.for_reading()
    live = frozenset(State) - {State.ERASED}
    due = await catalogue.clips.find(ClipFilter(states=live, due_before=reading_at.date()))
    counts = await catalogue.clips.count_by_state()
    return {
        "clips": {state.value: count for state, count in counts.items()},
        "due": len(due),
        "overdue": sum(is_past(it.deadline_day, reading_at - purging.GRACE) for it in due),
        "clock": witnesses.os_at,
        "highest_time_committed": witnesses.highest_at,
        "clock_moved_by_seconds": installation.clock.offset().total_seconds(),
        "certificates": len(await catalogue.erasures.certificates()),
    }


async def _sweep(installation: Installation, dry_run: bool) -> sweeping.Report:
    config = installation.config
    return await sweeping.sweep(
        installation.catalogue,
        Blobs(places.clips(config)),
        KeyDoor(places.keys(config)),
        installation.clock,
        dry_run,
        actor=account_name(),
    )
