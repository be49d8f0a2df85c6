"""A PBX and a phone read who calls whom and who answers as we do, or the call is not recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import readings
from tests.end_to_end.peers import readers

MESSAGES = 2000  # every other one a response


def test_no_call_is_recorded_that_kamailio_or_libre_read_otherwise(tmp_path: Path) -> None:
    if reason := readers.missing():
        pytest.skip(reason)
    report = readings.run(MESSAGES, 1, tmp_path)
    assert report["faults"] == []
    for kind in ("INVITE", "response"):
        assert report["seen"][f"{kind} read alike, recorded"] > MESSAGES // 100
        assert report["seen"][f"{kind} read otherwise, not recorded"] > MESSAGES // 100
