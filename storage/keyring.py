"""The door for destroying keys: the day keys of one tenant, kept in epochs (clips-and-keys, "Keys").

Every change makes a new epoch, in this order, so that a crash after any step leaves the old or the new:

    K0 of the new epoch → keystore.<n+1> (temp, fsync, rename, fsync directory) → old K0 destroyed
    → old file erased

What a later start finds half done it finishes. A copy of the keystore from before a change opens nothing
afterwards, since its K0 is gone; that is why a destroyed day and a refused clip stay so under any restore.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from storage import bundle, keys, signing
from storage.bundle import Declaration
from storage.durable import create_file, erase_file, make_directory, replace_file
from storage.epochs import GONE, EpochKeys, FileEpochKeys
from storage.errors import Conflict, Corrupt, NotFound, Refused, Unavailable
from storage.keystore import Day, Destroyed, Keystore, seal, unseal
from storage.model import DestroyedDay

_PURPOSE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEYSTORE = re.compile(r"keystore\.([0-9]+)(\.new)?")


@dataclass(frozen=True, slots=True)
class Places:
    """`keys`: keystore, purpose keys, Kb; `epochs`: K0, a directory that no copy may hold together with
    `keys`; `storage`: where the recorder finds the bundle.
    """

    keys: Path
    epochs: Path
    storage: Path

    def purpose(self, name: str) -> Path:
        """The file of a purpose's private half. Raises ValueError for a name that is no file name."""
        if not _PURPOSE.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a purpose: lower-case letters, digits, - and _")
        return self.keys / "purpose" / f"{name}.key"

    @property
    def kb(self) -> Path:
        return self.keys / "bundle.key"


class PurposeKey:
    """The private half of one purpose's key: what an opener holds, and the keyring never does."""

    def __init__(self, private: bytes) -> None:
        self._private = private

    @classmethod
    def load(cls, places: Places, purpose: str) -> PurposeKey:
        """Raises NotFound, Unavailable, Corrupt."""
        path = places.purpose(purpose)
        try:
            private = load_pem_private_key(signing.read_secret(path), password=None)
        except ValueError as error:
            raise Corrupt(f"read {path}", "it is no PEM private key; restore it from its backup") from error
        if not isinstance(private, X25519PrivateKey):
            raise Corrupt(f"read {path}", "it is no X25519 key; restore it from its backup")
        return cls(private.private_bytes_raw())

    @property
    def public(self) -> keys.PublicKey:
        return keys.public_of(self._private)

    def unwrap(self, inner: bytes, h: bytes) -> bytes:
        """K2, from the inner layer that the day key has laid open. Raises WrapFailure."""
        return keys.unwrap_purpose(inner, self._private, h)


class Keyring:
    """All day keys, one writer at a time (a lock on the directory). Close it, or use it as a context."""

    def __init__(self, places: Places, provider: EpochKeys, lock: int, store: Keystore) -> None:
        self._places = places
        self._provider = provider
        self._lock = lock
        self._store = store

    @classmethod
    def create(cls, places: Places, tenant: str, purposes: Iterable[str]) -> Keyring:
        """Set a new keyring up: Kb and its pin, a key for each purpose, the first epoch. Raises Conflict."""
        for directory in (places.keys, places.keys / "purpose", places.epochs, places.storage):
            make_directory(directory)
        lock = _lock(places.keys)
        try:
            if _files(places.keys):
                raise Conflict(f"set up keys in {places.keys}", "there is a keystore already")
            if not places.kb.exists():
                signing.create_key(places.kb)
            bundle.write_pin(places.storage, signing.public_bytes(signing.load_key(places.kb)))
            store = Keystore(epoch=0, tenant=tenant, purposes=_purpose_keys(places, purposes))
            ring = cls(places, FileEpochKeys(places.epochs), lock, store)
            ring._commit(store)
        except BaseException:
            os.close(lock)
            raise
        return ring

    @classmethod
    def load(cls, places: Places) -> Keyring:
        """Open the newest epoch and finish what a crash has left. Raises NotFound, Unavailable, Corrupt.

        An older epoch is never fallen back to: that would bring back what was destroyed.
        """
        provider = FileEpochKeys(places.epochs)
        epochs = _files(places.keys)
        if not epochs:
            raise NotFound(f"open the keystore in {places.keys}", "set it up with `doelband setup`")
        lock = _lock(places.keys)
        try:
            epoch = max(epochs)
            data = signing.read_secret(places.keys / f"keystore.{epoch}")
            ring = cls(places, provider, lock, unseal(data, epoch, provider))
            ring._forget_others()
        except BaseException:
            os.close(lock)
            raise
        return ring

    def close(self) -> None:
        """Let another process have the keystore."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Keyring:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    @property
    def store(self) -> Keystore:
        return self._store

    def add_purposes(self, names: Iterable[str]) -> None:
        """Make keys for purposes that have none yet."""
        found = {**self._store.purposes, **_purpose_keys(self._places, names)}
        if found != self._store.purposes:
            self._commit(replace(self._store, purposes=found))

    def ensure_days(self, spans: Mapping[str, Sequence[date]]) -> int:
        """For each purpose, see that these days have keys. A destroyed day gets none again. Returns how many
        keys are new. Raises NotFound for a purpose without a key.
        """
        for purpose in spans.keys() - self._store.purposes.keys():
            raise NotFound(f"make day keys for the purpose {purpose}", "add the purpose first")
        wanted = {(purpose, day) for purpose, days in spans.items() for day in days}
        missing = wanted - self._store.days.keys() - self._store.destroyed.keys()
        if missing:
            made = {day: keys.new_private() for day in sorted(missing)}
            self._commit(replace(self._store, days={**self._store.days, **made}))
        return len(missing)

    def enrol(
        self,
        council: bytes | None = None,
        management: bytes | None = None,
        declaration: Declaration | None = None,
    ) -> None:
        """Enrol public keys, once; or management's declaration that there is no council.

        Raises Refused("already-enrolled") for another key than the enrolled one, Refused("no-management")
        for a declaration before management's key, and Forgery for one that management did not sign.
        """
        store = self._store
        council = _once("the works council's key", store.council, council)
        management = _once("management's key", store.management, management)
        if declaration is not None:
            if council is not None:
                raise Refused("already-enrolled", "declare that there is no council", "a council is enrolled")
            if management is None:
                raise Refused("no-management", "declare that there is no council", "enrol management first")
            declaration.verify(management)
        if council is None:
            declaration = declaration or store.declaration
        changed = replace(store, council=council, management=management, declaration=declaration)
        if changed != store:
            self._commit(changed)

    def publish(self, at: datetime) -> None:
        """Write the signed bundle for the recorder."""
        bundle.write(self._places.storage, self._store.public(at), signing.load_key(self._places.kb))

    def unwrap_day(self, purpose: str, day: date, wrapped: bytes, h: bytes, clip_id: str) -> bytes:
        """Take the day layer off.

        Raises Refused("destroyed-clip", "past-deadline" or "no-day-key"), WrapFailure.
        """
        attempted = f"open clip {clip_id}"
        if clip_id in self._store.refused:
            raise Refused("destroyed-clip", attempted, "it was destroyed before its deadline, for good")
        if (purpose, day) in self._store.destroyed:
            raise Refused("past-deadline", attempted, "the key of its deadline day was destroyed")
        private = self._store.days.get((purpose, day))
        if private is None:
            raise Refused("no-day-key", attempted, "its deadline day has no key here")
        return keys.unwrap_day(wrapped, private, h)

    def past_days(self, today: date) -> list[Day]:
        """The days before `today` that still have a key, in order."""
        return sorted(of for of in self._store.days if of[1] < today)

    def destroy_days(self, days: Sequence[Day]) -> list[DestroyedDay]:
        """Destroy these days' keys in one new epoch; evidence in the same order. Idempotent.

        Raises Unavailable; then it is not done, and is to be asked again.
        """
        fresh = [day for day in dict.fromkeys(days) if day not in self._store.destroyed]
        if fresh:
            epoch = self._next_epoch()
            gone = {day: Destroyed(self._fingerprint(day), epoch) for day in fresh}
            left = {day: private for day, private in self._store.days.items() if day not in gone}
            self._commit(
                replace(self._store, days=left, destroyed={**self._store.destroyed, **gone}), epoch=epoch
            )
        self._forget_others()
        return [self._evidence(day) for day in days]

    def refuse_clip(self, clip_id: str) -> None:
        """Never open this clip again. Idempotent."""
        if clip_id not in self._store.refused:
            self._commit(replace(self._store, refused=self._store.refused | {clip_id}))
        self._forget_others()

    def _fingerprint(self, day: Day) -> str:
        private = self._store.days.get(day)
        return keys.public_of(private).fingerprint if private else ""

    def _evidence(self, day: Day) -> DestroyedDay:
        gone = self._store.destroyed[day]
        return DestroyedDay(
            purpose=day[0],
            day=day[1],
            fingerprint=gone.fingerprint,
            epoch=gone.epoch,
            provider=self._provider.name,
            answer=self._answer_before(gone.epoch),
            statement=self._provider.statement,
        )

    def _answer_before(self, epoch: int) -> str:
        """What the provider says of every epoch that still had the key."""
        answers = {self._provider.answer(old) for old in self._provider.epochs() if old < epoch}
        return ", ".join(sorted(answers)) or GONE

    def _next_epoch(self) -> int:
        """Above everything on the disk, so that no retry ever touches a file that may be in use."""
        return 1 + max({self._store.epoch, *self._provider.epochs(), *_files(self._places.keys, pieces=True)})

    def _commit(self, store: Keystore, epoch: int | None = None) -> None:
        store = replace(store, epoch=epoch or self._next_epoch())
        self._provider.make(store.epoch)
        replace_file(self._places.keys / f"keystore.{store.epoch}", seal(store, self._provider))
        self._store = store
        self._forget_others()

    def _forget_others(self) -> None:
        """Destroy every other epoch: first its K0, then its file."""
        for epoch in sorted(self._provider.epochs() - {self._store.epoch}):
            self._provider.destroy(epoch)
        for epoch in sorted(_files(self._places.keys, pieces=True) - {self._store.epoch}):
            path = self._places.keys / f"keystore.{epoch}"
            erase_file(path)
            erase_file(path.with_name(path.name + ".new"))


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Epochs as a directory listing shows them. `keystores`: whole files; `pieces`: those and parts of one;
    `keys`: those with a K0 or a piece of one. Only the highest should be there, whole, in all three.
    """

    keystores: frozenset[int]
    pieces: frozenset[int]
    keys: frozenset[int]


def on_disk(places: Places) -> OnDisk:
    """Look without opening anything. Raises Unavailable where this user may not look."""
    try:
        whole, pieces = _files(places.keys), _files(places.keys, pieces=True)
    except OSError as error:
        raise Unavailable(
            f"list the keystore in {places.keys}", f"run as its user ({error.strerror})"
        ) from error
    return OnDisk(frozenset(whole), frozenset(pieces), frozenset(FileEpochKeys(places.epochs).epochs()))


def days_ahead(today: date, retention: timedelta) -> tuple[date, date]:
    """The first and the last deadline day of calls that begin today or in the next 30 days (UTC)."""
    start = datetime(today.year, today.month, today.day, tzinfo=UTC)
    last_moment = start + timedelta(days=31, microseconds=-1)
    first, last = start + retention, last_moment + retention
    return first.date() - timedelta(days=1), last.date() - timedelta(days=1)


def _once(what: str, enrolled: bytes | None, given: bytes | None) -> bytes | None:
    if enrolled is not None and given not in (None, enrolled):
        raise Refused("already-enrolled", f"enrol {what}", "another one is enrolled")
    return enrolled or given


def _purpose_keys(places: Places, names: Iterable[str]) -> dict[str, keys.PublicKey]:
    """The public halves of these purposes, made where there is none."""
    found = {}
    for name in names:
        path = places.purpose(name)
        if not path.exists():
            private = X25519PrivateKey.from_private_bytes(keys.new_private())
            create_file(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        found[name] = PurposeKey.load(places, name).public
    return found


def _files(directory: Path, pieces: bool = False) -> set[int]:
    """The epochs of which there is a keystore file, or with `pieces` a part of one."""
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    matches = [match for name in names if (match := _KEYSTORE.fullmatch(name))]
    return {int(match[1]) for match in matches if pieces or not match[2]}


def _lock(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise Unavailable(
            f"open the keystore in {directory}", "another process has it; ask the running key service instead"
        ) from error
    return descriptor
