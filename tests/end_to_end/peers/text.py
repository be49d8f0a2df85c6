"""What scripted phones write and read: SIP messages, session descriptions, digest credentials."""

from __future__ import annotations

import hashlib
import re
import secrets

from demo.registrar import Message
from sip_hooks.address import family_of
from tests.fakes.rtp import PCMA


def encoded(lines: list[str], body: bytes = b"") -> bytes:
    """A message; a body is a session description."""
    is_told = any(line.startswith("Content-Type:") for line in lines)
    kind = ["Content-Type: application/sdp"] if body and not is_told else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", ""]).encode() + body


def reply(request: Message, status: str, extra: tuple[str, ...] = (), body: bytes = b"") -> bytes:
    """A response (RFC 3261 §8.2.6)."""
    lines = [f"SIP/2.0 {status}"]
    for name in (b"via", b"record-route", b"from", b"to", b"call-id", b"cseq"):
        lines += [f"{name.decode().title()}: {value.decode()}" for value in request.every(name)]
    return encoded([*lines, *extra], body)


def registration(own: str, target: str, contact: str) -> list[str]:
    """A first REGISTER, without its Via."""
    return [
        f"REGISTER {target} SIP/2.0",
        *("Max-Forwards: 70", f"From: <{own}>;tag={secrets.token_hex(4)}", f"To: <{own}>"),
        *(f"Call-ID: {secrets.token_hex(8)}", "CSeq: 1 REGISTER", f"Contact: <{contact}>"),
    ]


def with_credentials(
    lines: list[str], challenged: Message, number: str, password: str, target: str
) -> list[str]:
    """The REGISTER again, with what the 401 asks for (RFC 3261 §22.4, MD5 without qop)."""
    challenge = challenged.first(b"www-authenticate").decode()
    realm, nonce = (re.findall(f'{name}="([^"]*)"', challenge)[0] for name in ("realm", "nonce"))
    response = _md5(_md5(number, realm, password), nonce, _md5("REGISTER", target))
    return [
        *(line.replace("CSeq: 1 ", "CSeq: 2 ") for line in lines),
        f'Authorization: Digest username="{number}", realm="{realm}", nonce="{nonce}", '
        f'uri="{target}", response="{response}", algorithm=MD5',
    ]


def description(address: str, port: int, direction: str = "sendrecv") -> bytes:
    """A session of PCMA at an address."""
    here = f"IN IP{family_of(address)} {address}"
    lines = ("v=0", f"o=- 1 1 {here}", "s=-", f"c={here}", "t=0 0")
    media = (f"m=audio {port} RTP/AVP {PCMA}", "a=ptime:20", f"a={direction}")
    return "".join(f"{line}\r\n" for line in (*lines, *media)).encode()


def described(message: Message) -> tuple[str, int]:
    """Where a message wants its sender's audio."""
    return described_in(message.body)


def described_in(sdp: bytes) -> tuple[str, int]:
    """Where a description wants its audio."""
    address = re.findall(rb"c=IN IP[46] (\S+)", sdp)[0].decode()
    return address, int(re.findall(rb"m=audio (\d+)", sdp)[0])


def new_branch() -> str:
    return f"z9hG4bK{secrets.token_hex(8)}"


def branch_of(message: Message) -> bytes:
    """Of the topmost Via."""
    branch: bytes = re.findall(rb"branch=([^;,\s]+)", message.first(b"via"))[0]
    return branch


def uri_in(value: bytes) -> str:
    """What stands between angle brackets."""
    return value.partition(b"<")[2].partition(b">")[0].decode()


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()
