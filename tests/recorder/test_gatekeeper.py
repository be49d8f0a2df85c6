"""Between a reload and the judgement of the gate only what both configurations allow is recorded."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.config import parse
from recorder.names import Names
from recorder.service import gatekeeper, places, signalling
from recorder.service.books import Books
from tests.recorder.schemes import CONFIGURATION

APPROVED = CONFIGURATION.replace('ports = "20000', 'horizon = "2 s"\nports = "20000')


def config(text: str) -> Any:
    return parse(text, "test.toml", Path("/"))


def standing() -> gatekeeper.Gate:
    gate = gatekeeper.shut(config(APPROVED))
    return replace(gate, approved=True, policy=replace(gate.policy, approved=True))


def test_a_longer_retention_does_not_count_before_the_council_has_signed_it() -> None:
    between = standing().reloaded(config(APPROVED.replace('"30 days"', '"3650 days"'))).policy
    assert between.retention == {"coaching": timedelta(days=30)}
    assert between.scheme_hash == standing().policy.scheme_hash


def test_a_shorter_retention_counts_at_once() -> None:
    between = standing().reloaded(config(APPROVED.replace('"30 days"', '"7 days"'))).policy
    assert between.retention == {"coaching": timedelta(days=7)}


def test_the_longer_horizon_counts() -> None:
    for text in (APPROVED.replace('"2 s"', '"200 ms"'), APPROVED):
        assert standing().reloaded(config(text)).policy.horizon == timedelta(seconds=2)
    wider = config(APPROVED.replace('"2 s"', '"5 s"'))
    assert standing().reloaded(wider).policy.horizon == timedelta(seconds=5)


def test_what_stands_is_not_compiled_anew_at_every_look() -> None:
    """With thousands of numbers that takes a tenth of a second, in which no SIP message is answered."""
    assert gatekeeper.shut(config(APPROVED)).policy.rules is gatekeeper.shut(config(APPROVED)).policy.rules


class Watched:
    """All running calls: none. What policies they were told of."""

    def __init__(self) -> None:
        self.policies: list[Any] = []

    def on_policy(self, policy: Any, at: Any) -> list[Any]:
        self.policies.append(policy)
        return []

    def summaries(self) -> list[Any]:
        return []


async def test_a_reload_takes_away_at_once_and_no_look_by_the_former_file_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parse(APPROVED, "test.toml", tmp_path)
    after = parse(APPROVED.replace('"250"', '"250", "251"'), "test.toml", tmp_path)
    before.storage.directory.mkdir()
    places.token_key(before).write_bytes(bytes(32))
    looking, go_on = asyncio.Event(), asyncio.Event()
    told_before_the_look: list[int] = []

    async def look(config: Any, _: Any) -> gatekeeper.Gate:
        told_before_the_look.append(len(calls.policies))
        if config is before:
            looking.set()
            await go_on.wait()
        gate = gatekeeper.shut(config)
        return replace(
            gate, approved=config is before, policy=replace(gate.policy, approved=config is before)
        )

    monkeypatch.setattr(gatekeeper, "look", look)
    process: Any = signalling.Signalling(before, Books(), standing())
    process._calls = calls = Watched()
    former = asyncio.create_task(process.look(object()))
    await looking.wait()
    await process.follow(after)
    assert told_before_the_look == [0, 1]
    go_on.set()
    await former
    assert not process.gate.approved
    assert process.gate.policy.scheme_hash == gatekeeper.shut(after).policy.scheme_hash
    process._media.shut()
    process._capture.close()


async def test_calls_do_not_wait_while_a_changed_scheme_is_made_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parse(APPROVED, "test.toml", tmp_path)
    after = parse(APPROVED.replace('"250"', '"250", "252"'), "test.toml", tmp_path)
    before.storage.directory.mkdir()
    places.token_key(before).write_bytes(bytes(32))
    process: Any = signalling.Signalling(before, Books(), standing())
    ready = Names.__init__
    where: list[threading.Thread] = []

    def noted(names: Names, scheme: Any) -> None:
        where.append(threading.current_thread())
        ready(names, scheme)

    monkeypatch.setattr(Names, "__init__", noted)
    await process.follow(after)
    assert where
    assert threading.main_thread() not in where
    process._media.shut()
    process._capture.close()
