"""What many clips have written at once is durable at once, and who could not be written is told."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.vault import together
from storage.vault.together import FEW, Together


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    opened = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(FEW + 1)]
    yield opened
    for file in opened:
        os.close(file)


def fails(_: int) -> None:
    raise OSError(errno.EIO, "no")


async def stored(directory: Path, files: list[int]) -> list[BaseException | None]:
    one = Together(directory)
    return await asyncio.gather(*(one.store(it, b"audio") for it in files), return_exceptions=True)


async def test_many_are_synced_by_one_call(
    tmp_path: Path, files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", fails)
    assert await stored(tmp_path, files) == [None] * len(files)
    assert [os.pread(it, 9, 0) for it in files] == [b"audio"] * len(files)


async def test_few_are_synced_one_by_one(
    tmp_path: Path, files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", fails)
    outcomes = await stored(tmp_path, files[:FEW])
    assert [type(it) for it in outcomes] == [OSError] * FEW


async def test_where_the_one_call_fails_each_file_is_asked(
    tmp_path: Path, files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def one_fails(file: int) -> None:
        asked.append(file)
        if file == files[2]:
            fails(file)

    monkeypatch.setattr(together, "_synced", lambda _: False)
    monkeypatch.setattr(os, "fdatasync", one_fails)
    outcomes = await stored(tmp_path, files)
    assert asked == files
    assert [type(it) for it in outcomes] == [type(None)] * 2 + [OSError] + [type(None)] * (FEW - 2)


async def test_one_that_cannot_be_written_fails_alone(tmp_path: Path, files: list[int]) -> None:
    closed = os.open(tmp_path, os.O_RDONLY)
    outcomes = await stored(tmp_path, [closed, *files])
    os.close(closed)
    assert [type(it) for it in outcomes] == [OSError] + [type(None)] * len(files)
