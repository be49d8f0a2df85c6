"""One call: events become facts, facts a verdict, and the difference to the verdict before becomes effects.

Nothing here reads a clock, draws chance or waits. The signalling process feeds events in and carries the
effects out, in order. A call is anchored at its first offer or never; it is recorded from the answer on,
while the verdict says so without interruption; a recording that had to stop is never taken up again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from purge.retention import deadline_day
from recorder.decision import WITHHELD, Direction, Kind, Outcome, Reason, Rules, Verdict, decide
from recorder.effects import (
    CloseMedia,
    Effect,
    Forward,
    NoteOutcome,
    NoteWithheld,
    OpenMedia,
    Tap,
    TellCapture,
)
from recorder.ends import Ends
from recorder.facts import Lots, first_facts, parties, with_identities
from sip_hooks.address import Family
from sip_hooks.events import (
    Anchor,
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallProgressed,
    CallRedirected,
    Event,
    MediaNegotiated,
    PassedUntouched,
)
from sip_hooks.sdp import Obstacle

KEPT_AS_COUNT: Mapping[Kind, Literal["private", "privileged"]] = {
    Kind.PRIVATE: "private",
    Kind.PRIVILEGED: "privileged",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is in force now. A new one may come while a call runs; the deadline of a recording stays."""

    rules: Rules
    approved: bool
    scheme_hash: str
    retention: Mapping[str, timedelta]
    horizon: timedelta
    media_addresses: Mapping[Family, str]
    """What is written into descriptions, for each IP version in which we relay."""


@dataclass(slots=True)
class _Recording:
    """One purpose's recording of this call, part by part."""

    plan: dict[str, Any]
    clip: str | None = None  # the clip of the part that `plan` names, once it is open
    ended: bool = False

    def next_part(self) -> None:
        """The part that was open has been sealed without us; a part that never was open is tried again."""
        if self.clip is not None:
            self.plan.update(part=self.plan["part"] + 1, previous=self.clip)
            self.clip = None


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
        self._facts = first_facts(offered, policy.approved, _obstacles(offered), withheld, draws)
        self._verdict = decide(self._facts, policy.rules)
        self._media: Anchor | None = None
        self._number: int | None = None
        self._ends = Ends()
        self._recordings: dict[str, _Recording] = {}
        self._recording = False
        self._failed: set[str] = set()
        self._is_abandoned = False
        self._reported = False

    @property
    def number(self) -> int | None:
        """The number that relay and capture know the call by; None when its media passes us by."""
        return self._number if self._ended_at is None else None

    @property
    def withholds(self) -> bool:
        """What this pass shows itself keeps the whole conversation out: private, privileged, or among us."""
        told = self._verdict.kind in KEPT_AS_COUNT or Reason.BETWEEN_US in self._verdict.reasons
        return told and not self._facts.withheld_elsewhere

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
        return [it.plan["recording"] for it in self._recordings.values()]

    def summary(self) -> dict[str, Any]:
        """What may be shown of a running call: never a number, and nothing of a call that is kept out."""
        verdict = self._verdict
        return {
            "call": self.id,
            "started_at": self._started_at,
            "direction": self._facts.direction.value,
            "line": verdict.line,
            "agent": verdict.agent,
            "state": "recording" if self._recording else "not recorded",
            "purposes": sorted(self._recordings) if self._recording else [],
            "reasons": [it.value for it in verdict.reasons],
        }

    def begin(self) -> list[Effect]:
        """What to do with the INVITE: let it go on, or first ask for media ports."""
        if not self._verdict.anchor and not self._is_bridge:
            return [Forward(self._call, self._verdict.strip, None)]
        if not set(self._families) <= self._policy.media_addresses.keys():
            self._fail("no-media-address")
            return [Forward(self._call, self._verdict.strip, None)]
        self._number = int.from_bytes(self._new_id(8)) >> 1
        return [OpenMedia(self._call, self._number, self._families)]

    def media_opened(self, ports: tuple[int, int] | None) -> list[Effect]:
        """The relay's ports shown to caller and callee, or None: the call goes on without us."""
        if ports is None:
            self._number = None
            self._fail("no-media-ports")
            return [Forward(self._call, self._verdict.strip, None)]
        to_caller, to_callee = (self._policy.media_addresses[it] for it in self._families)
        self._media = Anchor((to_caller, ports[0]), (to_callee, ports[1]))
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
        elif isinstance(event, CallAnswered):
            self._answered_at = event.at
            self._facts = replace(self._facts, answered=True)
        elif isinstance(event, CallDisturbed):
            self._disturb(event.cause.value)
        if isinstance(event, (CallProgressed, CallRedirected, CallAnswered, CallDisturbed)):
            may_permit = isinstance(event, CallAnswered)
            self._facts = with_identities(self._facts, event.identities, may_permit)
        return effects + self._decide(at)

    def abandon(self, at: datetime) -> list[Effect]:
        """Something of this call could not be acted on: it goes on, and nothing more of it is recorded."""
        self._is_abandoned = True
        self._failed.add("internal-error")  # not decided afresh: that may be what cannot be done
        return self._taint(at) if self._recording else []

    def resume_media(self) -> list[Effect]:
        """The media broker was out of reach and has shut every tap."""
        return [Tap(self._number, "all")] if self._recording and self._number is not None else []

    def withhold(self, at: datetime) -> list[Effect]:
        """Another pass of the same conversation keeps it out."""
        self._facts = replace(self._facts, withheld_elsewhere=True)
        return self._decide(at)

    def on_policy(self, policy: Policy, at: datetime) -> list[Effect]:
        """Another policy is in force from now on."""
        self._policy = policy
        draws = self._lots.drawn(policy.retention)
        self._facts = replace(self._facts, approved=policy.approved, draws=draws)
        return self._decide(at)

    def on_capture(self, message: Mapping[str, Any]) -> list[Effect]:
        """The capture process tells of one of this call's recordings."""
        recording = next(
            (it for it in self._recordings.values() if it.plan["recording"] == message["recording"]), None
        )
        if recording is None:
            return []
        if message["event"] == "opened":
            recording.clip = message["clip"]
            return []
        recording.ended = True
        if message["event"] == "failed":
            self._failed.add(str(message.get("reason", "capture")))
        return self._report_when_done()

    def on_capture_back(self, is_restarted: bool) -> list[Effect]:
        """The capture process can be reached again.

        If it was restarted, a running recording goes on in a new part, and of an ended call nothing more
        will be heard. Else it goes on where it was.
        """
        if self._ended_at is not None and is_restarted:
            for recording in self._recordings.values():
                recording.ended = True
            self._failed.add("capture-lost")
            return self._report_when_done()
        if not self._recording:
            return []
        if is_restarted:
            for recording in self._recordings.values():
                recording.next_part()
        return [TellCapture(self._begin_message())]

    def _disturb(self, cause: str) -> None:
        self._facts = replace(self._facts, disturbances=self._facts.disturbances | {cause})

    def _fail(self, failure: str) -> None:
        self._facts = replace(self._facts, failures=self._facts.failures | {failure})
        self._verdict = decide(self._facts, self._policy.rules)

    def _on_untouched(self) -> list[Effect]:
        self._fail("not-anchored")
        if self._number is None:
            return []
        number, self._number, self._media = self._number, None, None
        return [CloseMedia(number)]

    def _on_media(self, event: MediaNegotiated) -> list[Effect]:
        if event.obstacles:
            found = frozenset(it.value for it in event.obstacles)
            self._facts = replace(self._facts, obstacles=self._facts.obstacles | found)
        if self._number is None:
            return []
        self._ends.learn(event)
        effects: list[Effect] = list(self._ends.remotes(self._number))
        if self._recording:
            message = {"op": "codecs", "session": self._number, "codecs": self._ends.codecs()}
            effects.append(TellCapture(message))
        return effects

    def _decide(self, at: datetime) -> list[Effect]:
        """Decide afresh and act on the difference."""
        self._verdict = decide(self._facts, self._policy.rules)
        wanted = self._verdict.recorded()
        if wanted and self._media is None:
            self._fail("not-anchored")
            wanted = ()
        if wanted and not self._recordings and not self._ends.are_recordable():
            self._facts = replace(self._facts, obstacles=self._facts.obstacles | {"codec"})
            self._verdict = decide(self._facts, self._policy.rules)
            wanted = ()
        if self._recording and wanted != tuple(sorted(self._recordings)):
            return self._taint(at)
        if wanted and not self._recordings:
            return self._record(wanted)
        return []

    def _record(self, purposes: tuple[str, ...]) -> list[Effect]:
        assert self._number is not None
        self._recording = True
        for purpose in purposes:
            day = deadline_day(self._started_at, self._policy.retention[purpose])
            self._recordings[purpose] = _Recording(
                {
                    "recording": self._new_id(16).hex(),
                    "call": self.id,
                    "purpose": purpose,
                    "line": self._verdict.line,
                    "agent": self._verdict.agent,
                    "started_at": (self._answered_at or self._started_at).isoformat(),
                    "deadline_day": day.isoformat(),
                    "scheme_hash": self._policy.scheme_hash,
                    "part": 1,
                    "previous": None,
                }
            )
        return [TellCapture(self._begin_message()), Tap(self._number, "all")]

    def _begin_message(self) -> dict[str, Any]:
        return {
            "op": "begin",
            "session": self._number,
            "recordings": [it.plan for it in self._recordings.values()],
            "agent_side": "a" if self._facts.direction is Direction.OUTBOUND else "b",
            "parties": parties(self._facts),
            "codecs": self._ends.codecs(),
            "horizon_ms": int(self._policy.horizon / timedelta(milliseconds=1)),
        }

    def _taint(self, at: datetime) -> list[Effect]:
        """Stop for good: what is younger than the horizon is dropped, what is older stays sealed."""
        assert self._number is not None
        self._recording = False
        reason = self._verdict.reasons[0].value if self._verdict.reasons else "unlisted"
        message = {"op": "taint", "session": self._number, "reason": reason, "ended_at": at.isoformat()}
        return [Tap(self._number, "none"), TellCapture(message)]

    def _on_end(self, event: CallEnded) -> list[Effect]:
        self._ended_at = event.at
        effects: list[Effect] = []
        if self._recording:
            self._recording = False
            message = {"op": "finish", "session": self._number, "ended_at": event.at.isoformat()}
            effects = [Tap(self._number or 0, "none"), TellCapture(message)]
        if self._number is not None:
            effects.append(CloseMedia(self._number))
        return effects + self._report_when_done()

    def _report_when_done(self) -> list[Effect]:
        done = self._ended_at is not None and all(it.ended for it in self._recordings.values())
        if not done or self._reported:
            return []
        self._reported = True
        return self._report()

    def _report(self) -> list[Effect]:
        assert self._ended_at is not None
        verdict = self._verdict
        if self._facts.withheld_elsewhere:
            return []  # the other pass is counted
        if kind := KEPT_AS_COUNT.get(verdict.kind):
            return [NoteWithheld(self._ended_at.date(), kind)]
        if verdict.outcome is Outcome.NONE or verdict.line is None or verdict.agent is None:
            return []
        began = self._answered_at or self._ended_at
        return [
            NoteOutcome(
                call=self.id,
                started_at=self._started_at,
                line=verdict.line,
                agent=verdict.agent,
                outcome=_outcome(verdict, self._failed),
                reasons=tuple(it.value for it in verdict.reasons)
                + verdict.details
                + tuple(sorted(self._failed)),
                seconds=(self._ended_at - began).total_seconds(),
                purposes=tuple(sorted(self._recordings)),
            )
        ]


def _obstacles(offered: CallOffered) -> tuple[str, ...]:
    if offered.description is None:
        return (Obstacle.LATE_OFFER.value,)
    return tuple(it.value for it in offered.description.obstacles)


def _outcome(verdict: Verdict, failed: set[str]) -> Literal["recorded", "suppressed", "failed"]:
    if failed or verdict.outcome is Outcome.FAILED:
        return "failed"
    return "recorded" if verdict.outcome is Outcome.RECORDING else "suppressed"
