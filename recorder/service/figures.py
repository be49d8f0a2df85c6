"""What processes count, in the words of the table of metrics."""

from __future__ import annotations

from recorder.metrics import Sample, counted, sample
from recorder.relay.broker import MediaBroker
from recorder.service.books import Books
from sip_hooks.transport import Transport
from storage.model import Outcome

OUTCOMES = tuple(it.value for it in Outcome)
"""Counters that an alert compares must be there at 0."""


def slug(words: str) -> str:
    """A label's value out of a counter's name."""
    return words.lower().replace(" ", "_")


def ledger_samples(books: Books) -> list[Sample]:
    """Of the calls that are over, and of what waits to be noted of them."""
    return [
        sample("ledger_notes_lost_total", books.lost),
        sample("ledger_notes_waiting", books.waiting),
        sample("calls_not_destroyed", books.to_be_destroyed),
        *counted("calls_total", dict.fromkeys(OUTCOMES, 0) | books.outcomes),
        *counted("call_reasons_total", books.reasons),
    ]


def sip_samples(transport: Transport) -> list[Sample]:
    """Of what came and went over SIP, what waits at its sockets, and what was refused."""
    engine = transport.engine
    return [
        sample("sip_transactions", engine.transactions),
        sample("sip_connections", engine.connections),
        sample("sip_messages_sent_total", engine.sent),
        *counted("sip_messages_received_total", engine.received),
        *counted("sip_events_total", {slug(kind): count for kind, count in engine.counters.items()}),
        sample("sip_overloaded", transport.is_shedding()),
        sample("sip_wait_seconds", transport.longest_wait()),
        *counted("sip_requests_refused_total", engine.overload.refused),
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
                sample("media_packets_refused_total", row["excess"], worker, "excess"),
                sample("media_reported_loss_ratio", row["reported_loss"], worker),
                sample("media_round_trip_seconds", row["round_trip_ns"] / 1e9, worker),
                sample("media_socket_errors_total", row["errors"], worker),
                sample("media_ring_records_dropped_total", row["dropped"], worker),
                sample("media_ring_locked", row["locked"], worker),
            ]
    return samples
