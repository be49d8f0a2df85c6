"""The vectors of docs/clip-format.md: the product and an independent decoder say the same of every one."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from purge.verdict import is_past
from storage import keys
from storage.clipfile import BadCloseRecord, KeyFailure, PayloadFailure, read
from storage.errors import StorageError
from storage.header import HeaderFailure
from storage.model import Ending
from storage.records import encode
from tests.storage import independent_decoder

DIRECTORY = Path(__file__).parent / "vectors"
VECTORS = sorted(DIRECTORY.glob("*.json"))
BINARY = ("file", "wrap", "close_record", "recorder_public", "day_private", "purpose_private")
NAMES: dict[type[StorageError], str] = {
    HeaderFailure: "header failure",
    PayloadFailure: "payload failure",
    BadCloseRecord: "bad close record",
    KeyFailure: "wrong key",
}
ENDINGS = {"complete": "success", "truncated": "truncated"}


def load(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text())
    return {
        name: base64.b64decode(it) if name in BINARY and it is not None else it for name, it in case.items()
    }


def by_the_product(case: dict[str, Any]) -> tuple[str, str | None]:
    """What the product says, and the SHA-256 of what it would release."""
    deadline = date.fromisoformat(case["deadline"])
    noon = f"{case['day']}T12:00:00+00:00"
    if is_past(deadline, datetime.fromisoformat(noon)) or case["day_private"] is None:
        return "past deadline", None
    h = independent_decoder.header_hash(case["file"])
    try:
        inner = keys.unwrap_day(case["wrap"], case["day_private"], h)
    except keys.WrapFailure:
        return "wrap failure", None
    try:
        k2 = keys.unwrap_purpose(inner, case["purpose_private"], h)
    except keys.WrapFailure:
        return "wrong purpose", None
    try:
        opened = read(case["file"], k2, case["recorder_public"], case["close_record"])
    except StorageError as error:
        return NAMES[type(error)], None
    released = hashlib.sha256(b"".join(map(encode, opened.records))).hexdigest()
    return ("success" if opened.ending is Ending.COMPLETE else "truncated"), released


def by_the_paper(case: dict[str, Any]) -> tuple[str, str | None]:
    try:
        clip = independent_decoder.decode(case)
    except independent_decoder.Refused as failure:
        return str(failure.args[0]), None
    return ENDINGS[clip.ending], hashlib.sha256(clip.plaintext).hexdigest()


def test_there_is_a_vector_for_every_failure() -> None:
    expected = {*NAMES.values(), *ENDINGS.values(), "wrong purpose", "past deadline", "wrap failure"}
    assert {load(path)["expect"] for path in VECTORS} == expected


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_product_and_the_paper_agree(path: Path) -> None:
    case = load(path)
    assert by_the_paper(case) == (case["expect"], case["plaintext"])
    assert by_the_product(case) == (case["expect"], case["plaintext"])
