"""What a verdict makes of one call: announcements are played, recordings begin, pause, go on and end.

How far the call has come is a phase of `recorder.leg`, whose table says what comes next: each purpose is
recorded from the answer on, or from when somebody asks; a doubt pauses them all, a veto ends them for good.
"""

from __future__ import annotations

from datetime import datetime

from recorder.announcing import Announcing
from recorder.decision import Reason
from recorder.effects import Effect
from recorder.ends import Ends
from recorder.judgement import Judgement
from recorder.leg import TABLE, Phase, wanted, word
from recorder.said import Heard
from recorder.taping import Taping
from recorder.wishes import Standing


class Course:
    """Of one call. `is_anchored`: its media passes through us."""

    def __init__(self, judgement: Judgement, ends: Ends, taping: Taping, announcing: Announcing) -> None:
        self._judgement = judgement
        self._ends = ends
        self._taping = taping
        self._recordings = taping.recordings
        self._announcing = announcing
        self.phase = Phase.HOLD
        self.is_anchored = False

    def standing(self) -> Standing:
        """Where it stands, for whoever is asked for something."""
        call, of_media = self._judgement, (self._ends, self.is_anchored)
        return Standing(call.facts, call.verdict, call.policy.rules, self.phase, self._recordings, *of_media)

    def follow(self, number: int | None, at: datetime) -> list[Effect]:
        """Act on the difference to the verdict before. `number`: of its media; None when it is over."""
        call = self._judgement
        self._look_for_media()
        effects = self._announce(number if self.is_anchored else None) + self._end_stopped(at)
        before, phase = self.phase, TABLE[self.phase][word(call.verdict)]
        if phase is Phase.SUPPRESSED:
            return effects + self.suppress(at)
        self.phase = phase
        if phase is Phase.PAUSED:  # also again: a doubt may reach back to before the one that paused it
            return effects + self._taping.pause(call.facts, call.policy, at)
        if phase is Phase.RECORDING and before is Phase.PAUSED:
            effects += self._taping.resume(call.facts, call.policy, at)
        return effects + self._follow_purposes(at)

    def announced(self, number: int, became: Heard | str) -> None:
        """What became of an announcement: it was heard whole, or why not."""
        self._judgement.facts = self._announcing.over(number, became, self._judgement.facts)

    def suppress(self, at: datetime) -> list[Effect]:
        """For good."""
        self.phase, verdict = Phase.SUPPRESSED, self._judgement.verdict
        hushed = self._announcing.stop()
        if not self._recordings.running():
            return hushed
        return hushed + self._taping.taint(verdict.reasons[0].value if verdict.reasons else "unlisted", at)

    def _announce(self, number: int | None) -> list[Effect]:
        """Tell the outside party what it has to know before anything is recorded."""
        call, is_for_good = self._judgement, self.phase is Phase.SUPPRESSED
        waiting = () if is_for_good else call.verdict.because_of(Reason.NOT_TOLD_YET, alone=True)
        before = call.facts
        call.facts, effects = self._announcing.follow(waiting, before, call.policy, number)
        call.decide()
        return effects if call.facts is before else effects + self._announce(number)

    def _follow_purposes(self, at: datetime) -> list[Effect]:
        """What is to be recorded now and is not begins; what is not permitted any more takes all with it."""
        if self.phase not in (Phase.ELIGIBLE, Phase.RECORDING):
            return []
        call = self._judgement
        now = call.verdict.recorded()
        if set(self._recordings.running()) - set(now):
            return self.suppress(at)
        new = tuple(purpose for purpose in now if purpose not in self._recordings)
        if not new:
            return []
        self.phase = Phase.RECORDING
        return self._taping.begin(new, call.verdict, call.facts, call.policy, at)

    def _look_for_media(self) -> None:
        """What is wanted of media that does not pass through us, or cannot be kept, has failed."""
        call = self._judgement
        if wanted(call.verdict) and not self.is_anchored:
            call.fail("not-anchored")
        elif wanted(call.verdict) and (obstacle := self._ends.obstacle(self._recordings.purposes())):
            call.hinder(obstacle)

    def _end_stopped(self, at: datetime) -> list[Effect]:
        """Those recordings end that nothing but somebody's wish ends; the call's others may go on."""
        call = self._judgement
        lost = call.verdict.because_of(Reason.STOPPED, alone=True) & set(self._recordings.running())
        if not lost or call.facts.stopped is None:
            return []
        effects = self._taping.stop(sorted(lost), at)
        if not self._recordings.running():
            self.phase = Phase.HOLD
        return effects
