"""A run that dies after any step is finished by the next, and says the same in the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from purge import erase
from storage.lifecycle import State
from storage.model import CertificateState
from tests.fakes.disk import Crash, crash_after, crash_after_call
from tests.purge.installation import DAYS, PURPOSES, Installation


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Installation]:
    monkeypatch.setattr(erase, "BATCH", 2)
    made = Installation(tmp_path)
    await made.found()
    await made.sweep()
    yield made
    await made.catalogue.close()


STEPS: dict[str, tuple[Callable[[Installation], Any], str, Callable[..., None]]] = {
    "condemned": (lambda site: site.catalogue.erasures, "condemn", crash_after),
    "key destroyed": (lambda site: site.day_keys, "destroy_days", crash_after),
    "evidence kept": (lambda site: site.catalogue.erasures, "keep_evidence", crash_after),
    "objects removed": (lambda site: site.vault.blobs, "remove", crash_after_call),
    "absence verified": (lambda site: site.vault.blobs, "remaining", crash_after_call),
    "buried": (lambda site: site.catalogue.erasures, "bury", crash_after),
    "certified": (lambda site: site.catalogue.erasures, "certify", crash_after),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_run_that_died_is_finished_by_the_next(
    site: Installation, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    clips = [await site.record(day) for day in (DAYS[0], DAYS[0], DAYS[0], DAYS[1])]
    survivor = await site.record(DAYS[2])
    site.wait_until_over(DAYS[1])
    owner, name, crash = STEPS[step]
    with monkeypatch.context() as patch:
        crash(patch, owner(site), name)
        with pytest.raises(Crash):
            await site.sweep()
    await site.restart()
    for _ in range(2):
        await site.sweep()
    await _all_is_as_it_should_be(site, clips, survivor)


async def _all_is_as_it_should_be(site: Installation, clips: list[str], survivor: str) -> None:
    states = {clip.id: clip.state for clip in await site.catalogue.clips.find()}
    assert states == {**dict.fromkeys(clips, State.ERASED), survivor: State.SEALED}
    assert site.vault.blobs.ids() == {survivor}
    certificates = await site.catalogue.erasures.certificates()
    assert sorted(each.clip for each in certificates) == sorted(clips)
    assert {each.state for each in certificates} == {CertificateState.FINAL}
    for clip in clips:
        actions = [row.action for row in reversed(await site.catalogue.audit.rows(clip))]
        assert actions == ["clip.open", "clip.seal", "clip.shred", "clip.bury", "purge.certify"]
    assert (await site.catalogue.audit.verify()).broken_at is None
    evidence = await site.catalogue.erasures.evidence()
    assert {("coaching", DAYS[0]), ("coaching", DAYS[1])} <= set(evidence)
    assert len({each.epoch for each in evidence.values()}) == 1


async def test_the_key_goes_before_the_bytes(site: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = await site.record(DAYS[0])
    site.wait_until_over(DAYS[0])
    with monkeypatch.context() as patch:
        crash_after(patch, site.day_keys, "destroy_days")
        with pytest.raises(Crash):
            await site.sweep()
    assert site.vault.blobs.ids() == {clip}
    assert (await site.catalogue.erasures.condemned())[0].id == clip


async def test_all_days_of_a_run_are_destroyed_at_once(site: Installation) -> None:
    for day in DAYS[:3]:
        await site.record(day)
    site.wait_until_over(DAYS[2])
    await site.sweep()
    assert site.day_keys.asked == [[(purpose, day) for purpose in PURPOSES for day in DAYS[:3]]]


async def test_the_tombstone_says_what_was_and_no_more(site: Installation) -> None:
    clip = await site.record(DAYS[0])
    site.wait_until_over(DAYS[0])
    await site.sweep()
    stone = await site.catalogue.erasures.tombstone(clip)
    assert stone is not None
    assert (stone.clip, stone.purpose, stone.deadline_day, stone.reason, stone.at) == (
        clip,
        "coaching",
        DAYS[0],
        "deadline-passed",
        site.clock.now(),
    )


async def test_the_certificate_can_be_checked_against_the_log(site: Installation) -> None:
    clip = await site.record(DAYS[0])
    site.wait_until_over(DAYS[0])
    await site.sweep()
    document = json.loads((await site.catalogue.erasures.certificate(clip)).document)
    hashes = {row.seq: row.hash for row in await site.catalogue.audit.rows()}
    assert [leaf["action"] for leaf in document["proof"]] == ["clip.shred", "clip.bury", "key.destroy"]
    assert all(hashes[leaf["seq"]] == leaf["hash"] for leaf in document["proof"])
    assert document["actors"] == ["purge"]
    assert document["locations"] == [
        str(site.places.storage / "clips" / f"{clip}.{suffix}") for suffix in ("clip", "wraps", "close")
    ]
