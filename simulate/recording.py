"""What would be in a clip: relay and capture as intervals of time, exact to the instant.

Capture commits what is older than the horizon, on a clock that stands still in a pause. So a taint or a stop
takes the latest horizon of what was captured back, and a finish nothing. A packet is captured while the tap
is open and a recording has begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulate.intervals import Interval


@dataclass(slots=True)
class Clip:
    """One recording: what was captured of it so far."""

    session: int
    purpose: str
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
        while self.kept and seconds > 0:
            start, end = self.kept.pop()
            if end - start > seconds:
                self.kept.append((start, end - seconds))
            seconds -= end - start


class Media:
    """The taps and clips of all calls, by session number."""

    def __init__(self, horizon: float) -> None:
        self.clips: dict[str, Clip] = {}
        self._horizon = horizon
        self._taps: dict[int, str] = {}

    def tap(self, session: int, level: str, now: float) -> None:
        """An order to the relay."""
        self._taps[session] = level
        for clip in self._of(session):
            if level == "all":
                clip.open(now)
            else:
                clip.close(now)

    def tell(self, message: Mapping[str, Any], now: float) -> None:
        """An order to capture. Raises ValueError for one that this model does not know."""
        session, found = message["session"], self._of(message["session"])
        match message["op"]:
            case "begin":
                self._begin(session, message["recordings"], now)
            case "pause":
                _close(found, now)
            case "taint":
                self._end(found, now, self._horizon)
            case "stop":
                self._end([self.clips[message["recording"]]], now, self._horizon)
            case "finish":
                self._end(found, now, 0)
            case "codecs" | "listen" | "resume":
                pass
            case unknown:
                raise ValueError(f"the model of capture knows no {unknown!r}")

    def _begin(self, session: int, rows: list[dict[str, Any]], now: float) -> None:
        for row in rows:
            clip = self.clips.setdefault(row["recording"], Clip(session, row["purpose"]))
            if self._taps.get(session) == "all":
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
    def _end(clips: list[Clip], now: float, taken_back: float) -> None:
        _close(clips, now)
        for clip in clips:
            if not clip.is_over:
                clip.take_back(taken_back)
                clip.is_over = True


def _close(clips: list[Clip], now: float) -> None:
    for clip in clips:
        clip.close(now)
