"""What may be asked of a running call, and why it is not granted: reason codes, none if it is."""

from __future__ import annotations

from typing import NamedTuple

from recorder.decision import CallFacts, Reason, Rules, Verdict, decide
from recorder.ends import Ends
from recorder.leg import Phase, Word, wanted, word
from recorder.recordings import Recordings

NOT_RECORDED = "not-recorded"
PAUSED_BEFORE = "paused-before"
NOT_PAUSED = "not-paused"


class Standing(NamedTuple):
    """Where a call stands when somebody asks."""

    facts: CallFacts
    verdict: Verdict
    rules: Rules
    phase: Phase
    recordings: Recordings
    ends: Ends
    is_anchored: bool


def against_recording(purpose: str, now: Standing) -> tuple[str, ...]:
    """Why this purpose is not recorded, although somebody asks for it; nothing if it is, or may be."""
    if purpose in now.recordings.running():
        return ()
    if now.phase is Phase.SUPPRESSED or purpose in now.recordings:
        return ("stopped-before",)
    asked = now.facts._replace(requested=now.facts.requested | {purpose})
    verdict = decide(asked, now.rules)
    found = verdict.purposes.get(purpose)
    if found is None:
        return (Reason.NOT_PERMITTED.value,)
    if purpose not in wanted(verdict):
        return tuple(it.value for it in found.reasons) + verdict.details
    if not now.is_anchored:
        return ("not-anchored",)
    obstacle = now.ends.obstacle(now.recordings.purposes())
    return () if obstacle is None else (obstacle,)


def against_pausing(now: Standing) -> tuple[str, ...]:
    """A pause is never made longer: it ends when it was to end. Before a recording begins one holds it up."""
    if now.facts.paused:
        return (PAUSED_BEFORE,)
    if now.phase is Phase.SUPPRESSED or word(now.verdict) in (Word.NEVER, Word.REFRAIN):
        return (NOT_RECORDED, *(it.value for it in now.verdict.reasons))
    return ()


def against_resuming(now: Standing) -> tuple[str, ...]:
    """Only a pause that somebody asked for is ended by asking."""
    return () if now.facts.paused else (NOT_PAUSED,)
