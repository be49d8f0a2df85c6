"""What a source of evidence says, and how soon it has to be missed when it says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

ASK_AFTER = timedelta(seconds=2)
"""A source that has said nothing for so long is asked whether it is there."""
LOST_AFTER = timedelta(seconds=4)
"""A source that has said nothing for so long is lost. Less than the horizon of the trunk side, which is at
least five seconds: what it no longer vouches for has not reached a clip by then."""


class Broken(Exception):
    """What comes is not what it should be, or it does not let us in; the text says why."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Who is connected inside with one call on the trunk.

    `conversation`: which call (`sip_hooks.events.conversation_of`). `inside`: every name and number of
    whoever speaks there, None when that is not certain, or nobody. `at`: aware UTC, as of when it is true.
    """

    conversation: str
    inside: frozenset[str] | None = field(repr=False)
    at: datetime


class Reader(Protocol):
    """One connection to a source, without I/O."""

    @property
    def is_ready(self) -> bool:
        """Whether the source has let us in."""

    @property
    def state(self) -> str:
        """What else there is to say of it in `doelband status`; often nothing."""

    def receive(self, data: bytes, now: datetime) -> list[Statement]:
        """Take in bytes; none says that nothing has come for ASK_AFTER. Raises Broken."""

    def to_send(self) -> bytes:
        """What is to be written, once."""

    def ask(self, now: datetime, conversation: str = "") -> None:
        """Have it said anew, as of now, who speaks in this conversation; in all if none is named."""
