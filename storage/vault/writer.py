"""One clip being written: records in, whole sealed chunks to the disk, a signed end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage.blobs import Blobs
from storage.catalog import Catalogue
from storage.catalog.calls import RECOVERED
from storage.clipfile import CloseRecord, Cut, SealedWriter, truncated_close_record
from storage.clock import Clock
from storage.errors import IllegalStep, StorageError, Unavailable, WriteFailed
from storage.frames import Frames
from storage.model import By, Clip, Ending, NewClip, Sealing
from storage.records import End, Parties, Record, encode
from storage.reserve import Reserve
from storage.vault.soundness import wraps_content
from storage.vault.together import Together

RECORDER = "recorder"
OPEN_CHUNK_SECONDS = 1.0
NOTHING = Cut(0, 0, hashlib.sha256(b"").hexdigest())


@dataclass(frozen=True, slots=True)
class Sealer:
    """Puts the end of a clip into its row, and the signed close record into row and audit log."""

    catalogue: Catalogue
    blobs: Blobs
    clock: Clock
    recorder_key: Ed25519PrivateKey
    clip_id: str
    header_hash: bytes
    deadline_day: date
    owed: set[str]
    """The vault's clips that have ended and whose row does not say so yet."""
    reserve: Reserve | None = None

    async def complete(self, sealed: SealedWriter, reason: str, seconds: float) -> Clip:
        """The close record is durable beside the file before the row has it: whatever becomes of the row,
        recovery knows then that the clip is whole.
        """
        cut, close_record = Cut(sealed.chunks, sealed.size, sealed.sha256), sealed.close_record()
        with suppress(StorageError):  # the row is what counts
            await asyncio.to_thread(self.blobs.put_close, self.clip_id, close_record)
        try:
            return await self._seal(Ending.COMPLETE, cut, close_record, reason, seconds)
        except IllegalStep:  # condemned meanwhile: whoever removes its files may have been here before
            await asyncio.to_thread(self.blobs.remove, [self.clip_id])
            raise

    async def recovered(self, closed: CloseRecord, close_record: bytes) -> Clip:
        """A whole clip whose close record never reached its row. How long it plays is not known any more."""
        cut = Cut(closed.chunks, closed.size, closed.sha256)
        return await self._seal(closed.ending, cut, close_record, RECOVERED, None)

    async def truncated(self, cut: Cut, reason: str) -> Clip:
        """How long it plays is not known without a key."""
        close_record = truncated_close_record(self.clip_id, self.header_hash, cut, self.recorder_key)
        return await self._seal(Ending.TRUNCATED, cut, close_record, reason, None)

    async def _seal(
        self, ending: Ending, cut: Cut, close_record: bytes, reason: str, seconds: float | None
    ) -> Clip:
        sealing = Sealing(ending, cut.size, cut.chunks, cut.sha256, seconds, close_record)
        text = base64.b64encode(close_record).decode()
        by = By(RECORDER, self.clock.now(), reason, text, self.deadline_day)
        try:
            return await self._put(sealing, by)
        except BaseException:
            self.owed.add(self.clip_id)
            raise

    async def _put(self, sealing: Sealing, by: By) -> Clip:
        """On a full disk the reserve is given up first."""
        try:
            return await self.catalogue.clips.seal(self.clip_id, sealing, by)
        except Unavailable:
            if self.reserve is None or not await asyncio.to_thread(self.reserve.relieve):
                raise
            return await self.catalogue.clips.seal(self.clip_id, sealing, by)


class ClipWriter:
    """Made by `Vault.begin`. For one event loop; `flush` and `finish` wait for each other."""

    def __init__(
        self, new: NewClip, sealed: SealedWriter, sealer: Sealer, blobs: Blobs, together: Together
    ) -> None:
        self._new = new
        self._sealed: SealedWriter | None = sealed  # holds K2; gone when the clip is finished or has failed
        self._sealer = sealer
        self._blobs = blobs
        self._together = together
        self._pending = bytearray(sealed.prologue())
        self._durable = NOTHING
        self._file = -1
        self._turn = asyncio.Lock()
        self._open_chunk = (0, 0.0)  # its number, and the boot time at which a flush first saw it begun

    @property
    def clip_id(self) -> str:
        return self._new.id

    @property
    def part(self) -> int:
        """Of its recording, from 1."""
        return self._new.part

    async def start(self, parties: Parties) -> None:
        """Make the file durable up to its prologue. Raises WriteFailed; then the row is sealed without a
        chunk.
        """
        async with self._turn:
            try:
                self._file = await asyncio.to_thread(self._create)
            except (OSError, StorageError) as error:
                raise await self._failed(error) from error
            await self._push()
            self.write(parties)

    def write(self, record: Record | Frames) -> None:
        """Encrypt what has become a whole chunk and keep it for the next flush; no I/O.

        Raises WriteFailed once the clip has failed or is finished, ValueError for a record out of range.
        """
        data = record.encoded() if isinstance(record, Frames) else encode(record)
        self._pending += self._writing().append(data)

    async def flush(self) -> None:
        """Make all whole chunks durable; one that has been open for a second is padded to be whole.

        Raises WriteFailed; then the clip is sealed as truncated at the flush before.
        """
        async with self._turn:
            sealed = self._writing()
            if self._is_overdue(sealed):
                self._pending += sealed.pad()
            await self._push()

    async def finish(self, reason: str, ended_at: datetime, counts: Mapping[str, int] | None = None) -> Clip:
        """Seal the clip as complete. `reason` is a code; K2 is gone afterwards.

        Raises WriteFailed as `flush` does, and StorageError when the row cannot be written: then
        `Vault.settle` or the next recovery writes it.
        """
        async with self._turn:
            sealed = self._writing()
            self._pending += sealed.append(encode(End(reason, counts or {})))
            self._pending += sealed.close()
            await self._push()
            self._sealed = None
            self._close()
            seconds = max(0.0, (ended_at - self._new.started_at).total_seconds())
            return await self._sealer.complete(sealed, reason, seconds)

    async def discard(self) -> None:
        """Destroy it: no byte of it is left here, and K2 is gone. Its row is for `Withdrawals`.

        Raises Unavailable when the directory cannot be synced.
        """
        async with self._turn:
            self._sealed = None
            self._pending.clear()
            self._close()
            await asyncio.to_thread(self._blobs.remove, [self.clip_id])

    def _writing(self) -> SealedWriter:
        if self._sealed is None:
            raise WriteFailed(
                f"write to clip {self.clip_id}", "it has failed or is finished; begin a new part"
            )
        return self._sealed

    def _is_overdue(self, sealed: SealedWriter) -> bool:
        if not sealed.buffered:
            return False
        number, since = self._open_chunk
        now = self._sealer.clock.boottime()
        if number != sealed.chunks + 1:
            self._open_chunk = (sealed.chunks + 1, now)
            return False
        return now - since >= OPEN_CHUNK_SECONDS

    async def _push(self) -> None:
        """Write and sync what is pending. All or nothing counts: only a synced prefix is ever sealed."""
        sealed = self._writing()
        data, self._pending = bytes(self._pending), bytearray()
        reached = Cut(sealed.chunks, sealed.size, sealed.sha256)
        if data:
            try:
                await self._together.store(self._file, data)
            except OSError as error:
                raise await self._failed(error) from error
        self._durable = reached

    async def _failed(self, error: Exception) -> WriteFailed:
        """Give the clip up: cut to the last synced byte, never sync it again, seal it as truncated."""
        self._sealed = None
        self._pending.clear()
        self._close()
        with suppress(OSError, StorageError):
            self._cut_back()
        with suppress(StorageError):  # the row stays OPEN then, until `Vault.settle` or recovery seals it
            await self._sealer.truncated(self._durable, "write-failed")
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return WriteFailed(f"write clip {self.clip_id}", f"look at the disk ({reason})")

    def _cut_back(self) -> None:
        if self._durable.size:
            os.truncate(self._blobs.path_for(self.clip_id), self._durable.size)
        else:
            self._blobs.remove([self.clip_id])

    def _create(self) -> int:
        file = self._blobs.create(self.clip_id)
        try:
            content = wraps_content(self.clip_id, self._new.wrap)
            self._blobs.put_wraps(self.clip_id, content)  # syncs the directory, for both files
        except BaseException:
            os.close(file)
            raise
        return file

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
