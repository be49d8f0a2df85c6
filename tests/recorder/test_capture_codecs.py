"""Audio is kept as it came, whatever its codec; what it means is in the clip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from recorder.ring import SIDE_A, SIDE_B
from storage.records import Audio, Codec, Gap
from tests.fakes.capture import CaptureSite
from tests.fakes.relay import soon

OPUS, G729 = [96, "OPUS", 48000], [18, "G729", 8000]
OPUS_20_MS, OPUS_60_MS = b"\x08abc", b"\x18abc"
PACKETS = 50


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


def places(records: Sequence[object], channel: int) -> list[int]:
    return [it.position for it in records if isinstance(it, Audio) and it.channel == channel]


async def test_a_codec_of_another_clock_lies_beside_one_of_8_khz(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [OPUS], "b": [G729]})
    for index in range(PACKETS):
        site.hear(SIDE_A, index, OPUS_20_MS, kind=96, step=960)
        site.hear(SIDE_B, index, bytes(20), kind=18)
        site.ms += 20
    await site.end("finish")
    assert places(clip.records, 0) == places(clip.records, 1) == [index * 160 for index in range(PACKETS)]
    assert {it.payload for it in clip.records if isinstance(it, Audio)} == {OPUS_20_MS, bytes(20)}
    assert not any(isinstance(it, Gap) for it in clip.records)


async def test_the_clip_says_what_its_payload_types_mean(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [OPUS], "b": [G729]})
    assert {Codec(0, 96, "OPUS", 48000), Codec(1, 18, "G729", 8000)} <= set(clip.plan.codecs)
    await site.end("finish")


async def test_what_was_lost_is_a_gap_as_long_as_it_was(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [OPUS], "b": []})
    for index in (0, 1, 3):
        site.ms = index * 60
        site.hear(SIDE_A, index, OPUS_60_MS, kind=96, step=2880)
    site.ms = 240
    await site.end("finish")
    gaps = [it for it in clip.records if isinstance(it, Gap) and it.channel == 0]
    assert gaps == [Gap(0, 960, 480)]


async def test_a_change_of_clock_in_one_stream_is_followed(site: CaptureSite) -> None:
    """The same SSRC and sequence, G.711 and then Opus, whose timestamps run on six times as fast."""
    (clip,) = await site.begin(codecs={"a": [[8, "PCMA", 8000], OPUS], "b": []})
    for index in range(10):
        site.hear(SIDE_A, index, bytes([index]) * 160)
        site.ms += 20
    for index in range(10, 20):
        site.hear(SIDE_A, index, OPUS_20_MS, kind=96, step=960)
        site.ms += 20
    await site.end("finish")
    assert places(clip.records, 0) == [index * 160 for index in range(20)]


async def test_what_cannot_be_of_its_codec_is_left_out(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [G729], "b": []})
    for index, payload in enumerate((bytes(20), bytes(13), bytes(20))):
        site.hear(SIDE_A, index, payload, kind=18)
        site.ms += 20
    await site.end("finish")
    assert places(clip.records, 0) == [0, 320]
    assert site.tap.is_blank()


async def test_a_codec_that_nobody_can_keep_ends_the_recording(site: CaptureSite) -> None:
    (clip,) = await site.begin(codecs={"a": [[4, "G723", 8000]], "b": []})
    site.hear(SIDE_A, 0, bytes(24), kind=4)
    site.capture.beat()
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "codec"
    assert not places(clip.records, 0)
