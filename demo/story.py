"""What the demo shows, step by step. Every step returns what was seen, and whether it is as it must be."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo import listening, speech
from demo.installation import (
    AGENT,
    BUSINESS_NUMBER,
    CUSTOMER,
    DOCTOR,
    HOME,
    PREFIX,
    RETENTION_DAYS,
    Installation,
    until,
)
from demo.phone import Phone
from demo.telephony import Spoken, converse

SECONDS = 2
"""How much of its speech each party says; the business call gets twice as much."""
REFUSED = 4
CORRELATION = 0.99


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and whether it does."""

    what: str
    holds: bool
    seen: str = ""


@dataclass(slots=True)
class Call:
    """One row of the demo's table."""

    call: str
    decision: str
    reason: str
    purpose: str = "-"
    deadline: str = "-"
    seconds: float = 0.0
    bytes: int = 0
    sealed: str = "no clip"


@dataclass(slots=True)
class Story:
    """The demo as it unfolds."""

    installation: Installation
    phones: dict[str, Phone]
    calls: list[Call] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    correlations: dict[str, float] = field(default_factory=dict)
    clip: str = ""
    certificate: dict[str, Any] = field(default_factory=dict)

    def check(self, what: str, holds: bool, seen: object = "") -> None:
        self.checks.append(Check(what, holds, str(seen)))

    @property
    def holds(self) -> bool:
        """Whether everything was as it must be."""
        return all(it.holds for it in self.checks)

    def value(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "holds": self.holds,
            "calls": [asdict(it) for it in self.calls],
            "correlation": self.correlations,
            "checks": [asdict(it) for it in self.checks],
            "certificate": self.certificate,
        }

    def before_approval(self) -> None:
        """A business call while the works council has not signed: it passes and is not recorded."""
        gate = self.installation.ask("scheme", "status").value
        self.check(
            "without the council's signature the gate is shut", not gate["recording_allowed"], gate["reason"]
        )
        self._talk(AGENT, CUSTOMER, CUSTOMER, ("agent", "customer"), SECONDS)
        outcome = self._new_outcome()
        self.calls.append(Call("agent → customer, unsigned", outcome["outcome"], outcome["reasons"][0]))
        self.check("the unsigned call left no clip", self._clips() == [])

    def wait_until_recording(self) -> None:
        """The running service has seen the council's signature."""
        status = until(
            lambda: self.installation.ask("status").value, lambda it: bool(it["recording_allowed"]), 30
        )
        self.check("with the council's signature recording is allowed", True, status["gate_reason"])

    def business(self) -> Spoken:
        """A customer calls the business number: recorded and sealed."""
        said = self._talk(CUSTOMER, AGENT, BUSINESS_NUMBER, ("customer", "agent"), 2 * SECONDS)
        outcome = self._new_outcome()
        clips = until(self._clips, lambda it: it[0]["state"] == "sealed", 15)
        clip = clips[0]
        self.clip = clip["clip"]
        self.calls.append(
            Call(
                "customer → business line",
                outcome["outcome"],
                outcome["reasons"][0],
                clip["purpose"],
                clip["deadline_day"],
                round(clip["seconds"], 1),
                clip["bytes"],
                clip["ending"],
            )
        )
        self.check("the business call is one sealed clip", len(clips) == 1 and clip["ending"] == "complete")
        return said

    def doctor(self) -> None:
        """The agent calls the company doctor: nothing is left but that there was such a call."""
        self._kept_out("agent → company doctor", DOCTOR, DOCTOR, ("employee", "doctor"), "privileged")

    def private(self) -> None:
        """The agent dials the private prefix: nothing is left but that there was such a call."""
        number = PREFIX + HOME
        self._kept_out("agent → home, private prefix", HOME, number, ("private", "home"), "private")

    def listen(self, said: Spoken) -> None:
        """The coach hears the clip; others are refused."""
        key = str(self.installation.directory / "management.key")
        until_day = (datetime.now(UTC) + timedelta(days=400)).date().isoformat()
        for person, purpose in (("anna", "coaching"), ("bert", "assessment")):
            self.installation.tell(
                "grant", "add", person, "--purpose", purpose, "--until", until_day, "--key", key
            )
        file = self.installation.directory / "business-call.wav"
        self.installation.tell("clips", "export", self.clip, str(file), *self._listener("anna", "coaching"))
        agent, outside = listening.legs(file)
        self.correlations = {
            "agent": listening.correlation(listening.samples(said.callee), agent),
            "outside party": listening.correlation(listening.samples(said.caller), outside),
        }
        for leg, value in self.correlations.items():
            self.check(f"the {leg}'s leg is what was said", value >= CORRELATION, f"{value:.4f}")
        self._refused("an assessor is refused, the clip being for coaching", "bert", "assessment")
        self._refused("an assessor who claims to coach is refused", "bert", "coaching")
        self._refused("somebody without a grant is refused", "carla", "coaching")

    def deadline(self) -> None:
        """The deadline passes: the clip is destroyed, certified, and no copy of it opens."""
        copy = self.installation.directory / "copy-made-before"
        shutil.copytree(self.installation.directory / "storage", copy)
        self.installation.days_pass(RETENTION_DAYS + 1)
        self.installation.tell("purge", "run")
        clip = self.installation.tell("clips", "show", self.clip)
        self.check("the clip is destroyed at its deadline", clip["state"] == "erased", clip["state"])
        self.certificate = self.installation.tell("purge", "certificate", self.clip)
        self._refused("the destroyed clip does not open", "anna", "coaching")
        self._restart_on(copy, days=0)
        self._refused("it does not open from a copy of clips and catalogue made before", "anna", "coaching")

    def look_around(self) -> None:
        """Put back what the copy has replaced, for whoever wants to look around."""
        self._restart_on(self.installation.directory / "set-aside", days=RETENTION_DAYS + 1)

    def _restart_on(self, storage: Path, days: int) -> None:
        """Stop, set the storage aside, take another in its place, move the clock, start."""
        place, aside = self.installation.directory / "storage", self.installation.directory / "set-aside"
        self.installation.stop()
        taken = storage.rename(storage.with_name("taken"))
        place.rename(aside)
        taken.rename(place)
        self.installation.days_pass(days)
        self.installation.start()

    def _talk(self, caller: str, callee: str, number: str, voices: tuple[str, str], seconds: int) -> Spoken:
        said = (speech.load(voices[0])[: seconds * 8000], speech.load(voices[1])[: seconds * 8000])
        return converse(self.phones[caller], self.phones[callee], number, said)

    def _kept_out(self, name: str, callee: str, number: str, voices: tuple[str, str], kind: str) -> None:
        self._talk(AGENT, callee, number, voices, SECONDS)
        seen = until(lambda: self._withheld(kind), lambda it: it > 0, 10)
        self.check(f"the {kind} call is counted, once", seen == 1)
        self.calls.append(Call(name, "kept out", kind))
        self.check(f"of the {kind} call there is no clip and no row", len(self._clips()) == 1)

    def _new_outcome(self) -> dict[str, Any]:
        """The ledger's row of the call that has just ended."""
        known = len(self.calls)
        ended = until(
            lambda: self.installation.tell("calls")["ended"], lambda it: len(it) > min(known, 1), 15
        )
        newest: dict[str, Any] = ended[0]
        return newest

    def _withheld(self, kind: str) -> int:
        rows = self.installation.tell("calls")["withheld"]
        return sum(it["count"] for it in rows if it["kind"] == kind)

    def _clips(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.installation.tell("clips", "list")
        return found

    def _listener(self, person: str, purpose: str) -> list[str]:
        return ["--as", person, "--purpose", purpose, "--reason", "demonstration"]

    def _refused(self, what: str, person: str, purpose: str) -> None:
        target = str(self.installation.directory / "must-not-appear.wav")
        answer = self.installation.ask("clips", "export", self.clip, target, *self._listener(person, purpose))
        self.check(what, answer.status == REFUSED, answer.complaint.partition(self.clip)[2].lstrip(": "))
