"""What many clips have written becomes durable together: one sync for all that wait for one.

syncfs(2) makes everything on a file system durable for about the price of one file, and since Linux 5.8
says whether anything could not be written since its descriptor was opened. If so, each file is asked, as it
is where few wait: fdatasync(2) tells which.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path

FEW = 4
"""So many files are synced one by one."""
_libc = ctypes.CDLL(None, use_errno=True)
Piece = tuple[int, bytes]
"""A file's descriptor, and what to append to it."""


class Together:
    """Of the clips in one directory. For one event loop; a sync runs in a thread, one at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiting: list[tuple[Piece, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def store(self, file: int, data: bytes) -> None:
        """Append and sync. Raises OSError when it is not certain that this file is durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((file, data), done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        await asyncio.sleep(0)  # whoever writes in the same beat comes along
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            outcomes: Sequence[BaseException | None]
            try:
                outcomes = await asyncio.to_thread(store, self._directory, [piece for piece, _ in waiting])
            except asyncio.CancelledError:
                raise  # the loop ends, and all who wait with it
            except BaseException as error:  # nobody may wait for ever
                outcomes = [error] * len(waiting)
            for (_, done), outcome in zip(waiting, outcomes, strict=True):
                if done.done():  # nobody waits any more
                    continue
                if outcome is None:
                    done.set_result(None)
                else:
                    done.set_exception(outcome)


def store(directory: Path, pieces: Sequence[Piece]) -> list[OSError | None]:
    """Append and sync every piece; what went wrong with each."""
    system = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)  # before anything is written
    try:
        outcomes = [_tried(_append, file, data) for file, data in pieces]
        if len(pieces) > FEW and _synced(system):
            return outcomes
    finally:
        os.close(system)
    rows = zip(outcomes, pieces, strict=True)
    return [outcome or _tried(os.fdatasync, file) for outcome, (file, _) in rows]


def _synced(system: int) -> bool:
    return bool(_libc.syncfs(system) == 0)


def _tried(act: Callable[..., None], *arguments: object) -> OSError | None:
    try:
        act(*arguments)
    except OSError as error:
        return error
    return None


def _append(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
