"""Asking a running process: who may, and what becomes of nonsense."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from recorder import control


async def test_only_our_own_user_may_ask(tmp_path: Path) -> None:
    path = tmp_path / "process.sock"
    async with await control.serve(path, lambda message: message):
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b'"op"\n', b"\xff\n"])
async def test_nonsense_is_answered_and_the_next_question_too(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "process.sock"
    async with await control.serve(path, lambda message: {"ok": True}):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        assert b'"ok": false' in await reader.readline()
        writer.close()
        assert await control.ask(path, {"op": "status"}) == {"ok": True}


async def test_ten_thousand_running_calls_can_be_listed(tmp_path: Path) -> None:
    """Else none of them could be stopped."""
    path = tmp_path / "process.sock"
    rows = [{"call": "c" * 32, "line": "service", "reasons": ["line-allows"] * 10}] * 10_000
    async with await control.serve(path, lambda message: {"ok": True, "calls": rows}):
        assert len((await control.ask(path, {"op": "calls"}))["calls"]) == 10_000
