"""How much one source on the phones' side may send: a token bucket for each.

A source is an IPv4 address or an IPv6 network of 64 bits: whoever has one address there has them all.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address

from sip_hooks.settings import Limits

_MOST_SOURCES = 65536
_BURST_SECONDS = 4.0  # of the rate may come at once


@dataclass(slots=True)
class _Bucket:
    requests: float
    messages: float
    at: float


class Sources:
    """The buckets of everybody who has sent something lately."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def allows(self, address: str, is_new: bool, now: float) -> bool:
        """Count a message from a canonical address. `is_new`: it is a request that opens something new."""
        bucket = self._filled(source_of(address), now)
        bucket.messages -= 1.0
        bucket.requests -= is_new
        is_within = _is_within(bucket.messages, self.limits.messages_per_second)
        if is_new and not _is_within(bucket.requests, self.limits.requests_per_second):
            is_within = False
        bucket.messages, bucket.requests = max(bucket.messages, 0.0), max(bucket.requests, 0.0)
        return is_within

    def _filled(self, source: str, now: float) -> _Bucket:
        most_requests = self.limits.requests_per_second * _BURST_SECONDS
        most_messages = self.limits.messages_per_second * _BURST_SECONDS
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = _Bucket(most_requests, most_messages, now)
            if len(self._buckets) > _MOST_SOURCES:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(source)
        passed = max(0.0, now - bucket.at)
        bucket.requests = min(most_requests, bucket.requests + passed * self.limits.requests_per_second)
        bucket.messages = min(most_messages, bucket.messages + passed * self.limits.messages_per_second)
        bucket.at = now
        return bucket


def source_of(address: str) -> str:
    """Return what an address counts as."""
    if ":" not in address:
        return address
    return IPv6Address(address).packed[:8].hex()


def _is_within(left: float, rate: int) -> bool:
    return rate == 0 or left >= 0.0
