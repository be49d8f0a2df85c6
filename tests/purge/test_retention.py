"""The deadline: a maximum, in whole UTC days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purge.retention import deadline_day, end_of

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("started_at", "retention", "expected"),
    [
        (datetime(2026, 3, 1, 0, 0, tzinfo=UTC), DAY, date(2026, 3, 1)),
        (datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC), DAY, date(2026, 3, 1)),
        (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), DAY, date(2026, 3, 1)),
        (datetime(2026, 3, 1, 12, 0, tzinfo=UTC), 30 * DAY, date(2026, 3, 30)),
        (datetime(2028, 2, 28, 12, 0, tzinfo=UTC), 2 * DAY, date(2028, 2, 29)),
        (datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))), DAY, date(2026, 2, 28)),
    ],
)
def test_the_last_day_that_ends_in_time(started_at: datetime, retention: timedelta, expected: date) -> None:
    assert deadline_day(started_at, retention) == expected


@given(
    st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.timedeltas(DAY, 3000 * DAY),
)
def test_no_later_than_the_retention_and_no_day_too_soon(started_at: datetime, retention: timedelta) -> None:
    end = end_of(deadline_day(started_at, retention))
    assert end <= started_at + retention < end + DAY


@pytest.mark.parametrize(
    ("started_at", "retention"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), DAY - timedelta(seconds=1)),
        (datetime(2026, 3, 1, tzinfo=UTC), timedelta()),
        (datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None), DAY),
    ],
)
def test_what_has_no_deadline_is_refused(started_at: datetime, retention: timedelta) -> None:
    with pytest.raises(ValueError, match=r"retention|time zone"):
        deadline_day(started_at, retention)
