"""What stands before the first start: directories, catalogue, keys, and who approves and who grants."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from recorder.config import Config
from recorder.service import places
from storage import signing
from storage.bundle import Declaration
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.durable import create_file, make_directory
from storage.errors import Refused
from storage.keyring import Keyring, days_ahead
from storage.vault import Vault

TOKEN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class People:
    """Public keys, raw Ed25519. Either `council`, or the `declaration` that none is required."""

    management: bytes
    council: bytes | None
    declaration: Declaration | None


async def found(config: Config, people: People) -> dict[str, Any]:
    """Make what is missing and replace nothing. Returns what there is now, for people to read.

    Raises StorageError: what could not be made, or another key than the enrolled one.
    """
    clock = SystemClock(config.clock.offset_file)
    make_directory(config.storage.directory)
    if not places.recorder_key(config).exists():
        signing.create_key(places.recorder_key(config))
    if not places.token_key(config).exists():
        create_file(places.token_key(config), secrets.token_bytes(TOKEN_KEY_BYTES))
    catalogue = await Catalogue.open(places.catalogue(config))
    await Vault.open(config.storage.directory, catalogue, clock)
    await catalogue.close()
    with open_keyring(config) as ring:
        _check_declaration(ring.store.declaration, people)
        ring.enrol(people.council, people.management, people.declaration)
        made = ring.ensure_days(spans(config, clock))
        ring.publish(clock.now())
    return {
        "storage": str(config.storage.directory),
        "keys": str(config.keys.directory),
        "epoch_keys": str(config.keys.epoch_key_directory),
        "purposes": sorted(config.purposes),
        "new_day_keys": made,
        "council": signing.public_text(people.council) if people.council else "declared as not required",
        "management": signing.public_text(people.management),
    }


def open_keyring(config: Config) -> Keyring:
    """The keyring with a key for every configured purpose; made new where there is none yet."""
    where = places.keyring(config)
    if not places.has_keystore(config):
        return Keyring.create(where, config.tenant, sorted(config.purposes))
    ring = Keyring.load(where)
    ring.add_purposes(sorted(config.purposes))
    return ring


def spans(config: Config, clock: SystemClock) -> dict[str, Any]:
    """For each purpose, the deadline days of calls that begin in the next 30 days: they need a key now."""
    today = clock.now().date()
    return {name: days(today, purpose.retention) for name, purpose in config.purposes.items()}


def days(today: Any, retention: timedelta) -> list[Any]:
    """Every day from the first to the last that `days_ahead` names."""
    first, last = days_ahead(today, retention)
    return [first + timedelta(days=it) for it in range((last - first).days + 1)]


def _check_declaration(standing: Declaration | None, people: People) -> None:
    """Raises Refused for what would take the place of a declaration that stands."""
    if standing is None:
        return
    why = "management has declared that no works council is required, and the set-up replaces nothing; "
    if people.council is not None:
        raise Refused("already-declared", "enrol a works council", why + "enrol it in a new installation")
    if people.declaration is not None and people.declaration.text != standing.text:
        raise Refused("already-declared", "declare this", why + f"give the same text: {standing.text}")
