"""The gate: nothing is recorded without the works council's signature over exactly this scheme.

KSF 3.11, WOR 27.

An act (approve, withdraw) is an Ed25519 signature over a domain label, the act, the scheme's hash and the
instant. The document that was signed is kept beside it, so that a stricter scheme can be told from a changed
one. Rows that carry no valid signature are as if they were not there; they are counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recorder.scheme import Scheme, canonical, is_stricter, parse, scheme_hash

Act = Literal["approve", "withdraw"]
_LABEL = b"doelband scheme approval v1\0"


class GateReason(StrEnum):
    """Why the gate is open (the first two) or shut."""

    APPROVED = "approved"
    AWAITING_RATIFICATION = "stricter-awaiting-ratification"
    NO_AUTHORITY = "no-council-key-enrolled"
    NEVER_APPROVED = "never-approved"
    CHANGED = "changed-since-approval"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Approval:
    """One act as it lies in the catalogue. `document` is the canonical scheme that was signed."""

    act: Act
    scheme_hash: str
    at: datetime
    signature: bytes
    document: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """Whose signature counts: `key` is 32 bytes of Ed25519. `declaration` says why no council is required."""

    key: bytes
    declaration: str | None = None


@dataclass(frozen=True, slots=True)
class GateStatus:
    """Whether recording is allowed, and by which schemes together. `ignored` rows had no valid signature."""

    approved: bool
    reason: GateReason
    in_force: tuple[Scheme, ...]
    approved_at: datetime | None = None
    ignored: int = 0

    @property
    def awaiting_ratification(self) -> bool:
        return self.reason is GateReason.AWAITING_RATIFICATION


def authority(council: bytes | None, management: bytes | None, declaration: str | None) -> Authority | None:
    """The council's key; where a declaration says that no council is required, the management's."""
    if council is not None:
        return Authority(council)
    if management is not None and declaration:
        return Authority(management, declaration)
    return None


def approval_bytes(act: Act, scheme_hash: str, at: datetime) -> bytes:
    """What is signed. `at` is an aware instant; it is written in UTC with microseconds."""
    if at.tzinfo is None:
        raise ValueError("an approval needs an aware instant; give the time zone")
    instant = at.astimezone(UTC).isoformat(timespec="microseconds")
    body = {"act": act, "at": instant, "scheme": scheme_hash}
    return _LABEL + json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def sign_approval(act: Act, scheme: Scheme, at: datetime, key: Ed25519PrivateKey) -> Approval:
    """An act over this scheme, signed."""
    digest = scheme_hash(scheme)
    return Approval(act, digest, at, key.sign(approval_bytes(act, digest, at)), canonical(scheme))


def judge_approvals(scheme: Scheme, approvals: Iterable[Approval], authority: Authority | None) -> GateStatus:
    """The latest valid act decides. A stricter scheme acts at once, together with the approved one."""
    rows = list(approvals)
    if authority is None:
        return GateStatus(False, GateReason.NO_AUTHORITY, (scheme,), ignored=len(rows))
    valid = [it for it in rows if _is_valid(it, authority)]
    ignored = len(rows) - len(valid)
    if not valid:
        return GateStatus(False, GateReason.NEVER_APPROVED, (scheme,), ignored=ignored)
    latest = max(valid, key=lambda it: (it.at, it.act))  # at the same instant the withdrawal wins
    if latest.act == "withdraw":
        return GateStatus(False, GateReason.WITHDRAWN, (scheme,), ignored=ignored)
    if latest.scheme_hash == scheme_hash(scheme):
        return GateStatus(True, GateReason.APPROVED, (scheme,), latest.at, ignored)
    approved = _signed_scheme(latest)
    if approved is None or not is_stricter(approved, scheme):
        return GateStatus(False, GateReason.CHANGED, (scheme,), ignored=ignored)
    return GateStatus(True, GateReason.AWAITING_RATIFICATION, (scheme, approved), latest.at, ignored)


def _is_valid(approval: Approval, authority: Authority) -> bool:
    """Signed by the authority. A withdrawal counts whatever became of its document."""
    try:
        signed = approval_bytes(approval.act, approval.scheme_hash, approval.at)
        Ed25519PublicKey.from_public_bytes(authority.key).verify(approval.signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_scheme(approval: Approval) -> Scheme | None:
    """The scheme that was approved, if the document kept is the one that was signed."""
    try:
        scheme = parse(approval.document)
    except ValueError:
        return None
    return scheme if scheme_hash(scheme) == approval.scheme_hash else None
