"""A pause in a clip: nothing of what is said meanwhile, and everything else where it was said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from recorder.ring import SIDE_A, SIDE_B
from storage.records import Gap, Pause, Quality, Resume
from tests.fakes.capture import AGENT, MS, OUTSIDE, CaptureSite, said
from tests.fakes.orders import START
from tests.fakes.relay import soon
from tests.fakes.rtp import PCMA, SAMPLES, packet


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


async def order(site: CaptureSite, op: str, at_ms: int | None = None) -> None:
    """Give an order as of this instant, and wait until it is carried out."""
    at = START + timedelta(milliseconds=site.ms if at_ms is None else at_ms)
    site.signalling.send({"op": op, "session": 7, "at": at.isoformat()})
    site.signalling.send({"op": "codecs", "session": 99, "codecs": None})
    refused = len(site.told("refused"))
    await soon(lambda: len(site.told("refused")) > refused)


async def test_what_is_said_in_a_pause_is_not_kept_and_what_follows_keeps_its_place(
    site: CaptureSite,
) -> None:
    (clip,) = await site.begin()
    site.talk(3000)
    await order(site, "pause")
    site.talk(5000)
    await order(site, "resume")
    site.talk(6000)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 150) + said(AGENT, 250, 300)
    assert clip.audio(1) == said(OUTSIDE, 0, 150) + said(OUTSIDE, 250, 300)
    marks = [it for it in clip.records if isinstance(it, Pause | Resume)]
    assert marks == [Pause(150 * SAMPLES), Resume(250 * SAMPLES)]
    assert [it for it in clip.records if isinstance(it, Gap)] == [
        Gap(channel, 150 * SAMPLES, 100 * SAMPLES) for channel in (0, 1)
    ]
    assert clip.ended == ("complete", site.now())
    assert site.tap.is_blank()


async def test_what_arrived_after_the_refer_is_dropped_from_the_horizon(site: CaptureSite) -> None:
    """The order comes a moment later than what it is about."""
    (clip,) = await site.begin()
    site.talk(3400)
    await order(site, "pause", at_ms=3000)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 150)


async def test_a_pause_that_turns_out_to_have_begun_earlier_drops_more(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(3400)
    await order(site, "pause", at_ms=3200)
    await order(site, "pause", at_ms=3000)
    await order(site, "pause", at_ms=3300)
    site.talk(5000)
    await order(site, "resume")
    site.talk(6000)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 150) + said(AGENT, 250, 300)
    marks = [it for it in clip.records if isinstance(it, Pause | Resume)]
    assert marks == [Pause(150 * SAMPLES), Resume(250 * SAMPLES)]


@pytest.mark.parametrize("at_ms", [3000, -3_600_000])
async def test_a_pause_that_is_told_late_or_by_a_clock_that_was_set_back_keeps_nothing_of_what_came_since(
    site: CaptureSite, at_ms: int
) -> None:
    (clip,) = await site.begin(horizon_ms=30_000)
    site.talk(8000)
    site.ms = 40_500
    await order(site, "pause", at_ms=at_ms)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, max(0, at_ms // 20))


async def test_a_taint_in_a_pause_drops_what_is_younger_than_the_horizon(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(3000)
    await order(site, "pause")
    site.ms = 9500
    site.capture.beat()
    await site.end("taint", reason="refer")
    assert clip.audio(0) == said(AGENT, 0, 51)
    assert not [it for it in clip.records if isinstance(it, Pause)]


async def test_a_taint_soon_after_a_pause_drops_what_was_said_before_it_too(site: CaptureSite) -> None:
    """Who comes back from hold is named a moment later: whoever it is may have come before the hold."""
    (clip,) = await site.begin()
    site.talk(3000)
    await order(site, "pause")
    site.ms = 6500
    await order(site, "resume")
    site.talk(7000)
    await site.end("taint", reason="excluded")
    assert clip.audio(0) == said(AGENT, 0, 76)


async def test_what_waits_in_a_pause_is_committed_when_the_call_has_gone_on(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(3000)
    await order(site, "pause")
    site.ms = 5000
    await order(site, "resume")
    site.talk(8000)
    await site.end("taint", reason="excluded")
    assert clip.audio(0) == said(AGENT, 0, 150) + said(AGENT, 250, 301)


async def test_a_pause_is_not_counted_as_loss(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(3000)
    await order(site, "pause")
    site.ms = 4000
    await order(site, "resume")
    site.talk(5000)
    await site.end("finish")
    assert [(it.received, it.lost) for it in clip.records if isinstance(it, Quality)] == [(200, 0)] * 2


async def test_a_codec_that_cannot_be_kept_is_no_fault_while_nothing_is(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [[8, "PCMA", 8000], [4, "G723", 8000]], "b": [[8, "PCMA", 8000]]})
    site.talk(3000)
    await order(site, "pause")
    site.hear(SIDE_A, 150, AGENT[150], kind=4)
    site.capture.beat()
    await order(site, "resume")
    site.hear(SIDE_B, 151, OUTSIDE[151])
    await site.end("finish")
    assert clip.ended is not None and clip.ended[0] == "complete"


async def test_a_pause_as_of_a_whole_horizon_ago_drops_all_of_it(site: CaptureSite) -> None:
    """On the trunk side nothing that is held is certain; what had left the horizon stays."""
    (clip,) = await site.begin(horizon_ms=5000)
    site.talk(8000)
    await order(site, "pause", at_ms=8000 - 5000 - 20)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 151)


@pytest.mark.parametrize(("watched", "told"), [(True, 1), (False, 0)])
async def test_another_source_on_the_agents_side_is_told_where_it_is_asked_for(
    watched: bool, told: int, site: CaptureSite
) -> None:
    await site.begin(watched=watched)
    site.talk(1000)
    other = packet(50, 50 * SAMPLES, AGENT[50], ssrc=99, payload_type=PCMA)
    assert site.writer.write(7, SIDE_A, (5000 + site.ms) * MS, memoryview(other))
    theirs = packet(50, 50 * SAMPLES, OUTSIDE[50], ssrc=98, payload_type=PCMA)
    assert site.writer.write(7, SIDE_B, (5000 + site.ms) * MS, memoryview(theirs))
    await order(site, "pause")
    assert len(site.told("discontinuity")) == told
