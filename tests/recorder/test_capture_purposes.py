"""The recordings of one call in capture: each begins and may end by itself; a taint ends them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.channel import Message
from tests.fakes.capture import AGENT, OUTSIDE, CaptureSite, said
from tests.fakes.orders import START, begin
from tests.fakes.relay import soon
from tests.fakes.rtp import SAMPLES


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


def later(site: CaptureSite, **changes: Any) -> Message:
    """A second recording of the call, from now on."""
    message = begin("evidence", **changes)
    message["recordings"][0] |= {"recording": "9" * 32, "started_at": site.now().isoformat()}
    return message


async def begin_later(site: CaptureSite) -> Any:
    site.signalling.send(later(site))
    await soon(lambda: len(site.told("opened")) == 2)
    return site.vault.clips[-1]


async def test_a_recording_that_begins_later_has_nothing_from_before(site: CaptureSite) -> None:
    (first,) = await site.begin()
    site.talk(3000)
    second = await begin_later(site)
    site.talk(4000)
    await site.end("finish")
    await soon(lambda: len(site.told("sealed")) == 2)
    assert first.audio(0) == said(AGENT, 0, 200) and first.audio(1) == said(OUTSIDE, 0, 200)
    assert [payload for _, payload in second.audio(0)] == AGENT[150:200]
    assert second.audio(0)[0][0] < SAMPLES
    assert second.ended == ("complete", START + timedelta(seconds=4))


async def test_one_recording_ends_and_the_other_goes_on(site: CaptureSite) -> None:
    first, second = await site.begin("coaching", "evidence")
    site.talk(5000)
    await site.end("stop", recording=f"{0:032x}", reason="stopped")
    assert first.ended == ("stopped", START + timedelta(milliseconds=151 * 20))
    assert first.audio(0) == said(AGENT, 0, 151)
    site.talk(6000)
    await site.end("finish")
    assert second.audio(0) == said(AGENT, 0, 300)
    assert site.tap.is_blank()


async def test_a_taint_ends_every_recording_of_the_call(site: CaptureSite) -> None:
    (first,) = await site.begin()
    site.talk(2000)
    second = await begin_later(site)
    site.talk(5000)
    await site.end("taint", reason="transferred")
    await soon(lambda: len(site.told("sealed")) == 2)
    assert {it["reason"] for it in site.told("sealed")} == {"transferred"}
    assert first.audio(0)[-1] == (150 * SAMPLES, AGENT[150])
    assert second.audio(0)[-1][1] == AGENT[150]
    assert not site.capture.is_recording(7)
    site.signalling.send(later(site))
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "tainted"


async def test_a_purpose_is_recorded_once_at_a_time(site: CaptureSite) -> None:
    await site.begin("evidence")
    site.signalling.send(later(site))
    await soon(lambda: bool(site.told("failed")))
    assert (
        site.told("failed")[0] | {"reason": "session-in-use", "recording": "9" * 32} == site.told("failed")[0]
    )


async def test_signalling_that_comes_back_takes_up_all_recordings_of_a_call(site: CaptureSite) -> None:
    (first,) = await site.begin(horizon_ms=0)
    site.talk(1000)
    second_order = later(site, horizon_ms=0)
    site.signalling.send(second_order)
    await soon(lambda: len(site.told("opened")) == 2)
    site.signalling.close()
    await soon(lambda: site.capture.is_suspended(7))
    again = begin(horizon_ms=0)
    again["recordings"] += second_order["recordings"]
    site.reconnect()
    site.signalling.send(again)
    await soon(lambda: not site.capture.is_suspended(7))
    site.talk(2000)
    await site.end("finish")
    await soon(lambda: len(site.told("sealed")) == 2)
    assert first.audio(0) == said(AGENT, 0, 100)
    assert [payload for _, payload in site.vault.clips[1].audio(0)] == AGENT[50:100]
