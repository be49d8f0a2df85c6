"""fsck: every file has a row, every row its file, and all that is signed verifies. Changes nothing.

It may run beside the service. Between two looks a clip is begun, sealed or destroyed, so whatever looks wrong
is looked at again, and what may be under way (`PASSING`) again and again for as long as `patience` allows.
The row of an open clip is sound while a process has its file locked for writing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from storage.blobs import UNFINISHED as UNFINISHED_FILES
from storage.blobs import Blobs
from storage.bundle import Bundle, load
from storage.catalog import Catalogue
from storage.errors import StorageError, Unavailable
from storage.keyring import Places, on_disk
from storage.lifecycle import UNFINISHED, State
from storage.model import Clip
from storage.vault.soundness import Finding, Kind, check_sealed

__all__ = ["Finding", "Inspector", "Kind", "Report"]

PAGE = 100
LOOK_AGAIN_SECONDS = 0.5
PASSING = frozenset(
    {
        Kind.LEFT_OPEN,
        Kind.LEFT_ERASING,
        Kind.CERTIFICATE_MISSING,
        Kind.UNFINISHED_FILE,
        Kind.EPOCH_LEFT,
        Kind.EPOCH_KEY_MISSING,
        Kind.BUNDLE_OLD,
        Kind.DAY_KEY_MISSING,
    }
)
"""What a running service makes good by itself, so that a look may fall into the middle of it."""

Look = Callable[[Sequence[str]], Awaitable[list[Finding]]]


@dataclass(frozen=True, slots=True)
class Report:
    """`clips`: rows looked at; `open`: those of them that were being written; `unseen`: what could not be
    looked at, and what to do about it.
    """

    clips: int
    open: int
    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]


class Inspector:
    """One inspection of an installation. `advance` is told how many clips have been looked at."""

    def __init__(
        self,
        catalogue: Catalogue,
        blobs: Blobs,
        recorder_public: bytes,
        places: Places,
        advance: Callable[[int], None] = lambda clips: None,
    ) -> None:
        self._catalogue = catalogue
        self._blobs = blobs
        self._recorder_public = recorder_public
        self._places = places
        self._advance = advance
        self._open: set[str] = set()
        self._unseen: set[str] = set()

    async def inspect(self, patience: float = 0.0) -> Report:
        """Look at everything. `patience`: seconds that a running service is given to finish what it is at.

        Raises StorageError when catalogue or clip directory cannot be read.
        """
        clips, suspects = 0, set[str]()
        async for page in self._pages():
            clips += len(page)
            suspects |= {each.subject for each in await self._examine(page)}
            self._advance(clips)
        async for batch in self._listed():
            known = await self._catalogue.holdings.known({clip_id for clip_id, _ in batch})
            suspects |= {name for name, _ in batch if name not in known}
        findings = await self._settled(sorted(suspects), self._examine, patience)
        findings += await self._settled(["keystore"], self._examine_keys, patience)
        findings += await self._examine_books()
        return Report(clips, len(self._open), tuple(findings), tuple(sorted(self._unseen)))

    async def _settled(self, subjects: Sequence[str], look: Look, patience: float) -> list[Finding]:
        """What is still wrong, after what may be under way has had its time."""
        findings = [found for batch in _batches(subjects) for found in await look(batch)]
        for _ in range(int(patience / LOOK_AGAIN_SECONDS)):
            moving = {each.subject for each in findings if each.kind in PASSING}
            if not moving:
                break
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            findings = [each for each in findings if each.subject not in moving]
            findings += [found for batch in _batches(sorted(moving)) for found in await look(batch)]
        return findings

    async def _pages(self) -> AsyncIterator[list[str]]:
        after = ""
        while page := await self._catalogue.holdings.page(after, PAGE):
            yield page
            after = page[-1]

    async def _listed(self) -> AsyncIterator[list[tuple[str, str]]]:
        walk = self._blobs.walk()
        while batch := await asyncio.to_thread(list, itertools.islice(walk, PAGE)):
            yield batch

    async def _examine(self, names: Sequence[str]) -> list[Finding]:
        """All that is wrong with these clips, or with what has the name of none."""
        holdings = self._catalogue.holdings
        clips = await holdings.of(names)
        previous = await holdings.parts({each.previous for each in clips if each.previous})
        buried, certified = await holdings.buried(names), await holdings.certified(names)
        bundle = await asyncio.to_thread(self._bundle)
        known = {each.id for each in clips}
        findings = [_stray(self._blobs, name) for name in names if name not in known]
        for clip in clips:
            findings += _check_graves(clip, clip.id in buried, clip.id in certified)
            findings += _check_chain(clip, previous)
            findings += await asyncio.to_thread(list, self._check_files(clip))
            findings += _check_day_key(clip, bundle)
        return [each for each in findings if each is not None]

    def _check_files(self, clip: Clip) -> Iterator[Finding]:
        present = self._blobs.present(clip.id)
        for suffix in UNFINISHED_FILES:
            if suffix in present:
                yield Finding(Kind.UNFINISHED_FILE, clip.id, f"{clip.id}{suffix}")
        if clip.state in UNFINISHED:
            if self._blobs.is_written(clip.id):
                self._open.add(clip.id)
            else:
                yield Finding(Kind.LEFT_OPEN, clip.id)
        elif clip.state is State.SEALED:
            yield from check_sealed(clip, self._blobs, self._recorder_public)
        elif clip.state is State.ERASING:
            yield Finding(Kind.LEFT_ERASING, clip.id)
        elif present:
            yield Finding(Kind.ERASED_WITH_FILE, clip.id, ", ".join(f"{clip.id}{it}" for it in present))

    def _bundle(self) -> Bundle | None:
        try:
            return load(self._places.storage)
        except StorageError:  # told of by `_examine_keys`
            return None

    async def _examine_keys(self, _: Sequence[str]) -> list[Finding]:
        evidence = await self._catalogue.erasures.evidence()
        latest = max((each.epoch for each in evidence.values()), default=0)
        findings = await asyncio.to_thread(self._check_epochs, latest)
        try:
            bundle = await asyncio.to_thread(load, self._places.storage)
        except StorageError as error:
            return [*findings, Finding(Kind.BUNDLE_UNUSABLE, "keystore", str(error))]
        again = sorted(f"{purpose}/{day}" for purpose, day in bundle.days.keys() & evidence.keys())
        if again:
            findings.append(Finding(Kind.BUNDLE_OLD, "keystore", ", ".join(again)))
        return findings

    def _check_epochs(self, latest: int) -> list[Finding]:
        """Epochs by the names of their files. `latest`: the highest that a destruction speaks of."""
        try:
            there = on_disk(self._places)
        except Unavailable as error:
            self._unseen.add(str(error))
            return []
        if not there.keystores:
            return [Finding(Kind.KEYSTORE_MISSING, "keystore")]
        epoch = max(there.keystores)
        findings = []
        if epoch < latest:
            findings.append(Finding(Kind.KEYSTORE_OLD, "keystore", f"epoch {epoch}, not {latest}"))
        if epoch not in there.keys:
            findings.append(Finding(Kind.EPOCH_KEY_MISSING, "keystore", f"epoch {epoch}"))
        if left := sorted((there.pieces | there.keys) - {epoch}):
            findings.append(Finding(Kind.EPOCH_LEFT, "keystore", ", ".join(f"epoch {it}" for it in left)))
        return findings

    async def _examine_books(self) -> list[Finding]:
        """The catalogue as a file, its audit log, and whether rows and log speak of the same clips."""
        holdings = self._catalogue.holdings
        findings = [Finding(Kind.CATALOGUE_DAMAGED, "catalogue-file", it) for it in await holdings.damage()]
        findings += [Finding(Kind.ROW_MISSING, it) for it in await holdings.lost()]
        findings += [Finding(Kind.ACT_MISSING, it) for it in await holdings.unheard()]
        audit = await self._catalogue.audit.verify()
        if audit.broken_at is not None:
            findings.append(Finding(Kind.AUDIT_BROKEN, "audit-log", f"at leaf {audit.broken_at}"))
        return findings


def _stray(blobs: Blobs, name: str) -> Finding | None:
    """A file that no row knows; None when it has gone meanwhile."""
    if not blobs.is_clip_id(name):
        return Finding(Kind.UNKNOWN_FILE, name)
    present = blobs.present(name)
    return Finding(Kind.STRAY_FILE, name, ", ".join(f"{name}{it}" for it in present)) if present else None


def _check_graves(clip: Clip, is_buried: bool, is_certified: bool) -> Iterator[Finding]:
    if clip.state is not State.ERASED:
        if is_buried:
            yield Finding(Kind.TOMBSTONE_EARLY, clip.id, f"it is {clip.state}")
        return
    if not is_buried:
        yield Finding(Kind.TOMBSTONE_MISSING, clip.id)
    elif not is_certified:
        yield Finding(Kind.CERTIFICATE_MISSING, clip.id)


def _check_chain(clip: Clip, parts: dict[str, tuple[str, int]]) -> Iterator[Finding]:
    """Part 1 follows nothing; any other follows the part before of the same recording."""
    if clip.part == 1 and clip.previous is None:
        return
    if clip.previous is None or parts.get(clip.previous) != (clip.recording, clip.part - 1):
        yield Finding(Kind.PART_MISSING, clip.id, f"part {clip.part - 1}, clip {clip.previous}")


def _check_day_key(clip: Clip, bundle: Bundle | None) -> Iterator[Finding]:
    """A sealed clip that no living day key opens is lost."""
    if clip.state is not State.SEALED or bundle is None:
        return
    key = bundle.days.get((clip.purpose, clip.deadline_day))
    if key is None or key.key_id != clip.day_key_id:
        yield Finding(Kind.DAY_KEY_MISSING, clip.id, f"{clip.purpose}/{clip.deadline_day}")


def _batches(subjects: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(subjects), PAGE):
        yield subjects[start : start + PAGE]
