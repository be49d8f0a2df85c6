"""Files that are either the old or the new one, whatever happens in between.

Order: write a new file beside the old, fsync it, rename it over the old, fsync the directory.
Erasing: overwrite, fsync, unlink, fsync the directory. Errors of the medium become Unavailable.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.errors import Conflict, Unavailable

_NEW = ".new"
LOCK_SECONDS = 10.0


def make_directory(path: Path) -> None:
    """A directory of the service's own, 0700."""
    with _explained(f"make the directory {path}"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put `content` in the place of whatever is at `path`; durable on return. Raises Unavailable; then
    nothing half-written is left.
    """
    new = path.with_name(path.name + _NEW)
    with _explained(f"write {path}"):
        try:
            _write_anew(new, content, mode)
            new.replace(path)
        except OSError:
            with suppress(OSError):
                new.unlink()
            raise
        sync_directory(path.parent)


def rewrite_file(path: Path, content: bytes) -> None:
    """As `replace_file`, for a file that is there: mode and owner stay as they are. Raises Unavailable."""
    new = path.with_name(path.name + _NEW)
    with _explained(f"write {path}"):
        old = path.stat()
        _write_anew(new, content, stat.S_IMODE(old.st_mode), (old.st_uid, old.st_gid))
        new.replace(path)
        sync_directory(path.parent)


@contextmanager
def locked(directory: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Alone with the files of a directory, among all who use this too. Raises Unavailable when somebody else
    keeps it for so many seconds: whoever may read the directory can.
    """
    with _explained(f"lock {directory}"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, until: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise Unavailable(
                    f"lock {directory}", f"end the program that holds it (fuser {directory})"
                ) from None
            time.sleep(0.05)


def create_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that must not be there yet; durable on return. Raises Conflict, Unavailable."""
    with _explained(f"create {path}"):
        try:
            _write(path, content, mode)
        except FileExistsError as error:
            raise Conflict(f"create {path}", "there is one already; move it away first") from error
        sync_directory(path.parent)


def erase_file(path: Path) -> None:
    """Overwrite, then unlink; a file that is gone already is no error. Raises Unavailable.

    This is logical deletion: a medium may keep remains of what was overwritten.
    """
    with _explained(f"erase {path}"):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            sync_directory(path.parent)
            return
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(os.fstat(descriptor).st_size))
            file.flush()
            os.fsync(descriptor)
        path.unlink()
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in `path` durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_anew(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """What lies there is left over, or a link that somebody has laid: root must not write through it."""
    path.unlink(missing_ok=True)
    _write(path, content, mode, owner)


def _write(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


@contextmanager
def _explained(attempted: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(attempted, f"look at the disk and its permissions ({error.strerror})") from error
