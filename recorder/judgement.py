"""What is known of one call, by which policy it is judged, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from recorder.decision import CallFacts, Doubt, Kind, Reason, Verdict, decide
from recorder.policy import Policy


@dataclass(slots=True)
class Judgement:
    """`verdict` is that of the last `decide`: whoever replaces facts or policy decides anew."""

    facts: CallFacts
    policy: Policy
    verdict: Verdict = field(init=False)
    _alone: Verdict = field(init=False)  # whatever other calls say

    def __post_init__(self) -> None:
        self.verdict = self._alone = decide(self.facts, self.policy.rules)

    def decide(self) -> Verdict:
        """Judge afresh."""
        self.verdict = decide(self.facts, self.policy.rules, self.verdict)
        return self.verdict

    def fail(self, failure: str) -> None:
        """Something of ours cannot be done."""
        self.facts = self.facts._replace(failures=self.facts.failures | {failure})
        self.decide()

    def hinder(self, obstacle: str) -> None:
        """The media cannot be kept."""
        self.facts = self.facts._replace(obstacles=self.facts.obstacles | {obstacle})
        self.decide()

    def is_certain(self, besides: frozenset[Doubt]) -> bool:
        """Whether all who speak in it are known, and may be recorded, whatever `besides` is doubtful."""
        own = self.facts.doubts - besides
        facts = self.facts if own == self.facts.doubts else self.facts._replace(doubts=own)
        self._alone = verdict = decide(facts, self.policy.rules, self._alone)
        return verdict.kind is Kind.BUSINESS and Reason.DISTURBED not in verdict.reasons
