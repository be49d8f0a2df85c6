"""The SIP core and all sessions as one node of the network: bytes in, bytes out, effects carried out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

from recorder.calls import Calls
from recorder.effects import (
    AskForEvidence,
    CloseMedia,
    Destroy,
    Effect,
    Forward,
    KeepInMind,
    NoteOutcome,
    NoteWithheld,
    OpenMedia,
    Play,
    Remind,
    SetRemote,
    StopPlaying,
    Tap,
    TellCapture,
)
from recorder.evidence.statements import Statement
from recorder.policy import Policy
from recorder.said import Heard
from simulate.link import Link
from simulate.recording import EPOCH, Media
from sip_hooks.engine import Engine, EngineSettings, Listener
from sip_hooks.events import CallOffered, Event, ForwardCall
from sip_hooks.settings import Address, Trunk

US: Address = ("10.0.0.1", 5060)
PBX: Address = ("10.0.0.2", 5060)
TRUNK: Address = ("10.0.2.1", 5060)
INNER = "10.0.0.1:5080"
"""Where the PBX sends what is for the trunk."""
SETTINGS = EngineSettings(
    (
        Listener("a", "both", *US),
        Listener("trunk", "trunk", US[0], 5070),
        Listener("inner", "pbx", US[0], 5080, leads_to="trunk"),
    ),
    PBX,
    frozenset({US[0]}),
    (20000, 60000),
    b"k" * 32,
    trunk=Trunk(TRUNK),
)
LATE = (0.02, 0.1, 0.1, 0.5)
"""By how many seconds a key is told of late."""

ANNOUNCED_SECONDS = 3.0

Send = Callable[[bytes, Address], None]
Tell = Callable[[str, object], None]


class Proxy:
    """`send(data, destination)` lets a packet leave; `tell(kind, what)` hears of events and effects;
    `heard(session)` of announcements that were heard to their end.
    """

    def __init__(
        self,
        link: Link,
        chance: Random,
        policy: Policy,
        send: Send,
        tell: Tell,
        heard: Callable[[int], None] = lambda session: None,
    ) -> None:
        drawn = count(1)

        def new_id(size: int) -> bytes:
            return hashlib.shake_128(b"%d" % next(drawn)).digest(size)

        self._link, self._send, self._tell, self._chance = link, send, tell, chance
        self.engine = Engine(SETTINGS, new_id, lambda now: EPOCH + timedelta(seconds=now))
        self.calls = Calls(policy, new_id, lambda below: chance.randrange(below))
        self.media = Media()
        self.conversations: dict[int, str] = {}  # by session number
        self.notes: list[NoteOutcome | NoteWithheld] = []
        self.ask: Callable[[], None] = lambda: None
        """Lets the source of evidence say everything anew."""
        self.media_fails = chance.random() < 0.01
        self._offered: dict[str, str] = {}  # conversation by call
        self._ports = count(20000, 4)
        self._sides: dict[int, tuple[int, str]] = {}  # session number and side by port
        self._told_at = 0.0
        self._heard = heard
        self._playing: dict[int, Play] = {}

    def receive(self, data: bytes, source: Address) -> None:
        """A datagram arrives."""
        listener = "trunk" if source == TRUNK else "inner" if INNER.encode() in data else "a"
        self.engine.receive_datagram(data, source, listener, self._link.now)
        self._settle()

    def press(self, port: int, payload_type: int, key: str) -> None:
        """A key in RTP arrives at a port. Capture tells of it a moment later, of one after the other."""
        session, side = self._sides.get(port, (0, ""))
        if not self.media.hears(session, side, payload_type, self._link.now):
            return
        self._told_at = max(self._told_at, self._link.now + self._chance.choice(LATE))
        told = partial(self._pressed, session, key, self._at())
        self._link.later(self._told_at - self._link.now, told)

    def _pressed(self, session: int, key: str, at: datetime) -> None:
        self._tell("heard", f"{key} in {session}, {(self._at() - at).total_seconds():.2f} s late")
        self._carry_out(self.calls.on_keys(session, key, at, self._at()))

    def vouch(self, conversation: str, inside: frozenset[str] | None, at: float) -> None:
        """The source of evidence says who speaks inside, as of `at`."""
        statement = Statement(conversation, inside, EPOCH + timedelta(seconds=at))
        self._carry_out(self.calls.on_statement(statement, self._at()))

    def lose_evidence(self) -> None:
        """It has fallen silent."""
        self._carry_out(self.calls.on_evidence_lost(self._at()))

    def break_media(self, conversation: str) -> bool:
        """Our side of a conversation does not go on as it did. Whether capture hears that."""
        ours = (it for it in self.media.clips.items() if self.conversations[it[1].session] == conversation)
        heard = [id for id, clip in ours if clip.is_watched and clip.since is not None]
        for id in heard:
            self._carry_out(self.calls.on_discontinuity(id, self._at()))
        return bool(heard)

    def stop(self) -> None:
        """Somebody ends all recordings, as `doelband ctl calls stop` does."""
        for row in self.calls.summaries():
            self._carry_out(self.calls.stop(row["call"], (), self._at()) or ())

    def handle_timer(self) -> None:
        """What is due happens."""
        self.engine.handle_timer(self._link.now)
        self._settle()

    def _settle(self) -> None:
        while (event := self.engine.next_event()) is not None:
            self._hear(event)
        for packet in self.engine.packets_to_send():
            self._send(packet.data, packet.destination)

    def _hear(self, event: Event) -> None:
        self._tell("event", event)
        if isinstance(event, CallOffered):
            self._offered[event.call] = event.conversation
        self._carry_out(self.calls.on_event(event, self._at()))

    def _at(self) -> datetime:
        return EPOCH + timedelta(seconds=self._link.now)

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Remind):
                self._link.later(effect.seconds, partial(self._remind, effect.call))
            elif isinstance(effect, AskForEvidence):
                self.ask()
            elif isinstance(effect, Play):
                self._playing[effect.session] = effect
                self._link.later(ANNOUNCED_SECONDS, partial(self._played, effect))
            elif isinstance(effect, StopPlaying):
                del self._playing[effect.session]
            else:
                self._act(effect)

    def _remind(self, call: str) -> None:
        self._carry_out(self.calls.on_reminder(call, self._at()))

    def _played(self, order: Play) -> None:
        """What a relay tells: heard whole, unless it was stopped, or now and then something failed."""
        told: Heard | str = "announcement-failed"
        if self._playing.get(order.session) is order and self._chance.random() >= 0.05:
            began = self._at() - timedelta(seconds=ANNOUNCED_SECONDS)
            told = Heard(order.sha256, began, self._at())
            self._heard(order.session)
        self._tell("played", told)
        self._carry_out(self.calls.on_announced(order.call, order.number, told, self._at()))

    def _act(self, effect: Effect) -> None:
        now = self._link.now
        match effect:
            case Forward(call, strip, media):
                self.engine.execute(ForwardCall(call, strip, media), now)
            case OpenMedia(call, number):
                self.conversations[number] = self._offered[call]
                port = next(self._ports)
                self._sides |= {port: (number, "a"), port + 2: (number, "b")}
                ports = None if self.media_fails else (port, port + 2)
                self._carry_out(self.calls.media_opened(call, number, ports))
            case Tap():
                self._tell("effect", effect)
                self.media.tap(effect, now)
            case TellCapture(message):
                self._tell("capture", message)
                self.media.tell(message, now)
                self._answer(message)
            case CloseMedia(number):
                self.media.tap(Tap(number, "none"), now)
            case NoteOutcome() | NoteWithheld():
                self._tell("effect", effect)
                self.notes.append(effect)
            case SetRemote() | KeepInMind() | Destroy():
                pass

    def _answer(self, message: dict[str, Any]) -> None:
        """What capture tells, a moment later: after the keys that came before the order."""
        if message["op"] == "begin":
            said = [
                {"event": "opened", "recording": row["recording"], "clip": "c" * 32}
                for row in message["recordings"]
            ]
        elif message["op"] in ("finish", "taint", "stop"):
            ended = [id for id, clip in self.media.clips.items() if clip.session == message["session"]]
            said = [{"event": "sealed", "recording": message.get("recording", id)} for id in ended]
        elif message["op"] == "discard":
            ended = [id for id, clip in self.media.clips.items() if clip.session == message["session"]]
            said = [{"event": "discarded", "recording": id} for id in ended]
        else:
            return
        for each in said:
            self._link.later(max(0.0, self._told_at - self._link.now) + 0.01, partial(self._captured, each))

    def _captured(self, message: dict[str, Any]) -> None:
        self._carry_out(self.calls.on_capture(message))
