"""What is said of a call's parties before they speak, and what is said to them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple


class Rung(NamedTuple):
    """What a provisional response of one fork said of a party, in one header. `to_tag`: "" if it had none."""

    to_tag: str
    side: Literal["inside", "outside"]
    header: str
    names: frozenset[str]


class Heard(NamedTuple):
    """An announcement that was played whole: the SHA-256 of its file, in hexadecimal, from when to when."""

    sha256: str
    began: datetime
    ended: datetime
