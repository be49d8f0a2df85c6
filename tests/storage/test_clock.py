"""The machine's clocks, and how far they are moved on purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import clock
from storage.clock import SystemClock
from storage.errors import Unavailable


def test_it_tells_the_time_of_the_machine() -> None:
    told = SystemClock().now()
    assert told.utcoffset() == timedelta()
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_time_since_boot_and_the_boot_do_not_depend_on_who_asks() -> None:
    one, other = SystemClock(), SystemClock()
    earlier = one.boottime()
    assert 0 <= other.boottime() - earlier < 5
    assert one.boot_id() == other.boot_id() != ""


def test_an_offset_moves_both_clocks_alike(tmp_path: Path) -> None:
    moved, plain = SystemClock(tmp_path / "offset"), SystemClock()
    assert moved.offset() == timedelta()
    (tmp_path / "offset").write_text("86400\n", encoding="ascii")
    assert moved.offset() == timedelta(days=1)
    assert abs(moved.now() - plain.now() - timedelta(days=1)) < timedelta(seconds=5)
    assert abs(moved.boottime() - plain.boottime() - 86400) < 5


def test_a_moved_clock_is_never_called_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_kernel_is_synchronised", lambda: True)
    moved = SystemClock(tmp_path / "offset")
    assert moved.is_synchronised()
    (tmp_path / "offset").write_text("1", encoding="ascii")
    assert not moved.is_synchronised()


def test_the_kernel_answers_whether_it_is_synchronised() -> None:
    assert isinstance(SystemClock().is_synchronised(), bool)


@pytest.mark.parametrize("content", ["", "soon", "nan", "1e400", "é"])
def test_an_offset_that_is_no_number_stops_everything(tmp_path: Path, content: str) -> None:
    (tmp_path / "offset").write_text(content, encoding="utf-8")
    with pytest.raises(Unavailable):
        SystemClock(tmp_path / "offset").now()
