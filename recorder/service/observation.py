"""Looking at a whole installation: what every process answers, what the catalogue counts, disk and clock.

Whoever does not answer is down, which is a figure and no error.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from purge.retention import end_of
from purge.verdict import examine
from purge.witness import look, take
from recorder import control
from recorder.config import Config
from recorder.metrics import Sample, counted, read, sample
from recorder.readiness import Facts, Readiness, judge
from recorder.service import gatekeeper, places
from recorder.service.purging import GRACE
from storage import bundle
from storage.catalog import Catalogue
from storage.clock import SystemClock
from storage.errors import NotFound, StorageError
from storage.keydoor import KeyDoor
from storage.keyring import days_ahead
from storage.lifecycle import State

PATIENCE_SECONDS = 2.0
CATALOGUE_SECONDS = 10.0
"""How old the catalogue's figures may be."""


@dataclass(frozen=True, slots=True)
class Booked:
    """What the catalogue says, and what follows from it."""

    samples: tuple[Sample, ...]
    overdue: int
    clock_believed: bool
    ignored_approvals: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One look. `statuses` holds the answers of supervisor and signalling to "status"."""

    statuses: Mapping[str, Mapping[str, Any]]
    samples: tuple[Sample, ...]
    readiness: Readiness


@dataclass(slots=True)
class Observer:
    """Looks as often as it is asked to. `catalogue` is opened when it can be; None until then."""

    config: Config
    clock: SystemClock
    catalogue: Catalogue | None = None
    _booked: Booked | None = None
    _booked_at: float = field(default=float("-inf"))

    async def look(self) -> Observation:
        """Ask everybody at once; nobody is waited for longer than two seconds."""
        config = self.config
        paths = {
            "supervisor": places.supervisor(config),
            "signalling": places.signalling(config),
            "media": places.media_status(config),
            "capture": places.capture_status(config),
            "purge": places.purge(config),
        }
        statuses, answers, keys, booked = await asyncio.gather(
            _ask_all({name: paths[name] for name in ("supervisor", "signalling")}, "status"),
            _ask_all(paths, "metrics"),
            _ask_keys(places.keys(config)),
            self._book(),
        )
        told = [row for answer in answers.values() for row in read(answer)]
        up = {name: bool(answer) for name, answer in answers.items() if name != "supervisor"}
        up["keys"] = keys is not None
        up |= {f"relay-{index}": False for index in range(config.media.workers)}
        up |= {labels[0]: bool(value) for name, labels, value in told if name == "process_up"}
        ahead = _days_ahead(config, keys, self.clock)
        readiness = judge(self._facts(up, statuses["signalling"], booked, ahead))
        own = [
            sample("ready", readiness.is_ready),
            *counted("process_up", up | {"watch": True}),
            *self._machine(),
            *counted("keys_days_ahead", ahead),
            *_key_samples(keys),
            sample("catalogue_reachable", booked is not None),
            *(booked.samples if booked else ()),
        ]
        others = [row for row in told if row[0] != "process_up"]
        return Observation(statuses, (*own, *others), readiness)

    async def close(self) -> None:
        """Let go of a catalogue that was opened here."""
        if self.catalogue is not None:
            await self.catalogue.close()

    def _facts(
        self,
        up: Mapping[str, bool],
        signalling: Mapping[str, Any],
        booked: Booked | None,
        ahead: Mapping[str, int],
    ) -> Facts:
        return Facts(
            processes_up=up,
            media_connected=bool(signalling.get("media_connected")),
            capture_connected=bool(signalling.get("capture_connected")),
            keys_answer=up["keys"],
            catalogue_writable=booked is not None,
            disk_free_bytes=free_bytes(self.config.storage.directory),
            disk_floor_bytes=self.config.storage.reserve,
            days_ahead=ahead,
            overdue=booked.overdue if booked else 0,
            clock_believed=booked.clock_believed if booked else True,
            clock_moved_seconds=self.clock.offset().total_seconds(),
            ignored_approvals=booked.ignored_approvals if booked else 0,
            is_trunk_unwitnessed=self.config.trunk is not None and self.config.trunk.evidence == "none",
            overloaded=bool(signalling.get("overloaded")),
        )

    def _machine(self) -> list[Sample]:
        return [
            sample("build_info", 1, version("doelband"), python_version()),
            sample("disk_free_bytes", free_bytes(self.config.storage.directory)),
            sample("disk_floor_bytes", self.config.storage.reserve),
            sample("clock_offset_seconds", self.clock.offset().total_seconds()),
            sample("clock_synchronised", self.clock.is_synchronised()),
        ]

    async def _book(self) -> Booked | None:
        """None while the catalogue cannot be read or written."""
        if time.monotonic() - self._booked_at < CATALOGUE_SECONDS:
            return self._booked
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self.catalogue is None:
                    self.catalogue = await _opened(places.catalogue(self.config))
                self._booked = await _read_book(self.config, self.catalogue, self.clock)
        except (StorageError, TimeoutError):
            self._booked = None
            return None
        self._booked_at = time.monotonic()
        return self._booked


async def _opened(path: Path) -> Catalogue:
    """Looking makes nothing. Raises StorageError."""
    if not await asyncio.to_thread(path.exists):
        raise NotFound(f"open the catalogue {path}", "run `doelband setup`")
    return await Catalogue.open(path)


def free_bytes(directory: Path) -> int:
    """What this user may still write; 0 when the directory is not there."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return 0


async def _read_book(config: Config, catalogue: Catalogue, clock: SystemClock) -> Booked:
    await catalogue.check_writable()
    witnesses = await look(catalogue, clock)
    at = witnesses.for_reading()
    overdue, earliest = await catalogue.clips.due((at - GRACE).date())
    age = (at - end_of(earliest)).total_seconds() if earliest else 0.0
    believed = examine(take(clock), await catalogue.clock.last()).is_trusted
    ignored = (await gatekeeper.status_of(config, catalogue, bundle.load(config.storage.directory))).ignored
    states = await catalogue.clips.count_by_state()
    samples = (
        sample("purge_overdue_clips", overdue),
        sample("purge_oldest_overdue_age_seconds", age),
        sample("clock_believed", believed),
        sample("gate_ignored_approvals", ignored),
        sample("audit_rows", await catalogue.audit.count()),
        sample("clips_destroyed", states[State.ERASED]),
        *counted("clips", await _live(catalogue)),
        *counted("calls_withheld_yesterday", await _withheld(catalogue, clock)),
    )
    return Booked(samples, overdue, believed, ignored)


async def _live(catalogue: Catalogue) -> dict[tuple[str, str], int]:
    return {(str(state), of): count for (state, of), count in (await catalogue.clips.count_live()).items()}


async def _withheld(catalogue: Catalogue, clock: SystemClock) -> dict[str, int]:
    day = clock.now().date() - timedelta(days=1)
    return {str(it.kind): it.count for it in await catalogue.calls.withheld(day) if it.day == day}


async def _ask_all(paths: Mapping[str, Path], question: str) -> dict[str, control.Message]:
    answers = await asyncio.gather(*(_ask(path, question) for path in paths.values()))
    return dict(zip(paths, answers, strict=True))


async def _ask(path: Path, question: str) -> control.Message:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await control.ask(path, {"op": question})
    except (control.NotRunning, TimeoutError, ValueError):
        return {}
    return answer if answer.get("ok") else {}


async def _ask_keys(path: Path) -> dict[str, Any] | None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await KeyDoor(path).status()
    except (StorageError, TimeoutError):
        return None


def _days_ahead(config: Config, keys: Mapping[str, Any] | None, clock: SystemClock) -> dict[str, int]:
    """For how many days, today included, calls of each purpose have the key of their deadline day."""
    if keys is None:
        return {}
    today = clock.now().date()
    left = {}
    for name, purpose in config.purposes.items():
        last = keys["purposes"].get(name, {}).get("last")
        first, _ = days_ahead(today, purpose.retention)
        left[name] = max(0, (date.fromisoformat(last) - first).days) if last else 0
    return left


def _key_samples(keys: Mapping[str, Any] | None) -> Iterable[Sample]:
    if keys is None:
        return ()
    openings = {(purpose, result): count for purpose, result, count in keys["openings"]}
    return (sample("keys_trouble", bool(keys["trouble"])), *counted("keys_openings_total", openings))
