"""What is known of one call, made known to those that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from recorder.decision import BESIDES, Doubt, Withdrawn
from recorder.effects import Effect
from recorder.graph import Taint
from recorder.relations import Relations
from recorder.session import Session
from recorder.trunk_legs import TrunkLegs, may_be_one


class Spreading:
    """Over all calls that run: the views of those who keep them."""

    def __init__(self, sessions: Mapping[str, Session], relations: Relations, trunk: TrunkLegs) -> None:
        self._sessions = sessions
        self._relations = relations
        self._trunk = trunk

    def spread(self, call: str, at: datetime) -> list[Effect]:
        """A call that is kept out takes with it what belongs to it. One in which somebody cannot be read may
        hide just that.
        """
        session = self._sessions[call]
        if session.withholds:
            self._relations.taint(call, Taint.WITHHELD)
        if session.is_doubtful:
            self._relations.taint(call, Taint.UNREADABLE)
        effects: list[Effect] = []
        for it in self._relations.untold(call):
            other, taints = self._sessions[it], self._relations.taints(it)
            if Taint.WITHHELD in taints and not other.withholds:
                effects += other.withhold(at)
            if Taint.UNREADABLE in taints and not other.is_doubtful:
                effects += other.distrust(at)
        return effects + self._spread_to_halves(call, session, at)

    def withdraw(self, call: str, why: Withdrawn, at: datetime) -> list[Effect]:
        """Nothing of a call may be kept, whatever was recorded of it until now: in none of its passes, nor in
        a call in which the same was to be heard.
        """
        session = self._sessions[call]
        same = {it for it, other in self._sessions.items() if other.conversation == session.conversation}
        concerned = {*same, *self._halves(call, session), *self._relations.company(call)[1]}
        effects = [effect for it in sorted(concerned) for effect in self._sessions[it].withdraw(why, at)]
        return effects + [effect for it in sorted(concerned) for effect in self.spread(it, at)]

    def weigh_company(self, call: str, at: datetime) -> list[Effect]:
        """A telephone that speaks in several calls may let all hear each other (a three-way call): as long as
        somebody is not certain in one, nobody is in the others. To be asked after whatever changes a doubt.
        """
        if self._relations.is_alone(call) and Doubt.COMPANY not in self._sessions[call].facts.doubts:
            return []
        effects: list[Effect] = []
        everywhere, speaking = self._relations.company(call)
        uncertain = {
            it for it in speaking if len(everywhere) > 1 and not self._sessions[it].is_certain(BESIDES)
        }
        for it in everywhere:
            session = self._sessions[it]
            is_beside = bool(uncertain - {it}) or self._relations.is_beside_strangers(it)
            if it in speaking and is_beside:  # also again: a doubt may reach back further than before
                effects += session.doubt(Doubt.COMPANY, at)
            elif Doubt.COMPANY in session.facts.doubts:
                effects += session.settle(Doubt.COMPANY, at)
        return effects

    def is_half_of_withheld(self, call: str, session: Session) -> bool:
        """Whether a call on the trunk may be the other half of one that is kept out."""
        if call not in self._trunk:
            return False
        inside = (other for it, other in self._sessions.items() if it not in self._trunk and other.withholds)
        return any(may_be_one(session.facts, other.facts) for other in inside)

    def _spread_to_halves(self, call: str, session: Session, at: datetime) -> list[Effect]:
        if not (session.withholds or session.is_doubtful):
            return []
        halves = [self._sessions[it] for it in sorted(self._halves(call, session))]
        effects: list[Effect] = []
        if session.withholds:
            effects += [effect for it in halves for effect in it.withhold(at)]
        if session.is_doubtful:
            effects += [effect for it in halves for effect in it.distrust(at)]
        return effects

    def _halves(self, call: str, session: Session) -> set[str]:
        """The calls on the trunk that may be the other half of this one between phones and PBX. A PBX that is
        no proxy has a dialog of its own on each side.
        """
        if call in self._trunk:
            return set()
        on_trunk = ((it, self._sessions[it]) for it in self._trunk.all())
        return {it for it, other in on_trunk if may_be_one(session.facts, other.facts)}
