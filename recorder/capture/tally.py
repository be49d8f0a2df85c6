"""What capture counts of all its recordings. What a veto has taken back is not counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from recorder.capture.call import CapturedRecording
from recorder.metrics import Sample, counted, sample
from storage.records import LEGS


class Tally:
    """`records`: frames, gaps, late, duplicate, and of each leg what it received and lost, counted where they
    are written; the rest by its events.
    """

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
        jitters = [it.jitter() for it in recordings]
        return [
            *(
                sample(f"capture_packets_{what}_total", records[f"{leg} {what}"], leg)
                for what in ("received", "lost")
                for leg in LEGS
            ),
            *(
                sample("capture_jitter_seconds", max((it[channel] for it in jitters), default=0), leg)
                for channel, leg in enumerate(LEGS)
            ),
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
