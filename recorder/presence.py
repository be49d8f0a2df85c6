"""Which of our processes run: each holds a lock of its name in the runtime directory as long as it lives.

The kernel says who holds it (fcntl(2), F_GETLK) and forgets it with the process, whatever ended that. So
there is no pid file to be stale, and none of a name starts twice.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid


class Held(Exception):
    """Another process holds the lock. `pid`: which, unless it has just ended."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"process {pid or 'unknown'}")
        self.pid = pid


def claim(place: Path) -> None:
    """Hold the lock at `place` until this process ends. Raises Held, OSError.

    The descriptor stays open on purpose: closing any descriptor of the file would give the lock back.
    """
    descriptor = _opened(place)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _holder(descriptor)
        os.close(descriptor)
        raise Held(pid) from None


def inherit(place: Path) -> None:
    """Hold the lock at `place` as soon as a predecessor's end has given it back, and until this process ends.

    A process that is killed closes its descriptors one by one: others may hear of its end before the lock is
    free. Raises OSError.
    """
    fcntl.lockf(_opened(place), fcntl.LOCK_EX)


def holder(place: Path) -> int | None:
    """The pid of who holds the lock at `place`; None for nobody. Not for a lock of this process's own."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _opened(place: Path) -> int:
    return os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _holder(descriptor: int) -> int | None:
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return pid if kind != fcntl.F_UNLCK else None
