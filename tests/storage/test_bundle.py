"""The bundle: the recorder believes what Kb signed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from storage import bundle, keys, signing
from storage.errors import Corrupt, Forgery, NoDayKey, NotFound, StorageError

KB = signing.generate()
DAY = date(2030, 5, 1)
PUBLIC = keys.public_of(keys.new_private())
MADE = bundle.Bundle(
    tenant="acme",
    issued_at=datetime(2030, 4, 1, tzinfo=UTC),
    purposes={"coaching": PUBLIC},
    days={("coaching", DAY): keys.public_of(keys.new_private())},
    council=bytes(32),
    management=None,
    declaration=bundle.Declaration("fewer than 50", bytes(64)),
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    bundle.write_pin(tmp_path, signing.public_bytes(KB))
    bundle.write(tmp_path, MADE, KB)
    return tmp_path


def test_a_bundle_comes_back_as_it_was_written(directory: Path) -> None:
    assert bundle.load(directory) == MADE
    assert bundle.load(directory).day_key("coaching", DAY) == MADE.days["coaching", DAY]
    assert bundle.load(directory).purpose_key("coaching") == PUBLIC


def test_without_a_key_for_the_day_nothing_is_recorded(directory: Path) -> None:
    for purpose, day in (("coaching", date(2030, 5, 2)), ("assessment", DAY)):
        with pytest.raises(NoDayKey):
            bundle.load(directory).day_key(purpose, day)
    with pytest.raises(NoDayKey):
        bundle.load(directory).purpose_key("assessment")


def test_a_bundle_by_another_key_is_refused(directory: Path) -> None:
    bundle.write(directory, MADE, signing.generate())
    with pytest.raises(Forgery):
        bundle.load(directory)


def test_a_bundle_with_another_council_is_refused(directory: Path) -> None:
    path = directory / bundle.BUNDLE
    outer = json.loads(path.read_bytes())
    outer["bundle"]["council"] = None
    path.write_text(json.dumps(outer))
    with pytest.raises(Forgery):
        bundle.load(directory)


def test_every_shortened_bundle_is_refused(directory: Path) -> None:
    path = directory / bundle.BUNDLE
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(StorageError):
            bundle.load(directory)


def test_a_missing_bundle_or_pin_says_what_to_do(directory: Path) -> None:
    (directory / bundle.BUNDLE).unlink()
    with pytest.raises(NotFound, match="doelband setup"):
        bundle.load(directory)
    (directory / bundle.PIN).write_text("nonsense")
    with pytest.raises(Corrupt):
        bundle.load(directory)


def test_a_new_bundle_replaces_the_old_as_a_whole(directory: Path) -> None:
    later = replace(MADE, issued_at=datetime(2030, 4, 2, tzinfo=UTC))
    bundle.write(directory, later, KB)
    assert bundle.load(directory) == later
    assert sorted(path.name for path in directory.iterdir()) == [bundle.BUNDLE, bundle.PIN]
