"""Which rules are asked first: those that look at nothing but who the parties of a call are.

What they keep out nobody else has to judge, and nothing that happens in the call changes it but a new name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

SAYING_WHO = (
    "direction",
    "dialled",
    "inside",
    "outside",
    "everyone",
    "hearsay",
    "claimed",
    "vouching",
    "withheld_elsewhere",
    "withdrawn",
)
"""Facts of `decision.CallFacts`: who the parties are, and whether nothing may be kept of the call."""

_OF_WHO: set[object] = set()


def of_who(rule: T) -> T:
    """Mark a rule that looks at no other facts than `SAYING_WHO`."""
    _OF_WHO.add(rule)
    return rule


def is_of_who(rule: object) -> bool:
    """Whether a rule is marked so."""
    return getattr(rule, "__func__", rule) in _OF_WHO


@lru_cache(maxsize=8)
def parted(rules: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """The rules that look at nothing but who the parties are, and the others."""
    return tuple(filter(is_of_who, rules)), tuple(it for it in rules if not is_of_who(it))
