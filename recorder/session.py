"""One call: events become facts, facts a verdict, and the difference to the verdict before becomes effects.

Nothing here reads a clock, draws chance or waits. The signalling process feeds events in and carries the
effects out, in order. A call is anchored at its first offer or never. What a verdict makes of its recordings
is the business of `recorder.course`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from recorder.account import CHALLENGES, Account
from recorder.agent_keys import Wish
from recorder.announcing import Announcing
from recorder.course import Course
from recorder.decision import WITHHELD, CallFacts, Doubt, Reason, Withdrawn
from recorder.effects import Answer, CloseMedia, Destroy, Done, Effect, Forward, OpenMedia, Remind
from recorder.ends import DOUBTS, Ends
from recorder.facts import Lots, disturbed, first_facts, our_role, told, vouched
from recorder.judgement import Judgement
from recorder.policy import Policy
from recorder.said import Heard
from recorder.taping import Party, Taping, our_side
from recorder.wishes import against_pausing, against_recording, against_resuming
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
        self._new_id = new_id
        self._call = offered.call
        self.id = new_id(16).hex()
        lots.passes.add(self.id)
        self.conversation = offered.conversation
        self._started_at = offered.at
        self._answered_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._families = offered.families
        # An earlier pass has led the media to us in an IP version that the callee does not speak.
        self._is_bridge = offered.already_anchored and offered.families[0] != offered.families[1]
        draws = lots.drawn(policy.retention)
        facts = first_facts(offered, policy.approved, withheld, draws, policy.is_trunk_witnessed)
        self._judgement = Judgement(facts, policy)
        self._ends = Ends()
        self._taping = Taping(self.id, offered.at, self._ends, new_id)
        self._recordings = self._taping.recordings
        announcing = Announcing(offered.call, self._ends)
        self._course = Course(self._judgement, self._ends, self._taping, announcing)
        self._paused_until: datetime | None = None
        self._account = Account(self.id, offered.at, self._recordings, set(), lots.is_counted_by)
        self._was_challenged = self._is_abandoned = self._reported = False

    @property
    def number(self) -> int | None:
        """The number that relay and capture know the call by; None when its media passes us by."""
        return self._taping.number if self._ended_at is None else None

    def is_of(self, number: int) -> bool:
        """Whether its media has this number, or had while it ran."""
        return self._taping.number == number

    @property
    def withholds(self) -> bool:
        """What this pass shows itself keeps the whole conversation out (`Verdict.concerns_all`)."""
        return self._judgement.verdict.concerns_all and not self._judgement.facts.withheld_elsewhere

    def is_certain(self, besides: frozenset[Doubt]) -> bool:
        """Whether all who speak in it are known, and may be recorded, whatever `besides` is doubtful."""
        # Where media passes us by nobody hears what is pressed.
        if self._taping.number is None and self._judgement.policy.heeds_keys(self._judgement.facts):
            return False
        return self._judgement.is_certain(besides)

    @property
    def hears_keys(self) -> bool:
        """Whether the keys of our own telephone are heard in its media."""
        return self._taping.hears_keys

    @property
    def facts(self) -> CallFacts:
        """What is known of it now."""
        return self._judgement.facts

    @property
    def is_doubtful(self) -> bool:
        """Whether somebody could not be read, in this pass or in another."""
        return Disturbance.UNREADABLE.value in self._judgement.facts.disturbances

    @property
    def is_shown(self) -> bool:
        """Whether anything of this call may be shown while it runs: nothing of one that is kept out."""
        return self._judgement.verdict.kind not in WITHHELD

    @property
    def is_over(self) -> bool:
        """Nothing more will come of this call."""
        return self._reported

    def recordings(self) -> list[str]:
        """The identifiers of this call's recordings."""
        return self._recordings.ids()

    def summary(self) -> dict[str, Any]:
        """As Account.summary."""
        return self._account.summary(
            self._judgement.verdict, self._judgement.facts.direction, self._course.phase
        )

    def begin(self) -> list[Effect]:
        """What to do with the INVITE: let it go on, or first ask for media ports."""
        return [self._first(), *self._account.keep(self._judgement.verdict)]

    def _first(self) -> Effect:
        if not self._judgement.verdict.anchor and not self._is_bridge:
            return Forward(self._call, self._judgement.verdict.strip, None)
        if not set(self._families) <= self._judgement.policy.media_addresses.keys():
            self._judgement.fail("no-media-address")
            return Forward(self._call, self._judgement.verdict.strip, None)
        self._taping.number = int.from_bytes(self._new_id(8)) >> 1
        return OpenMedia(self._call, self._taping.number, self._families)

    def media_opened(self, ports: tuple[int, int] | None) -> list[Effect]:
        """The relay's ports shown to caller and callee, or None: the call goes on without us."""
        if ports is None:
            self._taping.number = None
            self._judgement.fail("no-media-ports")
            return [Forward(self._call, self._judgement.verdict.strip, None)]
        to_caller, to_callee = (self._judgement.policy.media_addresses[it] for it in self._families)
        assert self._taping.number is not None
        media = Anchor((to_caller, ports[0]), (to_callee, ports[1]), self._taping.number)
        self._course.is_anchored = True
        return [Forward(self._call, self._judgement.verdict.strip, media)]

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
        self._judgement.facts = self._judgement.facts._replace(
            answered=self._answered_at is not None and is_described
        )
        return effects + self._decide(at)

    def _learn(self, event: Event) -> None:
        """What an event says of the parties."""
        if isinstance(event, CallAnswered):
            self._answered_at = event.at
        if isinstance(event, (CallAnswered, MediaKept)):
            self._look_at_media()
        self._judgement.facts = told(self._judgement.facts, event)

    def abandon(self, at: datetime) -> list[Effect]:
        """Something of this call could not be acted on: it goes on, and nothing more of it is recorded."""
        self._is_abandoned = True
        self._account.failures.add("internal-error")  # not decided afresh: that may be what cannot be done
        return self._taping.listen((), self._judgement.facts) + self._course.suppress(at)

    def cut_off(self, at: datetime) -> list[Effect]:
        """The service stops while this call runs."""
        self._account.failures.add("service-stopped")
        return (
            []
            if self._reported
            else self._account.close(self._judgement.verdict, self._answered_at, at, False)
        )

    def resume_media(self) -> list[Effect]:
        """The media broker was out of reach and has shut every tap."""
        return self._taping.reopen()

    def request(self, purposes: Iterable[str], at: datetime) -> Answer:
        """Somebody asks that this call be recorded from now on; without `purposes`, for all on demand.

        A purpose is begun if every other rule permits it now; a request that is refused is forgotten.
        """
        asked = sorted(set(purposes) or self._judgement.verdict.because_of(Reason.NOT_REQUESTED))
        refused = {
            purpose: reasons
            for purpose in asked
            if (reasons := against_recording(purpose, self._course.standing()))
        }
        granted = frozenset(asked) - refused.keys()
        if not granted:
            return Answer((), refused, [])
        self._judgement.facts = self._judgement.facts._replace(
            requested=self._judgement.facts.requested | granted
        )
        return Answer(tuple(sorted(granted)), refused, self._decide(at))

    def stop(self, purposes: Iterable[str], at: datetime) -> list[Effect]:
        """Somebody ends the recording for good, for these purposes or as a whole; the horizon is dropped."""
        before, named = self._judgement.facts.stopped, frozenset(purposes)
        self._judgement.facts = self._judgement.facts._replace(
            stopped=before | named if named and before is not None else None
        )
        return self._decide(at)

    def pause(self, at: datetime, since: datetime | None = None) -> Done:
        """Somebody wants silence, from `since` on. It ends by itself, and asking again makes it no longer."""
        if refused := against_pausing(self._course.standing()):
            return Done(refused, [])
        limit = self._judgement.policy.longest_pause
        self._paused_until = at + limit
        self._judgement.facts = self._judgement.facts._replace(paused=True)
        return Done((), [*self._decide(since or at), Remind(self._call, limit.total_seconds())])

    def resume(self, at: datetime) -> Done:
        """Nobody wants silence any more; whatever else is in the way stays there."""
        if refused := against_resuming(self._course.standing()):
            return Done(refused, [])
        self._paused_until = None
        self._judgement.facts = self._judgement.facts._replace(paused=False)
        return Done((), self._decide(at))

    def pass_time(self, at: datetime) -> list[Effect]:
        """So much time has gone by: a pause may be over."""
        if self._paused_until is None:
            return []
        left = (self._paused_until - at).total_seconds()
        return self.resume(at).effects if left <= 0 else [Remind(self._call, left)]

    def withdraw(self, why: Withdrawn, at: datetime) -> list[Effect]:
        """Nothing of it may be kept, from its beginning on and for good."""
        if self._judgement.facts.withdrawn in (why, "private-code"):
            return []
        self._judgement.facts = self._judgement.facts._replace(withdrawn=why)
        destroy = Destroy(tuple(sorted(self._lots.passes)), self._started_at.date(), why)
        self._account.destroy = destroy
        return [*self._taping.discard(), *self._decide(at), destroy]

    def is_objection(self, keys: str) -> bool:
        """Whether by one of these keys the outside party, which has been told or is being told, objects."""
        return not self._objections().isdisjoint(keys)

    def _objections(self) -> set[str]:
        """By which keys the outside party may object now."""
        verdict, objections = self._judgement.verdict, self._judgement.policy.objections
        concerned = (
            {*verdict.purposes, *self._recordings.purposes()} if self._judgement.facts.answered else ()
        )
        return {key for name in concerned for key in objections.get(name, ())}

    def is_outside(self, side: str) -> bool:
        """Whether keys that were heard on this side of the media are the outside party's."""
        return side in ("a", "b") and side != our_side(self._judgement.facts)

    def withhold(self, at: datetime) -> list[Effect]:
        """Another pass of the same conversation keeps it out."""
        self._judgement.facts = self._judgement.facts._replace(withheld_elsewhere=True)
        return self._decide(at)

    def distrust(self, at: datetime) -> list[Effect]:
        """In another pass of the same conversation somebody cannot be read."""
        self._judgement.facts = disturbed(self._judgement.facts, Disturbance.UNREADABLE, ())
        return self._decide(at)

    def doubt(self, doubt: Doubt, at: datetime) -> list[Effect]:
        """It is not certain any more who speaks: nothing is taken until this is settled."""
        self._judgement.facts = self._judgement.facts._replace(doubts=self._judgement.facts.doubts | {doubt})
        return self._decide(at)

    def settle(self, doubt: Doubt, at: datetime) -> list[Effect]:
        """There is positive evidence that this doubt is over."""
        self._judgement.facts = self._judgement.facts._replace(doubts=self._judgement.facts.doubts - {doubt})
        return self._decide(at)

    def vouch(self, inside: frozenset[str] | None, at: datetime) -> list[Effect]:
        """A source of evidence says who speaks inside; None: nobody says so any more."""
        self._judgement.facts = vouched(self._judgement.facts, inside)
        return self._decide(at)

    def on_policy(self, policy: Policy, at: datetime) -> list[Effect]:
        """Another policy is in force from now on."""
        self._judgement.policy = policy
        draws = self._lots.drawn(policy.retention)
        self._judgement.facts = self._judgement.facts._replace(approved=policy.approved, draws=draws)
        return self._decide(at)

    def on_announced(self, number: int, became: Heard | str, at: datetime) -> list[Effect]:
        """What became of an announcement (Play): it was heard whole, or why not."""
        if self._ended_at is not None:
            return []
        self._course.announced(number, became)
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
            self._taping.on_capture_back(is_restarted, self._judgement.facts, self._judgement.policy)
            + self._report_when_done()
        )

    def _on_untouched(self) -> list[Effect]:
        self._judgement.fail("not-anchored")
        number, self._taping.number, self._course.is_anchored = self._taping.number, None, False
        return [] if number is None else [CloseMedia(number)]

    def _on_media(self, event: MediaNegotiated) -> list[Effect]:
        if event.obstacles:
            found = frozenset(it.value for it in event.obstacles)
            self._judgement.facts = self._judgement.facts._replace(
                obstacles=self._judgement.facts.obstacles | found
            )
        if self._taping.number is None:
            return []
        self._ends.learn(event)
        self._look_at_media()
        return [*self._ends.remotes(self._taping.number), *self._taping.renegotiated()]

    def _look_at_media(self) -> None:
        """Somebody on hold hears music, or somebody else; and media that goes elsewhere goes to whom?"""
        found = self._ends.doubts(our_role(self._judgement.facts), self._answered_at is not None)
        self._judgement.facts = self._judgement.facts._replace(
            doubts=self._judgement.facts.doubts - DOUBTS | found
        )

    def _decide(self, at: datetime) -> list[Effect]:
        """Decide afresh and act on the difference."""
        self._judgement.decide()
        parties: set[Party] = {"ours"} if self._is_heard() else set()
        if self._objections() and self._judgement.facts.withdrawn is None and not self._is_abandoned:
            parties |= {"outside"}
        heard = self._taping.listen(parties, self._judgement.facts)
        return [*heard, *self._course.follow(self.number, at), *self._account.keep(self._judgement.verdict)]

    def _is_heard(self) -> bool:
        """Whether the keys of our telephone matter: beside other calls also if nothing is kept any more, and
        for the private code as long as there may be something to destroy.
        """
        policy, verdict, facts = self._judgement.policy, self._judgement.verdict, self._judgement.facts
        is_out = verdict.kind in WITHHELD or Reason.DISTURBED in verdict.reasons
        is_kept = facts.withdrawn != "private-code" and bool(self._recordings.purposes())
        is_private = Wish.PRIVATE in policy.codes.values() and (is_kept or verdict.kind not in WITHHELD)
        return policy.hears_keys(facts) and (is_private or not is_out) and not self._is_abandoned

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
        return self._account.close(
            self._judgement.verdict, self._answered_at, self._ended_at, self._was_challenged
        )
