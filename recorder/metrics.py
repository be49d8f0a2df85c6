"""Every metric there is, in one table.

docs/metrics.md shows it, and dashboard and alerts may name no other. Names follow Prometheus: the application
first, base units, `_total` for what only grows. No label holds a number, an agent, a person or a call.

Calls that are kept out of the recorder have no live figure: with one, a scrape would tell when an employee
rang the company doctor (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Sample = tuple[str, tuple[str, ...], float]
"""Name without its prefix, the values of its labels in the table's order, value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` lacks the prefix; of a counter it has `_total`. `source`: the process that knows."""

    name: str
    kind: Literal["counter", "gauge"]
    source: str
    text: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        return PREFIX + self.name


PREFIX = "doelband_"
_C: Literal["counter"] = "counter"
_G: Literal["gauge"] = "gauge"

METRICS = (
    Metric("build_info", _G, "watch", "Always 1; what runs.", ("version", "python")),
    Metric("ready", _G, "watch", "1 when calls would be handled and recorded as configured."),
    Metric("process_up", _G, "watch", "1 when the process answers.", ("process",)),
    Metric("process_restarts_total", _C, "supervisor", "Ends that were not asked for.", ("process",)),
    Metric("gate_open", _G, "signalling", "1 when the approved scheme lets calls be recorded."),
    Metric("gate_state", _G, "signalling", "1 for the reason why the gate is open or shut.", ("reason",)),
    Metric("gate_ignored_approvals", _G, "watch", "Approvals in the catalogue without a valid signature."),
    Metric("calls_running", _G, "signalling", "Calls in progress, of every kind."),
    Metric("calls_total", _C, "signalling", "Ended calls on flagged lines.", ("outcome",)),
    Metric(
        "announcements_total",
        _C,
        "signalling",
        "Announcements to outside parties: heard whole, or why not.",
        ("result",),
    ),
    Metric("call_reasons_total", _C, "signalling", "Reasons of their outcomes.", ("outcome", "reason")),
    Metric(
        "calls_withheld_yesterday",
        _G,
        "watch",
        "Private and privileged calls of the UTC day before.",
        ("kind",),
    ),
    Metric("recordings_running", _G, "signalling", "Recordings in progress; one for each purpose of a call."),
    Metric("ledger_notes_lost_total", _C, "signalling", "Outcomes of calls that could not be written down."),
    Metric("ledger_notes_waiting", _G, "signalling", "Outcomes of calls that wait for the catalogue."),
    Metric("calls_not_destroyed", _G, "signalling", "Withdrawn calls that the catalogue still names."),
    Metric("evidence_connected", _G, "signalling", "1 while somebody says who speaks inside the PBX."),
    Metric("evidence_statements_total", _C, "signalling", "What was said of calls on the trunk side."),
    Metric("evidence_losses_total", _C, "signalling", "How often that source was lost."),
    Metric("media_connected", _G, "signalling", "1 while signalling reaches the media broker."),
    Metric("capture_connected", _G, "signalling", "1 while signalling reaches capture."),
    Metric("sip_messages_received_total", _C, "signalling", "SIP messages that could be read.", ("kind",)),
    Metric("sip_messages_sent_total", _C, "signalling", "SIP messages that left."),
    Metric(
        "sip_requests_refused_total",
        _C,
        "signalling",
        "Answered 503: call, outside (of dialogs) in overload; source: over the limit of its address.",
        ("reason",),
    ),
    Metric(
        "sip_overloaded", _G, "signalling", "1 while new requests are refused: more arrives than can be done."
    ),
    Metric("sip_wait_seconds", _G, "signalling", "Longest wait of a SIP message in the last ten seconds."),
    Metric("sip_transactions", _G, "signalling", "SIP transactions in progress."),
    Metric("sip_connections", _G, "signalling", "Open TCP and TLS connections."),
    Metric("sip_events_total", _C, "signalling", "What was dropped, refused or passed untouched.", ("kind",)),
    Metric("media_sessions", _G, "media", "Calls whose media passes through.", ("worker",)),
    Metric("media_packets_forwarded_total", _C, "media", "RTP and RTCP packets passed on.", ("worker",)),
    Metric(
        "media_packets_refused_total",
        _C,
        "media",
        "Packets dropped: foreign source, malformed, payload type not agreed on, more than a party may send.",
        ("worker", "reason"),
    ),
    Metric(
        "media_reported_loss_ratio",
        _G,
        "media",
        "Highest loss that a party of a running call reports (RTCP) of what it hears, 0 to 1.",
        ("worker",),
    ),
    Metric(
        "media_round_trip_seconds",
        _G,
        "media",
        "Longest way from us to a party of a running call and back, by its reports.",
        ("worker",),
    ),
    Metric("media_socket_errors_total", _C, "media", "Errors of media sockets.", ("worker",)),
    Metric("media_ring_records_dropped_total", _C, "media", "Audio that found the ring full.", ("worker",)),
    Metric("media_ring_locked", _G, "media", "1 when the ring cannot be swapped out.", ("worker",)),
    Metric("media_port_pairs", _G, "media", "RTP/RTCP port pairs: in_use, resting, free.", ("state",)),
    Metric("media_orders_refused_total", _C, "media", "Orders of signalling that made no sense."),
    Metric("capture_clips_open", _G, "capture", "Clips being written."),
    Metric("capture_frames_committed_total", _C, "capture", "Audio packets written into clips."),
    Metric(
        "capture_frames_dropped_total",
        _C,
        "capture",
        "Audio packets not written: late, duplicate, unordered. A veto is not counted.",
        ("reason",),
    ),
    Metric(
        "capture_packets_received_total", _C, "capture", "Packets of legs whose clips are sealed.", ("leg",)
    ),
    Metric(
        "capture_packets_lost_total",
        _C,
        "capture",
        "Packets of the same that the network lost, by their numbers.",
        ("leg",),
    ),
    Metric(
        "capture_jitter_seconds",
        _G,
        "capture",
        "Mean interarrival jitter (RFC 3550) of the worst recording in progress.",
        ("leg",),
    ),
    Metric("capture_gaps_total", _C, "capture", "Stretches without audio inside clips."),
    Metric("capture_sealed_total", _C, "capture", "Recordings that ended as they should."),
    Metric("capture_chunks_total", _C, "capture", "Encrypted chunks of clips that were sealed."),
    Metric("capture_failures_total", _C, "capture", "Recordings that failed.", ("reason",)),
    Metric("capture_horizon_bytes", _G, "capture", "Audio held in RAM until it is certain."),
    Metric(
        "capture_commit_lag_seconds", _G, "capture", "By how much the oldest held audio is past the horizon."
    ),
    Metric("capture_ring_records_torn_total", _C, "capture", "Ring records that were not whole."),
    Metric("catalogue_reachable", _G, "watch", "1 when the catalogue can be read and written."),
    Metric("clips", _G, "watch", "Clips that are not destroyed.", ("state", "purpose")),
    Metric("clips_destroyed", _G, "watch", "Clips of which only the tombstone is left."),
    Metric("audit_rows", _G, "watch", "Leaves of the audit log."),
    Metric("purge_overdue_clips", _G, "watch", "Clips still there a day after their deadline."),
    Metric(
        "purge_oldest_overdue_age_seconds",
        _G,
        "watch",
        "Since the deadline of the oldest of them; 0 for none.",
    ),
    Metric(
        "purge_last_success_timestamp_seconds",
        _G,
        "purge",
        "When a sweep last ended as it should; 0: not yet.",
    ),
    Metric("purge_sweeps_total", _C, "purge", "Sweeps: done, failed, clock-not-believed.", ("result",)),
    Metric("purge_clips_destroyed_total", _C, "purge", "Clips that this process has destroyed."),
    Metric(
        "keys_days_ahead",
        _G,
        "keys",
        "Days from now on which calls of this purpose have a key.",
        ("purpose",),
    ),
    Metric(
        "keys_openings_total",
        _C,
        "keys",
        "Asked openings of clips: granted, refused, failed.",
        ("purpose", "result"),
    ),
    Metric("keys_trouble", _G, "keys", "1 when day keys could not be made ahead."),
    Metric("disk_free_bytes", _G, "watch", "Free for this service on the disk of the clips."),
    Metric("disk_floor_bytes", _G, "watch", "With less free no recording begins: `[storage] reserve`."),
    Metric(
        "clock_offset_seconds", _G, "watch", "By how much the clock is moved on purpose; 0 in normal use."
    ),
    Metric("clock_believed", _G, "watch", "1 when the purge believes the clock."),
    Metric("clock_synchronised", _G, "watch", "1 when the kernel holds its clock to be synchronised."),
)

BY_NAME: Mapping[str, Metric] = {it.name: it for it in METRICS}


def sample(name: str, value: float | bool, *labels: str) -> Sample:
    """One figure. Raises KeyError for a metric that the table does not have, ValueError for other labels."""
    if len(labels) != len(BY_NAME[name].labels):
        raise ValueError(f"{name} has the labels {BY_NAME[name].labels}, not {labels}")
    return name, labels, float(value)


def counted(name: str, counts: Mapping[Any, float]) -> list[Sample]:
    """One figure for each key, which is its label or a tuple of them."""
    return [
        sample(name, value, *(key if isinstance(key, tuple) else (key,))) for key, value in counts.items()
    ]


def answered(samples: Iterable[Sample]) -> dict[str, Any]:
    """The answer of a process to the question "metrics"."""
    return {"ok": True, "samples": list(samples)}


def read(answer: Mapping[str, Any]) -> list[Sample]:
    """The other end of `answered`. What this version does not know is left out."""
    rows = [(str(name), tuple(labels), float(value)) for name, labels, value in answer.get("samples", ())]
    return [row for row in rows if row[0] in BY_NAME and len(row[1]) == len(BY_NAME[row[0]].labels)]
