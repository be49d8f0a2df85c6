"""What was turned away is told as counts, once, and not while nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from recorder.service import refusals
from recorder.service.refusals import Refusals, keep_telling_refusals
from tests.fakes.sip import Bench, invite

SHED = "more SIP arrives than can be done: requests were refused"
OVER_LIMIT = "somebody sends more than one address may"


def test_what_has_grown_is_told_once() -> None:
    told = Refusals()
    with capture_logs() as logged:
        told.tell({"calls": 0}, {"requests": 0})
        told.tell({"calls": 3}, {"requests": 0})
        told.tell({"calls": 3}, {"requests": 0})
        told.tell({"calls": 5}, {"requests": 2})
    assert [(it["event"], it.get("calls"), it.get("requests")) for it in logged] == [
        (SHED, 3, None),
        (SHED, 2, None),
        (OVER_LIMIT, None, 2),
    ]


async def logged_beside(engine_work: Callable[[Bench], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged of an engine that did this, as text."""
    monkeypatch.setattr(refusals, "REPORT_SECONDS", 0.0)
    bench = Bench()
    engine_work(bench)
    with capture_logs() as logged:
        telling = asyncio.create_task(keep_telling_refusals(bench.engine))
        for _ in range(5):
            await asyncio.sleep(0)
        telling.cancel()
    return [str(it) for it in logged]


async def test_a_flood_from_one_address_is_told_without_its_address_or_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def flood(bench: Bench) -> None:
        for number in range(bench.settings.limits.requests_per_second * 4 + 10):
            bench.receive(invite(branch=f"z9hG4bKflood{number}", call_id=f"flood{number}"))

    (line,) = await logged_beside(flood, monkeypatch)
    assert OVER_LIMIT in line
    assert not any(it in line for it in ("201", "202", "10.0.0"))


async def test_calls_that_waited_too_long_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(bench: Bench) -> None:
        bench.engine.arrive(invite(), ("10.0.0.9", 5070), bench.settings.listeners[0].name, bench.now)
        bench.engine.work(bench.now + 5.0)

    (line,) = await logged_beside(wait, monkeypatch)
    assert SHED in line
    assert "'calls': 1" in line
