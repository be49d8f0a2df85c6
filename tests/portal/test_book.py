"""The catalogue as the guards ask it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from portal.access import ClipFacts
from portal.book import CatalogueBook
from portal.openers import Entry, SealedClip
from storage import model
from storage.catalog import Catalogue
from storage.model import By, ClockReading, Ending, NewClip, Sealing
from tests.portal.installation import (
    CLIP,
    DAY,
    ME,
    NOW,
    H,
    StillClock,
    granted,
)


async def test_the_catalogue_is_the_book(tmp_path: Path) -> None:
    catalogue = await Catalogue.open(tmp_path / "catalogue.db")
    book, by = CatalogueBook(catalogue, StillClock()), By("recorder", NOW)
    signed = granted()
    row = model.Grant(
        "9a" * 16, ME, "coaching", (), NOW + timedelta(days=9), "m", NOW, signed.document, signed.signature
    )
    clip = NewClip(
        id=CLIP,
        recording="ab" * 16,
        call="ca" * 16,
        purpose="coaching",
        line="sales",
        agent="201",
        scheme_hash="5c" * 32,
        started_at=NOW,
        part=1,
        previous=None,
        deadline_day=DAY,
        day_key_id="da" * 16,
        header_hash=H,
        wrap=b"wrap",
    )
    try:
        await catalogue.grants.add(row, by)
        await catalogue.clips.begin(clip, by)
        facts = ClipFacts(CLIP, "coaching", "sales", DAY, is_sealed=False)
        assert await book.clip(CLIP) == SealedClip(facts, b"wrap", H)
        await catalogue.clips.seal(CLIP, Sealing(Ending.COMPLETE, 1, 1, "00" * 32, 1.0, b"closed"), by)
        assert (await book.clip(CLIP)).facts.is_sealed
        assert await book.grants_for(ME) == [signed]
        assert await book.grants_for("bob") == []
        assert await book.read_at() == NOW
        await catalogue.clock.accept(ClockReading(NOW + timedelta(days=1), 0.0, "boot", True), "first", by)
        assert await book.read_at() == NOW + timedelta(days=1)
        await book.write(Entry(ME, "clip.play", CLIP, "granted", "weekly talk", DAY))
        (written,) = await catalogue.audit.rows(limit=1)
        assert (written.actor, written.action, written.reason, written.text) == (
            *(ME, "clip.play", "granted"),
            "weekly talk",
        )
    finally:
        await catalogue.close()
