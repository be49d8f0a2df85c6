"""Between a reload and the judgement of the gate only what both configurations allow is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from recorder.config import parse
from recorder.service import gatekeeper
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
