"""Orders to capture as signalling gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recorder.channel import Message

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def begin(*purposes: str, session: int = 7, part: int = 1, **changes: Any) -> Message:
    rows = [
        {
            "recording": f"{index:032x}",
            "call": "c" * 32,
            "purpose": purpose,
            "line": "sales",
            "agent": "anna",
            "started_at": START.isoformat(),
            "deadline_day": "2026-04-01",
            "scheme_hash": "f" * 64,
            "part": part,
            "previous": None if part == 1 else "e" * 32,
        }
        for index, purpose in enumerate(purposes or ("coaching",))
    ]
    message: Message = {
        "op": "begin",
        "session": session,
        "recordings": rows,
        "agent_side": "a",
        "parties": {"agent": "201", "outside": "+31201234567"},
        "codecs": {"a": [[8, "PCMA", 8000], [101, "telephone-event", 8000]], "b": [[8, "PCMA", 8000]]},
        "srtp": None,
        "horizon_ms": 2000,
    }
    return message | changes
