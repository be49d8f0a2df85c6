"""What is withdrawn is destroyed at the next sweep, and nothing else of its day is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from storage.errors import Refused, Unavailable
from storage.inspection import Inspector
from storage.keyring import Keyring
from storage.lifecycle import State
from storage.signing import load_key, public_bytes
from tests.fakes.clips import plan
from tests.fakes.clock import START
from tests.purge.installation import DAYS, Installation

CALL = "c" * 32


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(tmp_path)
    await made.found()
    await made.sweep()
    yield made
    await made.catalogue.close()


async def withdrawn(site: Installation) -> tuple[str, str]:
    """A clip of a withdrawn call, and one of another call of the same day."""
    writer = await site.vault.begin(plan(call_id=CALL, deadline_day=DAYS[3]))
    gone, kept = (await writer.finish("bye", START)).id, await site.record(DAYS[3])
    await site.catalogue.withdrawals.withdraw([CALL], START.date(), "private-code")
    return gone, kept


async def findings(site: Installation) -> list[Any]:
    public = public_bytes(load_key(site.places.storage / "recorder.key"))
    inspection = Inspector(site.catalogue, site.vault.blobs, public, site.places)
    return list((await inspection.inspect()).findings)


def names(site: Installation) -> set[str]:
    return {it.name.split(".")[0] for it in (site.places.storage / "clips").iterdir()}


async def test_it_is_destroyed_and_the_day_goes_on(site: Installation) -> None:
    gone, kept = await withdrawn(site)
    wrap = (await site.catalogue.clips.show(kept)).wrap
    assert (await site.sweep()).withdrawn == ()
    assert (await site.catalogue.clips.show(gone)).state is State.ERASED
    assert names(site) == {kept} and site.day_keys.asked == [], "no day key was destroyed"
    with Keyring.load(site.places) as ring:
        assert wrap is not None and ring.unwrap_day("coaching", DAYS[3], wrap, await hashed(site, kept), kept)
        with pytest.raises(Refused, match="destroyed before its deadline"):
            ring.unwrap_day("coaching", DAYS[3], wrap, b"", gone)
    assert await findings(site) == []


async def hashed(site: Installation, clip: str) -> bytes:
    return (await site.catalogue.clips.show(clip)).header_hash


async def test_the_certificate_names_nobody_and_says_how_far_to_believe_it(site: Installation) -> None:
    gone, _ = await withdrawn(site)
    await site.sweep()
    proof = await site.catalogue.erasures.certificate(gone)
    said = json.loads(proof.document)
    assert (said["clip"], said["day"], said["reason"]) == (gone, START.date().isoformat(), "private-code")
    assert said["state"] == "provisional" and "copy" in said["limits"] and said["remaining"] == []
    for word in ("coaching", "201", "sales", START.isoformat()[11:16], DAYS[3].isoformat()):
        assert word not in proof.document
    leaves = await site.catalogue.audit.rows(gone)
    assert {it.at.isoformat()[11:] for it in leaves} == {"00:00:00+00:00"}
    assert [it.action for it in leaves] == ["clip.bury", "clip.shred", "clip.seal", "clip.open"]


async def test_a_clock_that_is_not_believed_is_no_reason_to_wait(site: Installation) -> None:
    gone, _ = await withdrawn(site)
    site.clock.jump(days=1)
    report = await site.sweep()
    assert not report.clock.is_trusted
    assert (await site.catalogue.clips.show(gone)).state is State.ERASED


async def test_keys_that_are_out_of_reach_hold_up_the_end_and_nothing_else(
    site: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, kept = await withdrawn(site)
    due = await site.record(DAYS[0])
    site.wait_until_over(DAYS[0])

    async def away(_: str) -> None:
        raise Unavailable("ask the key service", "is it running?")

    with monkeypatch.context() as patch:
        patch.setattr(site.day_keys, "refuse_clip", away)
        assert (await site.sweep()).withdrawn == (gone,)
    assert names(site) == {kept}, "the bytes are gone already, and what is due too"
    assert (await site.catalogue.clips.show(due)).state is State.ERASED
    assert (await site.catalogue.clips.show(gone)).state is State.ERASING
    assert (await site.sweep()).withdrawn == ()
    assert (await site.catalogue.clips.show(gone)).state is State.ERASED


async def test_a_file_that_is_still_written_is_tried_again(site: Installation) -> None:
    writer = await site.vault.begin(plan(call_id=CALL, deadline_day=DAYS[3]))
    await site.catalogue.withdrawals.withdraw([CALL], START.date(), "private-code")
    assert (await site.sweep()).withdrawn == (writer.clip_id,)
    await writer.discard()
    assert names(site) == set()
    assert (await site.sweep()).withdrawn == ()


async def test_a_dry_run_destroys_nothing(site: Installation) -> None:
    gone, kept = await withdrawn(site)
    await site.sweep(dry_run=True)
    assert names(site) == {gone, kept}
