"""`doelband purge`: what is due, destroying it, and the proof."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from purge import sweep as sweeping
from purge.verdict import ClockReason, Reason, examine, is_past
from purge.witness import look, take
from recorder.cli.clips import ClipId, clip_id
from recorder.cli.installation import Installation, account_name, work
from recorder.cli.options import DEFAULT, ConfigPath, person_name
from recorder.cli.output import Exit, Id, Json, facts, rows, say, show
from recorder.cli.progress import watched
from recorder.config import load
from recorder.service import places, purging
from recorder.service.beginning import begin, check_founded, claim_name
from storage.blobs import Blobs
from storage.errors import NotFound
from storage.keydoor import KeyDoor
from storage.lifecycle import State
from storage.model import By, Certificate, ClipFilter

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
    show(value, as_json, facts("Purge", _status_words(value)))
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
    show(value, as_json, _run_words(report))
    if not as_json and report.judged:
        say(_outcome(report))
    if not report.clock.is_trusted:
        raise typer.Exit(Exit.TEMPORARY)
    raise typer.Exit(Exit.FAILED if report.erased.left else Exit.OK)


@app.command()
def certificate(
    clip: ClipId,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show the certificate of a clip's destruction: what was destroyed, how, and how far to believe it."""

    async def look(installation: Installation) -> Certificate:
        chosen = await clip_id(installation, clip)
        try:
            await installation.catalogue.clips.show(chosen)
        except NotFound as error:
            raise NotFound(f"find the certificate of clip {chosen}", "there is no such clip") from error
        return await installation.catalogue.erasures.certificate(chosen)

    found = work(config, look)
    document = json.loads(found.document)
    if as_json:
        show(document, True, "")
    else:
        say(facts(f"Certificate of destruction ({found.state.value})", document))


@app.command("confirm-clock")
def confirm_clock(
    person: Annotated[
        str,
        typer.Option(
            "--person", metavar="PERSON", callback=person_name, help="Who says that the clock is right."
        ),
    ],
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Say that this machine's clock is right, after a restart without synchronised time or after a jump.

    Two different people must say so; until then the purge waits. Both words stand in the audit log.
    """

    async def confirm(installation: Installation) -> tuple[bool, str]:
        reading, witnesses = take(installation.clock), installation.catalogue.clock
        if examine(reading, await witnesses.last()).is_trusted:
            return True, "There is nothing to confirm: the clock is believed already."
        if await witnesses.confirm(reading, By(person, reading.wall, "clock")):
            return True, "The clock is believed now."
        return False, "Noted. A second person must say so too."

    believed, words = work(config, confirm)
    show({"person": person, "believed": believed}, as_json, words)


@app.command("work", hidden=True)
def work_on(config: ConfigPath = DEFAULT) -> None:
    """The purge process: a sweep a minute. `serve` starts it; it can also run alone."""
    notifier = begin("purge")
    loaded = load(config)
    check_founded(loaded, config)
    claim_name(loaded, "purge")
    asyncio.run(purging.run(loaded, notifier))


SHOWN = 100
"""Of what is due, so many are listed for people."""

WORDS: Mapping[str, str] = {
    ClockReason.FIRST: "believed: this is the first reading",
    ClockReason.SAME_BOOT: "believed: it has run evenly since the machine was started",
    ClockReason.SYNCHRONISED: "believed: it was synchronised after the machine was started",
    ClockReason.BEHIND: "believed, though it is behind the latest time seen; what is due waits for it",
    ClockReason.JUMP: "not believed: it has jumped forward by more than an hour",
    ClockReason.UNSYNCHRONISED: "not believed: it was not synchronised after the machine was started",
    Reason.DEADLINE_PASSED: "its deadline has passed",
    Reason.DEADLINE_AHEAD: "its deadline is ahead",
    Reason.CLOCKS_DISAGREE: "its deadline has passed by one clock only",
    Reason.BEGUN: "its destruction has begun",
    Reason.GONE: "it is gone",
}
"""Reasons of the clock and of a clip's verdict, for people."""


def _run_words(report: sweeping.Report) -> Table | str:
    """What was judged; else that nothing is due, or that the clock forbids to judge."""
    clock = f"The clock is {WORDS[report.clock.reason]}."
    if not report.clock.is_trusted:
        return (
            f"Nothing was judged and nothing destroyed. {clock} Set it right, or let two people run "
            "`doelband purge confirm-clock`."
        )
    lines = [
        (
            Id(it.clip),
            it.purpose,
            it.deadline_day,
            it.verdict.action.value,
            [WORDS[reason] for reason in it.verdict.reasons],
        )
        for it in report.judged
    ]
    title = "Due" if len(lines) <= SHOWN else f"Due: the first {SHOWN} of {len(lines)}; --json lists all"
    columns = ("clip", "purpose", "deadline", "action", "why")
    return rows(title, columns, lines[:SHOWN], f"Nothing is due. {clock}")


def _outcome(report: sweeping.Report) -> str:
    if report.is_dry_run:
        return "A dry run: nothing was destroyed."
    left = (
        f" Left, with files that could not be removed: {len(report.erased.left)}."
        if report.erased.left
        else ""
    )
    return f"Destroyed: {len(report.erased.buried)}. Certificates: {report.erased.certified}.{left}"


def _status_words(value: dict[str, Any]) -> dict[str, Any]:
    """What people read of the status."""
    kept = ", ".join(f"{count} {state}" for state, count in value["clips"].items() if count)
    words = {
        "clips": kept or "none",
        "due": value["due"],
        "overdue by a day": value["overdue"],
        "clock": value["clock"],
        "latest time seen": value["highest_time_committed"],
        "certificates": value["certificates"],
    }
    if value["clock_moved_by_seconds"]:
        words["WARNING"] = (
            f"the clock is moved by {value['clock_moved_by_seconds']:.0f} s (clock.offset_file)"
        )
    return words


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
    places.reserve(config).relieve()
    with watched() as tell:
        return await sweeping.sweep(
            installation.catalogue,
            Blobs(places.clips(config)),
            KeyDoor(places.keys(config)),
            installation.clock,
            dry_run,
            account_name(),
            tell,
        )
