"""What capture counts of all its recordings. What a veto has taken back is not counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from recorder.capture.call import CapturedRecording
from recorder.metrics import Sample, counted, sample


class Tally:
    """`records`: frames, gaps, late, duplicate, counted where they are written; the rest by its events."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self._sealed = self._chunks = 0
        self._failures: Counter[str] = Counter()

    def add(self, event: dict[str, Any]) -> None:
        """An event of a recording, as signalling is told."""
        if event["event"] == "failed":
            self._failures[event["reason"]] += 1
        elif event["event"] == "sealed":
            self._sealed += 1
            self._chunks += event["chunks"] or 0

    def samples(
        self, running: Iterable[CapturedRecording], now_ns: int, torn: int, unordered: int
    ) -> list[Sample]:
        """Figures of what runs at `now_ns`, and of everything so far."""
        recordings, records = list(running), self.records
        held = [it.held(now_ns) for it in recordings]
        return [
            sample("capture_clips_open", sum(it.is_open for it in recordings)),
            sample("capture_horizon_bytes", sum(octets for octets, _ in held)),
            sample("capture_commit_lag_seconds", max((late for _, late in held), default=0)),
            sample("capture_ring_records_torn_total", torn),
            sample("capture_frames_committed_total", records["frames"]),
            sample("capture_gaps_total", records["gaps"]),
            sample("capture_chunks_total", self._chunks),
            sample("capture_sealed_total", self._sealed),
            sample("capture_frames_dropped_total", records["late"], "late"),
            sample("capture_frames_dropped_total", records["duplicate"], "duplicate"),
            sample("capture_frames_dropped_total", unordered, "unordered"),
            *counted("capture_failures_total", self._failures),
        ]
