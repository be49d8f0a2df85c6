"""What would be in a clip: relay and capture as intervals of time, exact to the instant.

Capture commits what is older than the horizon, on a clock that stands still in a pause. So a taint or a stop
takes the latest horizon of what was captured back, and a pause what was captured since the instant that it is
about. A finish takes nothing back but what came after a key that signalling may not know of yet. A packet is
captured while the tap is open and a recording has begun; a key is heard while the tap lets it through and
somebody listens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recorder.effects import Tap
from simulate.intervals import Interval, length, without_last

EPOCH = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""When virtual time begins."""
HEEDED_AFTER_SECONDS = 1.0


@dataclass(slots=True)
class Clip:
    """One recording: what was captured of it so far."""

    session: int
    purpose: str
    horizon: float
    is_watched: bool
    kept: list[Interval] = field(default_factory=list)
    since: float | None = None
    is_over: bool = False

    def open(self, now: float) -> None:
        """Packets come from now on."""
        if self.since is None and not self.is_over:
            self.since = now

    def close(self, now: float) -> None:
        """No more packets come."""
        if self.since is not None and now > self.since:
            self.kept.append((self.since, now))
        self.since = None

    def take_back(self, seconds: float) -> None:
        """So much of what was captured last is overwritten."""
        self.kept = without_last(self.kept, seconds)

    def take_back_since(self, instant: float) -> None:
        """What was captured since then is overwritten, but for what is committed."""
        self.take_back(
            min(self.horizon, length((max(start, instant), end) for start, end in self.kept if end > instant))
        )


class Media:
    """The taps and clips of all calls, by session number."""

    def __init__(self, epoch: datetime = EPOCH) -> None:
        self.clips: dict[str, Clip] = {}
        self._epoch = epoch
        self._taps: dict[int, Tap] = {}
        self._listened: dict[tuple[int, str], frozenset[int]] = {}
        self._pressed: list[tuple[float, int]] = []

    def tap(self, order: Tap, now: float) -> None:
        """An order to the relay."""
        self._taps[order.session] = order
        for clip in self._of(order.session):
            if order.level == "all":
                clip.open(now)
            else:
                clip.close(now)

    def hears(self, session: int, side: str, payload_type: int, now: float) -> bool:
        """A key that this side presses now: whether it is told."""
        tap, listened = self._taps.get(session), self._listened.get((session, side), frozenset())
        if tap is None or payload_type not in listened:
            return False
        passes = tap.level == "events" and payload_type in {
            it for one, types in tap.keys if one == side for it in types
        }
        if tap.level == "all" or passes:
            self._pressed.append((now, session))
            return True
        return False

    def tell(self, message: Mapping[str, Any], now: float) -> None:
        """An order to capture. Raises ValueError for one that this model does not know."""
        session, found = message["session"], self._of(message["session"])
        match message["op"]:
            case "begin":
                self._begin(session, message, now)
            case "pause":
                since = datetime.fromisoformat(message["at"]) - self._epoch
                self._cut(found, since.total_seconds(), now)
            case "listen":
                self._listened[session, message["side"]] = frozenset(message["payload_types"])
            case "taint" | "discard" as end:
                self._end(found, now)
                self._forget(session if end == "discard" else None)
            case "stop":
                self._end([self.clips[message["recording"]]], now)
            case "finish":
                self._finish(session, now)
            case "codecs" | "resume":
                pass
            case unknown:
                raise ValueError(f"the model of capture knows no {unknown!r}")

    def _forget(self, session: int | None) -> None:
        """What was kept of the whole call, sealed or not: the catalogue destroys that."""
        for clip in self.clips.values():
            if clip.session == session:
                clip.kept = []

    def _finish(self, session: int, now: float) -> None:
        found = self._of(session)
        unheeded = (at for at, it in self._pressed if it == session and now - at <= HEEDED_AFTER_SECONDS)
        self._cut(found, min(unheeded, default=now), now)
        for clip in found:
            clip.is_over = True

    def _cut(self, clips: list[Clip], since: float, now: float) -> None:
        _close(clips, now)
        for clip in clips:
            clip.take_back_since(since)

    def _begin(self, session: int, message: Mapping[str, Any], now: float) -> None:
        horizon, is_watched = message["horizon_ms"] / 1000, message["watched"]
        for row in message["recordings"]:
            made = Clip(session, row["purpose"], horizon, is_watched)
            clip = self.clips.setdefault(row["recording"], made)
            if session in self._taps and self._taps[session].level == "all":
                clip.open(now)

    def committed(self, now: float) -> dict[int, list[Interval]]:
        """By session, what is in its clips; those that are open are taken to finish now."""
        found: dict[int, list[Interval]] = {}
        for clip in self.clips.values():
            clip.close(now)
            found.setdefault(clip.session, []).extend(clip.kept)
        return found

    def _of(self, session: int) -> list[Clip]:
        return [clip for clip in self.clips.values() if clip.session == session and not clip.is_over]

    @staticmethod
    def _end(clips: list[Clip], now: float) -> None:
        _close(clips, now)
        for clip in clips:
            if not clip.is_over:
                clip.take_back(clip.horizon)
                clip.is_over = True


def _close(clips: list[Clip], now: float) -> None:
    for clip in clips:
        clip.close(now)
