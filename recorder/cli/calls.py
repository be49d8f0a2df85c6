"""`doelband calls`: what became of each call on a flagged line."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from recorder import control
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Id, Json, rows, say, show
from recorder.service import places


def calls(
    days: Annotated[int, typer.Option(min=1, help="How many days back.")] = 1,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Running calls, and the outcome of ended ones: recorded, suppressed or failed, and why.

    Of private and privileged calls there is nothing but a count per day.
    """
    value = work(config, lambda installation: _collect(installation, days))
    if as_json:
        show(value, True, "")
        return
    running = [
        [
            Id(it["call"]),
            datetime.fromisoformat(it["started_at"]),
            it["line"],
            it["agent"],
            it["state"],
            it["reasons"],
        ]
        for it in value["running"]
    ]
    say(
        rows(
            "Running", ("call", "since (UTC)", "line", "agent", "state", "why"), running, "No running calls."
        )
    )
    ended = [
        [
            Id(it["call"]),
            it["started_at"],
            it["line"],
            it["agent"] or "–",
            it["outcome"],
            it["reasons"],
            it["purposes"],
            it["seconds"],
        ]
        for it in value["ended"]
    ]
    columns = ("call", "started (UTC)", "line", "agent", "outcome", "why", "purposes", "seconds")
    say(rows("Ended", columns, ended, "No ended calls on flagged lines."))
    withheld = [[it["day"], it["kind"], it["count"]] for it in value["withheld"]]
    say(rows("Kept out", ("day", "kind", "calls"), withheld, "No private or privileged calls."))


async def _collect(installation: Installation, days: int) -> dict[str, Any]:
    since = installation.now() - timedelta(days=days)
    ledger = installation.catalogue.calls
    return {
        "running": await _running(installation),
        "ended": [
            {
                "call": it.call,
                "started_at": it.started_at,
                "line": it.line,
                "agent": it.agent,
                "outcome": it.outcome.value,
                "reasons": list(it.reasons),
                "purposes": list(it.purposes),
                "by_purpose": {
                    name: {"outcome": one.outcome.value, "reasons": list(one.reasons)}
                    for name, one in it.became.items()
                },
                "seconds": it.seconds,
            }
            for it in await ledger.outcomes(since)
        ],
        "withheld": [
            {"day": it.day, "kind": it.kind.value, "count": it.count}
            for it in await ledger.withheld(since.date())
        ],
    }


async def _running(installation: Installation) -> list[dict[str, Any]]:
    """The running calls; none when the service does not run."""
    try:
        answer = await control.ask(places.signalling(installation.config), {"op": "calls"})
    except control.NotRunning:
        return []
    return list(answer["calls"])
