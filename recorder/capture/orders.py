"""Orders to the capture process, read from JSON and checked before they act.

    begin    session, recordings, agent_side, parties, codecs, srtp, horizon_ms, watched
                                         record this call; more recordings of it may follow. watched: tell
                                         every discontinuity of the agent's side (`discontinuity`)
    codecs   session, codecs, srtp       its payload types and keys were negotiated anew
    listen   session, side, payload_types, tones, srtp
                                         tell the keys that this side presses (`keys`), whether the call is
                                         recorded or not: events (RFC 4733) of these payload types, tones in
                                         audio of these codecs; neither: no more
    pause    session, at                 what arrives from then on is not kept, until a resume
    resume   session, at, announcements  it goes on in the same recordings; what was told for each
    finish   session, ended_at           it is over: commit what is held, seal
    stop     session, recording, reason, ended_at
                                         one of its recordings ends: drop what is held of it, seal
    taint    session, reason, ended_at   it must not be recorded: drop what is held, seal
    discard  session                     nothing of it may be kept: drop what is held, destroy what is written

`srtp` is null, or the suite, key (master key and salt) and mki of each side, a and b, in hexadecimal.

Events back to whoever gave the order: `hello` (run: differs after a restart), then for each recording
`opened`, and at the end `sealed`, `failed` or `discarded` (recording, clip, part, seconds, bytes, reason).
What cannot be carried out is `refused` (session, error); a `begin`'s recordings have `failed` then, if they
can be read.
`keys` (session, side, keys, at, heard_in) tells of a call that is listened to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from recorder.capture.codecs import Codecs, Offered, both_sides
from storage.records import Parties
from storage.vault import ClipPlan

T = TypeVar("T")
AGENT, OUTSIDE = 0, 1
MAX_HORIZON = timedelta(seconds=30)


class OrderError(ValueError):
    """An order that cannot be carried out as it stands; the sender's fault. Carries no party's number."""


class Told(NamedTuple):
    """An announcement that was played whole to the outside party: its file, from when to when."""

    sha256: bytes
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Begin:
    """A recording that is to be made. `channels`: of side a (0) and side b (1) of the ring's records.
    `is_watched`: a discontinuity of the agent's side is to be told.
    """

    session: int
    plan: ClipPlan
    channels: tuple[int, int]
    codecs: tuple[Codecs, Codecs] = field(repr=False)
    horizon: timedelta
    is_watched: bool = False
    announcements: tuple[Told, ...] = ()

    @property
    def started_at(self) -> datetime:
        """Tick 0 of the clip's clock."""
        return self.plan.started_at


@dataclass(frozen=True, slots=True)
class Ending:
    """A last order, of a call or of one `recording`. `reason`: None when it ended as calls end."""

    session: int
    ended_at: datetime
    reason: str | None
    recording: str | None = None


def begins_of(message: Mapping[str, Any]) -> tuple[Begin, ...]:
    """Read a `begin` order, recording by recording. Raises OrderError."""
    return _checked(_begins_of, message)


def ending_of(message: Mapping[str, Any]) -> Ending:
    """Read a `finish`, `stop` or `taint` order. Raises OrderError."""
    return _checked(_ending_of, message)


def instant_of(message: Mapping[str, Any]) -> datetime:
    """Read when a `pause` or `resume` order was given. Raises OrderError."""
    return _checked(lambda order: _instant(order["at"]), message)


def told_of(message: Mapping[str, Any], recording: str) -> tuple[Told, ...]:
    """Read what a `resume` order says was told for a recording. Raises OrderError."""
    return _checked(lambda order: _told(order.get("announcements", {}).get(recording, ())), message)


def codecs_of(message: Mapping[str, Any]) -> tuple[Codecs, Codecs]:
    """Read the codecs of sides a and b. Raises OrderError."""
    return _checked(_codecs_of, message)


def tones_of(message: Mapping[str, Any]) -> dict[int, tuple[str, int]]:
    """Read in which codecs a `listen` order wants tones to be heard: name and clock, by payload type. Raises
    OrderError.
    """
    return _checked(lambda it: {row[0]: row[1] for row in map(_format, it.get("tones", ()))}, message)


def _format(row: Any) -> tuple[int, tuple[str, int]]:
    number, name, rate = row
    return int(number), (str(name).upper(), int(rate))


def session_of(message: Mapping[str, Any]) -> int:
    """The call's number in the rings. Raises OrderError."""
    session = message.get("session")
    if not isinstance(session, int) or not 0 <= session < 2**64:
        raise OrderError("session must be an unsigned 64-bit number")
    return session


def refusals(message: Mapping[str, Any], reason: str) -> list[dict[str, Any]]:
    """The events of a `begin` that cannot be carried out: `failed` for each of its recordings, or `refused`
    where these cannot be read. Also for a sender whose `begin` was too large for the socket.
    """
    rows = message.get("recordings")
    readable = [row for row in rows if _names_a_part(row)] if isinstance(rows, list) else []
    if not readable:
        return [{"event": "refused", "session": message.get("session"), "error": reason}]
    rest = {"event": "failed", "clip": None, "seconds": 0, "bytes": 0, "reason": reason}
    return [{**rest, "recording": row["recording"], "part": row["part"]} for row in readable]


def _names_a_part(row: object) -> bool:
    return (
        isinstance(row, Mapping)
        and isinstance(row.get("recording"), str)
        and isinstance(row.get("part"), int)
    )


def _checked(read: Callable[[Mapping[str, Any]], T], message: Mapping[str, Any]) -> T:
    try:
        return read(message)
    except OrderError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise OrderError(
            f"order {message.get('op')!r} lacks a member or has one of the wrong kind"
        ) from error


def _begins_of(message: Mapping[str, Any]) -> tuple[Begin, ...]:
    codecs = _codecs_of(message)
    channels = (AGENT, OUTSIDE) if message["agent_side"] == "a" else (OUTSIDE, AGENT)
    if message["agent_side"] not in ("a", "b"):
        raise OrderError("agent_side is a or b")
    kept = sorted(
        (codec for side, channel in zip(codecs, channels, strict=True) for codec in side.kept(channel)),
        key=lambda codec: (codec.channel, codec.payload_type),
    )
    parties = Parties(str(message["parties"]["agent"]), str(message["parties"]["outside"]))
    plans = tuple(
        ClipPlan(
            recording_id=str(row["recording"]),
            call_id=str(row["call"]),
            purpose=str(row["purpose"]),
            line=str(row["line"]),
            agent=str(row["agent"]),
            started_at=_instant(row["started_at"]),
            deadline_day=date.fromisoformat(row["deadline_day"]),
            scheme_hash=str(row["scheme_hash"]),
            part=int(row["part"]),
            previous=row["previous"],
            codecs=tuple(kept),
            parties=parties,
        )
        for row in message["recordings"]
    )
    if not plans:
        raise OrderError("a call that is recorded has one or more recordings")
    horizon = timedelta(milliseconds=int(message["horizon_ms"]))
    if not timedelta() <= horizon <= MAX_HORIZON:
        raise OrderError("horizon_ms lies between 0 and 30000")
    is_watched = message.get("watched") is True
    told = tuple(_told(row.get("announcements", ())) for row in message["recordings"])
    return tuple(
        Begin(session_of(message), it, channels, codecs, horizon, is_watched, heard)
        for it, heard in zip(plans, told, strict=True)
    )


def _told(rows: Any) -> tuple[Told, ...]:
    return tuple(
        Told(bytes.fromhex(sha256), _instant(began), _instant(ended)) for sha256, began, ended in rows
    )


def _ending_of(message: Mapping[str, Any]) -> Ending:
    reason = None if message["op"] == "finish" else str(message["reason"])
    recording = str(message["recording"]) if message["op"] == "stop" else None
    return Ending(session_of(message), _instant(message["ended_at"]), reason, recording)


def _codecs_of(message: Mapping[str, Any]) -> tuple[Codecs, Codecs]:
    described: dict[str, list[Offered]] = {
        side: [
            (int(number), str(name).upper(), int(rate))
            for number, name, rate in message["codecs"].get(side, ())
        ]
        for side in ("a", "b")
    }
    sides = both_sides(described)
    return sides["a"], sides["b"]


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise OrderError("an instant needs its offset from UTC")
    return instant
