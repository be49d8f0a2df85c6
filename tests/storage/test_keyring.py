"""The keyring: what was destroyed stays destroyed, whatever is restored and wherever it crashed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path

import pytest

from storage import bundle, keys, signing
from storage.epochs import GONE, FileEpochKeys
from storage.errors import Conflict, Corrupt, Forgery, NotFound, Refused, StorageError, Unavailable
from storage.keyring import Keyring, Places, PurposeKey

H = bytes(64)
D1, D2, D3 = date(2030, 5, 1), date(2030, 5, 2), date(2030, 5, 3)
CLIP, OTHER_CLIP = "aa" * 16, "bb" * 16
AT = datetime(2030, 4, 1, tzinfo=UTC)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "keys", tmp_path / "provider", tmp_path / "storage")


@pytest.fixture
def ring(places: Places) -> Iterator[Keyring]:
    with Keyring.create(places, "acme", ["coaching", "assessment"]) as made:
        made.ensure_days({"coaching": [D1, D2], "assessment": [D1, D2]})
        yield made


def wrapped(ring: Keyring, purpose: str, day: date, k2: bytes = bytes(32)) -> bytes:
    public = ring.store.public(AT)
    return keys.wrap(k2, public.purposes[purpose], public.days[purpose, day], H)


def opens(ring: Keyring, places: Places, purpose: str, day: date, wrap: bytes) -> bool:
    """Does the whole way to K2 work?"""
    try:
        inner = ring.unwrap_day(purpose, day, wrap, H, CLIP)
    except Refused:
        return False
    return PurposeKey.load(places, purpose).unwrap(inner, H) == bytes(32)


def test_a_wrap_opens_through_day_and_purpose(ring: Keyring, places: Places) -> None:
    assert opens(ring, places, "coaching", D1, wrapped(ring, "coaching", D1))


def test_the_keyring_never_holds_a_purpose_key(ring: Keyring, places: Places) -> None:
    secret = PurposeKey.load(places, "coaching")._private
    held = [*ring.store.days.values()]
    assert secret not in held
    assert all(secret not in path.read_bytes() for path in places.keys.glob("keystore.*"))


def test_private_halves_are_in_no_file_in_the_clear(ring: Keyring, places: Places) -> None:
    content = b"".join(path.read_bytes() for path in places.keys.parent.rglob("*") if path.is_file())
    assert not [private for private in ring.store.days.values() if private in content]


def test_all_secrets_are_for_the_owner_only(ring: Keyring, places: Places) -> None:
    secret = [path for path in (*places.keys.rglob("*"), *places.epochs.rglob("*")) if path.is_file()]
    assert len(secret) == 5  # keystore, Kb, two purposes, K0
    assert {oct(path.stat().st_mode & 0o777) for path in secret} == {"0o600"}


def test_a_secret_that_others_may_read_is_not_used(ring: Keyring, places: Places) -> None:
    places.purpose("coaching").chmod(0o640)
    with pytest.raises(Unavailable, match="chmod 600"):
        PurposeKey.load(places, "coaching")


def test_destroying_a_day_leaves_the_others(ring: Keyring, places: Places) -> None:
    first, second = wrapped(ring, "coaching", D1), wrapped(ring, "coaching", D2)
    other = wrapped(ring, "assessment", D1)
    fingerprint = ring.store.public(AT).days["coaching", D1].fingerprint
    (evidence,) = ring.destroy_days([("coaching", D1)])
    assert evidence.fingerprint == fingerprint
    assert (evidence.answer, evidence.provider) == (GONE, "file")
    assert evidence.statement == "logical deletion; remanence on the medium not excluded"
    assert not opens(ring, places, "coaching", D1, first)
    assert opens(ring, places, "coaching", D2, second)
    assert opens(ring, places, "assessment", D1, other)


def test_destroying_twice_answers_the_same_and_makes_no_epoch(ring: Keyring) -> None:
    days = [("coaching", D1), ("coaching", D3)]
    evidence = ring.destroy_days(days)
    epoch = ring.store.epoch
    assert [one.fingerprint == "" for one in evidence] == [False, True]
    assert ring.destroy_days(days) == evidence
    assert ring.store.epoch == epoch


def test_a_destroyed_day_gets_no_key_again(ring: Keyring) -> None:
    ring.destroy_days([("coaching", D1), ("coaching", D3)])
    assert ring.ensure_days({"coaching": [D1, D2, D3]}) == 0
    assert ("coaching", D3) not in ring.store.days


def test_a_purpose_without_a_key_gets_no_days(ring: Keyring) -> None:
    with pytest.raises(NotFound):
        ring.ensure_days({"marketing": [D1]})


def test_days_are_made_once(ring: Keyring) -> None:
    before = dict(ring.store.days)
    assert ring.ensure_days({"coaching": [D2, D3]}) == 1
    assert before.items() <= ring.store.days.items()


def test_a_refused_clip_is_refused_for_ever(ring: Keyring, places: Places) -> None:
    wrap = wrapped(ring, "coaching", D1)
    ring.refuse_clip(CLIP)
    ring.close()
    ring = Keyring.load(places)
    with pytest.raises(Refused) as refusal:
        ring.unwrap_day("coaching", D1, wrap, H, CLIP)
    assert refusal.value.reason == "destroyed-clip"
    assert ring.unwrap_day("coaching", D1, wrap, H, OTHER_CLIP)


REASONS = [(D1, "past-deadline"), (D3, "no-day-key")]


@pytest.mark.parametrize(("day", "reason"), REASONS)
def test_refusals_carry_their_reason(ring: Keyring, day: date, reason: str) -> None:
    wrap = wrapped(ring, "coaching", D2)
    ring.destroy_days([("coaching", D1)])
    with pytest.raises(Refused) as refusal:
        ring.unwrap_day("coaching", day, wrap, H, CLIP)
    assert refusal.value.reason == reason


def image(places: Places, target: Path, with_provider: bool) -> Places:
    """A copy as a disk image or a backup would be, with K0's provider in it or not."""
    copy = Places(target / "keys", target / "provider", target / "storage")
    shutil.copytree(places.keys, copy.keys)
    shutil.copytree(places.storage, copy.storage)
    if with_provider:
        shutil.copytree(places.epochs, copy.epochs)
    return copy


def test_a_copy_from_before_destruction_opens_nothing(ring: Keyring, places: Places, tmp_path: Path) -> None:
    wrap = wrapped(ring, "coaching", D2)
    old = image(places, tmp_path / "image", with_provider=False)
    ring.destroy_days([("coaching", D1)])
    restored = Places(old.keys, places.epochs, old.storage)
    with pytest.raises(NotFound):
        Keyring.load(restored)
    assert opens(ring, places, "coaching", D2, wrap)


def test_control_a_copy_with_the_provider_inside_does_open(
    ring: Keyring, places: Places, tmp_path: Path
) -> None:
    wrap = wrapped(ring, "coaching", D1)
    old = image(places, tmp_path / "image", with_provider=True)
    ring.destroy_days([("coaching", D1)])
    with Keyring.load(old) as revived:
        assert opens(revived, old, "coaching", D1, wrap)


def test_a_restored_keystore_does_not_bring_a_refused_clip_back(
    ring: Keyring, places: Places, tmp_path: Path
) -> None:
    old = image(places, tmp_path / "image", with_provider=False)
    ring.refuse_clip(CLIP)
    with pytest.raises(NotFound):
        Keyring.load(Places(old.keys, places.epochs, old.storage))


def test_an_older_epoch_is_never_fallen_back_to(ring: Keyring, places: Places, tmp_path: Path) -> None:
    old = image(places, tmp_path / "image", with_provider=True)
    ring.destroy_days([("coaching", D1)])
    ring.close()
    (old_store,) = old.keys.glob("keystore.*")
    shutil.copy(old_store, places.keys)
    shutil.copytree(old.epochs, places.epochs, dirs_exist_ok=True)
    FileEpochKeys(places.epochs).destroy(max(FileEpochKeys(places.epochs).epochs()))
    with pytest.raises(NotFound):
        Keyring.load(places)


def test_a_keystore_moved_to_another_epoch_is_refused(ring: Keyring, places: Places) -> None:
    ring.close()
    (path,) = places.keys.glob("keystore.*")
    provider = FileEpochKeys(places.epochs)
    provider.make(99)
    path.rename(places.keys / "keystore.99")
    with pytest.raises(Corrupt):
        Keyring.load(places)


def test_every_changed_byte_of_a_keystore_is_refused(tmp_path: Path) -> None:
    places = Places(tmp_path / "keys", tmp_path / "provider", tmp_path / "storage")
    Keyring.create(places, "acme", ["coaching"]).close()
    (path,) = places.keys.glob("keystore.*")
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(StorageError):
            Keyring.load(places)
    path.write_bytes(content)
    Keyring.load(places).close()


class Crash(BaseException):
    """The process dies here."""


class Steps:
    """Counts what changes the disk, and dies right after step number `at`."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, at: int, failure: type[BaseException] = Crash
    ) -> None:
        self.taken = 0
        self._at = at
        self._failure = failure
        for owner, name in ((os, "fsync"), (os, "fchmod"), (Path, "replace"), (Path, "unlink")):
            monkeypatch.setattr(owner, name, self._dying(getattr(owner, name)))

    def _dying(self, step: Callable[..., object]) -> object:
        def run(*args: object, **options: object) -> object:
            result = step(*args, **options)
            self.taken += 1
            if self.taken == self._at:
                raise self._failure
            return result

        return run


def test_a_crash_after_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    outcomes = []
    for at in range(1, 100):
        places = Places(tmp_path / f"{at}/keys", tmp_path / f"{at}/provider", tmp_path / f"{at}/storage")
        ring = Keyring.create(places, "acme", ["coaching"])
        ring.ensure_days({"coaching": [D1, D2]})
        first, second = wrapped(ring, "coaching", D1), wrapped(ring, "coaching", D2)
        with pytest.MonkeyPatch.context() as patch:
            steps = Steps(patch, at)
            with suppress(Crash):
                ring.destroy_days([("coaching", D1)])
        ring.close()
        with Keyring.load(places) as again:
            assert len(FileEpochKeys(places.epochs).epochs()) == 1
            assert len(list(places.keys.glob("keystore.*"))) == 1
            outcomes.append(opens(again, places, "coaching", D1, first))
            assert opens(again, places, "coaching", D2, second)
            (evidence,) = again.destroy_days([("coaching", D1)])
            assert (evidence.answer, bool(evidence.fingerprint)) == (GONE, True)
            assert not opens(again, places, "coaching", D1, first)
        if steps.taken < at:
            break
    assert outcomes == sorted(outcomes, reverse=True)
    assert {True, False} == set(outcomes)
    assert len(outcomes) > 10


def test_a_full_disk_at_any_step_can_be_retried_by_the_running_service(tmp_path: Path) -> None:
    for at in range(1, 100):
        places = Places(tmp_path / f"{at}/keys", tmp_path / f"{at}/provider", tmp_path / f"{at}/storage")
        with Keyring.create(places, "acme", ["coaching"]) as ring:
            ring.ensure_days({"coaching": [D1, D2]})
            second = wrapped(ring, "coaching", D2)
            with pytest.MonkeyPatch.context() as patch:
                steps = Steps(patch, at, OSError)
                with suppress(Unavailable):
                    ring.destroy_days([("coaching", D1)])
            (evidence,) = ring.destroy_days([("coaching", D1)])
            assert evidence.answer == GONE
            assert opens(ring, places, "coaching", D2, second)
        with Keyring.load(places) as again:
            assert opens(again, places, "coaching", D2, second)
            assert ("coaching", D1) in again.store.destroyed
        if steps.taken < at:
            return
    raise AssertionError("never got through")


def test_a_crash_while_trying_again_loses_no_living_key(tmp_path: Path) -> None:
    """A first attempt fails after the new keystore is in place; the second must not touch its K0."""
    tried = 0
    for at, again_at in product(range(1, 20), range(1, 9)):
        root = tmp_path / f"{at}-{again_at}"
        places = Places(root / "keys", root / "provider", root / "storage")
        with Keyring.create(places, "acme", ["coaching"]) as ring:
            ring.ensure_days({"coaching": [D1, D2]})
            second, epoch = wrapped(ring, "coaching", D2), ring.store.epoch
            with pytest.MonkeyPatch.context() as patch, suppress(Unavailable):
                Steps(patch, at, OSError)
                ring.destroy_days([("coaching", D1)])
            if not ((places.keys / f"keystore.{epoch + 1}").exists() and ring.store.epoch == epoch):
                continue
            with pytest.MonkeyPatch.context() as patch, suppress(Crash):
                Steps(patch, again_at)
                ring.destroy_days([("coaching", D1)])
        tried += 1
        with Keyring.load(places) as loaded:
            assert opens(loaded, places, "coaching", D2, second)
            assert ("coaching", D1) in loaded.store.destroyed
    assert tried >= 8


def test_one_process_at_a_time(ring: Keyring, places: Places) -> None:
    with pytest.raises(Unavailable, match="another process"):
        Keyring.load(places)
    ring.close()
    Keyring.load(places).close()


def test_set_up_twice_is_refused(ring: Keyring, places: Places) -> None:
    ring.close()
    with pytest.raises(Conflict):
        Keyring.create(places, "acme", ["coaching"])


def test_no_keystore_is_told_as_such(places: Places) -> None:
    with pytest.raises(NotFound):
        Keyring.load(places)


def test_a_purpose_added_later_gets_a_key(ring: Keyring, places: Places) -> None:
    before = ring.store.purposes
    ring.add_purposes(["coaching", "evidence"])
    assert ring.store.purposes == {**before, "evidence": PurposeKey.load(places, "evidence").public}


@pytest.mark.parametrize("name", ["", "../evil", "A", "x" * 65, ".key"])
def test_a_purpose_is_no_path(ring: Keyring, name: str) -> None:
    with pytest.raises(ValueError, match="purpose"):
        ring.add_purposes([name])


def test_keys_are_enrolled_once(ring: Keyring, places: Places) -> None:
    council, management, other = (signing.public_bytes(signing.generate()) for _ in range(3))
    ring.enrol(council=council)
    ring.enrol(management=management)
    ring.enrol(council=council, management=management)
    with pytest.raises(Refused, match="another one is enrolled"):
        ring.enrol(council=other)
    with pytest.raises(Refused, match="another one is enrolled"):
        ring.enrol(management=other)
    ring.close()
    with Keyring.load(places) as again:
        assert (again.store.council, again.store.management) == (council, management)


def test_only_managements_signed_declaration_stands_for_a_council(ring: Keyring) -> None:
    management, stranger = signing.generate(), signing.generate()
    text = "fewer than 50 people"
    said = bundle.Declaration(text, signing.sign(management, bundle.DECLARATION_LABEL, text.encode()))
    forged = bundle.Declaration(text, signing.sign(stranger, bundle.DECLARATION_LABEL, text.encode()))
    with pytest.raises(Refused, match="enrol management first"):
        ring.enrol(declaration=said)
    ring.enrol(management=signing.public_bytes(management))
    with pytest.raises(Forgery):
        ring.enrol(declaration=forged)
    ring.enrol(declaration=said)
    assert ring.store.declaration == said
    ring.enrol(council=signing.public_bytes(stranger))
    assert ring.store.declaration is None
    with pytest.raises(Refused, match="a council is enrolled"):
        ring.enrol(declaration=said)
