"""The one place that asks the operating system what time it is.

Three questions, because one clock cannot be trusted alone (clips-and-keys, "Deadline"): the wall clock, the
seconds since boot (which no one can set), and whether the kernel holds its time to be synchronised.
"""

from __future__ import annotations

import ctypes
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from storage.errors import Unavailable

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMEX_BYTES = 1024  # struct timex is 208 bytes on 64-bit Linux; the rest is room
_STATUS_OFFSET = 40  # modes, offset, freq, maxerror, esterror: 5 words of 8 bytes
_STA_UNSYNC = 0x0040  # adjtimex(2)
_TIME_ERROR = 5


class Clock(Protocol):
    """Time as it is asked for everywhere above; tests and the demonstration give their own."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""

    def boottime(self) -> float:
        """Seconds since boot, suspension included; never set back, never stepped."""

    def boot_id(self) -> str:
        """Differs after every boot."""

    def is_synchronised(self) -> bool:
        """Does the kernel hold its time to be synchronised?"""

    def offset(self) -> timedelta:
        """How far this clock is moved on purpose; zero in normal use, shown loudly by `status` else."""


class SystemClock:
    """The machine's clocks, moved by the seconds in `offset_file` when there is one.

    The file is for demonstrations and tests. It moves wall clock and boot time together, as real time would,
    so that a moved clock is no jump; a clock that is moved is never called synchronised.
    """

    def __init__(self, offset_file: Path | None = None) -> None:
        self._offset_file = offset_file

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset()

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME) + self.offset().total_seconds()

    def boot_id(self) -> str:
        return _BOOT_ID.read_text(encoding="ascii").strip()

    def is_synchronised(self) -> bool:
        return not self.offset() and _kernel_is_synchronised()

    def offset(self) -> timedelta:
        """Raises Unavailable when the file is there and holds no number of seconds."""
        if self._offset_file is None:
            return timedelta()
        try:
            return timedelta(seconds=float(self._offset_file.read_text(encoding="ascii")))
        except FileNotFoundError:
            return timedelta()
        except (ValueError, OSError, OverflowError) as error:
            raise Unavailable(
                f"read the clock offset from {self._offset_file}",
                "write a number of seconds, or remove the file",
            ) from error


def _kernel_is_synchronised() -> bool:
    """Ask adjtimex(2) with modes = 0, which changes nothing and needs no privilege."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except AttributeError:
        return False
    status = ctypes.c_int.from_buffer(buffer, _STATUS_OFFSET).value
    return 0 <= state < _TIME_ERROR and not status & _STA_UNSYNC
