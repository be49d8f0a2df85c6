"""How long a clip may live."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

SHORTEST = timedelta(days=1)


def deadline_day(started_at: datetime, retention: timedelta) -> date:
    """The last UTC day that ends no later than `started_at + retention`; fixed when the call starts.

    Raises ValueError for a naive instant and for a retention under one day, whose deadline would lie before
    the call.
    """
    if started_at.tzinfo is None:
        raise ValueError("a deadline needs an instant with a time zone")
    if retention < SHORTEST:
        raise ValueError("a retention is at least one day")
    return (started_at.astimezone(UTC) + retention).date() - timedelta(days=1)


def end_of(day: date) -> datetime:
    """The instant at which a UTC day is over."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
