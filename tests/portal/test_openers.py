"""Two guards, each with its own key and its own judgement."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from portal.access import Action, Request
from portal.openers import Ask, DayKeyService, Opener
from storage import keys, signing
from storage.errors import Refused, Unavailable
from storage.keyring import Keyring, Places, PurposeKey
from tests.portal.installation import (
    CLIP,
    DAY,
    K2,
    MANAGEMENT,
    ME,
    NOW,
    FakeBook,
    H,
    sealed,
)


def ask(purpose: str = "coaching") -> Ask:
    return Ask(CLIP, Request(ME, Action.PLAY, purpose, "why"))


@pytest.fixture
async def inner(places: Places, book: FakeBook) -> bytes:
    """A clip whose day layer has been opened, for tests of the second guard alone."""
    with Keyring.load(places) as ring:
        ring.ensure_days({"coaching": [DAY]})
        ring.publish(NOW)
        book.clips[CLIP] = sealed(places)
        return ring.unwrap_day("coaching", DAY, book.clips[CLIP].wrap, H, CLIP)


def opener(places: Places, book: FakeBook, purpose: str) -> Opener:
    return Opener(purpose, PurposeKey.load(places, purpose), signing.public_bytes(MANAGEMENT), book)


async def test_each_opener_judges_by_itself(places: Places, book: FakeBook, inner: bytes) -> None:
    guard = opener(places, book, "coaching")
    assert await guard.open(ask(), inner) == K2
    book.at = datetime(2030, 5, 15, tzinfo=UTC)
    with pytest.raises(Refused, match="deadline"):
        await guard.open(ask(), inner)
    book.at, book.grants = NOW, []
    with pytest.raises(Refused, match="authorised"):
        await guard.open(ask(), inner)


async def test_the_day_key_service_judges_by_itself(places: Places, book: FakeBook, inner: bytes) -> None:
    with Keyring.load(places) as ring:
        guard = DayKeyService(ring, book)
        assert await guard.open_layer(ask()) == inner
        for code, spoil in (("past-deadline", "at"), ("no-grant", "grants")):
            setattr(book, spoil, {"at": datetime(2030, 5, 15, tzinfo=UTC), "grants": []}[spoil])
            with pytest.raises(Refused) as refused:
                await guard.open_layer(ask())
            assert code in refused.value.reason


async def test_the_opener_of_another_purpose_refuses(places: Places, book: FakeBook, inner: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await opener(places, book, "assessment").open(ask(), inner)
    assert refused.value.reason == "other-purpose"
    assert book.rows() == [(ME, "clip.refused", "other-purpose")]


async def test_another_purposes_key_opens_nothing_even_without_any_check(
    places: Places, inner: bytes
) -> None:
    with pytest.raises(keys.WrapFailure):
        PurposeKey.load(places, "assessment").unwrap(inner, H)
    with pytest.raises(keys.WrapFailure):
        keys._open(inner[16:], PurposeKey.load(places, "assessment")._private, b"purpose", H)


async def test_a_row_is_written_before_a_lock_opens(places: Places, book: FakeBook, inner: bytes) -> None:
    book.is_full = True
    with pytest.raises(Unavailable):
        await opener(places, book, "coaching").open(ask(), inner)
    with Keyring.load(places) as ring, pytest.raises(Unavailable):
        await DayKeyService(ring, book).open_layer(ask())
