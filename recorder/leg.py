"""How far one leg has come on its way into a clip: one table.

A leg is one pass of one dialog, with one of our own people at one end. What `decide` says of it comes in as
one of four words, the next phase goes out, and the session acts on the difference. Nothing else opens a tap.

    HOLD        nothing leaves RAM: it is not certain who speaks, or nothing is wanted (yet)
    ANNOUNCING  both parties are certain, and the outside party is being told: nothing is taken until it has
                heard the announcement to its end (KSF 6.6)
    ELIGIBLE    both parties are certain and a purpose wants it: recording begins as soon as media allows
    RECORDING   audio reaches the clip when it is older than the commit horizon
    PAUSED      something has come up that may pass: nothing is taken, the clip waits with a mark
    SUPPRESSED  for good: what is younger than the horizon is dropped, the clip ends where it was last certain

How evidence enters. Facts (`CallFacts`) are of two sorts. What has been said of a party only grows: a veto
that rests on it is never taken back. *Doubts* (`recorder.decision.Doubt`) come and go: whoever sees a reason
to doubt who speaks adds one (`Session.doubt`), whoever has positive evidence that settles it removes it
(`Session.settle`). One doubt holds the leg (HOLD, PAUSED), whatever else is known; none gives no permission:
that still takes a rule that permits. Every source of evidence, of the phone side or of the trunk side, uses
these two doors and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from recorder.decision import NEVER, Action, Verdict


class Phase(StrEnum):
    """Where a leg stands."""

    HOLD = "hold"
    ANNOUNCING = "announcing"
    ELIGIBLE = "eligible"
    RECORDING = "recording"
    PAUSED = "paused"
    SUPPRESSED = "suppressed"


class Word(StrEnum):
    """What the verdict comes down to, the strongest first."""

    NEVER = "never"  # somebody is in the call who is never recorded
    REFRAIN = "refrain"  # no purpose is to be recorded, and nothing will change that by itself
    WAIT = "wait"  # a purpose might be recorded once something is certain
    ANNOUNCE = "announce"  # a purpose is to be recorded when the outside party has been told
    RECORD = "record"  # a purpose is to be recorded now


_P, _W = Phase, Word
TABLE: Mapping[Phase, Mapping[Word, Phase]] = MappingProxyType(
    {
        _P.HOLD: {
            _W.NEVER: _P.SUPPRESSED,
            _W.REFRAIN: _P.HOLD,
            _W.WAIT: _P.HOLD,
            _W.ANNOUNCE: _P.ANNOUNCING,
            _W.RECORD: _P.ELIGIBLE,
        },
        _P.ANNOUNCING: {
            _W.NEVER: _P.SUPPRESSED,
            _W.REFRAIN: _P.HOLD,
            _W.WAIT: _P.HOLD,
            _W.ANNOUNCE: _P.ANNOUNCING,
            _W.RECORD: _P.ELIGIBLE,
        },
        _P.ELIGIBLE: {
            _W.NEVER: _P.SUPPRESSED,
            _W.REFRAIN: _P.HOLD,
            _W.WAIT: _P.HOLD,
            _W.ANNOUNCE: _P.ANNOUNCING,
            _W.RECORD: _P.ELIGIBLE,
        },
        _P.RECORDING: {
            _W.NEVER: _P.SUPPRESSED,
            _W.REFRAIN: _P.SUPPRESSED,
            _W.WAIT: _P.PAUSED,
            _W.ANNOUNCE: _P.PAUSED,
            _W.RECORD: _P.RECORDING,
        },
        _P.PAUSED: {
            _W.NEVER: _P.SUPPRESSED,
            _W.REFRAIN: _P.SUPPRESSED,
            _W.WAIT: _P.PAUSED,
            _W.ANNOUNCE: _P.PAUSED,
            _W.RECORD: _P.RECORDING,
        },
        _P.SUPPRESSED: dict.fromkeys(Word, _P.SUPPRESSED),
    }
)
"""ELIGIBLE becomes RECORDING when the session has begun a recording: nothing that is said does it."""


def word(verdict: Verdict) -> Word:
    """What this verdict says of the leg as a whole."""
    if verdict.kind in NEVER:
        return Word.NEVER
    actions = {it.action for it in verdict.purposes.values()}
    if Action.ANNOUNCE in actions:  # while anything is played nothing is recorded, for no purpose
        return Word.ANNOUNCE
    if Action.RECORD in actions:
        return Word.RECORD
    return Word.WAIT if actions - {Action.REFRAIN} else Word.REFRAIN


def wanted(verdict: Verdict) -> frozenset[str]:
    """The purposes to record for, now or when the outside party has been told."""
    chosen = (Action.RECORD, Action.ANNOUNCE)
    return frozenset(name for name, it in verdict.purposes.items() if it.action in chosen)
