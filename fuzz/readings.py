"""`make fuzz ARGS=--readings`: no call is recorded in which others find somebody whom we do not, be it in its
INVITE or in what answers it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fuzz import smuggling
from fuzz.reading import Reading, differences, forwarded, is_recorded, ours
from tests.end_to_end.peers.readers import by_libre, reading_by_kamailio

_AT_ONCE = 1000
_MOST_FAULTS = 10

Reader = Callable[[Sequence[bytes]], list[Reading | None]]


def run(messages: int, seed: int, folder: Path) -> dict[str, Any]:
    """So many messages, every other one a response, read by us, by Kamailio and by libre; the report.

    `faults` is to be empty.
    """
    with reading_by_kamailio(folder) as kamailio:
        return compare(messages, seed, {"kamailio": kamailio.read, "libre": by_libre})


def compare(messages: int, seed: int, readers: dict[str, Reader]) -> dict[str, Any]:
    """As `run`, with these readers."""
    chance, seen, faults = Random(seed), Counter[str](), []
    started = time.monotonic()
    for first in range(0, messages, _AT_ONCE):
        made = [_made(chance, it) for it in range(first, min(first + _AT_ONCE, messages))]
        readings = {name: read(made) for name, read in readers.items()}
        for index, message in enumerate(made):
            found = _judge(message, {name: read[index] for name, read in readings.items()}, seen)
            if found:
                faults.append({"index": first + index, **found, "message": message[:1500].hex()})
    return {
        "messages": messages,
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "seen": dict(sorted(seen.items())),
        "faults": faults[:_MOST_FAULTS],
    }


def _made(chance: Random, number: int) -> bytes:
    if number % 2:
        return smuggling.response(chance, number, forwarded())
    return smuggling.invite(chance, number)


def _judge(message: bytes, readings: dict[str, Reading | None], seen: Counter[str]) -> dict[str, list[str]]:
    """What others find in a call that would be recorded, by reader."""
    read = ours(message)
    if read is None:
        seen["refused by us"] += 1
        return {}
    kind = "INVITE" if read.is_request else "response"
    seen.update(f"{kind} refused by {name}" for name, theirs in readings.items() if theirs is None)
    found = {name: differences(read, theirs) for name, theirs in readings.items() if theirs is not None}
    found = {name: headers for name, headers in found.items() if headers}
    recorded = is_recorded(message)
    how = f"read {'otherwise' if found else 'alike'}, {'recorded' if recorded else 'not recorded'}"
    seen[f"{kind} {how}"] += 1
    return found if recorded else {}
