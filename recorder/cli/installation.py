"""The installation that a command is about: configuration, catalogue, clock, and who is asking."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from recorder.config import Config, load
from recorder.service import places
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import NotFound, StorageError
from storage.model import By

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Installation:
    """What a command works on."""

    config: Config
    catalogue: Catalogue
    clock: SystemClock

    def by(self, person: str | None = None, reason: str = "") -> By:
        """Who acts, now. Whoever can open the catalogue is its owner or root, so `person` is believed."""
        account = account_name()
        return By(f"{person} ({account})" if person else account, self.now(), reason)

    def now(self) -> datetime:
        """The installation's clock, aware UTC."""
        return self.clock.now()


def account_name() -> str:
    """The operating-system account that runs this command."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Installation]:
    """Open the installation of a configuration file. Raises ConfigError, NotFound before the set-up."""
    config = load(path)
    place = places.catalogue(config)
    _check(place, path)
    catalogue = await Catalogue.open(place)
    try:
        yield Installation(config, catalogue, SystemClock(config.clock.offset_file))
    finally:
        await catalogue.close()


def work(path: Path, act: Callable[[Installation], Awaitable[T]]) -> T:
    """Run `act` on the installation of a configuration file."""

    async def run() -> T:
        async with opened(path) as installation:
            return await act(installation)

    return asyncio.run(run())


def _check(place: Path, config: Path) -> None:
    """Raises NotFound before the set-up, StorageError when this user may not open the catalogue."""
    attempted = f"open the catalogue {place}"
    try:
        place.stat()
        is_ours = os.access(place, os.R_OK | os.W_OK)
    except FileNotFoundError as error:
        raise NotFound(attempted, f"there is none yet; run `doelband setup --config {config}`") from error
    except NotADirectoryError as error:
        raise StorageError(attempted, "a file stands where a directory must be; move it away") from error
    except PermissionError:
        is_ours = False
    if not is_ours:
        raise StorageError(attempted, "it cannot be read by this user; run as the service's own user or root")
