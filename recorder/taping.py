"""What relay and capture are told of one call: its recordings begin, pause, go on and end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from purge.retention import deadline_day
from recorder.decision import CallFacts, Direction, Verdict, Vouching
from recorder.effects import Effect, Tap, TellCapture
from recorder.ends import Ends
from recorder.facts import parties
from recorder.policy import Policy
from recorder.recordings import Recordings

Side = Literal["a", "b"]
Party = Literal["ours", "outside"]
_OPPOSITE: dict[Side, Side] = {"a": "b", "b": "a"}


class _Listened(NamedTuple):
    """Whose keys are heard: as events of these payload types, as tones in audio of these codecs."""

    side: Side
    events: tuple[int, ...] = ()
    tones: tuple[tuple[int, str, int], ...] = ()

    @property
    def payload_types(self) -> tuple[int, ...]:
        """In which its keys are."""
        return (*self.events, *(number for number, _, _ in self.tones))


class Taping:
    """The tap and the recordings of one call. `number`: what relay and capture know the call by.

    A tap is open only while a recording runs that is not paused. It is shut before capture is told why.
    """

    def __init__(self, call: str, started_at: datetime, ends: Ends, new_id: Callable[[int], bytes]) -> None:
        self.recordings = Recordings()
        self.number: int | None = None
        self._call = call
        self._started_at = started_at
        self._ends = ends
        self._new_id = new_id
        self._paused_at: datetime | None = None
        self._is_discarded = False
        self._keys: dict[Party, _Listened] = {}
        self._heard_under: dict[str, dict[str, str]] | None = None  # the SRTP keys of what is listened to

    @property
    def hears_keys(self) -> bool:
        """Whether the keys of a party are heard."""
        return bool(self._keys)

    def listen(self, wanted: Collection[Party], facts: CallFacts) -> list[Effect]:
        """Hear the keys of these parties from now on, whether anything is recorded or not."""
        ours = our_side(facts)
        keys: dict[Party, _Listened] = {}
        for party in sorted(wanted) if self.number is not None else ():
            side = ours if party == "ours" else _OPPOSITE[ours]
            found = _Listened(side, self._ends.keys(side), self._ends.tones(side))
            if found.events or found.tones:
                keys[party] = found
        srtp = self._ends.srtp() if keys else None
        if keys == self._keys and srtp == self._heard_under:
            return []
        before, is_same = self._keys, srtp == self._heard_under
        self._keys, self._heard_under = keys, srtp
        told = [self._tell_keys(_Listened(it.side)) for party, it in before.items() if party not in keys]
        told += [self._tell_keys(it) for party, it in keys.items() if not is_same or it != before.get(party)]
        return [*told] if self._is_open() else [*told, self._tap("none")]

    def begin(
        self, purposes: tuple[str, ...], verdict: Verdict, facts: CallFacts, policy: Policy, at: datetime
    ) -> list[Effect]:
        """These begin now."""
        self._paused_at = None
        for purpose in purposes:
            day = deadline_day(self._started_at, policy.retention[purpose])
            plan = {
                "recording": self._new_id(16).hex(),
                "call": self._call,
                "purpose": purpose,
                "line": verdict.line,
                "agent": verdict.agent,
                "started_at": at.isoformat(),
                "deadline_day": day.isoformat(),
                "scheme_hash": policy.scheme_hash,
                "part": 1,
                "previous": None,
                "announcements": policy.proofs(purpose, facts),
            }
            self.recordings.add(purpose, plan)
        return [TellCapture(self._begin_message(purposes, facts, policy)), self._tap("all")]

    def pause(self, facts: CallFacts, policy: Policy, at: datetime) -> list[Effect]:
        """Nothing is kept that arrived since `at`, or arrives from now on. On the trunk side nothing that is
        held is, either: what is seen there may be late by that much.
        """
        is_seen = facts.vouching is Vouching.NOT_NEEDED
        since = at if is_seen else at - policy.horizon_of(facts)
        if self._paused_at is not None and self._paused_at <= since:
            return []
        self._paused_at = since
        return self._if_running(self._tap("none"), self._tell("pause", at=self._paused_at.isoformat()))

    def resume(self, facts: CallFacts, policy: Policy, at: datetime) -> list[Effect]:
        """The same recordings go on; perhaps with somebody who has been told meanwhile."""
        self._paused_at = None
        running = self.recordings.running()
        told = self.recordings.announced({name: policy.proofs(name, facts) for name in running})
        resumed = self._tell("resume", at=at.isoformat(), announcements=told)
        return self._if_running(resumed, self._tap("all"))

    def taint(self, reason: str, at: datetime) -> list[Effect]:
        """Stop all for good: what is younger than the horizon is dropped, what is older stays sealed."""
        self.recordings.end()
        return [self._tap("none"), self._tell("taint", reason=reason, ended_at=at.isoformat())]

    def discard(self) -> list[Effect]:
        """Destroy all that was recorded, and keep nothing more."""
        if not self.recordings.purposes():
            return []
        self._is_discarded = True
        shut = [self._tap("none")] if self.recordings.running() else []
        self.recordings.end()
        return [*shut, self._tell("discard")]

    def stop(self, purposes: Iterable[str], at: datetime) -> list[Effect]:
        """These recordings end, the others go on."""
        ids = [self.recordings.stop(purpose) for purpose in purposes]
        when = at.isoformat()
        told: list[Effect] = [self._tell("stop", reason="stopped", ended_at=when, recording=id) for id in ids]
        return told if self.recordings.running() else [self._tap("none"), *told]

    def finish(self, at: datetime) -> list[Effect]:
        """The call is over."""
        hushed = self._hush()
        if not self.recordings.running():
            return hushed
        self.recordings.end()
        return [*hushed, self._tap("none"), self._tell("finish", ended_at=at.isoformat())]

    def renegotiated(self) -> list[Effect]:
        """The codecs and the keys may be others than before."""
        if not self.recordings.running():
            return []
        return [self._tell("codecs", codecs=self._ends.codecs(), srtp=self._ends.srtp())]

    def reopen(self) -> list[Effect]:
        """The broker has shut every tap. Where keys were listened to they have been missed: see `Calls`."""
        return [self._tap("all")] if self._is_open() else []

    def shut_if_idle(self) -> list[Effect]:
        """Capture has given a recording up: nobody listens any more, perhaps."""
        return [] if self.recordings.running() else [self._tap("none")]

    def on_capture_back(self, is_restarted: bool, facts: CallFacts, policy: Policy) -> list[Effect]:
        """Capture can be reached again; what it does not know any more begins in a new part."""
        self.recordings.on_capture_back(is_restarted)
        if self._is_discarded:  # the order may have been lost
            return [self._tell("discard")]
        running = self.recordings.running()
        if not running:
            return []
        begun: list[Effect] = [TellCapture(self._begin_message(running, facts, policy))]
        paused_at = self._paused_at
        return begun if paused_at is None else [*begun, self._tell("pause", at=paused_at.isoformat())]

    def _if_running(self, *effects: Effect) -> list[Effect]:
        """Of what capture has given up nothing more is to be told, nor is anything to be tapped for it."""
        return list(effects) if self.recordings.running() else []

    def _is_open(self) -> bool:
        return bool(self.recordings.running()) and self._paused_at is None and self.number is not None

    def _hush(self) -> list[Effect]:
        """Nothing of this call is to be heard any more."""
        before, self._keys, self._heard_under = self._keys, {}, None
        return [self._tell_keys(_Listened(it.side)) for it in before.values()]

    def _tell_keys(self, keys: _Listened) -> TellCapture:
        told = {"side": keys.side, "payload_types": list(keys.events), "tones": list(map(list, keys.tones))}
        return self._tell("listen", **told, srtp=self._ends.srtp())

    def _tap(self, level: Literal["none", "all"]) -> Tap:
        assert self.number is not None
        if level == "none" and self._keys:
            sides = sorted(self._keys.values())
            return Tap(self.number, "events", tuple((it.side, it.payload_types) for it in sides))
        return Tap(self.number, level)

    def _tell(self, order: str, **rest: Any) -> TellCapture:
        return TellCapture({"op": order, "session": self.number, **rest})

    def _begin_message(self, purposes: tuple[str, ...], facts: CallFacts, policy: Policy) -> dict[str, Any]:
        return {
            "op": "begin",
            "session": self.number,
            "watched": facts.vouching is not Vouching.NOT_NEEDED,
            "recordings": self.recordings.plans(purposes),
            "agent_side": our_side(facts),
            "parties": parties(facts),
            "codecs": self._ends.codecs(),
            "srtp": self._ends.srtp(),
            "horizon_ms": int(policy.horizon_of(facts) / timedelta(milliseconds=1)),
        }


def our_side(facts: CallFacts) -> Side:
    """On which side of the media our own telephone is."""
    return "a" if facts.direction is Direction.OUTBOUND else "b"
