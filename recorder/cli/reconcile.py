"""`doelband reconcile`: is any call on a flagged line missing from the ledger?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args
from zoneinfo import ZoneInfo

import typer

from recorder.callrecords import Format, Malformed, Row, UnknownFormat, Zone, read
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Exit, Id, Json, rows, say, show
from recorder.reconcile import Judge, Report, Sort, compare
from storage.errors import NotFound

_STAMPS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
_TOLERANCE = re.compile(r"([0-9]{1,4}) *s")


def tolerance_of(text: str) -> timedelta:
    """Seconds, written "5s", as a duration. Raises typer.BadParameter."""
    match = _TOLERANCE.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter("write a number of seconds, as 5s")
    return timedelta(seconds=int(match[1]))


def zone_of(name: str | None) -> Zone:
    """The time zone of local times; without a name the system's. Raises typer.BadParameter."""
    if name is None:
        return lambda local: local.astimezone(UTC)
    try:
        zone = ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise typer.BadParameter(f"no time zone {name!r} is known; write one as Europe/Amsterdam") from None
    return lambda local: local.replace(tzinfo=zone).astimezone(UTC)


def format_of(text: str | None) -> str | None:
    """One of the formats. Raises typer.BadParameter."""
    if text is not None and text not in get_args(Format):
        raise typer.BadParameter(f"write one of: {', '.join(get_args(Format))}")
    return text


def reconcile(
    cdr: Annotated[Path, typer.Option("--cdr", metavar="FILE", help="The PBX's call records.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format", callback=format_of, help="asterisk, freeswitch or generic; found out if not given."
        ),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", help="Calls that started then or later.", formats=_STAMPS)
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", help="Calls that started earlier.", formats=_STAMPS)
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="5s", help="By how much start and duration may differ.")
    ] = "5s",
    timezone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="Of times without an offset, as Europe/Amsterdam; else the system's."
        ),
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Compare the ledger with the PBX's call records, and list what is missing. Exit 6 when something is.

    Reads Asterisk's Master.csv (cdr_csv), FreeSWITCH's mod_cdr_csv (template "example") and any CSV file
    with the headings start, caller, callee, duration and perhaps answered. Private and privileged calls
    are only counted.
    """
    slack, zone = tolerance_of(tolerance), zone_of(timezone)
    found = _read(cdr, zone, format)
    records = [it for it in found if isinstance(it, Row)]
    broken = [it for it in found if isinstance(it, Malformed)]
    if not found and (since is None or until is None):
        raise NotFound(
            f"compare with {cdr}", "it holds no calls; name another file, or give --from and --until"
        )
    period = _period(records, zone, since, until)
    report = work(config, lambda installation: _compare(installation, records, period, slack))
    if as_json:
        show(_value(report, broken, period), True, "")
    else:
        _print(report, broken, period)
    raise typer.Exit(Exit.FINDINGS if report.has_findings or broken else Exit.OK)


def _read(path: Path, zone: Zone, format: Any) -> list[Row | Malformed]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            return list(read(lines, zone, format))
    except FileNotFoundError as error:
        raise NotFound(f"read {path}", "there is no such file; name the PBX's call records") from error
    except UnknownFormat as error:
        raise typer.BadParameter(
            f"{path}: {error}; give --format, or write the headings start,caller,callee,duration"
        ) from error


def _period(
    records: Iterable[Row], zone: Zone, since: datetime | None, until: datetime | None
) -> tuple[datetime, datetime]:
    """What was asked for; else from the first record's start to just after the last one's.

    Raises typer.BadParameter for a period without a moment in it.
    """
    starts = [start for it in records for start in it.starts] or [datetime.now(UTC)]
    first = zone(since) if since is not None else min(starts)
    end = zone(until) if until is not None else max(starts) + timedelta(seconds=1)
    if first >= end:
        raise typer.BadParameter(f"nothing is between {first:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC")
    return first, end


async def _compare(
    installation: Installation,
    records: list[Row],
    period: tuple[datetime, datetime],
    tolerance: timedelta,
) -> Report:
    judge = Judge(installation.config.scheme())
    ledger = installation.catalogue.calls
    longest = timedelta(seconds=max((it.lasts for it in records), default=0.0)) + tolerance
    outcomes = await ledger.outcomes(since=period[0] - tolerance, until=period[1] + longest)
    withheld = await ledger.withheld(period[0].date() - timedelta(days=1))
    return compare((judge.judge(it) for it in records), outcomes, withheld, period, tolerance)


def _value(report: Report, broken: list[Malformed], period: tuple[datetime, datetime]) -> dict[str, Any]:
    return {
        "from": period[0],
        "until": period[1],
        "matched": report.matched,
        "missing": [_shown(it) for it in report.missing],
        "cannot_be_told_from_calls_kept_out": [
            {
                "day": it.day,
                "direction": it.direction.value,
                "records": it.records,
                "kept_out_at_most": it.kept_out,
                "missing_at_least": it.missing,
            }
            for it in report.covered
        ],
        "not_in_the_records": [
            {
                "call": it.call,
                "started_at": it.started_at,
                "line": it.line,
                "agent": it.agent,
                "outcome": it.outcome.value,
                "seconds": it.seconds,
            }
            for it in report.unknown
        ],
        "no_agent_named": [_shown(it) for it in report.uncertain],
        "records": {sort.value: report.sorts[sort] for sort in Sort},
        "kept_out": [
            {"day": day, "kind": sort.value, "records": count}
            for (day, sort), count in sorted(report.by_day.items())
        ],
        "malformed": [{"file_line": it.number, "why": it.why} for it in broken],
    }


def _shown(it: Any) -> dict[str, Any]:
    return {
        "file_line": it.row.number,
        "started_at": it.started_at,
        "either_of_two_hours": len(it.row.starts) > 1,
        "seconds": it.row.seconds,
        "lines": sorted(it.lines),
        "agent": it.agent,
        "direction": it.direction.value,
        "outside_ends_in": it.outside or None,
    }


def _print(report: Report, broken: list[Malformed], period: tuple[datetime, datetime]) -> None:
    columns = ("in file", "started (UTC)", "seconds", "line", "agent", "direction", "outside")
    for title, found, nothing in (
        ("Missing in the ledger", report.missing, "No call is missing in the ledger."),
        ("No row, and no agent named by the PBX", report.uncertain, ""),
    ):
        lines = [
            [
                *(it.row.number, it.started_at, it.row.seconds, sorted(it.lines), it.agent),
                *(it.direction.value, f"…{it.outside}" if it.outside else "-"),
            ]
            for it in found
        ]
        if lines or nothing:
            say(rows(title, columns, lines, nothing))
    for it in report.covered:
        say(
            f"{it.day}: {it.direction.value} calls without a row: {it.records}; private or privileged: up to "
            f"{it.kept_out}; missing: at least {it.missing}."
        )
    unknown = [
        [Id(it.call), it.started_at, it.seconds, it.line, it.agent, it.outcome.value] for it in report.unknown
    ]
    headings = ("call", "started (UTC)", "seconds", "line", "agent", "outcome")
    say(rows("Not in the PBX's records", headings, unknown, "Every call of the ledger is in the records."))
    for broken_row in broken:
        say(f"line {broken_row.number} of the file cannot be read: {broken_row.why}")
    for (day, sort), count in sorted(report.by_day.items()):
        say(f"{day}: {count} {sort.value} calls in the PBX's records.")
    counts = ", ".join(f"{report.sorts[sort]} {sort.value}" for sort in Sort if report.sorts[sort]) or "none"
    span = " to ".join(f"{it:%Y-%m-%d %H:%M}" for it in period)
    say(f"{span} UTC: {report.matched} matched; {counts}.")
