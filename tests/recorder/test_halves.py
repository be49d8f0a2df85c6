"""Which calls on the two sides of a PBX may be halves of one: to keep out, so it is asked generously."""

from __future__ import annotations

import pytest

from recorder.decision import CallFacts, Direction
from recorder.trunk_legs import may_be_one

SERVICE = "+31201234567"


def of(*outside: str, anonymous: bool = False) -> CallFacts:
    """A call from outside to the business number."""
    return CallFacts(Direction.INBOUND, outside=frozenset(outside), dialled=SERVICE, anonymous=anonymous)


def to(dialled: str) -> CallFacts:
    return CallFacts(Direction.OUTBOUND, dialled=dialled)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (to("*310612345678"), to("+31612345678"), True),  # a prefix, and a country code
        (to("06-12-34-56-78"), to("0031612345678"), True),
        (to("0612345678"), to("0612345679"), False),
        (of("+31612345678@10.0.0.2"), of("0612345678"), True),
        (of("+31612345678"), of("+31612345679"), False),  # both to the business number
        (of("queue1"), of("lobby2"), True),  # of neither a number is known
        (of("anonymous", anonymous=True), of("anonymous", anonymous=True), True),
        (of("+31612345678", anonymous=True), of("+31687654321", anonymous=True), True),  # written by whoever
        (of("+31612345678", anonymous=True), of("+31687654321"), False),
        (of("queue"), of("+31687654321"), False),
    ],
)
def test_what_may_be_one_call(one: CallFacts, other: CallFacts, expected: bool) -> None:
    assert may_be_one(one, other) is may_be_one(other, one) is expected
