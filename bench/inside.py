"""Where signalling's time goes: engine and decision on one call after another, without sockets or books.

The calls are those of `make bench ONLY=signalling` (`c/telephones.c`), twenty at any time.

    python -m bench.inside [--calls 1000] [--caller 230] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from demo.installation import CONFIGURATION, CUSTOMER, PREFIX, RETENTION_DAYS
from recorder.calls import Calls
from recorder.config import parse
from recorder.effects import Forward, OpenMedia
from recorder.policy import Policy
from recorder.rules import Directory, compile_rules
from recorder.service.beginning import SIGNALLING_COLLECTS
from sip_hooks.engine import Engine, EngineSettings, Listener
from sip_hooks.events import ForwardCall
from sip_hooks.settings import Address, Limits, Packet

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "127.0.0.1"
PROXY, CALLER, CALLEE = (HOST, 5060), (HOST, 5070), (HOST, 5080)
AT_ONCE = 20
ROUNDS = 12
_SDP = (
    "v=0\r\no=- {number} {side} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)


class Inside:
    """One engine with all that decides about its calls, and both telephones."""

    def __init__(self, caller: str) -> None:
        drawn = random.Random(1)
        settings = EngineSettings(
            (Listener("udp", "both", *PROXY),),
            CALLEE,
            frozenset((HOST,)),
            (16000, 31999),
            b"k" * 32,
            limits=Limits(0, 0),
        )
        self._caller = caller
        self._engine = Engine(settings, drawn.randbytes, lambda now: EPOCH + timedelta(seconds=now))
        scheme = _scheme()
        self._engine.is_emergency = Directory(scheme).is_emergency
        retention = {it.name: it.retention for it in scheme.purposes}
        rules = compile_rules(scheme)
        policy = Policy(rules, True, "ab" * 32, retention, timedelta(seconds=2), {4: HOST})
        self._calls = Calls(policy, drawn.randbytes, drawn.randrange)
        self._ports = count(16000, 4)
        self._numbers = count(1)
        self.now = 0.0

    def run(self, calls: int) -> float:
        """Make so many calls, twenty at any time. Returns the CPU seconds that they took us."""
        used = 0.0
        for _ in range(calls // AT_ONCE):
            said = [self._invite(next(self._numbers)) for _ in range(AT_ONCE)]
            while said:
                began = time.process_time()
                leaving = self._hear(said)
                used += time.process_time() - began
                self.now += 0.0005
                said = [reply for packet in leaving for reply in self._replies(packet)]
            self.now += 0.03
        return used

    def _hear(self, said: list[tuple[bytes, Address]]) -> list[Packet]:
        """What the transport does with all that has arrived."""
        leaving: list[Packet] = []
        for data, source in said:
            self._engine.arrive(data, source, "udp", self.now)
        while self._engine.work(self.now):
            self._settle()
            leaving += self._engine.packets_to_send()
        if (due := self._engine.next_timer()) is not None and due <= self.now:
            self._engine.handle_timer(self.now)
            self._settle()
            leaving += self._engine.packets_to_send()
        return leaving

    def _settle(self) -> None:
        while (event := self._engine.next_event()) is not None:
            at = EPOCH + timedelta(seconds=self.now)
            for effect in self._calls.on_event(event, at):
                self._act(effect, at)

    def _act(self, effect: Any, at: datetime) -> None:
        if isinstance(effect, Forward):
            self._engine.execute(ForwardCall(effect.call, effect.strip, effect.media), self.now)
        elif isinstance(effect, OpenMedia):
            port = 16000 + next(self._ports) % 15000
            for further in self._calls.media_opened(effect.call, effect.session, (port, port + 2)):
                self._act(further, at)

    # --- the telephones

    def _invite(self, number: int) -> tuple[bytes, Address]:
        body = _SDP.format(number=number, side=1, port=40000).encode()
        more = (
            f"Contact: <sip:t{number}@127.0.0.1:5070>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\n"
            f"User-Agent: telephones\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        head = self._request("INVITE", f"sip:{CUSTOMER}@127.0.0.1:5060", number, "", 1, "")
        return (head + more).encode() + body, CALLER

    def _request(self, method: str, target: str, number: int, routes: str, cseq: int, tag: str) -> str:
        return (
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bK-7-{number}-{method}\r\n"
            f"{routes}Max-Forwards: 70\r\n"
            f"From: <sip:{self._caller}@127.0.0.1:5070>;tag=a{number}\r\n"
            f"To: <sip:{CUSTOMER}@127.0.0.1>{tag}\r\n"
            f"Call-ID: call-{number}@7.127.0.0.1\r\nCSeq: {cseq} {method}\r\n"
        )

    def _replies(self, packet: Packet) -> list[tuple[bytes, Address]]:
        lines = packet.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        if packet.destination == CALLEE:
            return [(it, CALLEE) for it in self._answers(lines)]
        return [(it, CALLER) for it in self._goes_on(lines)]

    def _answers(self, lines: list[str]) -> list[bytes]:
        method = lines[0].partition(" ")[0]
        if method == "INVITE":
            number = _after(lines, "Call-ID: call-").partition("@")[0]
            body = _SDP.format(number=number, side=2, port=40002)
            kinds = [("100 Trying", False, ""), ("180 Ringing", True, ""), ("200 OK", True, body)]
        else:
            kinds = [("200 OK", False, "")] if method == "BYE" else []
        return [_response(lines, *kind) for kind in kinds]

    def _goes_on(self, lines: list[str]) -> list[bytes]:
        if not lines[0].startswith("SIP/2.0 200") or not _after(lines, "CSeq: ").endswith("INVITE"):
            return []
        number = int(_after(lines, "Call-ID: call-").partition("@")[0])
        routes = "".join(f"Route: {it[14:]}\r\n" for it in reversed(lines) if it.startswith("Record-Route: "))
        target = _after(lines, "Contact: <").rstrip(">")
        said = [
            self._request(*it, ";tag=b")
            for it in (("ACK", target, number, routes, 1), ("BYE", target, number, routes, 2))
        ]
        return [(it + "Content-Length: 0\r\n\r\n").encode() for it in said]


def _response(lines: list[str], start: str, has_dialog: bool, body: str) -> bytes:
    copied = {
        name: [it for it in lines if it.startswith(name)]
        for name in ("Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: ")
    }
    made = [f"SIP/2.0 {start}", *copied["Via: "], *copied["From: "]]
    made += [it + ";tag=b" * has_dialog for it in copied["To: "]] + copied["Call-ID: "] + copied["CSeq: "]
    if has_dialog:
        made += [it for it in lines if it.startswith("Record-Route: ")]
        made += [f"Contact: <sip:{CUSTOMER}@127.0.0.1:5080>"]
    made += ["Content-Type: application/sdp"] if body else []
    return ("\r\n".join(made) + f"\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode()


def _after(lines: list[str], start: str) -> str:
    return next((it[len(start) :] for it in lines if it.startswith(start)), "")


def _scheme() -> Any:
    text = CONFIGURATION.format(
        sip_port=5060,
        pbx_port=5080,
        media_low=16000,
        media_high=31999,
        prefix=PREFIX,
        retention=RETENTION_DAYS,
        business_number="+31201234567",
        agent="201",
        doctor="250",
    )
    text = text.replace("[purposes.coaching]\n", '[purposes.coaching]\nmode = "on-demand"\n')
    return parse(text, "bench.toml", Path("/")).scheme()


def main() -> None:
    """Print the best of several rounds, or the profile of all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="calls of each round (1000)")
    parser.add_argument("--caller", default="230", help="230: on no flagged line; 201: an agent")
    parser.add_argument("--profile", action="store_true", help="where the time goes, function by function")
    wanted = parser.parse_args()
    inside = Inside(wanted.caller)
    gc.freeze()
    gc.set_threshold(*SIGNALLING_COLLECTS)
    inside.run(200)
    if wanted.profile:
        profile = cProfile.Profile()
        profile.runcall(inside.run, wanted.calls)
        pstats.Stats(profile).sort_stats("tottime").print_stats(70)
        return
    rounds = sorted(1e6 * inside.run(wanted.calls) / wanted.calls for _ in range(ROUNDS))
    sys.stdout.write(f"{rounds[0]:.0f} µs a call at best, {rounds[len(rounds) // 2]:.0f} µs at the median\n")


if __name__ == "__main__":
    main()
