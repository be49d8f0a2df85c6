"""What is written down of a call: at its end, and in case this process does not live to see its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from recorder.decision import Direction, Kind, Outcome, Reason, Verdict
from recorder.effects import Destroy, Effect, Ended, KeepInMind, NoteOutcome, NoteWithheld, Unfinished
from recorder.leg import Phase
from recorder.recordings import Recordings

KEPT_AS_COUNT: Mapping[Kind, Literal["private", "privileged"]] = {
    Kind.PRIVATE: "private",
    Kind.PRIVILEGED: "privileged",
}
CHALLENGES = (401, 407)
"""Who is answered so calls again with credentials (RFC 3261 §22): that is the call."""
_SHOWN: Mapping[Phase, str] = {Phase.PAUSED: "paused", Phase.ANNOUNCING: "announcing"}
NOBODY = ""
"""Instead of an agent, where no source has said who speaks inside a call on the trunk side."""


@dataclass(slots=True)
class Account:
    """One call's account. `failures`: codes of what failed for the whole call. `is_counted_by`: whether it is
    by this call that its conversation is counted, if it is kept out. `destroy`: nothing of it is to be left.

    A call that was counted by another pass of its conversation, one on no flagged line and one whose INVITE
    was only challenged leave nothing.
    """

    call: str
    started_at: datetime
    recordings: Recordings
    failures: set[str]
    is_counted_by: Callable[[str], bool]
    kept: Unfinished | None = None
    destroy: Destroy | None = None

    def summary(self, verdict: Verdict, direction: Direction, phase: Phase) -> dict[str, Any]:
        """What may be shown of a running call: never a number, and nothing of a call that is kept out."""
        running = self.recordings.running()
        state = "recording" if running else "not recorded"
        return {
            "call": self.call,
            "started_at": self.started_at,
            "direction": direction.value,
            "line": verdict.line,
            "agent": verdict.agent,
            "state": _SHOWN.get(phase, state) if running or phase is Phase.ANNOUNCING else state,
            "purposes": list(running),
            "reasons": [it.value for it in verdict.reasons],
            "by_purpose": {name: [it.value for it in one.reasons] for name, one in verdict.purposes.items()},
        }

    def keep(self, verdict: Verdict) -> list[Effect]:
        """What would have to be noted if nobody were here at the end; only said when it has changed."""
        unfinished = self._unfinished(verdict)
        if unfinished == self.kept:
            return []
        self.kept = unfinished
        return [KeepInMind(self.call, unfinished)]

    def close(
        self, verdict: Verdict, answered_at: datetime | None, ended_at: datetime, was_challenged: bool
    ) -> list[Effect]:
        """The call is over."""
        unfinished = None if was_challenged else self._unfinished(verdict)
        if unfinished is None:
            return [KeepInMind(self.call, None)] if self.kept else []
        if unfinished.kind is not None:
            return [NoteWithheld(ended_at.date(), unfinished.kind, self.call)]
        if not unfinished.line:
            return [KeepInMind(self.call, None)]
        details = verdict.details + tuple(sorted(self.failures))
        failures = {it for name in self.recordings.purposes() for it in self.recordings[name].failures}
        has_audio = self.recordings.have_audio() and self.destroy is None
        return [
            NoteOutcome(
                call=self.call,
                started_at=self.started_at,
                line=unfinished.line,
                agent=unfinished.agent,
                outcome=_ended(verdict.outcome, self.failures | failures, has_audio),
                reasons=(*(it.value for it in verdict.reasons), *details, *sorted(failures)),
                seconds=(ended_at - (answered_at or ended_at)).total_seconds(),
                purposes=() if self.destroy else self.recordings.purposes(),
                became={name: self._became(name, verdict, details) for name in self._purposes(verdict)},
            )
        ]

    def _unfinished(self, verdict: Verdict) -> Unfinished | None:
        found = self._to_be_noted(verdict)
        if self.destroy is None:
            return found
        return replace(found or Unfinished(self.destroy.day), destroy=self.destroy)

    def _to_be_noted(self, verdict: Verdict) -> Unfinished | None:
        if kind := KEPT_AS_COUNT.get(verdict.kind):
            counts = self.is_counted_by(self.call)
            return Unfinished(self.started_at.date(), kind=kind) if counts else None
        begun = next((self.recordings[it].plan for it in self.recordings.purposes()), None)
        if begun is not None:  # whoever came into the call since does not undo that there is a clip
            return Unfinished(self.started_at, begun["line"], begun["agent"])
        if verdict.outcome is Outcome.NONE or verdict.line is None or not _has_one(verdict):
            return None
        return Unfinished(self.started_at, verdict.line, verdict.agent or NOBODY)

    def _purposes(self, verdict: Verdict) -> list[str]:
        return sorted({*verdict.purposes, *self.recordings.purposes()})

    def _became(
        self, purpose: str, verdict: Verdict, details: tuple[str, ...]
    ) -> tuple[Ended, tuple[str, ...]]:
        of_purpose = verdict.purposes.get(purpose)
        said, outcome = (
            (of_purpose.reasons, of_purpose.outcome) if of_purpose else (verdict.reasons, verdict.outcome)
        )
        recording = self.recordings.get(purpose)
        failures = recording.failures if recording else set()
        reasons = (*(it.value for it in said), *details, *sorted(failures))
        has_audio = recording is not None and recording.seconds > 0 and self.destroy is None
        return _ended(outcome, self.failures | failures, has_audio), reasons


def _has_one(verdict: Verdict) -> bool:
    """Whether there is an agent, or might have been one, had anybody said who speaks inside."""
    return verdict.agent is not None or Reason.NO_EVIDENCE in verdict.reasons


def _ended(outcome: Outcome, failures: set[str], has_audio: bool) -> Ended:
    """What there is a clip of was recorded, also if that ended before the call did; reasons say why."""
    if failures or outcome is Outcome.FAILED:
        return "failed"
    return "recorded" if has_audio or outcome is Outcome.RECORDING else "suppressed"
