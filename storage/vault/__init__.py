"""The one door to clips; owns the order in which things become durable.

    row with wrap and deadline → file with its prologue, wraps beside it → chunks
    final chunk → synced → signed close record beside it → row SEALED with the close record

A clip's bytes reach the disk only as ciphertext, in whole chunks. K2 exists in the writer alone and goes
with it. A sync that failed is never tried again on the same file: the clip is cut to what was durable
before, and sealed as truncated.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage import keys
from storage.blobs import Blobs
from storage.bundle import BUNDLE, Bundle, load
from storage.catalog import Catalogue
from storage.clipfile import Opened, SealedWriter, read
from storage.clock import Clock
from storage.durable import replace_file
from storage.errors import Conflict, Forgery, NotFound, Refused
from storage.header import Header, header_hash
from storage.lifecycle import State
from storage.model import By, Clip, ClipFilter, NewClip
from storage.records import Codec, Parties
from storage.reserve import Reserve
from storage.signing import key_id, load_key, public_bytes, public_text
from storage.vault.recovery import Recovered, Recovery
from storage.vault.together import Together
from storage.vault.writer import RECORDER, ClipWriter, Sealer

__all__ = ["ClipPlan", "ClipWriter", "Opened", "Recovered", "Vault"]

RECORDER_KEY = "recorder.key"
RECORDER_PUBLIC = "recorder.key.pub"
CLIPS = "clips"


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """A clip that is to be written. Ids in hex; `previous` is the clip before, None for part 1."""

    recording_id: str
    call_id: str
    purpose: str
    line: str
    agent: str
    started_at: datetime
    deadline_day: date
    scheme_hash: str
    part: int
    previous: str | None
    codecs: tuple[Codec, ...]
    parties: Parties


class Vault:
    """One installation's clips. Writing needs the bundle; reading needs a K2 that the key service gave."""

    def __init__(
        self,
        directory: Path,
        catalogue: Catalogue,
        clock: Clock,
        recorder_key: Ed25519PrivateKey,
        reserve: Reserve | None = None,
    ) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._clock = clock
        self._recorder_key = recorder_key
        self._reserve = reserve
        self._bundle: tuple[tuple[int, int], Bundle] | None = None
        self._owed: set[str] = set()
        self.blobs = Blobs(directory / CLIPS)
        self._together = Together(directory / CLIPS)

    @classmethod
    async def open(
        cls, directory: Path, catalogue: Catalogue, clock: Clock, reserve: Reserve | None = None
    ) -> Vault:
        """Raises NotFound, Unavailable or Corrupt when the recorder's key or the clip directory is not
        usable.
        """
        recorder_key = await asyncio.to_thread(load_key, directory / RECORDER_KEY)
        await asyncio.to_thread(_publish, directory / RECORDER_PUBLIC, public_bytes(recorder_key))
        vault = cls(directory, catalogue, clock, recorder_key, reserve)
        await asyncio.to_thread(vault.blobs.prepare)
        return vault

    async def begin(self, plan: ClipPlan) -> ClipWriter:
        """Make row and file of a new clip, under a new K2.

        A part that is there already was left by a crash before anybody was told of it: another follows it.
        Raises NoDayKey, Conflict, Unavailable, WriteFailed or Refused("disk-low"): then the call goes on and
        is not recorded.
        """
        if self._reserve is not None:
            await asyncio.to_thread(self._reserve.check)
        try:
            return await self._begin(plan)
        except Conflict:
            parts = await self._catalogue.clips.find(ClipFilter(recording=plan.recording_id))
            if not parts:
                raise
            last = max(parts, key=lambda it: it.part)
            return await self._begin(replace(plan, part=last.part + 1, previous=last.id))

    async def _begin(self, plan: ClipPlan) -> ClipWriter:
        bundle = await asyncio.to_thread(self._current_bundle)
        k2 = keys.new_clip_key()
        new, header = self._prepare(plan, bundle, k2)
        sealed = SealedWriter(header, k2, self._recorder_key)
        writer = ClipWriter(new, sealed, self._sealer_of(new), self.blobs, self._together)
        try:
            await self._catalogue.clips.begin(new, By(RECORDER, self._clock.now()))
            await writer.start(plan.parties)
        except BaseException:  # whoever waits for it may give up in between
            self._owed.add(new.id)
            raise
        return writer

    async def settle(self) -> None:
        """Seal what was given up while disk or catalogue were away, now that they may be back; else later.

        Raises Unavailable when the catalogue still is.
        """
        if not (owed := set(self._owed)):
            return
        found = {it.id: it for it in await self._catalogue.clips.unfinished() if it.id in owed}
        recovery = Recovery(self._catalogue, self.blobs)
        await recovery.seal([(it, self._sealer_of(it)) for it in found.values()])
        self._owed -= owed - found.keys()

    async def recover(self) -> Recovered:
        """Bring what a crash left to an allowed state. Before the first `begin`, in one process."""
        clips = await self._catalogue.clips.unfinished()
        sealers = [(it, self._sealer_of(it)) for it in clips]
        by = By(RECORDER, self._clock.now(), "no-row")
        return await Recovery(self._catalogue, self.blobs).run(sealers, by)

    async def read(self, clip_id: str, k2: bytes) -> Opened:
        """Check and open a sealed clip.

        Raises NotFound, Refused("not-sealed"), and Forgery when file, row and close record are not of one
        clip.
        """
        clip = await self._catalogue.clips.show(clip_id)
        if clip.state is not State.SEALED or clip.close_record is None:
            raise Refused("not-sealed", f"open clip {clip_id}", f"it is {clip.state}")
        if clip.size == 0:
            nothing = "there is nothing in it: its recording was cut off before the first word"
            raise NotFound(f"open clip {clip_id}", nothing)
        return await asyncio.to_thread(self._read, clip, clip.close_record, k2)

    def _read(self, clip: Clip, close_record: bytes, k2: bytes) -> Opened:
        public = public_bytes(self._recorder_key)
        try:
            data = self.blobs.path_for(clip.id).read_bytes()
        except OSError as error:
            remedy = f"restore it from a copy ({error.strerror})"
            raise NotFound(f"read the file of clip {clip.id}", remedy) from error
        opened = read(data, k2, public, close_record)
        header = opened.header
        told = (header.recording, header.purpose, header.deadline_day, header_hash(header))
        if told != (clip.recording, clip.purpose, clip.deadline_day, clip.header_hash):
            raise Forgery(f"open clip {clip.id}", "its row and its file say different things")
        return opened

    def _current_bundle(self) -> Bundle:
        """The bundle, read again when the key service has replaced it."""
        try:
            status = (self._directory / BUNDLE).stat()
            version = (status.st_ino, status.st_mtime_ns)
        except OSError:
            version = (0, 0)
        if self._bundle is None or self._bundle[0] != version:
            self._bundle = (version, load(self._directory))
        return self._bundle[1]

    def _prepare(self, plan: ClipPlan, bundle: Bundle, k2: bytes) -> tuple[NewClip, Header]:
        day = bundle.day_key(plan.purpose, plan.deadline_day)
        purpose = bundle.purpose_key(plan.purpose)
        header = Header(
            clip=secrets.token_hex(16),
            recording=plan.recording_id,
            part=plan.part,
            previous=plan.previous,
            tenant=bundle.tenant,
            purpose=plan.purpose,
            scheme_hash=plan.scheme_hash,
            deadline_day=plan.deadline_day,
            day_key_id=day.key_id,
            started_at=plan.started_at,
            codecs=plan.codecs,
            recorder=key_id(public_bytes(self._recorder_key)),
        )
        h = header_hash(header)
        new = NewClip(
            id=header.clip,
            recording=plan.recording_id,
            call=plan.call_id,
            purpose=plan.purpose,
            line=plan.line,
            agent=plan.agent,
            scheme_hash=plan.scheme_hash,
            started_at=plan.started_at,
            part=plan.part,
            previous=plan.previous,
            deadline_day=plan.deadline_day,
            day_key_id=day.key_id,
            header_hash=h,
            wrap=keys.wrap(k2, purpose, day, h),
        )
        return new, header

    def _sealer_of(self, clip: Clip | NewClip) -> Sealer:
        return Sealer(
            self._catalogue,
            self.blobs,
            self._clock,
            self._recorder_key,
            clip.id,
            clip.header_hash,
            clip.deadline_day,
            self._owed,
            self._reserve,
        )


def _publish(path: Path, public: bytes) -> None:
    """Keep the public half of Ks where whoever checks close records finds it."""
    text = public_text(public).encode() + b"\n"
    if not path.exists() or path.read_bytes() != text:
        replace_file(path, text, mode=0o644)
