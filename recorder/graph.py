"""Which calls belong together, and what is known of all of them because it is known of one.

Calls are joined by what their messages say (Replaces, Join, Target-Dialog), by what they have in common (the
Call-ID, a Session-ID of RFC 7989, the address and port of media), and by a telephone that speaks in two calls
at once. Joining is for good: of a component that somebody taints every member is tainted, whoever of them has
ended meanwhile and whoever comes in later. Only a new dialog that nothing joins to it is free of that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Taint(StrEnum):
    """What is true of every call of a component."""

    WITHHELD = "withheld"  # one of them is private, privileged or among our own numbers
    UNREADABLE = "unreadable"  # in one of them somebody could not be read


@dataclass(slots=True, eq=False)
class _Component:
    calls: set[str] = field(default_factory=set)
    taints: set[Taint] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)


class Graph:
    """Calls by name. A key is anything hashable that only calls of one component have."""

    def __init__(self) -> None:
        self._of: dict[str, _Component] = {}
        self._by_key: dict[object, set[str]] = {}
        self._keys: dict[str, set[object]] = {}

    def add(self, call: str, keys: Iterable[object] = ()) -> None:
        """A call, or more of what it has in common with others."""
        if call not in self._of:
            self._of[call] = _Component({call})
            self._keys[call] = set()
        for key in keys:
            holders = self._by_key.setdefault(key, set())
            if holders:  # of whom each belongs to the others already
                self.join(call, next(iter(holders)))
            holders.add(call)
            self._keys[call].add(key)

    def join(self, one: str, other: str) -> None:
        """Two calls belong together; one that is not (or no more) known is ignored."""
        a, b = self._of.get(one), self._of.get(other)
        if a is None or b is None or a is b:
            return
        a, b = (a, b) if len(a.calls) >= len(b.calls) else (b, a)
        for gains, brings in ((a, b), (b, a)):
            gains.untold |= set() if brings.taints <= gains.taints else gains.calls
        a.calls |= b.calls
        a.taints |= b.taints
        a.untold |= b.untold
        for call in b.calls:
            self._of[call] = a

    def taint(self, call: str, taint: Taint) -> None:
        """This is known of a call, and so of all that belong to it."""
        component = self._of[call]
        if taint not in component.taints:
            component.taints.add(taint)
            component.untold |= component.calls

    def untold(self, call: str) -> list[str]:
        """Who of its component does not know all its taints yet, sorted; each is named once."""
        component = self._of[call]
        if not component.untold:
            return []
        found, component.untold = sorted(component.untold & component.calls), set()
        return found

    def taints(self, call: str) -> frozenset[Taint]:
        """What is known of a call because it is known of one that belongs to it, or of itself."""
        return frozenset(self._of[call].taints)

    def forget(self, call: str) -> None:
        """Nothing more will come of a call. What it has brought upon the others stays."""
        self.release(call)
        del self._keys[call]
        self._of.pop(call).calls.discard(call)

    def release(self, call: str) -> None:
        """A call has ended: what it had in common with others may be another's now."""
        keys, self._keys[call] = self._keys[call], set()
        for key in keys:
            holders = self._by_key[key]
            holders.discard(call)
            if not holders:
                del self._by_key[key]
