"""Fifty calls whose outside party is told first, while both talk: nothing from before is in a clip.

`make soak announce` holds a thousand of them.
"""

from __future__ import annotations

from pathlib import Path

from soak.announce import Plan, run

FIRST_PORT = 25_000
"""Of no other installation."""


def test_no_packet_from_before_the_announcements_end_is_in_a_clip_and_each_proves_it(tmp_path: Path) -> None:
    report = run(tmp_path, Plan(calls=50, beside=25, shortest=3.0, longest=3.5), FIRST_PORT)
    assert report["faults"] == []
    assert report["totals"]["recorded"] >= 50
    assert report["totals"]["packets"] > 50 * 2 * 20
