"""What goes wrong in capture is told to signalling, costs one call at most, and never the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from recorder.capture import intake, process
from recorder.capture.call import CapturedRecording
from recorder.ring import SIDE_A
from recorder.timeline import Timeline
from storage.records import Gap
from tests.fakes.capture import AGENT, OUTSIDE, CaptureSite, said
from tests.fakes.orders import START, begin
from tests.fakes.relay import soon


class Unforeseen(Exception):
    """Carries what no log may hold."""


def fails(*_: object) -> Any:
    raise Unforeseen("+31201234567")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(seconds=-6), timedelta(days=30)])
async def test_a_wall_clock_that_is_set_during_a_call_moves_no_end(
    site: CaptureSite, step: timedelta
) -> None:
    (clip,) = await site.begin()
    site.talk(1000)
    await site.end("finish", ended_at=(site.now() + step).isoformat())
    assert clip.audio(0) == said(AGENT, 0, 50)
    assert not [it for it in clip.records if isinstance(it, Gap)]
    assert clip.ended == ("complete", START + timedelta(seconds=1))


@pytest.mark.parametrize(("told_ms", "packets"), [(400, 21), (1000, 50), (5000, 50)])
async def test_the_end_is_never_later_than_the_order(site: CaptureSite, told_ms: int, packets: int) -> None:
    (clip,) = await site.begin()
    site.talk(980)
    site.hear(SIDE_A, 49, AGENT[49])
    site.ms = 1000
    ended_at = START + timedelta(milliseconds=told_ms)
    await site.end("finish", ended_at=ended_at.isoformat())
    assert clip.audio(0) == said(AGENT, 0, packets)
    assert clip.ended == ("complete", START + timedelta(milliseconds=min(told_ms, 1000)))


async def test_a_begin_that_cannot_be_carried_out_fails_each_of_its_recordings(site: CaptureSite) -> None:
    async def check(**changes: Any) -> None:
        site.events.clear()
        site.signalling.send(begin("coaching", "evidence", **changes))
        await soon(lambda: len(site.told("failed")) == 2)
        assert [(it["recording"][-1], it["part"], it["reason"]) for it in site.events] == [
            ("0", 1, "order-refused"),
            ("1", 1, "order-refused"),
        ]

    await check(session=-1)
    await check(agent_side="c")
    await check(parties={})
    await check(horizon_ms=10**6)
    await check(horizon_ms=10**30)
    assert site.vault.clips == []


@pytest.mark.parametrize("culprit", ["take_many", "commit", "drop"])
async def test_what_nobody_foresaw_costs_the_call_in_which_it_happened(
    site: CaptureSite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], culprit: str
) -> None:
    other, clip = [(await site.begin(session=session))[0] for session in (8, 7)]
    site.talk(3000)
    broken = next(iter(site.capture._running[7].values())).recording
    monkeypatch.setattr(CapturedRecording, culprit, _only(broken, getattr(CapturedRecording, culprit)))
    broken.refused_codec = culprit == "drop"
    for _ in range(2):
        site.hear(SIDE_A, 150, AGENT[150])
        site.hear(SIDE_A, site.ms // 20, AGENT[5], session=8)
        site.capture.beat()
    await soon(lambda: bool(site.told("failed")))
    assert [it["reason"] for it in site.told("failed")] == ["internal"]
    assert clip.audio(0) == said(AGENT, 0, 51)
    assert culprit == "drop" or broken.drop() == 0
    assert site.tap.is_blank()
    assert not site.capture.is_recording(7)
    await site.end("finish", session=8)
    assert [payload for _, payload in other.audio(0)] == [AGENT[5]]
    logged = capsys.readouterr().out
    assert "Unforeseen" in logged
    assert "+31201234567" not in logged


def _only(broken: CapturedRecording, method: Any) -> Any:
    return lambda call, *arguments: (fails if call is broken else method)(call, *arguments)


async def test_a_call_that_cannot_even_be_ended_is_told_of(
    site: CaptureSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.begin("coaching", "evidence")
    site.talk(100)
    monkeypatch.setattr(Timeline, "close", fails)
    await site.end("finish")
    await soon(lambda: len(site.told("failed")) == 2)
    assert {it["reason"] for it in site.told("failed")} == {"internal"}


async def test_a_batch_that_cannot_be_read_is_discarded_and_the_next_is_read(
    site: CaptureSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = await site.begin()
    with monkeypatch.context() as broken:
        broken.setattr(intake, "_alike", fails)
        site.talk(100)
        assert site.tap.is_blank()
    site.talk(200)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 5, 10)
    assert clip.audio(1) == said(OUTSIDE, 5, 10)


async def test_a_finish_whose_last_packets_break_the_call_ends_it_once(
    site: CaptureSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    await site.begin()
    site.talk(100)
    monkeypatch.setattr(CapturedRecording, "take_many", fails)
    site.hear(SIDE_A, 5, AGENT[5])
    await site.end("finish")
    assert [it["reason"] for it in site.told("failed") + site.told("sealed")] == ["internal"]
    assert problems == []


async def test_an_order_that_breaks_on_something_unforeseen_is_answered(
    site: CaptureSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(process, "CapturedRecording", fails)
        site.signalling.send(begin("coaching", "evidence"))
        await soon(lambda: len(site.told("failed")) == 2)
    assert {it["reason"] for it in site.told("failed")} == {"internal"}
    await site.begin()


async def test_what_the_log_says_of_a_failure_quotes_nothing_of_the_call(
    site: CaptureSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clip,) = await site.begin()
    with capture_logs() as logged, monkeypatch.context() as patch:
        patch.setattr(clip, "write", fails)
        site.talk(1000)
        await site.end("finish")
    (failure,) = (it for it in logged if it["event"].startswith("a recording failed"))
    assert failure["why"] == "Unforeseen"
    assert site.told("failed")[0]["reason"] == "internal"
