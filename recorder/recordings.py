"""What is recorded of one call: a recording for each purpose, each with a beginning and an end of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Recording:
    """One purpose's recording, part by part. `plan` is what the capture process is told of it.

    `is_running`: we want it to go on, though it may be paused. `is_ended`: capture has said its last word of
    it, or never will. `seconds`: how much of it is sealed.
    """

    plan: dict[str, Any]
    clip: str | None = None  # the clip of the part that `plan` names, once it is open
    is_running: bool = True
    is_ended: bool = False
    seconds: float = 0.0
    failures: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        return str(self.plan["recording"])

    def next_part(self) -> None:
        """The part that was open has been sealed without us; a part that never was open is tried again."""
        self.is_ended = False
        if self.clip is not None:
            self.plan.update(part=self.plan["part"] + 1, previous=self.clip)
            self.clip = None

    def give_up(self, failure: str) -> None:
        """Nothing more will be heard of it."""
        self.is_ended = True
        self.failures.add(failure)


class Recordings:
    """The recordings of one call, by purpose. A purpose that has one never gets another."""

    def __init__(self) -> None:
        self._of: dict[str, Recording] = {}

    def __contains__(self, purpose: str) -> bool:
        return purpose in self._of

    def __getitem__(self, purpose: str) -> Recording:
        return self._of[purpose]

    def get(self, purpose: str) -> Recording | None:
        """The recording for this purpose, if there is one."""
        return self._of.get(purpose)

    def purposes(self) -> tuple[str, ...]:
        """All purposes that have a recording, sorted."""
        return tuple(sorted(self._of))

    def running(self) -> tuple[str, ...]:
        """Those whose recording goes on, sorted."""
        return tuple(purpose for purpose in self.purposes() if self._of[purpose].is_running)

    def ids(self) -> list[str]:
        """The recordings' identifiers."""
        return [it.id for it in self._of.values()]

    def add(self, purpose: str, plan: dict[str, Any]) -> None:
        """A recording begins."""
        self._of[purpose] = Recording(plan)

    def plans(self, purposes: Iterable[str]) -> list[dict[str, Any]]:
        """What capture is told of these."""
        return [self._of[purpose].plan for purpose in purposes]

    def announced(self, proofs: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """What was told for these purposes goes into each part from now on; it, by recording."""
        for purpose, found in proofs.items():
            known = self._of[purpose].plan["announcements"]
            known += [it for it in found if it not in known]
        return {self._of[purpose].id: self._of[purpose].plan["announcements"] for purpose in proofs}

    def stop(self, purpose: str) -> str:
        """This one goes on no more; its identifier."""
        self._of[purpose].is_running = False
        return self._of[purpose].id

    def have_audio(self) -> bool:
        """Whether anything of any was sealed."""
        return any(it.seconds for it in self._of.values())

    def end(self) -> None:
        """None goes on."""
        for it in self._of.values():
            it.is_running = False

    def are_ended(self) -> bool:
        """Whether nothing more is to be heard of any."""
        return all(it.is_ended for it in self._of.values())

    def on_capture(self, message: Mapping[str, Any]) -> bool:
        """The capture process tells of a recording; False if it is none of these, or only a beginning."""
        found = next((it for it in self._of.values() if it.id == message["recording"]), None)
        if found is None:
            return False
        if message["event"] == "opened":
            found.clip = message["clip"]
            found.plan["part"] = message.get("part", found.plan["part"])  # a crash may have left one before
            return False
        found.is_ended = True
        found.seconds += float(message.get("seconds") or 0)
        if message["event"] == "failed":
            found.is_running = False
            found.failures.add(str(message.get("reason", "capture")))
        return True

    def on_capture_back(self, is_restarted: bool) -> None:
        """Capture can be reached again: what no longer goes on will not be heard of; the rest does go on."""
        for it in self._of.values():
            if not it.is_running and not it.is_ended:
                it.give_up("capture-lost")
            elif it.is_running and is_restarted:
                it.next_part()
