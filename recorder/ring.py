"""The tap's ring: one relay worker writes, capture reads, nobody waits.

Shared memory (memfd), one producer, one consumer, no locks. A page of control words, then equal slots:

    page 0    magic │ slots │ head (written by the producer) │ tail (written by the consumer)
    slot      session u64 │ arrival_ns u64 │ length u16 │ side u8 │ kind u8 │ reserved u32
              │ packet, 696 bytes │ generation u32 │ crc32 u32                       (little endian)

`head` and `tail` count records and never wrap. The generation is the lap that wrote the slot, so that a
slot left from an earlier lap or zeroed is no record; the checksum (seeded with the generation) covers
header and packet. Both are written last and are the only proof that a record is complete; `head` follows. A
producer that is killed half-way leaves bytes that nobody reads and its successor overwrites. The consumer
zeroes what it has read. A full ring takes no record: dropped and counted, never waited for.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

SIDE_A, SIDE_B = 0, 1
KIND_RTP = 1
PACKET_BYTES = 696  # G.711 of 80 ms, or linear 16 kHz of 20 ms, with a header extension fits

_HEADER = struct.Struct("<QQHBBI")
RECORD = np.dtype(
    [
        ("session", "<u8"),
        ("arrival_ns", "<u8"),
        ("length", "<u2"),
        ("side", "u1"),
        ("kind", "u1"),
        ("reserved", "<u4"),
        ("packet", "u1", (PACKET_BYTES,)),
        ("generation", "<u4"),
        ("checksum", "<u4"),
    ]
)
SLOT_BYTES = RECORD.itemsize
PACKET_AT = _HEADER.size
Records = NDArray[np.void]
"""A run of slots, shape (n,), dtype RECORD."""

_PAGE = mmap.PAGESIZE
_MAGIC = 0x31_474E_4952_4244  # "DBRING1" backwards
_SLOTS, _HEAD, _TAIL = 1, 8, 16  # control words (u64); head and tail on cache lines of their own
_TRAILER = struct.Struct("<II")
_TRAILER_AT = SLOT_BYTES - _TRAILER.size
_MADV_DONTDUMP = 16


class RingError(Exception):
    """The descriptor is no ring of ours, or its control words contradict each other."""


def create(slots: int) -> int:
    """Make an empty ring of `slots` records (728 bytes each) and return its descriptor.

    Its size is sealed, so that no process that holds it can shrink it under another's feet.
    """
    fd = os.memfd_create("doelband-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _PAGE + slots * SLOT_BYTES)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    with mmap.mmap(fd, _PAGE) as page, memoryview(page).cast("Q") as words:
        words[_SLOTS] = slots
        words[0] = _MAGIC
    return fd


class _Mapping:
    """The ring in this process: control words and bytes. `locked` says whether it cannot be swapped out."""

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if size < _PAGE:
            raise RingError(f"descriptor {fd} is no ring")
        self.memory = mmap.mmap(fd, size)
        self.memory.madvise(_MADV_DONTDUMP)
        self.locked = _lock(self.memory, size)
        self.view = memoryview(self.memory)
        self.words = self.view[:_PAGE].cast("Q")
        self.slots = self.words[_SLOTS]
        if self.words[0] != _MAGIC or size != _PAGE + self.slots * SLOT_BYTES:
            raise RingError(f"descriptor {fd} is no ring of this version")

    def release(self) -> None:
        self.words.release()
        self.view.release()
        self.memory.close()


def _lock(memory: mmap.mmap, size: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    anchor = ctypes.c_char.from_buffer(memory)
    try:
        return bool(libc.mlock(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size)) == 0)
    finally:
        del anchor


class RingWriter:
    """The producer. A restarted one goes on where its predecessor published last."""

    def __init__(self, fd: int) -> None:
        self._ring = _Mapping(fd)
        self._view = self._ring.view
        self._words = self._ring.words
        self._slots = self._ring.slots
        self._head = self._words[_HEAD]
        self._limit = 0
        self.dropped = 0
        self.locked = self._ring.locked
        if self._has_room():  # what a killed predecessor left half-written
            offset = _PAGE + self._head % self._slots * SLOT_BYTES
            self._view[offset : offset + SLOT_BYTES] = bytes(SLOT_BYTES)

    def write(self, session: int, side: int, arrival_ns: int, packet: memoryview) -> bool:
        """Append one RTP packet. False: the ring is full or the packet too large; counted in `dropped`."""
        head = self._head
        length = len(packet)
        if length > PACKET_BYTES or (head >= self._limit and not self._has_room()):
            self.dropped += 1
            return False
        view = self._view
        lap, index = divmod(head, self._slots)
        offset = _PAGE + index * SLOT_BYTES
        body = offset + PACKET_AT
        end = body + length
        _HEADER.pack_into(view, offset, session, arrival_ns, length, side, KIND_RTP, 0)
        view[body:end] = packet
        generation = lap + 1 & 0xFFFFFFFF
        _TRAILER.pack_into(view, offset + _TRAILER_AT, generation, crc32(view[offset:end], generation))
        self._head = self._words[_HEAD] = head + 1
        return True

    def _has_room(self) -> bool:
        self._limit = self._words[_TAIL] + self._slots
        return self._head < self._limit

    def close(self) -> None:
        """Unmap; the ring lives on with its other holders."""
        self._ring.release()


class RingReader:
    """The consumer. `torn` counts records that were published but not complete."""

    def __init__(self, fd: int) -> None:
        self._ring = _Mapping(fd)
        self._view = self._ring.view
        self._words = self._ring.words
        self._slots = self._ring.slots
        self._records: Records = np.frombuffer(self._view, dtype=RECORD, count=self._slots, offset=_PAGE)
        self.torn = 0
        self.locked = self._ring.locked

    def drain(self, consume: Callable[[Records], None]) -> int:
        """Hand every complete record to `consume` in at most two runs, zero them, and return their number.

        The runs lie in the ring itself: what `consume` wants to keep it must copy. They are zeroed and
        given back even if it raises.
        """
        head, tail = self._words[_HEAD], self._words[_TAIL]
        if not tail <= head <= tail + self._slots:
            self._reset(head)
            return 0
        torn = self.torn
        count = head - tail
        while tail < head:
            length = min(head - tail, self._slots - tail % self._slots)
            self._drain_run(tail, length, consume)
            tail += length
        return count - (self.torn - torn)

    def _drain_run(self, tail: int, length: int, consume: Callable[[Records], None]) -> None:
        lap, start = divmod(tail, self._slots)
        run = self._records[start : start + length]
        whole = self._whole(run, start, lap + 1 & 0xFFFFFFFF)
        chosen = run if len(whole) == length else run[whole]
        self.torn += length - len(whole)
        try:
            consume(chosen)
        finally:
            chosen.view(np.uint8)[:] = 0
            run.view(np.uint8)[:] = 0
            self._words[_TAIL] = tail + length

    def _whole(self, run: Records, start: int, generation: int) -> list[int]:
        """Which records of the run are complete."""
        view = self._view
        offset = _PAGE + start * SLOT_BYTES
        columns = zip(
            run["length"].tolist(), run["generation"].tolist(), run["checksum"].tolist(), strict=True
        )
        return [
            index
            for index, (length, lap, checksum) in enumerate(columns)
            if lap == generation
            and length <= PACKET_BYTES
            and crc32(view[(at := offset + index * SLOT_BYTES) : at + PACKET_AT + length], lap) == checksum
        ]

    def _reset(self, head: int) -> None:
        self._records.view(np.uint8)[:] = 0
        self.torn += 1
        self._words[_TAIL] = head

    def close(self) -> None:
        """Unmap; the ring lives on with its other holders."""
        del self._records
        self._ring.release()
