"""What signalling turned away, told in the log: of each kind a line in ten seconds at most, as counts alone.

No line names a source: whoever looks for one finds it with a packet capture.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import structlog

from sip_hooks.engine import Engine
from sip_hooks.overload import SOURCE
from sip_hooks.urgency import Urgency

log = structlog.get_logger()

REPORT_SECONDS = 10.0


class Refusals:
    """What was turned away since it was told last."""

    def __init__(self) -> None:
        self._shed: Counter[str] = Counter()
        self._over_limit: Counter[str] = Counter()

    def tell(self, shed: Mapping[str, int], over_limit: Mapping[str, int]) -> None:
        """Log what has grown. Both are totals since the start, by what it is that was turned away."""
        if grown := _grown(self._shed, shed):
            log.warning("more SIP arrives than can be done: requests were refused", **grown)
        if grown := _grown(self._over_limit, over_limit):
            log.warning("somebody sends more than one address may", **grown)


def _grown(told: Counter[str], totals: Mapping[str, int]) -> dict[str, int]:
    """By how much each has grown since it was told of; nothing when none has."""
    grown = {name: total - told[name] for name, total in totals.items()}
    told.update(grown)
    return grown if any(grown.values()) else {}


async def keep_telling_refusals(engine: Engine) -> None:
    """Tell of them for as long as this runs."""
    refusals = Refusals()
    while True:
        refused, counters = engine.overload.refused, engine.counters
        refusals.tell(
            {
                "calls": refused[Urgency.CALL.value],
                "other_requests": refused[Urgency.OUTSIDE.value],
                "dropped": counters["dropped in overload"],
            },
            {
                "requests": refused[SOURCE],
                "dropped": counters["dropped over the limit of a source"],
                "connections": counters["connections over the limit of a source"],
            },
        )
        await asyncio.sleep(REPORT_SECONDS)
