"""What the outside party was told stands in each clip, and its instants are true (KSF 6.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.capture.orders import OrderError, begins_of, told_of
from storage.records import Announcement
from tests.fakes.capture import CaptureSite
from tests.fakes.orders import START, begin
from tests.fakes.relay import soon
from tests.fakes.vault import FakeClip

FILE, OTHER = "ab" * 32, "cd" * 32


def proof(file: str, began_ms: int, ended_ms: int) -> list[str]:
    instants = (START + timedelta(milliseconds=it) for it in (began_ms, ended_ms))
    return [file, *(it.isoformat() for it in instants)]


def record(file: str, began_ms: int, ended_ms: int) -> Announcement:
    return Announcement(began_ms * 8, ended_ms * 8, bytes.fromhex(file))


def begun(*proofs: Any) -> dict[str, Any]:
    """A begin with a recording for each of these."""
    message = begin(*(f"purpose-{index}" for index in range(len(proofs))))
    for row, found in zip(message["recordings"], proofs, strict=True):
        row["announcements"] = found
    return message


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


async def open_clips(site: CaptureSite, message: dict[str, Any]) -> list[FakeClip]:
    site.signalling.send(message)
    await soon(lambda: len(site.told("opened")) == len(message["recordings"]))
    return site.vault.clips


def announced(clip: FakeClip) -> list[Announcement]:
    return [it for it in clip.records if isinstance(it, Announcement)]


async def test_each_clip_has_what_was_told_for_its_purpose_before_it_began(site: CaptureSite) -> None:
    clips = await open_clips(site, begun([proof(FILE, -6800, -300)], [proof(OTHER, -300, -1)], []))
    assert [announced(it) for it in clips] == [[record(FILE, -6800, -300)], [record(OTHER, -300, -1)], []]
    assert all(it.records[0] == announced(it)[0] for it in clips[:2])


async def test_somebody_new_is_told_in_a_pause_and_that_is_added_once(site: CaptureSite) -> None:
    message = begun([proof(FILE, -6800, -300)], [])
    first, second = await open_clips(site, message)
    at, both = START + timedelta(seconds=9), [proof(FILE, -6800, -300), proof(FILE, 1000, 7000)]
    for op in ("pause", "resume", "pause", "resume"):
        told = {message["recordings"][0]["recording"]: both}
        site.signalling.send({"op": op, "session": 7, "at": at.isoformat(), "announcements": told})
    await soon(lambda: len(announced(first)) == 2)
    await site.end("finish")
    assert announced(first) == [record(FILE, -6800, -300), record(FILE, 1000, 7000)]
    assert announced(second) == []


def test_a_proof_that_cannot_be_read_is_none() -> None:
    begins_of(begun([proof(FILE, 0, 1)]))
    for spoilt in ([FILE, "today", "tomorrow"], ["file", *proof(FILE, 0, 1)[1:]], [FILE], "words"):
        with pytest.raises(OrderError):
            begins_of(begun([spoilt]))
        with pytest.raises(OrderError):
            told_of({"op": "resume", "announcements": {"r": [spoilt]}}, "r")
    assert told_of({"op": "resume"}, "r") == ()
