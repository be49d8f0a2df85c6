"""The phones' side of the media of many calls, in few system calls: no object and no callback per packet."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from array import array

from soak.voice import AGENT, OUTSIDE, PACKET_SECONDS, Voice

Address = tuple[str, int]
_GROUPS = 4
_RTP_BYTES = 12


class Leg:
    """One party's ear and mouth in one call. Instants are those of the event loop."""

    def __init__(self, voice: Voice, call: int, speaker: int) -> None:
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self.towards: Address | None = None
        self.sent_at = array("d")
        self.heard: set[int] = set()
        self.heard_at: float | None = None
        self.longest_gap = 0.0
        self.wrong = 0
        self.wrong_at: float | None = None
        self._voice, self._call, self._speaker = voice, call, speaker

    def say(self, now: float) -> None:
        """Send the next packet."""
        assert self.towards is not None
        packet = self._voice.packet(self._call, self._speaker, len(self.sent_at))
        with contextlib.suppress(OSError):  # a full buffer: lost, as on any network
            self.socket.sendto(packet, self.towards)
        self.sent_at.append(now)

    def hear(self, now: float) -> None:
        """Take what has arrived."""
        while True:
            try:
                data = self.socket.recv(2048)
            except OSError:
                return
            known = self._voice.known(data[_RTP_BYTES:])
            if known is None or known[:2] != (self._call, 1 - self._speaker) or known[2] in self.heard:
                self.wrong, self.wrong_at = self.wrong + 1, now
                continue
            self.heard.add(known[2])
            self.silent_until(now)
            self.heard_at = now

    def silent_until(self, now: float) -> None:
        """Nothing has been heard since the last packet, although something was said."""
        if self.heard_at is not None:
            self.longest_gap = max(self.longest_gap, now - self.heard_at)


class Conversation:
    """One call between an agent and an outside party; `number` tells it from all others."""

    def __init__(self, voice: Voice, number: int) -> None:
        self.number = number
        self.legs = (Leg(voice, number, AGENT), Leg(voice, number, OUTSIDE))
        self.is_talking = False
        self.dialled_at = self.answered_at = self.ended_at = 0.0
        self.is_answered = self.is_hung_up = False

    @property
    def is_anchored(self) -> bool:
        """Whether the parties were shown other ports than each other's: then their media passes the relay."""
        caller, callee = self.legs[OUTSIDE], self.legs[AGENT]
        return caller.towards is not None and caller.towards[1] != callee.port

    def beat(self, now: float) -> None:
        """20 ms are over."""
        for leg in self.legs:
            leg.hear(now)
            if self.is_talking:
                leg.say(now)

    def end(self, now: float) -> None:
        """It is over, whoever said so."""
        self.ended_at = now
        for leg, other in (self.legs, self.legs[::-1]):
            leg.hear(now)
            if other.sent_at:
                leg.silent_until(other.sent_at[-1])
            leg.socket.close()


class Pump:
    """Beats every running conversation each 20 ms. A late beat is made up for; `lag` is the worst, in
    seconds.
    """

    def __init__(self) -> None:
        self._groups: list[set[Conversation]] = [set() for _ in range(_GROUPS)]
        self.lag = 0.0

    def add(self, conversation: Conversation) -> None:
        self._groups[conversation.number % _GROUPS].add(conversation)

    def remove(self, conversation: Conversation) -> None:
        self._groups[conversation.number % _GROUPS].discard(conversation)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for group in self._groups:
                due += PACKET_SECONDS / _GROUPS
                await asyncio.sleep(due - loop.time())
                now = loop.time()
                self.lag = max(self.lag, now - due)
                for conversation in group:
                    conversation.beat(now)
