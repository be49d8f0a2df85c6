"""One call: events become facts, facts a verdict, and the difference to the verdict before becomes effects.

Nothing here reads a clock, draws chance or waits. The signalling process feeds events in and carries the
effects out, in order. A call is anchored at its first offer or never. How far its recording has come is a
phase of `recorder.leg`, whose table says what a verdict makes of it: each purpose is recorded from the answer
on, or from when somebody asks; a doubt pauses them all, and a veto ends them all for good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from recorder.account import CHALLENGES, Account
from recorder.announcing import Announcing
from recorder.decision import WITHHELD, CallFacts, Doubt, Kind, Reason, decide
from recorder.effects import Answer, CloseMedia, Effect, Forward, OpenMedia
from recorder.ends import DOUBTS, Ends
from recorder.facts import Lots, disturbed, first_facts, our_role, told, vouched
from recorder.leg import TABLE, Phase, wanted, word
from recorder.policy import Policy
from recorder.said import Heard
from recorder.taping import Taping
from sip_hooks.events import (
    Anchor,
    CallAnswered,
    CallEnded,
    CallOffered,
    Disturbance,
    Event,
    MediaKept,
    MediaNegotiated,
    PassedUntouched,
)


class Session:
    """One pass of one dialog, from its INVITE to its end and to the last word of the capture process."""

    def __init__(
        self,
        offered: CallOffered,
        policy: Policy,
        new_id: Callable[[int], bytes],
        lots: Lots,
        withheld: bool = False,
    ) -> None:
        """`lots`: of the conversation. `withheld`: another pass of it keeps it out. `id`: what we call
        this call by, in recordings, in the ledger and on the screen; drawn, so that it tells nothing.
        """
        self._lots = lots
        self._policy = policy
        self._new_id = new_id
        self._call = offered.call
        self.id = new_id(16).hex()
        self.conversation = offered.conversation
        self._started_at = offered.at
        self._answered_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._families = offered.families
        # An earlier pass has led the media to us in an IP version that the callee does not speak.
        self._is_bridge = offered.already_anchored and offered.families[0] != offered.families[1]
        draws = lots.drawn(policy.retention)
        self._facts = first_facts(offered, policy.approved, withheld, draws, policy.is_trunk_witnessed)
        self._verdict = decide(self._facts, policy.rules)
        self._alone = self._verdict  # whatever other calls say
        self._media: Anchor | None = None
        self._ends = Ends()
        self._taping = Taping(self.id, offered.at, self._ends, new_id)
        self._recordings = self._taping.recordings
        self._announcing = Announcing(offered.call, self._ends)
        self._phase = Phase.HOLD
        self._account = Account(self.id, offered.at, self._recordings, set(), lots.is_counted_by)
        self._was_challenged = self._is_abandoned = self._reported = False

    @property
    def number(self) -> int | None:
        """The number that relay and capture know the call by; None when its media passes us by."""
        return self._taping.number if self._ended_at is None else None

    @property
    def withholds(self) -> bool:
        """What this pass shows itself keeps the whole conversation out (`Verdict.concerns_all`)."""
        return self._verdict.concerns_all and not self._facts.withheld_elsewhere

    def is_certain(self, besides: frozenset[Doubt]) -> bool:
        """Whether all who speak in it are known, and may be recorded, whatever `besides` is doubtful."""
        # Where media passes us by nobody hears what is pressed.
        if self._taping.number is None and self._policy.hears_keys(self._facts):
            return False
        own = self._facts.doubts - besides
        facts = self._facts if own == self._facts.doubts else self._facts._replace(doubts=own)
        self._alone = verdict = decide(facts, self._policy.rules, self._alone)
        return verdict.kind is Kind.BUSINESS and Reason.DISTURBED not in verdict.reasons

    @property
    def hears_keys(self) -> bool:
        """Whether the keys of our own telephone are heard in its media."""
        return self._taping.hears_keys

    @property
    def facts(self) -> CallFacts:
        """What is known of it now."""
        return self._facts

    @property
    def is_doubtful(self) -> bool:
        """Whether somebody could not be read, in this pass or in another."""
        return Disturbance.UNREADABLE.value in self._facts.disturbances

    @property
    def is_shown(self) -> bool:
        """Whether anything of this call may be shown while it runs: nothing of one that is kept out."""
        return self._verdict.kind not in WITHHELD

    @property
    def is_over(self) -> bool:
        """Nothing more will come of this call."""
        return self._reported

    def recordings(self) -> list[str]:
        """The identifiers of this call's recordings."""
        return self._recordings.ids()

    def summary(self) -> dict[str, Any]:
        """As Account.summary."""
        return self._account.summary(self._verdict, self._facts.direction, self._phase)

    def begin(self) -> list[Effect]:
        """What to do with the INVITE: let it go on, or first ask for media ports."""
        return [self._first(), *self._account.keep(self._verdict)]

    def _first(self) -> Effect:
        if not self._verdict.anchor and not self._is_bridge:
            return Forward(self._call, self._verdict.strip, None)
        if not set(self._families) <= self._policy.media_addresses.keys():
            self._fail("no-media-address")
            return Forward(self._call, self._verdict.strip, None)
        self._taping.number = int.from_bytes(self._new_id(8)) >> 1
        return OpenMedia(self._call, self._taping.number, self._families)

    def media_opened(self, ports: tuple[int, int] | None) -> list[Effect]:
        """The relay's ports shown to caller and callee, or None: the call goes on without us."""
        if ports is None:
            self._taping.number = None
            self._fail("no-media-ports")
            return [Forward(self._call, self._verdict.strip, None)]
        to_caller, to_callee = (self._policy.media_addresses[it] for it in self._families)
        assert self._taping.number is not None
        self._media = Anchor((to_caller, ports[0]), (to_callee, ports[1]), self._taping.number)
        return [Forward(self._call, self._verdict.strip, self._media)]

    def on_event(self, event: Event, at: datetime) -> list[Effect]:
        """Take in one event of this call and return what it makes necessary."""
        if isinstance(event, CallEnded):
            return self._on_end(event)
        if self._is_abandoned:
            return []
        effects: list[Effect] = []
        if isinstance(event, MediaNegotiated):
            effects = self._on_media(event)
        elif isinstance(event, PassedUntouched):
            effects = self._on_untouched()
        else:
            self._learn(event)
        # Else the ACK carries the answer.
        is_described = self._taping.number is None or self._ends.are_known()
        self._facts = self._facts._replace(answered=self._answered_at is not None and is_described)
        return effects + self._decide(at)

    def _learn(self, event: Event) -> None:
        """What an event says of the parties."""
        if isinstance(event, CallAnswered):
            self._answered_at = event.at
        if isinstance(event, (CallAnswered, MediaKept)):
            self._look_at_media()
        self._facts = told(self._facts, event)

    def abandon(self, at: datetime) -> list[Effect]:
        """Something of this call could not be acted on: it goes on, and nothing more of it is recorded."""
        self._is_abandoned = True
        self._account.failures.add("internal-error")  # not decided afresh: that may be what cannot be done
        return self._taping.listen(False, self._facts) + self._suppress(at)

    def cut_off(self, at: datetime) -> list[Effect]:
        """The service stops while this call runs."""
        self._account.failures.add("service-stopped")
        return [] if self._reported else self._account.close(self._verdict, self._answered_at, at, False)

    def resume_media(self) -> list[Effect]:
        """The media broker was out of reach and has shut every tap."""
        return self._taping.reopen()

    def request(self, purposes: Iterable[str], at: datetime) -> Answer:
        """Somebody asks that this call be recorded from now on; without `purposes`, for all on demand.

        A purpose is begun if every other rule permits it now; a request that is refused is forgotten.
        """
        asked = sorted(set(purposes) or self._verdict.because_of(Reason.NOT_REQUESTED))
        refused = {purpose: reasons for purpose in asked if (reasons := self._against(purpose))}
        granted = frozenset(asked) - refused.keys()
        if not granted:
            return Answer((), refused, [])
        self._facts = self._facts._replace(requested=self._facts.requested | granted)
        return Answer(tuple(sorted(granted)), refused, self._decide(at))

    def stop(self, purposes: Iterable[str], at: datetime) -> list[Effect]:
        """Somebody ends the recording for good, for these purposes or as a whole; the horizon is dropped."""
        before, named = self._facts.stopped, frozenset(purposes)
        self._facts = self._facts._replace(stopped=before | named if named and before is not None else None)
        return self._decide(at)

    def withhold(self, at: datetime) -> list[Effect]:
        """Another pass of the same conversation keeps it out."""
        self._facts = self._facts._replace(withheld_elsewhere=True)
        return self._decide(at)

    def distrust(self, at: datetime) -> list[Effect]:
        """In another pass of the same conversation somebody cannot be read."""
        self._facts = disturbed(self._facts, Disturbance.UNREADABLE, ())
        return self._decide(at)

    def doubt(self, doubt: Doubt, at: datetime) -> list[Effect]:
        """It is not certain any more who speaks: nothing is taken until this is settled."""
        self._facts = self._facts._replace(doubts=self._facts.doubts | {doubt})
        return self._decide(at)

    def settle(self, doubt: Doubt, at: datetime) -> list[Effect]:
        """There is positive evidence that this doubt is over."""
        self._facts = self._facts._replace(doubts=self._facts.doubts - {doubt})
        return self._decide(at)

    def vouch(self, inside: frozenset[str] | None, at: datetime) -> list[Effect]:
        """A source of evidence says who speaks inside; None: nobody says so any more."""
        self._facts = vouched(self._facts, inside)
        return self._decide(at)

    def on_policy(self, policy: Policy, at: datetime) -> list[Effect]:
        """Another policy is in force from now on."""
        self._policy = policy
        draws = self._lots.drawn(policy.retention)
        self._facts = self._facts._replace(approved=policy.approved, draws=draws)
        return self._decide(at)

    def on_announced(self, number: int, became: Heard | str, at: datetime) -> list[Effect]:
        """What became of an announcement (Play): it was heard whole, or why not."""
        if self._ended_at is not None:
            return []
        self._facts = self._announcing.over(number, became, self._facts)
        return self._decide(at)

    def on_capture(self, message: Mapping[str, Any]) -> list[Effect]:
        """The capture process tells of one of this call's recordings."""
        if not self._recordings.on_capture(message):
            return []
        idle = self._taping.shut_if_idle() if self._ended_at is None else []
        return idle + self._report_when_done()

    def on_capture_back(self, is_restarted: bool) -> list[Effect]:
        """The capture process can be reached again.

        If it was restarted, a running recording goes on in a new part. Of what has ended meanwhile nothing
        more will be heard. Else it goes on where it was.
        """
        return (
            self._taping.on_capture_back(is_restarted, self._facts, self._policy) + self._report_when_done()
        )

    def _fail(self, failure: str) -> None:
        self._facts = self._facts._replace(failures=self._facts.failures | {failure})
        self._verdict = decide(self._facts, self._policy.rules, self._verdict)

    def _on_untouched(self) -> list[Effect]:
        self._fail("not-anchored")
        number, self._taping.number, self._media = self._taping.number, None, None
        return [] if number is None else [CloseMedia(number)]

    def _on_media(self, event: MediaNegotiated) -> list[Effect]:
        if event.obstacles:
            found = frozenset(it.value for it in event.obstacles)
            self._facts = self._facts._replace(obstacles=self._facts.obstacles | found)
        if self._taping.number is None:
            return []
        self._ends.learn(event)
        self._look_at_media()
        return [*self._ends.remotes(self._taping.number), *self._taping.renegotiated()]

    def _look_at_media(self) -> None:
        """Somebody on hold hears music, or somebody else; and media that goes elsewhere goes to whom?"""
        found = self._ends.doubts(our_role(self._facts), self._answered_at is not None)
        self._facts = self._facts._replace(doubts=self._facts.doubts - DOUBTS | found)

    def _decide(self, at: datetime) -> list[Effect]:
        """Decide afresh and act on the difference."""
        self._verdict = decide(self._facts, self._policy.rules, self._verdict)
        heard = self._taping.listen(self._is_heard(), self._facts)
        return [*heard, *self._act(at), *self._account.keep(self._verdict)]

    def _is_heard(self) -> bool:
        """Whether the keys of our telephone matter: beside other calls also if nothing is kept any more."""
        is_out = self._verdict.kind in WITHHELD or Reason.DISTURBED in self._verdict.reasons
        return self._policy.hears_keys(self._facts) and not is_out and not self._is_abandoned

    def _act(self, at: datetime) -> list[Effect]:
        self._look_for_media()
        effects = self._announce() + self._end_stopped(at)
        before, phase = self._phase, TABLE[self._phase][word(self._verdict)]
        if phase is Phase.SUPPRESSED:
            return effects + self._suppress(at)
        self._phase = phase
        if phase is Phase.PAUSED:  # also again: a doubt may reach back to before the one that paused it
            return effects + self._taping.pause(self._facts, self._policy, at)
        if phase is Phase.RECORDING and before is Phase.PAUSED:
            effects += self._taping.resume(self._facts, self._policy, at)
        return effects + self._follow_purposes(at)

    def _announce(self) -> list[Effect]:
        """Tell the outside party what it has to know before anything is recorded."""
        is_for_good, number = self._phase is Phase.SUPPRESSED, self.number if self._media else None
        waiting = () if is_for_good else self._verdict.because_of(Reason.NOT_TOLD_YET, alone=True)
        before = self._facts
        self._facts, effects = self._announcing.follow(waiting, before, self._policy, number)
        self._verdict = decide(self._facts, self._policy.rules, self._verdict)
        return effects if self._facts is before else effects + self._announce()

    def _follow_purposes(self, at: datetime) -> list[Effect]:
        """What is to be recorded now and is not begins; what is not permitted any more takes all with it."""
        if self._phase not in (Phase.ELIGIBLE, Phase.RECORDING):
            return []
        now = self._verdict.recorded()
        if set(self._recordings.running()) - set(now):
            return self._suppress(at)
        new = tuple(purpose for purpose in now if purpose not in self._recordings)
        if not new:
            return []
        self._phase = Phase.RECORDING
        return self._taping.begin(new, self._verdict, self._facts, self._policy, at)

    def _look_for_media(self) -> None:
        """What is wanted of media that does not pass through us, or cannot be kept, has failed."""
        if wanted(self._verdict) and self._media is None:
            self._fail("not-anchored")
        elif wanted(self._verdict) and (obstacle := self._ends.obstacle(self._recordings.purposes())):
            self._facts = self._facts._replace(obstacles=self._facts.obstacles | {obstacle})
            self._verdict = decide(self._facts, self._policy.rules, self._verdict)

    def _end_stopped(self, at: datetime) -> list[Effect]:
        """Those recordings end that nothing but somebody's wish ends; the call's others may go on."""
        lost = self._verdict.because_of(Reason.STOPPED, alone=True) & set(self._recordings.running())
        if not lost or self._facts.stopped is None:
            return []
        effects = self._taping.stop(sorted(lost), at)
        if not self._recordings.running():
            self._phase = Phase.HOLD
        return effects

    def _suppress(self, at: datetime) -> list[Effect]:
        """For good."""
        self._phase = Phase.SUPPRESSED
        hushed = self._announcing.stop()
        if not self._recordings.running():
            return hushed
        return hushed + self._taping.taint(
            self._verdict.reasons[0].value if self._verdict.reasons else "unlisted", at
        )

    def _against(self, purpose: str) -> tuple[str, ...]:
        """Why this purpose is not recorded, although somebody asks for it; nothing if it is, or may be."""
        if purpose in self._recordings.running():
            return ()
        if self._phase is Phase.SUPPRESSED or purpose in self._recordings:
            return ("stopped-before",)
        asked = self._facts._replace(requested=self._facts.requested | {purpose})
        verdict = decide(asked, self._policy.rules)
        found = verdict.purposes.get(purpose)
        if found is None:
            return (Reason.NOT_PERMITTED.value,)
        if purpose not in wanted(verdict):
            return tuple(it.value for it in found.reasons) + verdict.details
        if self._media is None:
            return ("not-anchored",)
        obstacle = self._ends.obstacle(self._recordings.purposes())
        return () if obstacle is None else (obstacle,)

    def _on_end(self, event: CallEnded) -> list[Effect]:
        self._ended_at = event.at
        self._was_challenged = event.cause == "rejected" and event.status in CHALLENGES
        effects = self._taping.finish(event.at)
        if self._taping.number is not None:
            effects.append(CloseMedia(self._taping.number))
        return effects + self._report_when_done()

    def _report_when_done(self) -> list[Effect]:
        if self._ended_at is None or not self._recordings.are_ended() or self._reported:
            return []
        self._reported = True
        return self._account.close(self._verdict, self._answered_at, self._ended_at, self._was_challenged)
