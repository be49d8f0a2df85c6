"""Where the service could leave something: its rings, its files, what it has open, what it says."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from recorder.ring import SLOT_BYTES
from tests.end_to_end.installation import Recorder
from tests.fakes.speech import Search

RING = "memfd:doelband-ring"
OWN = ("council.key", "management.key")
"""Files in the installation's directory that are not the service's."""


def ring_file(recorder: Recorder) -> Path:
    """The relay's ring, as the kernel shows it (to its own user and to root)."""
    pid = recorder.pids()["relay"]
    found = {it.stat().st_ino: it for it in _descriptors(pid or 0) if RING in str(it.readlink())}
    assert len(found) == 1, "one relay, one ring"
    return found.popitem()[1]


class RingWatch:
    """Inside its context, looks into a ring again and again for voices. `seen`: those found so far."""

    def __init__(self, ring: Path, search: Search) -> None:
        self.seen: set[str] = set()
        self.looks = 0
        self._search = search
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ring watch")
        with ring.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def used(self) -> bytes:
        """Every slot that is not all zero now, read or not, torn or not."""
        count = (len(self._memory) - mmap.PAGESIZE) // SLOT_BYTES
        words = np.frombuffer(self._memory, "<u8", count * SLOT_BYTES // 8, mmap.PAGESIZE)
        slots = words.reshape(count, SLOT_BYTES // 8)
        found: bytes = slots[slots.any(axis=1)].tobytes()
        return found

    def look(self) -> None:
        self.seen |= self._search.found(self.used()).keys()
        self.looks += 1

    def _watch(self) -> None:
        while not self._stop.wait(0.03):
            self.look()


def files(recorder: Recorder) -> list[tuple[str, bytes]]:
    """Every file of the installation, and every one that a process still has open, deleted ones too."""
    found = {
        str(path.relative_to(recorder.directory)): path
        for path in sorted(recorder.directory.rglob("*"))
        if path.is_file() and path.name not in OWN
    }
    for name, pid in recorder.pids().items():
        for descriptor in _descriptors(pid or 0):
            with contextlib.suppress(OSError):  # closed meanwhile
                if descriptor.is_file() and RING not in str(descriptor.readlink()):
                    found[f"{name}: {descriptor.readlink()}"] = descriptor
    held = []
    for name, path in found.items():
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            held.append((name, path.read_bytes()))
    return held


def said(recorder: Recorder) -> str:
    """Everything that the service tells of itself on the command line, for people and for machines."""
    doelband = str(Path(sys.executable).with_name("doelband"))
    runs = [
        subprocess.Popen(
            [doelband, *command, "--config", str(recorder.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "500"},
        )
        for command in (["status"], ["status", "--json"], ["calls"], ["calls", "--json"])
    ]
    return "".join(run.communicate()[0] for run in runs)


def mentions(data: bytes, number: str) -> bool:
    """Whether bytes hold a dialled number: its last nine digits in one or two bytes each, or its last six.

    The last six are not looked for in runs of hexadecimal that are too long for a telephone number: there
    they stand by chance sooner or later.
    """
    digits = number[-9:].encode()
    sparse = re.sub(rb"[0-9a-f]{20,}", b"", data)
    return digits in data or digits.decode().encode("utf-16-le") in data or digits[-6:] in sparse


def _descriptors(pid: int) -> list[Path]:
    folder = Path(f"/proc/{pid}/fd")
    return [it for it in folder.iterdir() if it.exists()] if folder.is_dir() else []
