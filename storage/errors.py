"""What can go wrong with the book of record.

Every error says what was attempted and what to do about it; the command line prints both and adds nothing.
No message carries a number, a name of an outside party, or key material.
"""

from __future__ import annotations


class StorageError(Exception):
    """Something the book of record could not do."""

    def __init__(self, attempted: str, remedy: str) -> None:
        super().__init__(f"{attempted}: {remedy}")
        self.attempted = attempted
        self.remedy = remedy


class NotFound(StorageError):
    """There is no such row or file."""


class Refused(StorageError):
    """A rule forbids it. `reason` is a code; the words are made at the edge."""

    def __init__(self, reason: str, attempted: str, remedy: str) -> None:
        super().__init__(attempted, remedy)
        self.reason = reason


class IllegalStep(Refused):
    """The lifecycle table has no such step from this state."""

    def __init__(self, state: str, step: str) -> None:
        super().__init__(
            "illegal-step",
            f"{step} a recording that is {state}",
            "nothing was changed; look at its state with `doelband clips show`",
        )
        self.state = state
        self.step = step


class Conflict(StorageError):
    """The row exists already, or names another row that does not exist."""


class Unavailable(StorageError):
    """The medium or a service did not answer: full, locked, unreachable. Trying again later may help."""


class DiskFull(Unavailable):
    """There is no room left for a row."""


class NoDayKey(Unavailable):
    """The bundle holds no public key for this purpose and deadline day: the call is not recorded."""


class WriteFailed(Unavailable):
    """A write or a sync of a clip failed. The clip is given up; the same file is never tried again."""


class Corrupt(StorageError):
    """What was read back is not what was written."""


class Forgery(Corrupt):
    """What was read back was changed by somebody who lacks the key to do so."""
