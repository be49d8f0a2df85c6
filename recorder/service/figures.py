"""What processes count, in the words of the table of metrics."""

from __future__ import annotations

from recorder.metrics import Sample, counted, sample
from recorder.relay.broker import MediaBroker
from sip_hooks.transport import Transport
from storage.model import Outcome

OUTCOMES = tuple(it.value for it in Outcome)
"""Counters that an alert compares must be there at 0."""


def slug(words: str) -> str:
    """A label's value out of a counter's name."""
    return words.lower().replace(" ", "_")


def overload_samples(transport: Transport) -> list[Sample]:
    """Of what waits at the SIP sockets, and what was refused."""
    return [
        sample("sip_overloaded", transport.is_shedding()),
        sample("sip_wait_seconds", transport.longest_wait()),
        *counted("sip_requests_refused_total", transport.engine.overload.refused),
    ]


async def media_samples(broker: MediaBroker) -> list[Sample]:
    """Of the broker and of every relay worker that is attached; one that does not answer is down."""
    samples = [
        *counted("media_port_pairs", broker.ports()),
        sample("media_orders_refused_total", broker.refused),
    ]
    for row in await broker.stats():
        worker = str(row["worker"])
        samples.append(sample("process_up", row["answers"], f"relay-{worker}"))
        if row["answers"]:
            samples += [
                sample("media_sessions", row["calls"], worker),
                sample("media_packets_forwarded_total", row["packets"], worker),
                sample("media_packets_refused_total", row["foreign"], worker, "foreign"),
                sample("media_packets_refused_total", row["malformed"], worker, "malformed"),
                sample("media_packets_refused_total", row["refused"], worker, "payload_type"),
                sample("media_socket_errors_total", row["errors"], worker),
                sample("media_ring_records_dropped_total", row["dropped"], worker),
                sample("media_ring_locked", row["locked"], worker),
            ]
    return samples
