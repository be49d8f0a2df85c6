"""What a telephone writes: dialogs and their requests, session descriptions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sip_hooks.address import family_of


@dataclass(slots=True)
class Dialog:
    """What a telephone keeps of a call, as its own side of it."""

    target: str
    remote: str
    local: str
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    routes: list[str] = field(default_factory=list)
    number: int = 0

    def lines(self, method: str, extra: Sequence[str]) -> list[str]:
        """A request, without its Via. An ACK has the number of its INVITE."""
        self.number += method != "ACK"
        return [
            f"{method} {self.target} SIP/2.0",
            *(f"Route: {it}" for it in self.routes),
            *("Max-Forwards: 70", f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.id}"),
            f"CSeq: {self.number} {method}",
            *extra,
        ]


def description(address: str, port: int, direction: str = "sendrecv", version: int = 1) -> bytes:
    """What a telephone says of its media: G.711 at this address. `version`: of what it said in this call."""
    here = f"IN IP{family_of(address)} {address}"
    lines = ["v=0", f"o=- 1 {version} {here}", "s=-", f"c={here}", "t=0 0", f"m=audio {port} RTP/AVP 8 0"]
    lines += [] if direction == "sendrecv" else [f"a={direction}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


def new_branch() -> bytes:
    """Of a new transaction (RFC 3261 §8.1.1.7)."""
    return b"z9hG4bK" + secrets.token_hex(10).encode()


def belonging(method: str, lines: Sequence[str], remote: str) -> list[str]:
    """CANCEL, or ACK of a refusal: what of an INVITE goes into them (RFC 3261 §9.1, §17.1.1.3)."""
    kept = [it for it in lines[1:] if it.startswith(("Route:", "Max-Forwards:", "From:", "Call-ID:"))]
    number = next(it for it in lines if it.startswith("CSeq:")).split(" ")[1]
    return [lines[0].replace("INVITE", method, 1), *kept, f"To: {remote}", f"CSeq: {number} {method}"]


def encoded(lines: Sequence[str], body: bytes) -> bytes:
    """A message as it leaves; a body of which no line says what it is describes a session."""
    is_named = any(it.startswith("Content-Type:") for it in lines)
    about = [] if is_named or not body else ["Content-Type: application/sdp"]
    return "\r\n".join([*lines, *about, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body
