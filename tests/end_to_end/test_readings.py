"""A PBX and a phone read who calls whom as we do, or the call is not recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import readings
from tests.end_to_end.peers import readers

MESSAGES = 1000


def test_no_call_is_recorded_that_kamailio_or_libre_read_otherwise(tmp_path: Path) -> None:
    if reason := readers.missing():
        pytest.skip(reason)
    report = readings.run(MESSAGES, 1, tmp_path)
    assert report["faults"] == []
    assert report["seen"]["read alike, recorded"] > MESSAGES // 50
    assert report["seen"]["read otherwise, not recorded"] > MESSAGES // 50
