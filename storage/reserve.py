"""Room that is kept for the end: a file that holds nothing, and is given up when the disk is full.

With it the catalogue can still be written, open clips sealed and due clips destroyed; recording stops earlier
(`has_room`). The purge makes it again once there is room.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from storage.errors import Refused, Unavailable

NAME = "reserve"
LAST_PART = 4
"""The reserve is given up when less is free than this part of it."""


class Reserve:
    """`size` in bytes; with 0 nothing is kept and nothing refused. Calls block."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._size = size

    @property
    def is_kept(self) -> bool:
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def free(self) -> int:
        """Bytes that this user may still write, the reserve not counted. Raises Unavailable."""
        try:
            return shutil.disk_usage(self._directory).free
        except OSError as error:
            remedy = f"look at the disk ({error.strerror})"
            raise Unavailable(f"ask how much is free in {self._directory}", remedy) from error

    def has_room(self) -> bool:
        """Whether a new clip may begin: as much must be free as the reserve holds."""
        return self.free() >= self._size

    def check(self) -> None:
        """Raises Refused("disk-low")."""
        if not self.has_room():
            remedy = f"the disk of {self._directory} is nearly full; make room"
            raise Refused("disk-low", "begin a clip", remedy)

    def tend(self) -> None:
        """Give the reserve up when the disk is full; make it again when there is room for it twice."""
        free = self.free()
        if free * LAST_PART < self._size:
            self.give_up()
        elif self._size and not self.is_kept and free >= 2 * self._size:
            self._make()

    def relieve(self) -> bool:
        """Give the reserve up if the disk is full; whether that has made room."""
        if not self.is_kept or self.free() * LAST_PART >= self._size:
            return False
        self.give_up()
        return True

    def give_up(self) -> None:
        """Let others have the room. What is gone already is no error."""
        with suppress(OSError):
            self._path.unlink()

    def _make(self) -> None:
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError:  # the room was taken by others meanwhile: the next time, then
            self.give_up()
