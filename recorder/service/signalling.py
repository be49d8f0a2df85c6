"""The signalling process: SIP in and out, a session a call, effects carried out in order.

It never waits for the database, for capture, keys or purge; an INVITE waits at most 50 ms for media ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from recorder import control
from recorder.calls import Calls
from recorder.capture.orders import refusals
from recorder.channel import Dialler, TooLarge
from recorder.config import Config
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
from recorder.metrics import Sample, answered, counted, sample
from recorder.notify import Notifier, keep_telling
from recorder.relay.client import MediaClient, MediaUnavailable
from recorder.rules import Directory, compile_rules
from recorder.scheme import Scheme
from recorder.service import gatekeeper, places
from recorder.service.announcer import Announcer
from recorder.service.asked import Asked
from recorder.service.books import Books
from recorder.service.figures import ledger_samples, sip_samples
from recorder.service.listening import encryption, settings
from recorder.service.refusals import keep_telling_refusals
from recorder.service.reloading import Reloader
from recorder.service.resolving import keep_resolving
from recorder.service.unfinished import UnfinishedCalls
from recorder.service.witnesses import Witnesses
from sip_hooks.address import Family, family_of, host
from sip_hooks.events import Anchor, Event, ForwardCall
from sip_hooks.transport import Transport
from storage.catalog import Catalogue
from storage.clock import SystemClock

log = structlog.get_logger()

RESTORE_SECONDS = 0.5
"""What the broker has to say what is left of calls in progress."""
URGE_SECONDS = 2.0
FORGET_SECONDS = 5.0
"""How soon media that was closed is named no more; its ports rest much longer."""


def _compiled(scheme: Scheme) -> Directory:
    """Make a scheme ready for use, and its rules, which are remembered: where no call waits for it."""
    compile_rules(scheme)
    return Directory(scheme)


class Signalling:
    """One running signalling process. Use inside a running event loop, after the gate was looked at."""

    def __init__(self, config: Config, books: Books, gate: gatekeeper.Gate) -> None:
        self._config = config
        self._books = books
        self._gate = gate
        self._catalogue: Catalogue | None = None
        self._clock = SystemClock(config.clock.offset_file)
        self._calls = Calls(gate.policy, secrets.token_bytes, secrets.randbelow)
        self._asked = Asked(self._calls, self._carry_out, self._clock.now)
        self._tasks: set[asyncio.Task[None]] = set()
        self._media = MediaClient(places.media(config), self._claim_media)
        self._announcer = Announcer(config, self._media, self._clock.now)
        self._capture = Dialler(
            places.capture(config),
            self._captured,
            lambda: log.info("capture is there"),
            lambda: log.error("capture has gone, waiting for it; calls go on"),
        )
        self._witnesses = Witnesses(config, self._vouched, self._unvouched, self._clock.now)
        self._capture_run: str | None = None
        self._left: dict[int, Anchor] = {}  # media of calls that were in progress before this process
        self._transport = Transport(
            settings(config), self._on_event, self._clock.now, encryption=encryption(config)
        )
        self._transport.heed(Directory(config.scheme()).is_emergency)

    async def start(self) -> None:
        """Open the SIP listeners. Raises OSError when an address or port cannot be had.

        The broker is asked first what is left of calls in progress: their next request may be there already.
        """
        try:
            async with asyncio.timeout(RESTORE_SECONDS):
                await self._media.connected()
                self._left = await self._media_left()
        except (MediaUnavailable, TimeoutError):
            log.warning("the media broker did not say what is left; calls in progress are not held to it")
        self._transport.restore(self._left)
        await self._transport.open()
        self._spawn(keep_resolving(self._config, self._transport.aim, secrets.randbelow))
        self._spawn(keep_telling_refusals(self._transport.engine))
        self._witnesses.start()
        if self._left:
            log.info("calls in progress go on; none of them is recorded", calls=len(self._left))
            self._spawn(self._forget_closed())

    async def _media_left(self) -> dict[int, Anchor]:
        """The media of all open calls. Raises MediaUnavailable, TimeoutError."""
        told = self._config.media.advertised_addresses()
        left: dict[int, Anchor] = {}
        for it in await self._media.table():
            to_caller, to_callee = (family_of(address) for address in (it.caller_address, it.callee_address))
            if {to_caller, to_callee} <= told.keys():
                shown = (told[to_caller], it.caller_port), (told[to_callee], it.callee_port)
                left[it.session] = Anchor(*shown, it.session)
        return left

    async def _forget_closed(self) -> None:
        """What the broker has closed is not there to come back to: its ports may be another call's."""
        while self._left:
            await asyncio.sleep(FORGET_SECONDS)
            with contextlib.suppress(MediaUnavailable, TimeoutError):
                open_calls = await self._media_left()
                self._left = {number: it for number, it in self._left.items() if number in open_calls}
                self._transport.restore(self._left)

    @property
    def gate(self) -> gatekeeper.Gate:
        """The gate as it stands."""
        return self._gate

    def apply(self, gate: gatekeeper.Gate) -> None:
        """The gate was looked at again: act if it is not what it was."""
        if gate.stands_like(self._gate):
            return
        self._gate = gate
        gatekeeper.tell(gate)
        self._carry_out(self._calls.on_policy(gate.policy, self._clock.now()))

    @property
    def status(self) -> str:
        """For people: one line."""
        gate = "recording is allowed" if self._gate.approved else "nothing is recorded"
        parts = [f"{len(self._calls)} calls", f"{gate} ({self._gate.reason})"]
        parts += [] if self._media.is_up else ["waiting for the media broker"]
        parts += [] if self._capture.is_up else ["waiting for capture"]
        return "; ".join(parts)

    async def look(self, catalogue: Catalogue) -> None:
        """Judge the gate again, by the configuration that is in force."""
        self._catalogue, config = catalogue, self._config
        gate = await gatekeeper.look(config, catalogue)
        if config is self._config:  # else another look is under way
            self.apply(gate)

    async def follow(self, config: Config) -> dict[str, Any]:
        """Another configuration, for running calls too. Until the gate is judged, it can only take away.

        Certificates come last: raises Unavailable when they cannot be used; those of before stay in force.
        """
        directory = await asyncio.to_thread(_compiled, config.scheme())
        before = self._recorded()
        gate = self._gate.reloaded(config)
        self._config, self._gate = config, gate
        self._witnesses.follow(config)
        self._announcer.use(config)
        self._carry_out(self._calls.on_policy(gate.policy, self._clock.now()))
        if self._catalogue is not None:
            await self.look(self._catalogue)
        self._transport.heed(directory.is_emergency)
        self._transport.encrypt(encryption(config))
        return {
            "recording": self._gate.approved,
            "gate": self._gate.reason,
            "explanation": gatekeeper.explain(self._gate.reason, self._gate.declared),
            "stopped": len(before - self._recorded()),
        }

    def answer(self, message: control.Message) -> control.Message:
        """Answer `doelband status`, `doelband calls` and `doelband ctl`."""
        if message.get("op") == "status":
            return {
                "ok": True,
                "pid": os.getpid(),
                "calls": len(self._calls),
                "calls_of_before": len(self._left),
                "recording": self._gate.approved,
                "gate": self._gate.reason,
                "media_connected": self._media.is_up,
                "capture_connected": self._capture.is_up,
                **self._witnesses.status(),
                "notes_lost": self._books.lost,
                "not_destroyed": self._books.to_be_destroyed,
                "overloaded": self._transport.is_shedding(),
                "refused": dict(self._transport.engine.overload.refused),
                "counters": dict(self._transport.engine.counters),
            }
        if message.get("op") == "metrics":
            return answered(self._samples())
        if message.get("op") == "calls":
            rows = self._calls.summaries()
            shown = [row | {"started_at": row["started_at"].isoformat()} for row in rows]
            return {"ok": True, "calls": shown}
        return self._asked.answer(message)

    def _recorded(self) -> set[str]:
        return {row["call"] for row in self._calls.summaries() if row["state"] == "recording"}

    def _samples(self) -> list[Sample]:
        return [
            sample("gate_open", self._gate.approved),
            sample("gate_state", 1, self._gate.reason),
            sample("calls_running", len(self._calls)),
            sample("recordings_running", sum(len(row["purposes"]) for row in self._calls.summaries())),
            sample("media_connected", self._media.is_up),
            sample("capture_connected", self._capture.is_up),
            *self._witnesses.samples(),
            *ledger_samples(self._books),
            *sip_samples(self._transport),
            *counted("announcements_total", self._announcer.results),
        ]

    def stop(self) -> None:
        """Note the calls in progress (they go on without us), let recordings end as interrupted, close."""
        self._carry_out(self._calls.cut_off(self._clock.now()))
        self._transport.close()
        self._witnesses.close()
        self._media.shut()
        self._capture.close()

    def _on_event(self, event: Event) -> None:
        """Calls are fail-open, recording is fail-closed: what goes wrong here ends this call's recording."""
        try:
            self._carry_out(self._calls.on_event(event, self._clock.now()))
        except Exception as error:
            log.error("event not acted on", event_type=type(event).__name__, error=type(error).__name__)
            self._carry_out(self._calls.abandon(event.call, self._clock.now()))

    def _vouched(self, statement: Statement) -> None:
        self._carry_out(self._calls.on_statement(statement, self._clock.now()))

    def _unvouched(self) -> None:
        self._carry_out(self._calls.on_evidence_lost(self._clock.now()))

    def _remind(self, call: str) -> None:
        self._carry_out(self._calls.on_reminder(call, self._clock.now()))

    def _claim_media(self) -> None:
        """The broker has shut the taps of whom it lost: say which calls are ours, and which are recorded."""
        self._media.claim(self._calls.numbers())
        self._carry_out(self._calls.on_media_back(self._clock.now()))

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case AskForEvidence(conversation):
                    self._witnesses.ask(conversation)
                case Remind(call, seconds):
                    asyncio.get_running_loop().call_later(seconds, self._remind, call)
                case Play():
                    self._spawn(self._play(effect))
                case StopPlaying(number):
                    self._media.stop_play(number)
                case _:
                    self._act(effect)

    def _act(self, effect: Effect) -> None:
        match effect:
            case Forward(call, strip, media):
                self._transport.execute(ForwardCall(call, strip, media))
            case OpenMedia(call, number, families):
                self._spawn(self._open_media(call, number, families))
            case SetRemote(number, side, remotes, payload_types, final, learn):
                self._media.remote(number, side, remotes, payload_types, final, learn)
            case Tap(number, level, keys):
                self._media.tap(number, level, keys)
            case CloseMedia(number):
                self._media.close(number)
            case TellCapture(message):
                self._tell_capture(message)
            case NoteOutcome() | NoteWithheld() | KeepInMind() | Destroy():
                self._books.note(effect)

    def _tell_capture(self, message: control.Message) -> None:
        try:
            self._capture.send(message)
        except TooLarge:
            for answer in refusals(message, "too-large"):
                self._carry_out(self._calls.on_capture(answer))

    async def _play(self, order: Play) -> None:
        became = await self._announcer.play(order)
        self._carry_out(self._calls.on_announced(order.call, order.number, became, self._clock.now()))

    async def _open_media(self, call: str, number: int, families: tuple[Family, Family]) -> None:
        ports: tuple[int, int] | None = None
        bound = self._config.media.addresses()
        try:
            ports = await self._media.open(number, (bound[families[0]], bound[families[1]]))
        except MediaUnavailable as error:
            log.error("call not anchored, so not recorded; it goes on", why=str(error))
        self._carry_out(self._calls.media_opened(call, number, ports))

    def _captured(self, message: control.Message) -> None:
        if message.get("event") == "hello":
            self._capture_greeted(str(message.get("run")))
        elif message.get("event") == "discontinuity":
            self._carry_out(self._calls.on_discontinuity(str(message["recording"]), self._clock.now()))
        elif message.get("event") == "keys":
            at, now = datetime.fromisoformat(str(message["at"])), self._clock.now()
            number, keys, way = int(message["session"]), str(message["keys"]), str(message["heard_in"])
            self._carry_out(self._calls.on_keys(number, keys, at, now, way, str(message["side"])))
        else:
            self._carry_out(self._calls.on_capture(message))

    def _capture_greeted(self, run: str) -> None:
        """The same run goes on with what it had; another one has sealed that at its last whole chunk."""
        before, self._capture_run = self._capture_run, run
        if before is None:
            return
        if before != run:
            log.error("capture was restarted; running recordings go on in a new part")
        self._carry_out(self._calls.on_capture_back(before != run, self._clock.now()))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _urge(purge: Path) -> None:
    async with asyncio.timeout(URGE_SECONDS):
        await control.ask(purge, {"op": "sweep"})


async def run(config: Config, path: Path, notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT. SIP comes first; the gate is shut meanwhile. SIGHUP reads
    the configuration file at `path` again.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    books = Books(UnfinishedCalls(places.unfinished(config)), partial(_urge, places.purge(config)))
    signalling = Signalling(config, books, gatekeeper.shut(config))
    reloader = Reloader(config, path, signalling.follow)
    server = await control.serve(places.signalling(config), reloader.answering(signalling.answer))
    reloader.on_signal()
    await signalling.start()
    listeners = [f"{it.transport} {host(it.address)}:{it.port}" for it in config.listeners]
    log.info("listening for SIP", listeners=listeners)
    notifier.ready(signalling.status)
    telling = asyncio.create_task(keep_telling(notifier, lambda: signalling.status))
    upkeep = asyncio.create_task(books.keep(config, signalling.look))
    await stop.wait()
    notifier.stopping()
    telling.cancel()
    server.close()
    signalling.stop()
    upkeep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upkeep
