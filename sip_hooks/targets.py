"""Which servers are the PBX, and which of them a request goes to (RFC 3263 §4, RFC 2782).

Whoever resolves names says what they are; here they are only put in order and passed over when they fail. A
target that has failed is passed over until it is heard of again after `REST_SECONDS`; when all have failed,
one is tried all the same. What was a target once still counts as the PBX, for calls that run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sip_hooks.settings import Address, Transport

UNKNOWN: Address = ("", 0)
"""The address of a PBX that has a name, before anybody has resolved it."""
REST_SECONDS = 30.0
PATIENCE_SECONDS = 4.0
"""How long a target may be silent when there is another one; a 100 is owed within 200 ms (§17.2.1)."""
_MOST_REMEMBERED = 64


class Record(NamedTuple):
    """One server (RFC 2782): of the lowest priority those that work; weight is its share among them."""

    address: Address
    priority: int = 0
    weight: int = 0


def in_order(records: Iterable[Record], draw: Callable[[int], int]) -> tuple[Address, ...]:
    """Return the addresses in the order in which they are to be tried; `draw(n)` draws a number below n."""
    found: list[Address] = []
    left = sorted(records, key=lambda it: (it.priority, it.weight))
    while left:
        equals = [it for it in left if it.priority == left[0].priority]
        chosen = draw(sum(it.weight for it in equals) + 1)
        for it in equals:
            chosen -= it.weight
            if chosen <= 0:
                break
        left.remove(it)
        if it.address not in found:
            found.append(it.address)
    return tuple(found)


class Targets:
    """The PBX's servers, the best first, and over what they are spoken to."""

    def __init__(self, first: Address, transport: Transport = "udp") -> None:
        self.transport = transport
        self._order: tuple[Address, ...] = () if first == UNKNOWN else (first,)
        self._known: dict[Address, None] = dict.fromkeys(self._order)
        self._failed: dict[Address, float] = {}

    def set(self, order: Sequence[Address], now: float, transport: Transport | None = None) -> None:
        """The servers are these; what failed a while ago may be tried again. Nothing is no news.

        `transport`: over what, when that may have changed.
        """
        self._failed = {it: at for it, at in self._failed.items() if at + REST_SECONDS > now}
        if order:
            self._order, self.transport = tuple(order), transport or self.transport
            self._known |= dict.fromkeys(order)
            for old in [it for it in self._known if it not in order][: -_MOST_REMEMBERED or None]:
                del self._known[old]

    @property
    def current(self) -> Address | None:
        """Where a request goes; None while nobody knows."""
        living = (it for it in self._order if it not in self._failed)
        return next(living, self._order[0] if self._order else None)

    def includes(self, source: Address, *, any_port: bool = False) -> bool:
        """Whether something that comes from there comes from the PBX."""
        return any(source[0] == it[0] for it in self._known) if any_port else source in self._known

    def has_others(self, address: Address) -> bool:
        """Whether there is another server when this one does not answer."""
        return address in self._order and any(it not in (address, *self._failed) for it in self._order)

    def after(self, failed: Address, now: float) -> Address | None:
        """This one has failed: return which one to try in its place, None for none."""
        if not self.has_others(failed):
            return None
        self._failed[failed] = now
        return self.current
