"""One clip while it is written. Whatever fails here fails this recording and nothing else."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog

from storage.errors import DiskFull, IllegalStep, NoDayKey, Refused, StorageError
from storage.frames import Frames
from storage.records import Record
from storage.vault import ClipPlan

FULL = (errno.ENOSPC, errno.EDQUOT)
OPEN_SECONDS = 10.0
"""How long a clip may take to be opened; its audio waits in RAM meanwhile."""

log = structlog.get_logger()

Tell = Callable[[dict[str, Any]], None]


class Sealed(Protocol):
    """What is known of a clip once it is sealed."""

    @property
    def size(self) -> int | None: ...

    @property
    def seconds(self) -> float | None: ...

    @property
    def chunks(self) -> int | None: ...


class Clip(Protocol):
    """What capture needs of a clip that is open. `write` is quick; the others leave the event loop free."""

    @property
    def clip_id(self) -> str: ...

    @property
    def part(self) -> int: ...

    def write(self, record: Record | Frames) -> None: ...

    async def flush(self) -> None: ...

    async def finish(self, reason: str, ended_at: datetime, counts: Mapping[str, int]) -> Sealed: ...

    async def discard(self) -> None: ...


class ClipVault(Protocol):
    """What capture needs of the vault."""

    async def begin(self, plan: ClipPlan) -> Clip: ...

    async def settle(self) -> None: ...


class Track:
    """A clip from its opening to its end. Exactly one `sealed` or `failed` is told at the end."""

    def __init__(self, plan: ClipPlan, tell: Tell) -> None:
        self.plan = plan
        self._tell = tell
        self._clip: Clip | None = None
        self._lock = asyncio.Lock()
        self._is_over = False

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        return self._clip is not None and not self._is_over

    async def open(self, vault: ClipVault) -> None:
        """Open the clip, or fail."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._clip = await vault.begin(self.plan)
        except Exception as error:
            self._fail(reason_of(error), _why(error))
        else:
            if self._is_over:  # it was discarded meanwhile
                await self._clip.discard()
            self.tell_opened()

    def tell_opened(self) -> None:
        """Tell which clip is being written; also to signalling that has come back."""
        if self._clip is not None and not self._is_over:
            self._event("opened")

    def write(self, records: Iterable[Record | Frames]) -> None:
        """Append; a clip that cannot be written is given up."""
        if self._clip is None or self._is_over:
            return
        try:
            for record in records:
                self._clip.write(record)
        except Exception as error:
            self._fail(reason_of(error), _why(error))

    async def flush(self) -> None:
        """Make durable what was written."""
        async with self._lock:
            if self._clip is None or self._is_over:
                return
            try:
                await self._clip.flush()
            except Exception as error:
                self._fail(reason_of(error), _why(error))

    async def finish(
        self, reason: str, ended_at: datetime, failed: bool, counts: Mapping[str, int] | None = None
    ) -> None:
        """Seal the clip. `failed`: what was to be recorded was not, although what there is stays sealed.
        `counts`: how good the reception was.
        """
        async with self._lock:
            if self._clip is None or self._is_over:
                return
            try:
                sealed = await self._clip.finish(reason, ended_at, counts or {})
            except IllegalStep:  # its call was withdrawn, or it was condemned in another way
                self._is_over = True
                self._event("discarded", reason="discarded", seconds=0, bytes=0)
                return
            except Exception as error:
                self._fail(reason_of(error), _why(error))
                return
            self._is_over = True
            event = "failed" if failed else "sealed"
            rest = {"seconds": sealed.seconds, "bytes": sealed.size, "chunks": sealed.chunks}
            self._event(event, reason=reason, **rest)

    async def discard(self) -> None:
        """Destroy what was written; nothing is told of it but that."""
        if self._is_over:
            return
        self._is_over = True
        async with self._lock:
            if self._clip is not None:
                await self._clip.discard()
        self._event("discarded", reason="discarded", seconds=0, bytes=0)

    def give_up(self) -> None:
        """Fail for a reason that nobody foresaw; what was written stays as after a crash."""
        self._fail("internal", "unforeseen")

    def _fail(self, reason: str, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            log.error("a recording failed; the call goes on", reason=reason, why=why)
            self._event("failed", reason=reason, seconds=0, bytes=0)

    def _event(self, event: str, **rest: object) -> None:
        clip, part = (self._clip.clip_id, self._clip.part) if self._clip else (None, self.plan.part)
        self._tell({"event": event, "recording": self.plan.recording_id, "clip": clip, "part": part, **rest})


def _why(error: Exception) -> str:
    """What a log may hold. Our own errors quote nothing of a call; of others the type must do."""
    return str(error) if isinstance(error, StorageError) else type(error).__name__


def reason_of(error: Exception) -> str:
    """A code for why a recording failed."""
    if isinstance(error, NoDayKey):
        return "no-day-key"
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, TimeoutError):
        return "storage-too-slow"
    cause = error.__cause__ if isinstance(error, StorageError) else error
    if isinstance(error, DiskFull) or (isinstance(cause, OSError) and cause.errno in FULL):
        return "disk-full"
    return "storage" if isinstance(error, StorageError | OSError) else "internal"
