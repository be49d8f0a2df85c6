"""Sounds that are played to the parties of calls: finished packets, one every 20 ms.

Whoever ordered a sound has the answer when it is over. Meanwhile the other party is not heard where it is
played. A worker that is so busy that packets would be late ends the sound: told in pieces is not told.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recorder.relay.protocol import OrderError
from recorder.relay.stream import LIMIT, Stream

STEP_NS = 20_000_000
LEAD_NS = 300_000_000
"""Before the first packet: both parties have just been told of the answer."""
TAIL_NS = 300_000_000
"""From its end until that is told: what was said before the end has come by then."""
LATEST_NS = 100_000_000
MOST_PACKETS = 1600
_RTP_BYTES = 12

Packets = Sequence[memoryview]


def unpacked(data: bytes) -> list[memoryview]:
    """Packets, each behind its length in two octets. Raises OrderError."""
    whole, packets, at = memoryview(data), list[memoryview](), 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2])
        packet = whole[at + 2 : at + 2 + length]
        if not _RTP_BYTES <= len(packet) == length < LIMIT or packet[0] >> 6 != 2:
            raise OrderError("a sound consists of RTP packets")
        packets.append(packet)
        at += 2 + length
    if not 0 < len(packets) <= MOST_PACKETS:
        raise OrderError(f"a sound has 1 to {MOST_PACKETS} packets")
    return packets


@dataclass(slots=True, order=True)
class Play:
    """One sound in one call. `voices`: the stream of the party that is not heard meanwhile, and what its
    opposite sends instead. `order`: the number of the order, which is answered at the end.
    """

    due: int
    session: int
    order: Any = field(compare=False)
    voices: Sequence[tuple[Stream, Packets]] = field(compare=False)
    sent: int = field(default=0, compare=False)
    began: int = field(default=0, compare=False)
    ended: int = field(default=0, compare=False)
    errors: int = field(default=0, compare=False)
    is_over: bool = field(default=False, compare=False)
    error: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len({len(packets) for _, packets in self.voices}) != 1:
            raise OrderError("all parties hear equally much")
        for stream, _ in self.voices:
            stream.mute(True)

    @property
    def is_heard(self) -> bool:
        """Whether the parties hear it, and not each other."""
        return not (self.is_over or self.ended)

    def answer(self) -> dict[str, Any]:
        """What whoever ordered it is told; the instants are of the clock of arrivals."""
        told = {"began": self.began, "ended": self.ended, "packets": self.sent}
        return {"seq": self.order, "ok": not self.error, **({"error": self.error} if self.error else told)}

    def end(self, error: str = "") -> None:
        """The parties hear each other again."""
        self.is_over, self.error = True, error
        for stream, _ in self.voices:
            stream.mute(False)

    def turn(self, now: int) -> None:
        """Send what is due."""
        while self.due <= now and not self.is_over:
            if self.ended:
                self.end()
            elif self.sent == len(self.voices[0][1]):
                self.ended, self.due = self.due, self.due + TAIL_NS
                for stream, _ in self.voices:
                    stream.mute(False)
            else:
                self._send(now)

    def _errors(self) -> int:
        """Of the sockets by which it leaves: a closed port is told to whoever looks first."""
        return sum(stream.opposite.errors for stream, _ in self.voices)

    def _send(self, now: int) -> None:
        if now - self.due > LATEST_NS:
            self.end("late")
            return
        if not self.sent:
            self.began, self.errors = now, self._errors()
        try:
            is_sent = all(stream.say(packets[self.sent]) for stream, packets in self.voices)
        except OSError:
            is_sent = False
        if not is_sent or self._errors() != self.errors:
            self.end("refused")
            return
        self.sent += 1
        self.due += STEP_NS


class Plays:
    """All that are played now. `running`: by session."""

    def __init__(self) -> None:
        self.running: dict[int, Play] = {}
        self._line: list[Play] = []

    def begin(self, play: Play) -> None:
        """Take one more, in a call in which nothing is played."""
        self.running[play.session] = play
        heapq.heappush(self._line, play)

    def wait(self, now: int) -> float:
        """Seconds until the next packet is due."""
        return max(0, self._line[0].due - now) / 1e9 if self._line else 0.0

    def turn(self, now: int) -> list[Play]:
        """Send what is due; those that are over, or mute nobody any more."""
        changed: list[Play] = []
        while self._line and self._line[0].due <= now:
            play = heapq.heappop(self._line)
            was_heard = play.is_heard
            play.turn(now)
            if play.is_over:
                del self.running[play.session]
            else:
                heapq.heappush(self._line, play)
            if play.is_over or play.is_heard != was_heard:
                changed.append(play)
        return changed

    def stop(self, session: int) -> Play | None:
        """End what is played in this call; what it was."""
        play = self.running.get(session)
        if play is not None:
            play.end("stopped")
            del self.running[session]
            self._line.remove(play)
            heapq.heapify(self._line)
        return play
