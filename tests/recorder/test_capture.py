"""What capture makes of the ring: both legs in every clip of the call, and nothing that nobody ordered."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.call import CapturedRecording
from recorder.capture.orders import begins_of
from recorder.metrics import Sample, read, sample
from recorder.ring import SIDE_A, SIDE_B
from recorder.rtp import Header
from storage.errors import NoDayKey, WriteFailed
from storage.records import Audio, Codec, Gap, Quality
from tests.fakes.capture import AGENT, OUTSIDE, CaptureSite, said
from tests.fakes.orders import START, begin
from tests.fakes.relay import soon
from tests.fakes.rtp import PCMA, SAMPLES, TELEPHONE_EVENT, packet


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


async def test_both_legs_go_aligned_into_every_clip_of_the_call(site: CaptureSite) -> None:
    clips = await site.begin("coaching", "evidence")
    site.talk(3000)
    await site.end("finish")
    assert [clip.plan.purpose for clip in clips] == ["coaching", "evidence"]
    for clip in clips:
        assert clip.audio(0) == said(AGENT, 0, 150)
        assert clip.audio(1) == said(OUTSIDE, 0, 150)
        assert clip.ended == ("complete", site.now())
    await soon(lambda: len(site.told("sealed")) == 2)
    assert [(it["part"], it["seconds"], it["reason"]) for it in site.told("sealed")] == [
        (1, 3.0, "complete")
    ] * 2
    assert site.tap.is_blank()


async def test_the_agent_is_channel_0_on_whichever_side(site: CaptureSite) -> None:
    (clip,) = await site.begin(agent_side="b")
    site.talk(100)
    await site.end("finish")
    assert (clip.audio(0), clip.audio(1)) == (said(OUTSIDE, 0, 5), said(AGENT, 0, 5))


async def test_a_packet_reaches_a_clip_only_when_it_is_older_than_the_horizon(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(1900)
    assert clip.records == []
    site.talk(2500)
    assert clip.audio(0) == said(AGENT, 0, 26)


async def test_a_taint_drops_exactly_the_horizon(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(5000)
    site.hear(SIDE_A, 250, AGENT[250])
    await site.end("taint", reason="transferred")
    assert clip.audio(0) == said(AGENT, 0, 151)
    assert clip.audio(1) == said(OUTSIDE, 0, 151)
    assert clip.ended == ("transferred", START + timedelta(milliseconds=151 * 20))
    assert site.tap.is_blank()
    assert site.told("sealed")[0]["seconds"] == 3.02


async def test_a_taint_between_two_beats_drops_no_more_than_the_horizon(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(5000)
    for index in (250, 251, 252):
        site.hear(SIDE_A, index, AGENT[index])
        site.ms += 20
    await site.end("taint", reason="transferred")
    assert clip.audio(0) == said(AGENT, 0, 154)


async def test_a_taint_holds_for_good(site: CaptureSite) -> None:
    await site.begin()
    await site.end("taint", reason="transferred")
    site.signalling.send(begin(part=2))
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "tainted"
    site.talk(3000)
    assert len(site.vault.clips) == 1
    assert site.tap.is_blank()


async def test_many_later_taints_do_not_make_it_forgotten(site: CaptureSite) -> None:
    for session in (7, *range(100, 400)):
        site.signalling.send(
            {"op": "taint", "session": session, "reason": "refer", "ended_at": START.isoformat()}
        )
    site.signalling.send(begin())
    await soon(lambda: bool(site.told("failed")))
    assert site.vault.clips == []


async def test_a_packet_from_before_the_recording_is_overwritten_and_not_held() -> None:
    """The drain before a `begin` is one guard, the clock another: here only that one is left."""
    (order,) = begins_of(begin())
    recording = CapturedRecording(order, lambda _: None, order.started_at, 0)
    header = Header(payload_type=8, sequence=1, timestamp=1, ssrc=1, start=12, end=172)
    early, kept = bytearray(b"x" * 160), bytearray(b"y" * 160)
    recording.take(0, -1_000_000, header, early)
    assert recording.held(0)[0] == 0 and early == bytes(160)
    recording.take(0, 1_000_000, header, kept)
    assert recording.held(1_000_000)[0] == 160 and kept == b"y" * 160


async def test_a_taint_that_comes_before_the_begin_holds_too(site: CaptureSite) -> None:
    site.signalling.send({"op": "taint", "session": 7, "reason": "refer", "ended_at": START.isoformat()})
    site.signalling.send(begin())
    await soon(lambda: bool(site.told("failed")))
    assert site.vault.clips == []


async def test_what_nobody_ordered_is_discarded_and_overwritten(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    for index in range(10):
        site.hear(SIDE_A, index, AGENT[index], session=8)
    site.capture.beat()
    assert site.tap.is_blank()
    assert site.capture.discarded == 10
    await site.end("finish")
    assert clip.audio(0) == []


async def test_what_came_before_the_order_is_not_in_the_clip(site: CaptureSite) -> None:
    site.hear(SIDE_A, 0, AGENT[0])
    site.ms = 20
    (clip,) = await site.begin()
    site.hear(SIDE_A, 1, AGENT[1])
    site.ms = 40
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 1, 2)


async def test_nothing_before_the_start_or_after_the_end_is_in_the_clip(site: CaptureSite) -> None:
    site.ms = -40
    (clip,) = await site.begin()
    for index in range(6):
        site.hear(SIDE_A, index, AGENT[index])
        site.ms += 20
    ended_at = (START + timedelta(milliseconds=30)).isoformat()
    site.signalling.send({"op": "finish", "session": 7, "ended_at": ended_at})
    await soon(lambda: clip.ended is not None)
    assert [payload for _, payload in clip.audio(0)] == AGENT[2:4]


async def test_a_loss_and_the_silent_end_are_marked(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    for index in (0, 1, 3):
        site.ms = index * 20
        site.hear(SIDE_A, index, AGENT[index])
    site.ms = 200
    await site.end("finish")
    assert [it for it in clip.records if isinstance(it, Gap)] == [
        Gap(0, 2 * SAMPLES, SAMPLES),
        Gap(0, 4 * SAMPLES, 6 * SAMPLES),
        Gap(1, 0, 10 * SAMPLES),
    ]
    assert Quality(0, received=3, lost=1, late=0, duplicated=0) in clip.records


async def test_dialled_digits_are_never_kept(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(100)
    site.hear(SIDE_A, 5, b"\x01\x0a\x00\xa0", kind=TELEPHONE_EVENT)
    site.ms = 120
    site.talk(200)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 5) + said(AGENT, 6, 10)
    assert {it.payload_type for it in clip.records if isinstance(it, Audio)} == {PCMA}


async def test_a_codec_that_cannot_be_kept_fails_the_recording(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [[4, "G723", 8000], [8, "PCMA", 8000]], "b": []})
    site.talk(3000)
    site.hear(SIDE_A, 150, b"x" * 24, kind=4)
    site.capture.beat()
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "codec"
    assert clip.ended is not None
    assert clip.audio(0) == said(AGENT, 0, 51)


async def test_codecs_negotiated_anew_are_told_to_the_clip(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    assert clip.plan.codecs == tuple(
        Codec(channel, *codec) for channel in (0, 1) for codec in ((0, "PCMU", 8000), (8, "PCMA", 8000))
    )
    site.signalling.send(
        {"op": "codecs", "session": 7, "codecs": {"a": [[96, "PCMU", 8000]], "b": []}, "srtp": None}
    )
    await soon(lambda: len(clip.records) == 2)
    assert clip.records == [Codec(0, 96, "PCMU", 8000), Codec(1, 96, "PCMU", 8000)]
    site.hear(SIDE_A, 0, AGENT[0], kind=96)
    site.ms = 20
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 1)


async def test_a_call_without_audio_is_sealed_empty_and_reported_as_failed(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.ms = 5000
    await site.end("finish")
    assert clip.ended == ("no-audio", START)
    assert clip.records == []
    assert [(it["reason"], it["seconds"]) for it in site.told("failed")] == [("no-audio", 0.0)]


async def test_audio_waits_in_memory_while_the_clip_is_being_opened(site: CaptureSite) -> None:
    site.vault.is_ready.clear()
    site.signalling.send(begin(horizon_ms=0))
    await soon(lambda: site.capture.is_recording(7))
    site.talk(1000)
    site.vault.is_ready.set()
    await soon(lambda: bool(site.told("opened")))
    site.capture.beat()
    assert site.vault.clips[0].audio(0) == said(AGENT, 0, 50)


async def test_a_clip_that_cannot_be_opened_fails_alone(site: CaptureSite) -> None:
    site.vault.refusals["evidence"] = NoDayKey("open a clip", "make keys")
    site.signalling.send(begin("evidence", "coaching"))
    await soon(lambda: bool(site.told("opened")))
    site.talk(100)
    await site.end("finish")
    assert [(it["recording"][-1], it["reason"]) for it in site.told("failed")] == [("0", "no-day-key")]
    assert [(it["recording"][-1], it["reason"]) for it in site.told("sealed")] == [("1", "complete")]


@pytest.mark.parametrize("beats", [1, 10])
async def test_a_full_disk_fails_one_recording_and_nothing_else(site: CaptureSite, beats: int) -> None:
    first, second = await site.begin("coaching", "evidence", horizon_ms=0)
    try:
        raise WriteFailed("write", "free space") from OSError(errno.ENOSPC, "full")
    except WriteFailed as error:
        first.failing = error
    site.talk(beats * 100)
    await soon(lambda: bool(site.told("failed")))
    assert (site.told("failed")[0]["clip"], site.told("failed")[0]["reason"]) == (first.clip_id, "disk-full")
    site.talk(2000)
    await site.end("finish")
    assert second.audio(0) == said(AGENT, 0, 100)
    assert len(site.told("failed") + site.told("sealed")) == 2


async def test_what_was_written_is_made_durable_with_every_beat(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    for beat in range(1, 4):
        site.talk(beat * 100)
        await soon(partial(clip.has_flushed, beat))


async def test_signalling_that_comes_back_in_time_goes_on_with_the_same_part(site: CaptureSite) -> None:
    (clip,) = await site.begin(horizon_ms=0)
    site.talk(1000)
    site.signalling.close()
    await soon(lambda: site.capture.is_suspended(7))
    site.talk(1500)
    assert len(clip.audio(0)) == 50
    site.reconnect()
    site.signalling.send(begin(horizon_ms=0))
    await soon(lambda: not site.capture.is_suspended(7))
    site.talk(2000)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 100)
    assert len(site.vault.clips) == 1
    assert [it["run"] for it in site.told("hello")] == [site.told("hello")[0]["run"]] * 2


async def test_signalling_that_stays_away_ends_the_clip_where_it_was_last_certain(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(5000)
    site.signalling.close()
    await soon(lambda: site.capture.is_suspended(7))
    site.talk(6000)
    await soon(lambda: clip.ended is not None)
    assert clip.ended == ("signalling-lost", START + timedelta(milliseconds=151 * 20))
    assert clip.audio(0) == said(AGENT, 0, 151)
    assert not site.capture.is_recording(7)


async def test_a_stop_seals_what_is_certain_as_interrupted(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(3000)
    await site.stop()
    assert clip.ended is not None
    assert clip.ended[0] == "interrupted"
    assert clip.audio(0) == said(AGENT, 0, 51)


async def test_a_later_part_does_not_repeat_the_silence_before_it(site: CaptureSite) -> None:
    site.ms = 4000
    (clip,) = await site.begin(part=2)
    site.talk(4100)
    await site.end("finish")
    assert clip.records[0] == Audio(0, 4000 * 8, 200 * SAMPLES, PCMA, AGENT[200])


async def test_a_second_order_for_a_session_in_use_is_refused(site: CaptureSite) -> None:
    await site.begin()
    site.signalling.send(begin("evidence", "coaching"))
    await soon(lambda: len(site.told("failed")) == 2)
    assert {it["reason"] for it in site.told("failed")} == {"session-in-use"}


async def test_an_order_that_makes_no_sense_is_refused_and_harms_nobody(site: CaptureSite) -> None:
    (clip,) = await site.begin()

    async def check(**message: Any) -> None:
        before = len(site.told("refused"))
        site.signalling.send(message)
        await soon(lambda: len(site.told("refused")) == before + 1)
        assert "+31" not in str(site.told("refused")[-1])

    await check(op="dance")
    await check(op="finish", session=7)
    await check(op="taint", session=7, ended_at=START.isoformat())
    await check(**begin(recordings=[]))
    await check(**begin(recordings=[{"recording": 5}]))
    site.talk(100)
    await site.end("finish")
    assert clip.audio(0) == said(AGENT, 0, 5)


async def test_a_clip_says_how_well_either_party_was_received(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    for index in range(50):
        site.hear(SIDE_A, index, AGENT[index])
        if index not in (10, 11, 30):
            site.hear(SIDE_B, index, OUTSIDE[index])
        site.ms += 40 if index % 2 else 0  # two at once
    assert sample("capture_jitter_seconds", 0, "agent") in figures(site)
    site.ms += 2000
    site.capture.beat()
    ((_, _, jitter),) = (it for it in figures(site) if it[:2] == ("capture_jitter_seconds", ("agent",)))
    assert 0.013 < jitter < 0.02
    await site.end("finish")
    agent, outside = (it for it in clip.records if isinstance(it, Quality))
    assert (agent.received, agent.lost, outside.received, outside.lost) == (50, 0, 47, 3)
    assert (clip.counts["agent-gaps"], clip.counts["outside-gaps"]) == (0, 2)
    assert (clip.counts["agent-gap-ms"], clip.counts["outside-gap-ms"]) == (0, 60)
    assert clip.counts["agent-jitter-us"] == round(jitter * 1e6)
    assert clip.counts["agent-jitter-most-us"] > clip.counts["agent-jitter-us"]
    for leg, lost in (("agent", 0), ("outside", 3)):
        assert sample("capture_packets_received_total", 50 - lost, leg) in figures(site)
        assert sample("capture_packets_lost_total", lost, leg) in figures(site)


async def test_silence_that_is_not_sent_is_a_gap_and_no_loss(site: CaptureSite) -> None:
    """DTX: the numbers go on where the timestamps leave a hole; comfort noise before it is not kept."""
    (clip,) = await site.begin()
    for number, index, kind in ((0, 0, PCMA), (1, 1, 13), (2, 6, PCMA), (3, 7, PCMA)):
        site.ms = index * 20
        data = packet(number, index * SAMPLES, AGENT[index], payload_type=kind)
        assert site.writer.write(7, SIDE_A, (5000 + site.ms) * 1_000_000, memoryview(data))
    await site.end("finish")
    assert clip.audio(0) == [(0, AGENT[0]), *said(AGENT, 6, 8)]
    (quality,) = (it for it in clip.records if isinstance(it, Quality) and it.channel == 0)
    assert (quality.received, quality.lost) == (4, 0)
    assert (clip.counts["agent-gaps"], clip.counts["agent-gap-ms"]) == (1, 100)


def figures(site: CaptureSite) -> list[Sample]:
    return read(site.capture.answer({"op": "metrics"}))


async def test_a_call_s_last_words_do_not_wait_for_one_that_was_overtaken(site: CaptureSite) -> None:
    (clip,) = await site.begin()
    site.talk(100)
    site.hear(SIDE_A, 6, AGENT[6])  # packet 5 is still on its way when the call is over
    ended_at = site.now().isoformat()
    site.ms += 20
    site.hear(SIDE_A, 5, AGENT[5])
    await site.end("finish", ended_at=ended_at)
    assert clip.audio(0) == [*said(AGENT, 0, 5), *said(AGENT, 6, 7)]
