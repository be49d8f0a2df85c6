"""Fixtures of the key service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import signing
from storage.keydoor import KeyDoor
from storage.keyring import Keyring, Places
from tests.portal.installation import (
    CLIP,
    MANAGEMENT,
    ME,
    RETENTIONS,
    FakeBook,
    granted,
    sealed,
    serving,
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path / "keys", tmp_path / "provider", tmp_path / "storage")
    with Keyring.create(made, "acme", RETENTIONS) as ring:
        ring.enrol(management=signing.public_bytes(MANAGEMENT))
    return made


@pytest.fixture
def book() -> FakeBook:
    return FakeBook(grants=[(ME, granted())])


@pytest.fixture
async def door(places: Places, book: FakeBook) -> AsyncIterator[KeyDoor]:
    async with serving(places, book) as opened:
        book.clips[CLIP] = sealed(places)
        yield opened
