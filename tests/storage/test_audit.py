"""The audit log: a chain that shows every change, and texts that may go."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from storage.audit import NO_TEXT, START
from storage.catalog import Catalogue
from storage.errors import Conflict
from storage.model import By
from tests.fakes.clips import new_clip
from tests.fakes.clock import START as NOON

BY = By("chief", NOON, "because")


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    opened = await Catalogue.open(tmp_path / "catalogue.db")
    yield opened
    await opened.close()


def tamper(catalogue: Catalogue, statement: str) -> None:
    connection = sqlite3.connect(catalogue.path)
    assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


async def three_leaves(catalogue: Catalogue) -> None:
    for number in range(3):
        await catalogue.audit.append(
            By("chief", NOON, "because", f"text {number}", date(2026, 5, 1)), "clip.play", "a"
        )


async def test_leaves_follow_each_other(catalogue: Catalogue) -> None:
    await three_leaves(catalogue)
    rows = list(reversed(await catalogue.audit.rows()))
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [row.prev_hash for row in rows] == [START, rows[0].hash, rows[1].hash]
    assert [row.text for row in rows] == ["text 0", "text 1", "text 2"]
    report = await catalogue.audit.verify()
    assert (report.rows, report.head, report.broken_at) == (3, rows[2].hash, None)


async def test_a_leaf_without_text_commits_to_nothing(catalogue: Catalogue) -> None:
    row = await catalogue.audit.append(BY, "clip.play", "a")
    assert (row.text, row.commitment) == (None, NO_TEXT)


async def test_the_same_text_twice_gives_two_commitments(catalogue: Catalogue) -> None:
    by = By("chief", NOON, text="a short text that could be guessed")
    one = await catalogue.audit.append(by, "clip.play", "a")
    other = await catalogue.audit.append(by, "clip.play", "a")
    assert one.commitment != other.commitment


async def test_texts_go_at_their_term_and_the_chain_still_holds(catalogue: Catalogue) -> None:
    await three_leaves(catalogue)
    assert await catalogue.audit.forget_texts(date(2026, 5, 1)) == 0
    assert await catalogue.audit.forget_texts(date(2026, 5, 2)) == 3
    assert {row.text for row in await catalogue.audit.rows()} == {None}
    assert (await catalogue.audit.verify()).broken_at is None


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 2", 2),
        ("UPDATE audit SET at = '2026-03-02T10:00:00.000000Z' WHERE seq = 1", 1),
        ("UPDATE audit SET action = 'clip.list' WHERE seq = 3", 3),
        ("UPDATE audit SET object = 'b' WHERE seq = 3", 3),
        ("UPDATE audit SET reason = 'x' WHERE seq = 3", 3),
        ("UPDATE audit SET hash = prev_hash WHERE seq = 2", 2),
        ("UPDATE audit_body SET body = 'text 3' WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 1", 1),
    ],
)
async def test_a_changed_leaf_is_seen(catalogue: Catalogue, statement: str, broken_at: int) -> None:
    await three_leaves(catalogue)
    tamper(catalogue, statement)
    assert (await catalogue.audit.verify()).broken_at == broken_at


async def test_leaves_of_one_object(catalogue: Catalogue) -> None:
    for object_ in ("a", "b", "a"):
        await catalogue.audit.append(BY, "clip.play", object_)
    assert [row.seq for row in await catalogue.audit.rows("a")] == [3, 1]
    assert [row.seq for row in await catalogue.audit.rows(limit=1)] == [3]


async def test_an_act_that_fails_leaves_no_leaf(catalogue: Catalogue) -> None:
    clip = new_clip()
    await catalogue.clips.begin(clip, BY)
    with pytest.raises(Conflict):
        await catalogue.clips.begin(clip, BY)
    assert [row.action for row in await catalogue.audit.rows()] == ["clip.open"]
