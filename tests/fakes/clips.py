"""Rows and plans as the recorder makes them, with only what a test is about given."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from storage.model import Ending, NewClip, Sealing
from storage.records import Codec, Parties
from storage.vault import ClipPlan
from tests.fakes.clock import START

DAY = date(2026, 3, 31)
SCHEME = "5c" * 32
_numbers = itertools.count(1)


def new_id() -> str:
    return f"{next(_numbers):032x}"


def new_clip(**given: Any) -> NewClip:
    clip = NewClip(
        id=new_id(),
        recording=new_id(),
        call=new_id(),
        purpose="coaching",
        line="sales",
        agent="201",
        scheme_hash=SCHEME,
        started_at=START,
        part=1,
        previous=None,
        deadline_day=DAY,
        day_key_id="d0" * 16,
        header_hash=b"h" * 64,
        wrap=b"w" * 161,
    )
    return replace(clip, **given)


def sealing(**given: Any) -> Sealing:
    return replace(Sealing(Ending.COMPLETE, 1234, 2, "ab" * 32, 1.5, b"close"), **given)


def plan(started_at: datetime = START, **given: Any) -> ClipPlan:
    made = ClipPlan(
        recording_id=new_id(),
        call_id=new_id(),
        purpose="coaching",
        line="sales",
        agent="201",
        started_at=started_at,
        deadline_day=DAY,
        scheme_hash=SCHEME,
        part=1,
        previous=None,
        codecs=(Codec(0, 8, "PCMA", 8000), Codec(1, 8, "PCMA", 8000)),
        parties=Parties("201", "+31201234567"),
    )
    return replace(made, **given)
