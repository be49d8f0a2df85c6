"""The certificate: everything that was done, and how far to believe it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from purge.certificate import METHOD, OUTSIDE, write
from storage.model import AuditRow, CertificateState, DestroyedDay, Tombstone
from tests.fakes.clips import DAY
from tests.fakes.clock import START

STONE = Tombstone("aa" * 16, "bb" * 16, "coaching", DAY, "deadline-passed", START)
EVIDENCE = DestroyedDay("coaching", DAY, "f0" * 32, 7, "file", "not found", "logical deletion")


def leaf(seq: int, action: str, actor: str = "purge") -> AuditRow:
    return AuditRow(seq, START, actor, action, STONE.clip, "", "c" * 64, "p" * 64, f"{seq:064x}", None)


LEAVES = [
    leaf(1, "clip.open", "recorder"),
    leaf(2, "clip.export", "ann"),
    leaf(3, "clip.play", "bob"),
    leaf(4, "clip.shred"),
    leaf(5, "key.destroy"),
    leaf(6, "clip.bury"),
]


def test_it_says_everything_once() -> None:
    certificate = write(STONE, EVIDENCE, ["clips/a.clip"], LEAVES, START + timedelta(seconds=1))
    document = json.loads(certificate.document)
    software = document.pop("software")
    assert software.startswith("doelband")
    assert document == {
        "certificate": 1,
        "state": "final",
        "clip": STONE.clip,
        "recording": STONE.recording,
        "purpose": "coaching",
        "deadline_day": "2026-03-31",
        "reason": "deadline-passed",
        "method": METHOD,
        "key": {
            "fingerprint": "f0" * 32,
            "epoch": 7,
            "provider": "file",
            "answer": "not found",
            "statement": "logical deletion",
        },
        "locations": ["clips/a.clip"],
        "remaining": [],
        "exports": [{"at": START.isoformat(), "actor": "ann", "action": "clip.export", "note": OUTSIDE}],
        "witnesses": "none",
        "destroyed_at": START.isoformat(),
        "issued_at": (START + timedelta(seconds=1)).isoformat(),
        "actors": ["purge"],
        "proof": [
            {"seq": seq, "action": action, "hash": f"{seq:064x}"}
            for seq, action in ((4, "clip.shred"), (5, "key.destroy"), (6, "clip.bury"))
        ],
    }


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("not found", CertificateState.FINAL),
        ("present", CertificateState.PROVISIONAL),
        ("", CertificateState.PROVISIONAL),
    ],
)
def test_it_is_final_only_when_the_provider_finds_no_key(answer: str, state: CertificateState) -> None:
    certificate = write(STONE, replace(EVIDENCE, answer=answer), [], LEAVES, START)
    assert certificate.state is state
    assert json.loads(certificate.document)["state"] == state
