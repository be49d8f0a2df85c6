"""Capture keeps nothing of a call that is withdrawn: neither what is held nor what was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.capture import CaptureSite
from tests.fakes.orders import begin
from tests.fakes.relay import soon


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[CaptureSite]:
    site = CaptureSite(tmp_path, grace_seconds=0.2)
    await soon(lambda: site.signalling.is_up)
    yield site
    await site.close()


async def test_every_clip_of_the_call_is_destroyed_and_what_is_held_is_overwritten(site: CaptureSite) -> None:
    clips = await site.begin("coaching", "evidence")
    site.talk(5000)
    assert clips[0].records
    site.signalling.send({"op": "discard", "session": 7})
    await soon(lambda: len(site.told("discarded")) == 2)
    assert [it.is_discarded for it in clips] == [True, True]
    assert site.told("sealed") == [] and site.told("failed") == []
    site.talk(6000)
    assert site.tap.is_blank() and all(not it.records and it.ended is None for it in clips)


async def test_it_holds_for_good(site: CaptureSite) -> None:
    await site.begin()
    site.signalling.send({"op": "discard", "session": 7})
    await soon(lambda: bool(site.told("discarded")))
    site.signalling.send(begin(part=2))
    await soon(lambda: bool(site.told("failed")))
    assert site.told("failed")[0]["reason"] == "tainted" and len(site.vault.clips) == 1


async def test_a_clip_that_is_being_opened_is_destroyed_as_soon_as_it_is_open(site: CaptureSite) -> None:
    site.vault.is_ready.clear()
    site.signalling.send(begin())
    await soon(lambda: site.capture.is_recording(7))
    site.signalling.send({"op": "discard", "session": 7})
    await soon(lambda: bool(site.told("discarded")))
    site.vault.is_ready.set()
    await soon(lambda: bool(site.vault.clips) and site.vault.clips[0].is_discarded)
    assert site.told("opened") == []


async def test_another_call_goes_on(site: CaptureSite) -> None:
    (clip,) = await site.begin(session=8)
    site.signalling.send({"op": "discard", "session": 7})
    site.talk(3000, session=8)
    await asyncio.sleep(0)
    assert clip.records and site.capture.is_recording(8)
