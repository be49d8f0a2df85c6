"""The certificate of destruction of one clip: a JSON document that says what was destroyed, how, and how
far to believe it (clips-and-keys, "Certificate").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from storage.epochs import GONE
from storage.model import AuditRow, Certificate, CertificateState, DestroyedDay, Tombstone

METHOD = "day key destroyed and keystore rewritten in a new epoch; objects removed; absence verified"
WITHDRAWN_METHOD = (
    "wrapped key removed from row and file; objects removed, absence verified; "
    "the key service refuses it for ever"
)
WITHDRAWN_LIMITS = (
    "a copy of file and wraps made before opens with the private keys of its purpose and of its deadline's "
    "day, until the latter is destroyed; the medium may remember what was overwritten"
)
OUTSIDE = "outside our control"
_EXPORTS = frozenset({"clip.export", "clip.download"})


def write(
    stone: Tombstone,
    evidence: DestroyedDay,
    locations: Sequence[str],
    leaves: Sequence[AuditRow],
    at: datetime,
) -> Certificate:
    """`locations`: every place where an object of the clip could lie, each found empty. `leaves`: the audit
    leaves about the clip and its day key.

    Final when the provider of K0 says that the old epoch key is not found; provisional with any other answer.
    """
    state = CertificateState.FINAL if evidence.answer == GONE else CertificateState.PROVISIONAL
    acts = [leaf for leaf in leaves if leaf.action in ("clip.shred", "key.destroy", "clip.bury")]
    document = {
        "certificate": 1,
        "state": state,
        "clip": stone.clip,
        "recording": stone.recording,
        "purpose": stone.purpose,
        "deadline_day": stone.deadline_day.isoformat(),
        "reason": stone.reason,
        "method": METHOD,
        "key": _key(evidence),
        "locations": list(locations),
        "remaining": [],
        "exports": [_export(leaf) for leaf in leaves if leaf.action in _EXPORTS],
        "witnesses": "none",
        "destroyed_at": stone.at.isoformat(),
        "issued_at": at.isoformat(),
        "actors": sorted({leaf.actor for leaf in acts}),
        "software": software(),
        "proof": [{"seq": leaf.seq, "action": leaf.action, "hash": leaf.hash} for leaf in acts],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Certificate(stone.clip, state, text, at)


def write_withdrawn(stone: Tombstone, locations: Sequence[str], leaves: Sequence[AuditRow]) -> Certificate:
    """Of a clip whose call was withdrawn: it names neither agent, line, purpose nor instant. Provisional, for
    a copy of file and wraps from before has the key of its deadline's day until that is destroyed.
    """
    state = CertificateState.PROVISIONAL
    document = {
        "certificate": 1,
        "state": state,
        "clip": stone.clip,
        "day": stone.deadline_day.isoformat(),
        "reason": stone.reason,
        "method": WITHDRAWN_METHOD,
        "limits": WITHDRAWN_LIMITS,
        "locations": list(locations),
        "remaining": [],
        "exports": [{"action": leaf.action, "note": OUTSIDE} for leaf in leaves if leaf.action in _EXPORTS],
        "witnesses": "none",
        "software": software(),
        "proof": [
            {"seq": leaf.seq, "action": leaf.action, "hash": leaf.hash}
            for leaf in leaves
            if leaf.action == "clip.shred"
        ],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Certificate(stone.clip, state, text, stone.at)


def software() -> str:
    """Name and version, as installed."""
    try:
        return f"doelband {version('doelband')}"
    except PackageNotFoundError:
        return "doelband, not installed"


def _key(evidence: DestroyedDay) -> dict[str, object]:
    named = asdict(evidence)
    return {name: named[name] for name in ("fingerprint", "epoch", "provider", "answer", "statement")}


def _export(leaf: AuditRow) -> dict[str, str]:
    return {"at": leaf.at.isoformat(), "actor": leaf.actor, "action": leaf.action, "note": OUTSIDE}
