"""Faults of the disk and of the process, injected where the real calls are."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest


class Crash(BaseException):
    """The process dies here. Not an Exception, so that nothing handles it."""


class FaultyDisk:
    """Real calls, of which one after another can be made to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.calls: list[str] = []

    def fail(self, name: str, code: int = errno.EIO) -> None:
        """From now on `os.<name>` fails, and each attempt is counted in `calls`."""

        def failing(*_: object) -> None:
            self.calls.append(name)
            raise OSError(code, os.strerror(code))

        self._monkeypatch.setattr(os, name, failing)

    def write_half_then_fill_up(self) -> None:
        """The next write takes half of its bytes, the one after that finds no space."""
        real = os.write

        def full(file: int, data: memoryview) -> int:
            self.calls.append("write")
            if len(self.calls) > 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(file, data[: len(data) // 2])

        self._monkeypatch.setattr(os, "write", full)

    def repair(self) -> None:
        self._monkeypatch.undo()


def crash_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """The call does its work, and the process dies before anybody hears of it."""
    real: Callable[..., Any] = getattr(owner, name)

    async def dying(*given: Any, **named: Any) -> Any:
        await real(*given, **named)
        raise Crash

    monkeypatch.setattr(owner, name, dying)


def crash_after_call(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """The same for a call that is no coroutine."""
    real: Callable[..., Any] = getattr(owner, name)

    def dying(*given: Any, **named: Any) -> Any:
        real(*given, **named)
        raise Crash

    monkeypatch.setattr(owner, name, dying)
