"""Whether calls would be handled and recorded as configured, and if not, what to do.

One verdict for `/readyz`, the metric and `doelband status`. A shut gate is not unready: that nothing is
recorded is then what was decided. An overdue purge is a warning and the first of the alarms, but it keeps no
call from being recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is for machines, `what` and `remedy` for people."""

    code: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is judged. `disk_floor_bytes`: with less free no clip begins. `days_ahead`: by purpose, for how
    many days from now on calls have a key. `is_trunk_unwitnessed`: nobody says who speaks inside.
    """

    processes_up: Mapping[str, bool]
    media_connected: bool
    capture_connected: bool
    keys_answer: bool
    catalogue_writable: bool
    disk_free_bytes: int
    disk_floor_bytes: int
    days_ahead: Mapping[str, int] = field(default_factory=dict)
    overdue: int = 0
    clock_believed: bool = True
    clock_moved_seconds: float = 0.0
    ignored_approvals: int = 0
    is_trunk_unwitnessed: bool = False
    overloaded: bool = False


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready when nothing is missing. `warnings` are said, and change nothing."""

    missing: Sequence[Finding]
    warnings: Sequence[Finding]

    @property
    def is_ready(self) -> bool:
        return not self.missing


def judge(facts: Facts) -> Readiness:
    """Every condition is looked at."""
    return Readiness(tuple(_missing(facts)), tuple(_warnings(facts)))


def _missing(facts: Facts) -> list[Finding]:
    down = [name for name, is_up in facts.processes_up.items() if not is_up]
    found = [Finding(f"process-down:{name}", f"{name} does not answer", _DOWN) for name in down]
    conditions = (
        (facts.media_connected or "signalling" in down, _MEDIA),
        (facts.capture_connected or "signalling" in down, _CAPTURE),
        (facts.keys_answer or "keys" in down, _KEYS),
        (facts.catalogue_writable, _CATALOGUE),
        (facts.disk_free_bytes >= facts.disk_floor_bytes, _DISK),
    )
    found += [finding for holds, finding in conditions if not holds]
    for purpose, days in facts.days_ahead.items():
        if days < 1:
            what = f"calls for {purpose} have no key, so they are not recorded"
            found.append(Finding(f"no-day-key:{purpose}", what, "see what the keys process logs"))
    return found


def _warnings(facts: Facts) -> list[Finding]:
    moved, ignored = facts.clock_moved_seconds, facts.ignored_approvals
    conditions = (
        (
            facts.overdue,
            "purge-overdue",
            f"{facts.overdue} clips are still there a day after their deadline",
            "see `doelband purge status` and the log of the purge",
        ),
        (
            not facts.clock_believed,
            "clock-not-believed",
            "the clock is not believed, so nothing is destroyed",
            "set it right, or let two people run `doelband purge confirm-clock`",
        ),
        (
            moved,
            "clock-moved",
            f"the clock is moved by {moved:.0f} s (clock.offset_file)",
            "only demonstrations and tests want that: take the file away",
        ),
        (
            ignored,
            "approvals-ignored",
            f"{ignored} approvals in the catalogue carry no valid signature and are ignored",
            "somebody may have edited the catalogue: see `doelband scheme status` and the audit log",
        ),
        (facts.is_trunk_unwitnessed, *UNWITNESSED),
        (
            facts.overloaded,
            "overloaded",
            "more SIP arrives than can be done, so new calls are refused; those that run go on",
            "see what sends so much, and docs/performance.md for a larger machine",
        ),
    )
    return [Finding(code, what, remedy) for holds, code, what, remedy in conditions if holds]


UNWITNESSED = (
    "trunk-without-evidence",
    "nobody says who speaks inside the PBX, so no call is recorded on the trunk side",
    'it was chosen with evidence = "none" in [trunk]',
)
_DOWN = "it is started again by itself; if that does not last, see its log"
_MEDIA = Finding(
    "media-not-connected", "signalling does not reach the media broker", "see the supervisor's log"
)
_CAPTURE = Finding("capture-not-connected", "signalling does not reach capture", "see the log of capture")
_KEYS = Finding("keys-silent", "the key service does not answer", "see the log of the keys process")
_CATALOGUE = Finding(
    "catalogue-not-writable",
    "the catalogue cannot be written",
    "look at the disk and the rights of its directory",
)
_DISK = Finding(
    "disk-low",
    "the disk of the clips is nearly full, so no recording begins",
    "make room, or give it a larger disk",
)
