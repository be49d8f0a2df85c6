"""What a call's session wants done: values that the signalling process carries out, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

from recorder.announcement import Hearer
from recorder.decision import Withdrawn
from sip_hooks.address import Family
from sip_hooks.events import Anchor

Ended = Literal["recorded", "suppressed", "failed"]


@dataclass(frozen=True, slots=True)
class Forward:
    """Let the held INVITE go on, its media through `media` or past us."""

    call: str
    strip: int
    media: Anchor | None


@dataclass(frozen=True, slots=True)
class OpenMedia:
    """Ask for media ports, in the IP version of each party; the answer comes as `Calls.media_opened`."""

    call: str
    session: int
    families: tuple[Family, Family]  # caller's, callee's


@dataclass(frozen=True, slots=True)
class SetRemote:
    """Where one side (a: caller, b: callee) wants and sends its media: (address, RTP port, RTCP port)."""

    session: int
    side: Literal["a", "b"]
    remotes: tuple[tuple[str, int, int], ...] = field(repr=False)
    payload_types: tuple[int, ...]
    final: bool
    learn: str = field(default="", repr=False)  # where its port is to be learned; "": nowhere


@dataclass(frozen=True, slots=True)
class Tap:
    """Let the call's packets into the ring (all) or keep them out of it (none); or let in only those in which
    the keys are that a side presses (events): of each that is listened to, these payload types.
    """

    session: int
    level: Literal["none", "events", "all"]
    keys: tuple[tuple[Literal["a", "b"], tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Play:
    """Let these parties hear an announcement; what became of it comes as `Calls.on_announced`.

    `number`: which of the call's. `sha256`: of its file.
    """

    call: str
    session: int
    number: int
    sha256: str
    hearers: tuple[Hearer, ...]


@dataclass(frozen=True, slots=True)
class StopPlaying:
    """End what is played."""

    session: int


@dataclass(frozen=True, slots=True)
class CloseMedia:
    """Give the call's ports back."""

    session: int


@dataclass(frozen=True, slots=True)
class TellCapture:
    """An order to the capture process, in its own words (recorder.capture)."""

    message: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AskForEvidence:
    """Let the source of evidence say anew who speaks inside this call on the trunk side."""

    conversation: str


@dataclass(frozen=True, slots=True)
class Remind:
    """Let it be said after so many seconds that time has gone by (`Calls.on_reminder`)."""

    call: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NoteOutcome:
    """A call on a flagged line is over: recorded, suppressed or failed, with reason codes.

    `purposes` have a recording; `became` says of each purpose of the line what became of it.
    """

    call: str
    started_at: datetime
    line: str
    agent: str
    outcome: Ended
    reasons: tuple[str, ...]
    seconds: float
    purposes: tuple[str, ...]
    became: Mapping[str, tuple[Ended, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoteWithheld:
    """A private or privileged call is over: all that is kept is that there was one on this UTC day.

    `call` says which entry of the calls that are kept in mind has been noted by this.
    """

    day: date
    kind: Literal["private", "privileged"]
    call: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Destroy:
    """Nothing of these calls may be left: no recording, and no row that names anybody. `day`: of the call."""

    calls: tuple[str, ...]
    day: date
    reason: Withdrawn


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A running call as it will have to be noted; of one that is kept out only the `kind`, and the day.

    `destroy`: what has to be destroyed, should that not be done yet. A call without `line` and `kind` is not
    noted at all.
    """

    since: datetime | date
    line: str = ""
    agent: str = ""
    kind: Literal["private", "privileged"] | None = None
    destroy: Destroy | None = None


@dataclass(frozen=True, slots=True)
class KeepInMind:
    """Should this process not live to see the call's end, this is to be noted; None: nothing any more."""

    call: str
    unfinished: Unfinished | None


Effect: TypeAlias = (
    Forward
    | OpenMedia
    | SetRemote
    | Tap
    | Play
    | StopPlaying
    | CloseMedia
    | TellCapture
    | AskForEvidence
    | Remind
    | NoteOutcome
    | NoteWithheld
    | KeepInMind
    | Destroy
)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an order about a whole call: `refused` says why nothing was done, in reason codes."""

    refused: tuple[str, ...]
    effects: list[Effect]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: the purposes that are recorded now, why others are not, what is to do."""

    recorded: tuple[str, ...]
    refused: Mapping[str, tuple[str, ...]]
    effects: list[Effect]
