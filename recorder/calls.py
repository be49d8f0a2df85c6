"""All calls that run, and what one of them means for those that belong to it.

Through a PBX that is a proxy itself, one dialog crosses us twice. Where one of the passes is private,
privileged or among our own numbers, the whole conversation is: the other pass may show less of who speaks.
The same holds for all calls that are joined in any other way (`recorder.relations`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from recorder.agent_keys import Pressed, Wish
from recorder.decision import Doubt
from recorder.effects import Answer, AskForEvidence, CloseMedia, Done, Effect, Forward, Remind
from recorder.ends import DOUBTS
from recorder.evidence.statements import Statement
from recorder.facts import Lots, our_role
from recorder.feature_codes import FeatureCodes
from recorder.graph import Taint
from recorder.keypad import MARGIN, Keypad, Press
from recorder.policy import Policy
from recorder.relations import Relations
from recorder.restored import RestoredCall
from recorder.said import Heard
from recorder.session import Session
from recorder.spreading import Spreading
from recorder.trunk_legs import SETTLED_AFTER, Dialogs, TrunkLegs
from sip_hooks.events import (
    Anchor,
    CallAnswered,
    CallDisturbed,
    CallEnded,
    CallOffered,
    CallRestored,
    Disturbance,
    Event,
    KeysPressed,
    KeysTaken,
)
from sip_hooks.sdp import Obstacle


class Calls:
    """The sessions of all running calls. Events in, effects out.

    `new_id(n)` draws n bytes, `draw(n)` a whole number below n.
    """

    def __init__(self, policy: Policy, new_id: Callable[[int], bytes], draw: Callable[[int], int]) -> None:
        self._policy = policy
        self._new_id = new_id
        self._draw = draw
        self._sessions: dict[str, Session] = {}
        self._passes: dict[str, set[str]] = {}
        self._relations = Relations()
        self._lots: dict[str, Lots] = {}
        self._restored: dict[str, RestoredCall] = {}
        self._anchors: dict[str, Anchor] = {}
        self._trunk = TrunkLegs()
        self._dialogs = Dialogs()
        self._keypads: dict[str, Keypad] = {}
        self._pressed: dict[str, Pressed] = {}
        self._spreading = Spreading(self._sessions, self._relations, self._trunk)

    def __len__(self) -> int:
        return len(self._sessions) + len(self._restored)

    def summaries(self) -> list[dict[str, Any]]:
        """What may be shown of the running calls."""
        return [session.summary() for session in self._sessions.values() if session.is_shown]

    def numbers(self) -> list[int]:
        """The numbers of all calls whose media passes through us."""
        numbers = [it.number for it in self._sessions.values() if it.number is not None]
        return numbers + [it.number for it in self._restored.values()]

    def on_event(self, event: Event, at: datetime) -> list[Effect]:
        """Take in one event of the signalling."""
        if isinstance(event, CallOffered):
            return self._offer(event, at)
        if isinstance(event, CallRestored):
            return self._restore(event)
        session = self._sessions.get(event.call)
        if session is None:
            return self._go_on(event, at)
        self._relations.note(event)
        effects = self._spreading.weigh_company(event.call, at)  # before anything begins
        if self._trunk.is_disturbed_by(event):
            effects += self._take_back(event.call, at)
        effects += session.on_event(event, at)
        if isinstance(event, KeysPressed | KeysTaken):
            effects += self._on_info(event, at)
        effects += self._spreading.spread(event.call, at)
        effects += self._spreading.weigh_company(event.call, at)
        self._note_dialog(event)
        effects += self._let_phones_vouch(event.call, at)
        self._forget(event.call)
        return effects

    def media_opened(self, call: str, number: int, ports: tuple[int, int] | None) -> list[Effect]:
        """The answer to OpenMedia: ports, or None. A call that has gone on without them gives them back."""
        session = self._sessions.get(call)
        if session is not None and session.number == number:
            effects = session.media_opened(ports)
            self._anchors |= {it.call: it.media for it in effects if isinstance(it, Forward) and it.media}
            return effects
        return [CloseMedia(number)] if ports is not None else []

    def on_statement(self, statement: Statement, at: datetime) -> list[Effect]:
        """A source of evidence says who speaks inside one call on the trunk side, None if not sure."""
        call = self._trunk.meant_by(statement)
        session = self._sessions.get(call or "")
        if call is None or session is None:
            return []
        return session.vouch(statement.inside, at) + self._spreading.spread(call, at)

    def on_evidence_lost(self, at: datetime) -> list[Effect]:
        """The source of evidence has fallen silent: nobody says who speaks inside."""
        return [effect for call in self._trunk.all() for effect in self._take_back(call, at)]

    def on_policy(self, policy: Policy, at: datetime) -> list[Effect]:
        """Another policy is in force from now on, for running calls too."""
        self._policy = policy
        effects = [effect for it in self._sessions.values() for effect in it.on_policy(policy, at)]
        for call in self._sessions:
            effects += self._spreading.spread(call, at) + self._spreading.weigh_company(call, at)
        for call in self._trunk.all():
            effects += self._let_phone_vouch(call, at)
        return effects

    def abandon(self, call: str, at: datetime) -> list[Effect]:
        """An event of this call could not be acted on: who knows what it says of all that belong to it?"""
        if call not in self._sessions:
            return []
        self._relations.taint(call, Taint.UNREADABLE)
        concerned = {call, *self._relations.untold(call), *self._relations.company(call)[1]}
        return [effect for it in sorted(concerned) for effect in self._sessions[it].abandon(at)]

    def request(self, id: str, purposes: Iterable[str], at: datetime) -> Answer | None:
        """Somebody asks for a call to be recorded; None if there is no such call, or none to be shown."""
        session = self._shown(id)
        return session.request(purposes, at) if session is not None else None

    def stop(self, id: str, purposes: Iterable[str], at: datetime) -> list[Effect] | None:
        """Somebody ends the recording of a call; None if there is no such call, or none to be shown."""
        session = self._shown(id)
        return session.stop(purposes, at) if session is not None else None

    def pause(self, id: str, at: datetime) -> Done | None:
        """Somebody wants silence in a call for a while; None as for `stop`."""
        session = self._shown(id)
        return session.pause(at) if session is not None else None

    def resume(self, id: str, at: datetime) -> Done | None:
        """A pause is to be over; None as for `stop`."""
        session = self._shown(id)
        return session.resume(at) if session is not None else None

    def make_private(self, id: str, at: datetime) -> Done | None:
        """A call is private, for good, and so is all that was recorded of it; None as for `stop`."""
        call = next((call for call, it in self._sessions.items() if it.id == id and it.is_shown), None)
        return Done((), self._spreading.withdraw(call, "private-code", at)) if call is not None else None

    def cut_off(self, at: datetime) -> list[Effect]:
        """The service stops: what is noted of the calls that run."""
        return [effect for it in self._sessions.values() for effect in it.cut_off(at)]

    def on_media_back(self, at: datetime) -> list[Effect]:
        """The media broker can be reached again."""
        return self._miss_keys(at) + [
            effect for it in self._sessions.values() for effect in it.resume_media()
        ]

    def on_discontinuity(self, recording: str, at: datetime) -> list[Effect]:
        """What capture hears of our side of a recorded call does not go on as it did."""
        calls = [call for call in self._trunk.all() if recording in self._sessions[call].recordings()]
        return [effect for call in calls for effect in self._take_back(call, at)]

    def on_reminder(self, call: str, at: datetime) -> list[Effect]:
        """Time has gone by since a key was pressed, or a pause began (Remind)."""
        session = self._sessions.get(call)
        effects = session.pass_time(at) if session is not None else []
        pad, codes = self._keypads.get(call), self._policy.feature_codes
        effects += self._heed(call, pad, pad.expire(at, codes), at) if pad and codes else []
        return effects + self._let_phones_vouch(call, at)

    def on_announced(self, call: str, number: int, told: Heard | str, at: datetime) -> list[Effect]:
        """What became of an announcement (Play): it was heard whole, or why not."""
        session = self._sessions.get(call)
        return session.on_announced(number, told, at) if session is not None else []

    def on_capture(self, message: Mapping[str, Any]) -> list[Effect]:
        """The capture process tells of a recording."""
        effects: list[Effect] = []
        for call, session in list(self._sessions.items()):
            if message.get("recording") in session.recordings():
                effects += session.on_capture(message)
                self._forget(call)
        return effects

    def on_keys(
        self,
        number: int,
        keys: str,
        pressed_at: datetime,
        at: datetime,
        heard_in: str = "rtp",
        side: str = "",
    ) -> list[Effect]:
        """Capture has heard keys on this side of the call with this number. They count also if nobody listens
        any more since, and the private code if the call has ended since.
        """
        for call, session in self._sessions.items():
            if session.is_of(number):
                if session.is_outside(side):
                    return self._hear_out(call, keys, at)
                return self._press(call, heard_in, keys, pressed_at, at)
        return []

    def on_capture_back(self, is_restarted: bool, at: datetime) -> list[Effect]:
        """The capture process can be reached again, the same run of it or another."""
        effects = self._miss_keys(at)
        for call, session in list(self._sessions.items()):
            effects += session.on_capture_back(is_restarted)
            self._forget(call)
        return effects

    def _restore(self, event: CallRestored) -> list[Effect]:
        self._relations.restore(event.call)
        if event.media is None:
            return []
        call = self._restored[event.call] = RestoredCall(event.media.reference)
        return call.begin()

    def _go_on(self, event: Event, at: datetime) -> list[Effect]:
        beside = self._relations.go_on(event)
        effects = [effect for it in beside for effect in self._spreading.weigh_company(it, at)]
        call = self._restored.get(event.call)
        if call is None:
            return effects
        if isinstance(event, CallEnded):
            del self._restored[event.call]
        return effects + call.on_event(event, at)

    def _offer(self, event: CallOffered, at: datetime) -> list[Effect]:
        others = self._passes.setdefault(event.conversation, set())
        if event.description is None and any(self._sessions[it].number is not None for it in others):
            # Whose offer is still to come names no port of ours yet, and will come through here first.
            event = replace(event, already_anchored=True)
        self._relations.offer(event)
        withheld = Taint.WITHHELD in self._relations.taints(event.call)
        lots = self._lots.setdefault(event.conversation, Lots(self._draw))
        session = Session(self._checked(event), self._policy, self._new_id, lots, withheld)
        self._sessions[event.call] = session
        doubts = session.doubt(Doubt.CONSULTATION, at) if self._relations.is_consultation(event) else []
        self._trunk.offer(event)
        others.add(event.call)
        if self._spreading.is_half_of_withheld(event.call, session):
            doubts += session.withhold(at)
        return doubts + self._spreading.spread(event.call, at) + session.begin()

    def _checked(self, event: CallOffered) -> CallOffered:
        """That a call is anchored already is believed of media that we have anchored. Else whoever writes a
        port of ours into an offer, and mends it in a re-INVITE, is neither recorded nor missed.
        """
        said = event.description
        if not event.already_anchored or said is None or said.end is None:
            return event
        named = said.end.address, said.end.rtp_port
        if any(named in (it.to_caller, it.to_callee) for it in self._anchors.values()):
            return event
        claimed = replace(said, obstacles=said.obstacles | {Obstacle.CLAIMED})
        return replace(event, already_anchored=False, description=claimed)

    def _on_info(self, event: KeysPressed | KeysTaken, at: datetime) -> list[Effect]:
        """A party presses keys."""
        if event.sender != our_role(self._sessions[event.call].facts):
            return self._hear_out(event.call, event.keys, at) if isinstance(event, KeysPressed) else []
        if isinstance(event, KeysPressed):
            return self._press(event.call, "info", event.keys, at, at)
        pad = self._keypads.get(event.call)
        return [] if pad is None else self._heed(event.call, pad, pad.taken("info", at), at)

    def _press(self, call: str, heard_in: str, keys: str, pressed_at: datetime, at: datetime) -> list[Effect]:
        effects = self._obey(call, heard_in, keys, pressed_at, at)
        return effects + self._suspect(call, heard_in, keys, pressed_at, at)

    def _hear_out(self, call: str, keys: str, at: datetime) -> list[Effect]:
        """The outside party presses keys: it may object."""
        if not self._sessions[call].is_objection(keys):
            return []
        return self._spreading.withdraw(call, "objection", at)

    def _obey(self, call: str, heard_in: str, keys: str, pressed_at: datetime, at: datetime) -> list[Effect]:
        """Our party may press what steers the recording. What cannot be granted is let be."""
        session, effects, policy = self._sessions[call], list[Effect](), self._policy
        pressed = self._pressed.setdefault(call, Pressed())
        between = timedelta(seconds=(policy.feature_codes or FeatureCodes()).key_seconds) + MARGIN
        for wish, since in pressed.press(heard_in, keys, pressed_at, policy.codes, between):
            match wish:
                case Wish.PRIVATE:
                    effects += self._spreading.withdraw(call, "private-code", at)
                case Wish.PAUSE:
                    effects += session.pause(at, since).effects
                case Wish.RESUME:
                    effects += session.resume(at).effects
                case Wish.RECORD:
                    effects += session.request((), at).effects
        return effects

    def _suspect(
        self, call: str, heard_in: str, keys: str, pressed_at: datetime, at: datetime
    ) -> list[Effect]:
        """It may be a code of the PBX. On the trunk the PBX has it behind it, and what it may do is seen."""
        codes = self._policy.feature_codes
        if call in self._trunk:
            return []
        if codes is None:
            return self._end_for_keys(call, at) + self._spreading.weigh_company(call, pressed_at)
        pad = self._keypads.setdefault(call, Keypad())
        found = pad.press(heard_in, keys, pressed_at, codes, on_the_way=heard_in == "info")
        return self._heed(call, pad, found, at)

    def _miss_keys(self, at: datetime) -> list[Effect]:
        """Nobody has heard for a while what was pressed where that matters: nobody beside it is certain."""
        deaf = [call for call, it in self._sessions.items() if it.hears_keys]
        calls = {it for call in deaf for it in (call, *self._relations.company(call)[1])}
        return [effect for it in sorted(calls) for effect in self._end_for_keys(it, at)]

    def _end_for_keys(self, call: str, at: datetime) -> list[Effect]:
        """What was pressed in it, or may have been, ends its recording for good."""
        return self._sessions[call].on_event(CallDisturbed(call, Disturbance.KEYS, ()), at)

    def _heed(self, call: str, pad: Keypad, press: Press, at: datetime) -> list[Effect]:
        """From the first key of what may be a code nobody knows who speaks, until it turns out to be none."""
        session, codes = self._sessions[call], self._policy.feature_codes
        if press is Press.NOTHING:
            return session.settle(Doubt.KEYS, at) + self._spreading.weigh_company(call, at)
        since = pad.since or at
        effects = session.doubt(Doubt.KEYS, since) + self._spreading.weigh_company(call, since)
        if press is Press.PERHAPS and codes is not None:
            effects.append(Remind(call, codes.key_seconds + 2 * MARGIN.total_seconds()))
        return effects

    def _take_back(self, call: str, at: datetime) -> list[Effect]:
        """What was vouched for counts no longer; only what is true from now on does."""
        self._trunk.disturb(call, at)
        session = self._sessions[call]
        if self._policy.do_phones_vouch:
            return [*session.vouch(None, at), Remind(call, (SETTLED_AFTER + MARGIN).total_seconds())]
        return [*session.vouch(None, at), AskForEvidence(session.conversation)]

    def _note_dialog(self, event: Event) -> None:
        if isinstance(event, CallAnswered):
            self._dialogs.answer(event.call, self._sessions[event.call].conversation, event.to_tag)
        elif isinstance(event, CallEnded):
            self._dialogs.leave(event.call)

    def _let_phones_vouch(self, call: str, at: datetime) -> list[Effect]:
        """Something has changed in a call, and perhaps in others of its telephone: what does that mean for
        those on the trunk that are the same dialog?
        """
        if not self._policy.do_phones_vouch:
            return []
        near = {call, *self._relations.company(call)[0]}
        halves = {it for one in near for it in self._dialogs.passes(one)} | {call}
        return [effect for it in sorted(halves) for effect in self._let_phone_vouch(it, at)]

    def _let_phone_vouch(self, call: str, at: datetime) -> list[Effect]:
        """A call on the trunk is vouched for by its pass between phone and PBX while all is certain there."""
        if not self._policy.do_phones_vouch or call not in self._trunk or call not in self._sessions:
            return []
        others = sorted(self._dialogs.passes(call) - {call})
        phone = self._sessions[others[0]] if len(others) == 1 and others[0] not in self._trunk else None
        is_sure = phone is not None and phone.is_certain(DOUBTS)  # which the trunk's own pass judges
        if is_sure and not self._trunk.is_settled(call, at):
            return []
        inside = phone.facts.inside if phone is not None and is_sure else None
        return self._sessions[call].vouch(inside, at) + self._spreading.spread(call, at)

    def _shown(self, id: str) -> Session | None:
        return next((it for it in self._sessions.values() if it.id == id and it.is_shown), None)

    def _forget(self, call: str) -> None:
        session = self._sessions[call]
        if session.is_over:
            del self._sessions[call]
            self._trunk.forget(call)
            self._dialogs.forget(call)
            self._relations.forget(call)
            self._keypads.pop(call, None)
            self._pressed.pop(call, None)
            self._anchors.pop(call, None)
            passes = self._passes[session.conversation]
            passes.discard(call)
            if not passes:
                del self._passes[session.conversation], self._lots[session.conversation]
