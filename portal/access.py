"""Who may open a clip: facts in, a verdict with its reasons out (KSF 3.3, 3.4). Pure.

Management grants: a person may do these things with the clips of one purpose, on these lines, until then.
What management signs is `grant_document`; whoever checks believes that document and nothing beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from purge.verdict import is_past

GRANT_LABEL = "doelband/grant/1"


class Action(StrEnum):
    """What can be done with a clip; each is granted, and audited, apart."""

    LIST = "list"
    PLAY = "play"
    DOWNLOAD = "download"
    EXPORT = "export"


class Reason(StrEnum):
    GRANTED = "granted"
    NO_MANAGEMENT = "no-management"  # no key of management is enrolled
    NOT_SIGNED = "not-signed"  # grants there are, but management signed none of them
    NO_GRANT = "no-grant"
    OTHER_PURPOSE = "other-purpose"  # the clip was recorded for another one
    GRANTED_OTHERWISE = "granted-for-other-purpose"
    OTHER_LINE = "other-line"
    OTHER_ACTION = "other-action"
    GRANT_ENDED = "grant-ended"
    NO_REASON = "no-reason"
    PAST_DEADLINE = "past-deadline"
    NOT_SEALED = "not-sealed"


@dataclass(frozen=True, slots=True)
class Grant:
    """What management signed. No `lines` means every line of the purpose. It ends at `until_at`."""

    id: str
    person: str
    purpose: str
    lines: tuple[str, ...]
    actions: frozenset[Action]
    until_at: datetime
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What there is to know of a clip. `is_sealed`: finished, and neither destroyed nor condemned."""

    clip: str
    purpose: str
    line: str
    deadline_day: date
    is_sealed: bool


@dataclass(frozen=True, slots=True)
class Request:
    """`purpose` is what the person says to listen for, `reason` why, in their words."""

    actor: str
    action: Action
    purpose: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    reasons: tuple[Reason, ...]


def may(request: Request, clip: ClipFacts, grants: Sequence[Grant], read_at: datetime) -> Verdict:
    """May this be done, at the later of the clock witnesses?

    `grants` are such as management signed and did not revoke. Every rule is asked; one that forbids outweighs
    any grant.
    """
    forbidding = []
    if not clip.is_sealed:
        forbidding.append(Reason.NOT_SEALED)
    if is_past(clip.deadline_day, read_at):
        forbidding.append(Reason.PAST_DEADLINE)
    if request.purpose != clip.purpose:
        forbidding.append(Reason.OTHER_PURPOSE)
    if request.action is not Action.LIST and not request.reason.strip():
        forbidding.append(Reason.NO_REASON)
    missing = _missing(request, clip, grants, read_at)
    if missing:
        forbidding.append(missing)
    return Verdict(not forbidding, tuple(forbidding) or (Reason.GRANTED,))


def _missing(request: Request, clip: ClipFacts, grants: Sequence[Grant], read_at: datetime) -> Reason | None:
    """The first thing that no grant of the person has, None if one has all."""
    steps = (
        (Reason.NO_GRANT, lambda grant: grant.person == request.actor),
        (Reason.GRANTED_OTHERWISE, lambda grant: grant.purpose == request.purpose),
        (Reason.OTHER_LINE, lambda grant: not grant.lines or clip.line in grant.lines),
        (Reason.OTHER_ACTION, lambda grant: request.action in grant.actions),
        (Reason.GRANT_ENDED, lambda grant: read_at < grant.until_at),
    )
    left = list(grants)
    for reason, holds in steps:
        left = [grant for grant in left if holds(grant)]
        if not left:
            return reason
    return None


def grant_document(grant: Grant) -> bytes:
    """Canonical JSON, to be signed by management with the label GRANT_LABEL."""
    return _canonical(
        {
            "id": grant.id,
            "person": grant.person,
            "purpose": grant.purpose,
            "lines": sorted(grant.lines),
            "actions": sorted(grant.actions),
            "until_at": _instant(grant.until_at),
            "granted_by": grant.granted_by,
            "granted_at": _instant(grant.granted_at),
        }
    )


def parse_grant(document: bytes) -> Grant:
    """The reverse. Raises ValueError for anything that `grant_document` does not write."""
    try:
        value = json.loads(document)
        grant = Grant(
            id=value["id"],
            person=value["person"],
            purpose=value["purpose"],
            lines=tuple(value["lines"]),
            actions=frozenset(Action(action) for action in value["actions"]),
            until_at=datetime.fromisoformat(value["until_at"]),
            granted_by=value["granted_by"],
            granted_at=datetime.fromisoformat(value["granted_at"]),
        )
        is_exact = grant_document(grant) == document
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("this is no grant") from error
    if not is_exact:
        raise ValueError("this is no grant in canonical form")
    return grant


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
