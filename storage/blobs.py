"""Clip files in one local directory: `<id>.clip` and `<id>.close`, written once, and `<id>.wraps`, replaced
as a whole.

All calls block; callers on an event loop use a thread. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from storage.durable import replace_file, sync_directory
from storage.errors import NotFound, Unavailable, WriteFailed

_ID = re.compile(r"[0-9a-f]{32}")
_CLIP, _WRAPS, _CLOSE = ".clip", ".wraps", ".close"
UNFINISHED = (".wraps.new", ".close.new")
_SUFFIXES = (_CLIP, _WRAPS, _CLOSE, *UNFINISHED)


class Blobs:
    """The clip directory, 0700; files 0600."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def prepare(self) -> None:
        """Make the directory. Raises Unavailable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
        except OSError as error:
            raise Unavailable(
                f"prepare the clip directory {self._directory}",
                f"give it to the service's user ({error.strerror})",
            ) from error

    def path_for(self, clip_id: str) -> Path:
        return self._path(clip_id, _CLIP)

    def wraps_for(self, clip_id: str) -> Path:
        return self._path(clip_id, _WRAPS)

    def close_for(self, clip_id: str) -> Path:
        return self._path(clip_id, _CLOSE)

    def locations(self, clip_id: str) -> list[str]:
        """Every place where something of a clip lies."""
        return [str(self._path(clip_id, suffix)) for suffix in (_CLIP, _WRAPS, _CLOSE)]

    def create(self, clip_id: str) -> int:
        """A new file, open for writing and locked for as long as it is; a descriptor.

        Raises WriteFailed, also when there is one already.
        """
        try:
            file = os.open(self.path_for(clip_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)  # whoever only asks (`is_written`) lets go at once
        except OSError as error:
            raise WriteFailed(f"create clip {clip_id}", f"look at the disk ({error.strerror})") from error
        return file

    def is_written(self, clip_id: str) -> bool:
        """Whether some process has this clip open for writing now; the lock goes with its process."""
        try:
            with self.path_for(clip_id).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def put_wraps(self, clip_id: str, content: bytes) -> None:
        """Replace the wraps file as a whole; durable on return. Raises Unavailable."""
        replace_file(self.wraps_for(clip_id), content)

    def put_close(self, clip_id: str, content: bytes) -> None:
        """The signed close record, before the row has it; durable on return. Raises Unavailable."""
        replace_file(self.close_for(clip_id), content)

    def remove(self, clip_ids: Iterable[str]) -> None:
        """Unlink everything of these clips. What cannot be removed keeps nothing else from being removed;
        whether it is gone is for `remaining` to say. Raises Unavailable when the directory cannot be
        synced.
        """
        for clip_id in clip_ids:
            for suffix in _SUFFIXES:
                with suppress(OSError):
                    self._path(clip_id, suffix).unlink()
        try:
            self.sync()
        except OSError as error:
            raise Unavailable("remove destroyed clips", f"look at the disk ({error.strerror})") from error

    def remove_unfinished(self, clip_ids: Iterable[str]) -> None:
        """Unlink what a crash left half-written beside these clips; nobody may be writing them. Raises
        Unavailable.
        """
        try:
            for clip_id in clip_ids:
                for suffix in UNFINISHED:
                    self._path(clip_id, suffix).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable("remove half-written files", f"look at the disk ({error.strerror})") from error

    def remaining(self, clip_ids: Iterable[str]) -> list[str]:
        """Names of the files of these clips that are still there, asked of the directory itself."""
        names = set(self._names())
        return [name for clip_id in clip_ids for suffix in _SUFFIXES if (name := clip_id + suffix) in names]

    def ids(self) -> set[str]:
        """The clips of which there is any file."""
        return {name.split(".")[0] for name in self._names() if name.endswith(_SUFFIXES)}

    def is_clip_id(self, name: str) -> bool:
        return _ID.fullmatch(name) is not None

    def present(self, clip_id: str) -> list[str]:
        """The suffixes of the files of this clip that are there."""
        return [suffix for suffix in _SUFFIXES if os.path.lexists(self._path(clip_id, suffix))]

    def walk(self) -> Iterator[tuple[str, str]]:
        """(clip id, suffix) of each file, (name, "") of what is no file of a clip. Raises Unavailable."""
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    clip_id, _, suffix = entry.name.partition(".")
                    is_ours = _ID.fullmatch(clip_id) and f".{suffix}" in _SUFFIXES
                    yield (clip_id, f".{suffix}") if is_ours else (entry.name, "")
        except OSError as error:
            raise self._unlisted(error) from error

    def sync(self) -> None:
        """Make what was created or removed durable. Raises OSError."""
        sync_directory(self._directory)

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._directory.iterdir()]
        except OSError as error:
            raise self._unlisted(error) from error

    def _unlisted(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"list the clip directory {self._directory}", f"look at the disk ({error.strerror})"
        )

    def _path(self, clip_id: str, suffix: str) -> Path:
        if not _ID.fullmatch(clip_id):
            raise NotFound("find a clip", "a clip's id is 32 lower-case hexadecimal digits")
        return self._directory / f"{clip_id}{suffix}"
