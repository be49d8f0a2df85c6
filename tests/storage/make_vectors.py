"""Makes tests/storage/vectors anew: python -m tests.storage.make_vectors.

The vectors are committed and are not made again for a version that stays the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from storage import keys
from storage.clipfile import CloseRecord, read_close_record
from storage.model import Ending
from storage.records import RecordDecoder, encode
from tests.storage.clips import DEADLINE, PARTIES, Made, speech

DIRECTORY = Path(__file__).parent / "vectors"


def case(made: Made, expect: str, **changes: Any) -> dict[str, Any]:
    found = {
        "expect": expect,
        "file": made.file,
        "wrap": made.wrap,
        "close_record": made.close_record,
        "recorder_public": made.recorder_public,
        "day_private": made.day_private,
        "purpose_private": made.purpose_private,
        "deadline": DEADLINE.isoformat(),
        "day": DEADLINE.isoformat(),
        "plaintext": None,
        **changes,
    }
    if expect in ("success", "truncated"):
        whole = b"".join(map(encode, made.records))
        kept = whole if expect == "success" else whole[: made.writer.chunks * 16_384]
        released = b"".join(map(encode, RecordDecoder().feed(kept)))
        found["plaintext"] = hashlib.sha256(released).hexdigest()
    return {
        name: base64.b64encode(it).decode() if isinstance(it, bytes) else it for name, it in found.items()
    }


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def reclosed(made: Made, file: bytes, chunks: int, ending: Ending) -> bytes:
    """As somebody would write it who has the recorder's key but not the clip's."""
    sha256 = hashlib.sha256(file).hexdigest()
    return CloseRecord(made.header.clip, made.h.hex(), chunks, len(file), sha256, ending).signed(made.ks)


def all_cases() -> Iterator[tuple[str, dict[str, Any]]]:
    small = Made()
    large = Made(records=[PARTIES, *speech(60)], close=False)
    whole = Made(records=[PARTIES, *speech(100), *small.records[-1:]])
    start = 20 + len(whole.header.encode()) + 64 + 56
    swapped = whole.file[:start] + whole.file[start + 16_400 : start + 32_800]
    swapped += whole.file[start : start + 16_400] + whole.file[start + 32_800 :]
    cut = whole.file[: start + 2 * 16_400]
    closed = read_close_record(small.close_record, small.recorder_public)
    day_after = (DEADLINE + timedelta(days=1)).isoformat()
    yield "success", case(small, "success")
    yield "success-of-three-chunks", case(whole, "success")
    yield "truncated", case(large, "truncated")
    yield "truncated-to-nothing", case(Made(records=[PARTIES], close=False), "truncated")
    yield "header-byte-changed", case(small, "wrap failure", file=flipped(small.file, 40))
    yield "magic-changed", case(small, "wrap failure", file=flipped(small.file, 3))
    yield "prologue-signature-changed", case(small, "header failure", file=flipped(small.file, start - 60))
    yield "other-recorder", case(small, "header failure", recorder_public=large.recorder_public)
    yield "payload-byte-changed", case(small, "payload failure", file=flipped(small.file, -1))
    yield "final-chunk-missing", case(whole, "payload failure", file=cut)
    yield (
        "final-chunk-missing-called-complete",
        case(whole, "payload failure", file=cut, close_record=reclosed(whole, cut, 2, Ending.COMPLETE)),
    )
    yield (
        "chunks-swapped-and-closed-again",
        case(
            whole, "payload failure", file=swapped, close_record=reclosed(whole, swapped, 3, Ending.COMPLETE)
        ),
    )
    yield (
        "whole-clip-called-truncated",
        case(
            small,
            "payload failure",
            close_record=replace(closed, ending=Ending.TRUNCATED).signed(small.ks),
        ),
    )
    yield (
        "close-record-changed",
        case(small, "bad close record", close_record=flipped(small.close_record, -3)),
    )
    yield "close-record-of-another", case(small, "bad close record", close_record=large.close_record)
    yield "close-record-missing", case(small, "bad close record", close_record=b"")
    yield "wrap-changed", case(small, "wrap failure", wrap=flipped(small.wrap, -1))
    yield "other-clip-key", case(small, "wrong key", wrap=_wrapped(small, keys.new_clip_key()))
    yield "wrong-purpose", case(small, "wrong purpose", purpose_private=keys.new_private())
    yield "day-after-the-deadline", case(small, "past deadline", day=day_after)
    yield "day-key-destroyed", case(small, "past deadline", day_private=None)


def _wrapped(made: Made, k2: bytes) -> bytes:
    purpose, day = keys.public_of(made.purpose_private), keys.public_of(made.day_private)
    return keys.wrap(k2, purpose, day, made.h)


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, found in all_cases():
        (DIRECTORY / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
