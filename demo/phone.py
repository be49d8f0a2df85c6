"""A pyVoIP phone that says exactly what it is given and keeps what it hears, µ-law byte for µ-law byte.

pyVoIP does the signalling and the pacing. Its audio is 8 bits wide and gets mangled on receipt, so here the
sender takes finished µ-law, and the receiver files each payload under its RTP timestamp. Its end races with
its own threads, so here a socket is closed only after the threads that use it have ended.

pyVoIP speaks PCMU alone, rings for a second before it answers, and does not understand a refusal. Everything
here blocks: call it from a thread.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pyVoIP.RTP
import pyVoIP.VoIP
from pyVoIP.SIP import SIPMessage, SIPMessageType
from pyVoIP.VoIP import CallState, VoIPCall, VoIPPhone
from pyVoIP.VoIP.status import PhoneStatus

PACKET_SAMPLES = 160
SILENCE = b"\xff" * PACKET_SAMPLES
TAIL_SAMPLES = 10 * PACKET_SAMPLES
PATIENCE_SECONDS = 10


class PhoneError(Exception):
    """The phone could not do what it was asked: what, and what came instead."""


@dataclass(slots=True)
class Conversation:
    """One call as one phone lived it. `sent`: all µ-law handed to the sender, the silence after it included.

    `answered`, `spoken` (the speech and a moment more, so that all of it has arrived) and `ended` can be
    waited for from any thread.
    """

    other: str
    speech: bytes
    sent: bytearray = field(default_factory=bytearray)
    answered: threading.Event = field(default_factory=threading.Event)
    spoken: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    payloads: dict[int, bytes] = field(default_factory=dict)

    def next_packet(self) -> bytes:
        """The next 20 ms for the sender: the speech padded to whole packets, then silence."""
        packet = self.speech[len(self.sent) : len(self.sent) + PACKET_SAMPLES].ljust(PACKET_SAMPLES, b"\xff")
        self.sent += packet
        if len(self.sent) >= len(self.speech) + TAIL_SAMPLES:
            self.spoken.set()
        return packet

    def heard(self) -> bytes:
        """All µ-law that arrived, in the order of its RTP timestamps, silence where nothing came."""
        if not self.payloads:
            return b""
        first = min(self.payloads)
        length = max(at + len(payload) for at, payload in self.payloads.items()) - first
        samples = bytearray(b"\xff" * length)
        for at, payload in self.payloads.items():
            samples[at - first : at - first + len(payload)] = payload
        return bytes(samples)


class _Audio(pyVoIP.RTP.RTPClient):
    """The audio of one call, in the place of pyVoIP's. pyVoIP makes, starts, paces and stops it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        call: Any = named[
            "dtmf"
        ].__self__  # of what pyVoIP gives, the only thing that knows whose call this is
        self._conversation: Conversation = call.phone.begin(call)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        super().start()
        self._conversation.answered.set()

    def recv(self) -> None:
        self._threads.append(threading.current_thread())
        super().recv()

    def trans(self) -> None:
        self._threads.append(threading.current_thread())
        super().trans()

    def encode_packet(self, payload: bytes) -> bytes:
        return self._conversation.next_packet()

    def parse_packet(self, packet: bytes) -> None:
        if len(packet) > 12 and packet[1] & 0x7F == 0:
            self._conversation.payloads[int.from_bytes(packet[4:8], "big")] = packet[12:]

    def stop(self) -> None:
        self.NSD = False
        for thread in self._threads:
            thread.join()
        if self._conversation.answered.is_set():
            super().stop()
        self._conversation.ended.set()


vars(pyVoIP.RTP)["RTPClient"] = _Audio  # where pyVoIP's calls look for the class


class _Agent(VoIPPhone):
    """pyVoIP's phone, with free ports and a wait for the answer to its BYE."""

    def __init__(self, owner: Phone, password: str) -> None:
        server, port = owner.server
        super().__init__(server, port, owner.number, password, "127.0.0.1", self._ring, sipPort=free_port())
        self.owner = owner
        self.farewell = threading.Event()
        self.sip.register_timeout = PATIENCE_SECONDS

    def request_port(self, blocking: bool = True) -> int:
        return free_port()

    def release_ports(self, call: VoIPCall | None = None) -> None:
        """Ports are not kept, and pyVoIP would forget running calls here."""

    def begin(self, call: VoIPCall) -> Conversation:
        header = "To" if call.state is CallState.DIALING else "From"
        conversation = Conversation(str(call.request.headers[header]["number"]), self.owner.speech)
        self.owner.begin(conversation)
        return conversation

    def callback(self, request: SIPMessage) -> None:
        super().callback(request)
        if request.type == SIPMessageType.RESPONSE and request.headers["CSeq"]["method"] == "BYE":
            self.farewell.set()

    def _ring(self, call: VoIPCall) -> None:
        """Runs a second after the 180 went out."""
        if self.sip.NSD and call.state is CallState.RINGING:
            call.answer()


class Phone:
    """A phone at `server` (the proxy, or a registrar). As a context: registered inside, unregistered after.

    `speech` is the µ-law that it says in its next calls; it may be set anew between them. `conversations`
    grows by one for each call: made ones when answered, taken ones when they ring.
    """

    def __init__(self, number: str, password: str, server: tuple[str, int], speech: bytes = b"") -> None:
        self.number = number
        self.server = server
        self.speech = speech
        self.conversations: list[Conversation] = []
        self._begun = threading.Condition()
        self._receiver: threading.Thread | None = None
        self._agent = _Agent(self, password)

    def __enter__(self) -> Self:
        before = set(threading.enumerate())
        self._agent.start()
        self._receiver = next(t for t in set(threading.enumerate()) - before if t.name == "SIP Recieve")
        if self._agent.get_status() is not PhoneStatus.REGISTERED:
            self._close()
            raise PhoneError(f"register {self.number} at {self.server}: refused, check number and password")
        # Else pyVoIP waits for ever when a call is refused.
        patience = struct.pack("ll", PATIENCE_SECONDS, 0)
        self._agent.sip.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self._close()

    def call(self, number: str) -> Conversation:
        """Dial, and return when the other side has answered. PhoneError: it did not, or never rang."""
        index = len(self.conversations)
        try:
            self._agent.call(number)
        except (BlockingIOError, KeyError) as error:  # our patience; pyVoIP's own answer to a 404
            raise PhoneError(f"call from {self.number}: the other side did not ring") from error
        return self.conversation(index)

    def conversation(self, index: int) -> Conversation:
        """Wait until the phone's call number `index`, made or taken, is answered. PhoneError: it is not."""
        with self._begun:
            begun = self._begun.wait_for(lambda: len(self.conversations) > index, PATIENCE_SECONDS)
        if not begun or not self.conversations[index].answered.wait(PATIENCE_SECONDS):
            raise PhoneError(f"call {index} of {self.number}: not answered within {PATIENCE_SECONDS} s")
        return self.conversations[index]

    def hang_up(self) -> None:
        """End what is answered, and wait for the other side to agree."""
        for call in list(self._agent.calls.values()):
            if call.state is CallState.ANSWERED:
                self._agent.farewell.clear()
                call.hangup()
                self._agent.farewell.wait(PATIENCE_SECONDS)

    def begin(self, conversation: Conversation) -> None:
        with self._begun:
            self.conversations.append(conversation)
            self._begun.notify_all()

    def _close(self) -> None:
        """pyVoIP's stop, in an order in which no thread is left with a closed socket."""
        sip = self._agent.sip
        sip.NSD = False
        for thread in (self._receiver, sip.registerThread, *self._agent.threads):
            if isinstance(thread, threading.Timer):
                thread.cancel()
            if thread is not None and thread.ident is not None:
                thread.join()
        with contextlib.suppress(OSError):  # it gave up by itself
            sip.deregister()
        sip._close_sockets()


def free_port() -> int:
    """An even UDP port on loopback that is free now, and the odd one above it too (RFC 3550 §11).

    Below the ports that Linux gives to any program, so that it is likely to be free a moment later too.
    """
    while True:
        port = 12_000 + 2 * secrets.randbelow(3_900)
        with (
            socket.socket(type=socket.SOCK_DGRAM) as even,
            socket.socket(type=socket.SOCK_DGRAM) as odd,
            contextlib.suppress(OSError),
        ):
            even.bind(("127.0.0.1", port))
            odd.bind(("127.0.0.1", port + 1))
            return port
