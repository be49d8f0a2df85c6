"""The key service: who asks, what is answered, and that nothing opens without an audit row."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from portal import keyservice
from portal.keyservice import Peer
from storage import bundle, signing
from storage.errors import NotFound, Refused, Unavailable
from storage.keydoor import KeyDoor
from storage.keyring import Keyring, Places, days_ahead
from tests.portal.installation import (
    CLIP,
    DAY,
    K2,
    ME,
    NOW,
    RETENTIONS,
    FakeBook,
    granted,
    key_service,
    sealed,
    serving,
)


async def refusal(door: KeyDoor, **changes: str) -> str:
    asked = {"purpose": "coaching", "action": "play", "reason": "why", **changes}
    with pytest.raises(Refused) as refused:
        await door.open_clip(CLIP, asked["purpose"], asked["action"], asked["reason"], changes.get("actor"))
    return refused.value.reason


async def test_a_clip_opens_for_its_purpose_and_both_guards_write_it_down(
    door: KeyDoor, book: FakeBook
) -> None:
    assert await door.open_clip(CLIP, "coaching", "play", "weekly talk") == K2
    assert book.rows() == [(ME, "key.unlock", "granted"), (ME, "clip.play", "granted")]
    assert {(entry.text, entry.text_until, entry.object) for entry in book.entries} == {
        ("weekly talk", DAY, CLIP)
    }


async def test_play_download_and_export_are_written_down_apart(door: KeyDoor, book: FakeBook) -> None:
    for action in ("play", "download", "export"):
        await door.open_clip(CLIP, "coaching", action, "why")
    assert [entry.action for entry in book.entries[1::2]] == ["clip.play", "clip.download", "clip.export"]


async def test_refusals_carry_a_reason_and_an_audit_row(door: KeyDoor, book: FakeBook) -> None:
    clip = book.clips[CLIP]
    assert await refusal(door, purpose="assessment") == "other-purpose+granted-for-other-purpose"
    assert await refusal(door, reason="") == "no-reason"
    book.at = datetime(2030, 5, 15, tzinfo=UTC)
    assert await refusal(door) == "past-deadline"
    book.at = NOW
    book.clips[CLIP] = replace(clip, facts=replace(clip.facts, is_sealed=False))
    assert await refusal(door) == "not-sealed"
    book.clips[CLIP], book.grants = clip, []
    assert await refusal(door) == "no-grant"
    book.grants = [(ME, granted(signer=signing.generate()))]
    assert await refusal(door) == "not-signed"
    assert {entry.action for entry in book.entries} == {"clip.refused"}
    assert len(book.entries) == 6


async def test_the_signed_document_counts_and_not_the_row(door: KeyDoor, book: FakeBook) -> None:
    """An edited row gives bob's signed grant to me: the document still says bob."""
    book.grants = [(ME, granted(person="bob"))]
    assert await refusal(door) == "no-grant"


async def test_an_edited_catalogue_opens_nothing(door: KeyDoor, book: FakeBook, places: Places) -> None:
    clip = book.clips[CLIP]
    book.grants.append((ME, granted(purpose="assessment")))
    relabelled = replace(clip, facts=replace(clip.facts, purpose="assessment", deadline_day=date(2030, 6, 1)))
    for forged in (
        relabelled,
        replace(clip, facts=replace(clip.facts, deadline_day=date(2030, 5, 20))),
        replace(clip, header_hash=b"\1" * 64),
        replace(clip, wrap=b""),
    ):
        book.clips[CLIP] = forged
        assert await refusal(door, purpose=forged.facts.purpose) == "lock-does-not-open"
    assert book.rows()[-1] == (ME, "clip.refused", "lock-does-not-open")


async def test_without_an_audit_row_nothing_opens(door: KeyDoor, book: FakeBook) -> None:
    book.is_full = True
    with pytest.raises(Unavailable, match="audit log"):
        await door.open_clip(CLIP, "coaching", "play", "why")


async def test_without_managements_key_nobody_may(tmp_path: Path, book: FakeBook) -> None:
    places = Places(tmp_path / "k", tmp_path / "p", tmp_path / "s")
    Keyring.create(places, "acme", RETENTIONS).close()
    async with serving(places, book) as door:
        book.clips[CLIP] = sealed(places)
        assert await refusal(door) == "no-management"


async def test_a_destroyed_day_opens_nothing_and_leaves_the_bundle(
    door: KeyDoor, book: FakeBook, places: Places
) -> None:
    (evidence,) = await door.destroy_days([("coaching", DAY)])
    assert (evidence.purpose, evidence.day, evidence.answer) == ("coaching", DAY, "not found")
    assert await door.destroy_days([("coaching", DAY)]) == [evidence]
    assert await refusal(door) == "past-deadline"
    assert ("coaching", DAY) not in bundle.load(places.storage).days


async def test_a_refused_clip_opens_nothing(door: KeyDoor, book: FakeBook) -> None:
    await door.refuse_clip(CLIP)
    assert await refusal(door) == "destroyed-clip"
    assert book.rows()[-1] == (ME, "clip.refused", "destroyed-clip")


async def test_an_unknown_clip_is_not_found(door: KeyDoor) -> None:
    with pytest.raises(NotFound):
        await door.open_clip("00" * 16, "coaching", "play", "why")


async def test_days_are_there_ahead_for_every_purpose(door: KeyDoor, places: Places) -> None:
    status = await door.status()
    assert status["purposes"]["coaching"] == {"days": 31, "first": "2030-05-14", "last": "2030-06-13"}
    assert status["purposes"]["assessment"] == {"days": 31, "first": "2030-05-30", "last": "2030-06-29"}
    assert (status["management"], status["council"], status["trouble"]) == (True, False, "")
    assert await door.refresh() == {"made": 0}
    assert len(bundle.load(places.storage).days) == 62


SPANS = [
    (timedelta(days=1), date(2030, 5, 1), date(2030, 5, 31)),
    (timedelta(days=14), date(2030, 5, 14), date(2030, 6, 13)),
    (timedelta(days=1, hours=12), date(2030, 5, 1), date(2030, 6, 1)),
]


@pytest.mark.parametrize(("retention", "first", "last"), SPANS)
def test_the_days_ahead_cover_every_call_of_the_next_30_days(
    retention: timedelta, first: date, last: date
) -> None:
    assert days_ahead(date(2030, 5, 1), retention) == (first, last)


def as_peer(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setattr(keyservice, "_peer", lambda _: peer)


async def test_an_acting_person_is_believed_of_the_services_own_account(
    door: KeyDoor, book: FakeBook
) -> None:
    book.grants = [("anna", granted(person="anna"))]
    assert await door.open_clip(CLIP, "coaching", "play", "why", actor="anna") == K2
    assert book.rows()[-1] == ("anna", "clip.play", f"granted:via-{ME}")


async def test_another_account_speaks_for_itself_only(
    door: KeyDoor, book: FakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_peer(monkeypatch, Peer("bob", is_trusted=False))
    book.grants = [("bob", granted(person="bob")), ("anna", granted(person="anna"))]
    assert await refusal(door, actor="anna") == "not-yourself"
    assert await door.open_clip(CLIP, "coaching", "play", "why", actor="bob") == K2
    assert await door.open_clip(CLIP, "coaching", "play", "why") == K2
    assert book.rows()[-1] == ("bob", "clip.play", "granted")


async def test_another_account_destroys_nothing(door: KeyDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    as_peer(monkeypatch, Peer("bob", is_trusted=False))
    for attempt in (door.destroy_days([("coaching", DAY)]), door.refuse_clip(CLIP), door.refresh()):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.reason == "not-the-service"
    assert (await door.status())["destroyed_days"] == 0


def test_the_kernel_says_who_speaks() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert keyservice._peer(ours) == Peer(ME, is_trusted=True)


def test_another_account_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stranger:
        def getsockopt(self, *_: int) -> bytes:
            return keyservice._PEER.pack(1, 4_000_000, 1)

    stranger: Any = Stranger()
    assert keyservice._peer(stranger) == Peer("uid-4000000", is_trusted=False)


BAD_LINES = [
    b"",
    b"{}",
    b"[]",
    b"nonsense",
    b'{"op":"open"}',
    b'{"op":"fly"}',
    b"[" * 50_000,
    b'{"op":["open"]}',
]


@pytest.mark.parametrize("line", BAD_LINES)
async def test_a_bad_request_is_refused_and_the_service_stays(door: KeyDoor, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(door._path)
    writer.write(line + b"\n")
    assert b'"bad-request"' in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert await door.status()


async def test_a_restart_takes_the_place_of_a_crashed_one(places: Places, book: FakeBook) -> None:
    (places.storage / "keys.sock").touch()
    for _ in range(2):
        async with serving(places, book) as door:
            assert await door.status()


async def test_a_full_disk_is_told_and_does_not_stop_the_service(
    places: Places, book: FakeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise Unavailable("write the keystore", "make room")

    monkeypatch.setattr(Keyring, "ensure_days", full)
    async with serving(places, book) as door:
        assert "make room" in (await door.status())["trouble"]
        assert await door.destroy_days([("coaching", DAY)])


async def test_a_new_purpose_has_keys_and_an_opener_at_once_and_one_that_is_gone_keeps_its_own(
    places: Places, book: FakeBook
) -> None:
    service = key_service(places, book)
    async with serving(places, book, service) as door:
        assert await service.follow({"evidence": timedelta(days=14)}) > 0
        book.clips[CLIP] = sealed(places, "evidence")
        book.grants = [(ME, granted(purpose="evidence")), (ME, granted())]
        assert await door.open_clip(CLIP, "evidence", "play", "why") == K2
        book.clips[CLIP] = sealed(places)
        assert await door.open_clip(CLIP, "coaching", "play", "why") == K2
