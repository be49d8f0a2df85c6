"""What a timeline commits, record by record."""

from __future__ import annotations

from recorder.timeline import Timeline
from storage.frames import Frames
from storage.records import Audio, Gap


def committed(timeline: Timeline, until: int) -> list[Audio | Gap]:
    records: list[Audio | Gap] = []
    for it in timeline.commit(until):
        records += it.records() if isinstance(it, Frames) else [it]
    return records
