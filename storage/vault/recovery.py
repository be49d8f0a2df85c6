"""What a crash left behind, brought to one of the states that docs/recording-lifecycle.md allows."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from storage.blobs import UNFINISHED, Blobs
from storage.catalog import Catalogue
from storage.catalog.calls import RECOVERED
from storage.clipfile import (
    LONGEST_PROLOGUE,
    CloseRecord,
    Cut,
    check_extent,
    cut_to_whole_chunks,
    prologue_bytes,
    read_close_record,
    read_header,
)
from storage.errors import Corrupt, IllegalStep, StorageError
from storage.header import HeaderFailure
from storage.model import By, Clip
from storage.signing import public_bytes
from storage.vault.writer import NOTHING, Sealer

PAGE = 500


@dataclass(slots=True)
class Recovered:
    """Clip ids. `sealed`: what was left open; `removed`: files that hold no audio of any row; `strays`: files
    with audio that no row knows, left where they are; `failed`: could not be sealed, and stay open.
    """

    sealed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Recovery:
    """`run` before the first `begin`, in one process; `seal` for clips that nobody writes any more."""

    def __init__(self, catalogue: Catalogue, blobs: Blobs) -> None:
        self._catalogue = catalogue
        self._blobs = blobs
        self._done = Recovered()

    async def run(self, sealers: Sequence[tuple[Clip, Sealer]], by: By) -> Recovered:
        """Seal what is OPEN or PAUSED; then look for files that nobody owns.

        What is ERASING is left to the purge. Raises StorageError when the directory cannot be read.
        """
        await self.seal(sealers)
        await self._look_for_strays(by)
        return self._done

    async def seal(self, sealers: Sequence[tuple[Clip, Sealer]]) -> Recovered:
        """Each clip for itself: as complete if it is whole, else cut to its last whole chunk."""
        for clip, sealer in sealers:
            try:
                await self._seal(clip, sealer)
                self._done.sealed.append(clip.id)
            except IllegalStep:  # condemned meanwhile: the purge has it
                continue
            except (OSError, StorageError):
                self._done.failed.append(clip.id)
        return self._done

    async def _seal(self, clip: Clip, sealer: Sealer) -> None:
        closed = await asyncio.to_thread(self._closed, clip, public_bytes(sealer.recorder_key))
        if closed is not None:
            await sealer.recovered(*closed)
        else:
            await sealer.truncated(await asyncio.to_thread(self._cut, clip.id), RECOVERED)

    def _closed(self, clip: Clip, recorder_public: bytes) -> tuple[CloseRecord, bytes] | None:
        """The close record beside the file, when file, record and row are of one whole clip."""
        try:
            close_record = self._blobs.close_for(clip.id).read_bytes()
            closed = read_close_record(close_record, recorder_public)
            with self._blobs.path_for(clip.id).open("rb") as file:
                header = read_header(file.read(LONGEST_PROLOGUE), recorder_public)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                check_extent(header, closed, file.tell(), digest)
        except (OSError, Corrupt):
            return None
        is_of_row = (closed.clip, closed.header_hash) == (clip.id, clip.header_hash.hex())
        return (closed, close_record) if is_of_row and header.clip == clip.id else None

    def _cut(self, clip_id: str) -> Cut:
        self._blobs.close_for(clip_id).unlink(missing_ok=True)
        try:
            return cut_to_whole_chunks(self._blobs.path_for(clip_id))
        except (HeaderFailure, FileNotFoundError):
            self._blobs.remove([clip_id])
            return NOTHING

    async def _look_for_strays(self, by: By) -> None:
        walk = self._blobs.walk()
        while names := await asyncio.to_thread(list, itertools.islice(walk, PAGE)):
            ids = {clip_id for clip_id, suffix in names if suffix}
            known = await self._catalogue.holdings.known(ids)
            erased = known - await self._catalogue.clips.with_objects(known)
            kept = {each for each in ids - known if await asyncio.to_thread(self._may_hold_audio, each)}
            removed = sorted(erased | (ids - known - kept))
            await asyncio.to_thread(self._blobs.remove, removed)
            half_written = known.intersection(it for it, suffix in names if suffix in UNFINISHED)
            await asyncio.to_thread(self._blobs.remove_unfinished, half_written)
            for clip_id in removed:
                await self._catalogue.audit.append(by, "clip.orphan", clip_id)
            self._done.removed += removed
            self._done.strays += sorted(kept)

    def _may_hold_audio(self, clip_id: str) -> bool:
        """Whether there is anything behind a prologue; a file that cannot be read might hold something."""
        try:
            path = self._blobs.path_for(clip_id)
            with path.open("rb") as file:
                return path.stat().st_size > prologue_bytes(file.read(LONGEST_PROLOGUE))
        except (FileNotFoundError, HeaderFailure):
            return False
        except OSError:
            return True
