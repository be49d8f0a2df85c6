"""Digest credentials, as a telephone gives them (RFC 7616; without qop RFC 2069)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_PARAMETER = re.compile(r'([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)
_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Who asks, and with which password. Its `repr` tells neither."""

    user: str
    password: str


def credentials(challenges: Iterable[bytes], method: str, uri: str, login: Login, cnonce: str) -> str | None:
    """Answer the first challenge that asks for something we can do: the value of Authorization.

    `challenges` are values of WWW-Authenticate or Proxy-Authenticate. None: there is no such challenge.
    """
    for challenge in challenges:
        scheme, _, rest = challenge.decode("latin-1").strip().partition(" ")
        asked = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        offered = [it.strip() for it in asked.get("qop", "").split(",") if it.strip()]
        knows = asked.get("algorithm", "MD5").upper() in _HASHES and (not offered or "auth" in offered)
        if scheme.lower() == "digest" and {"realm", "nonce"} <= asked.keys() and knows:
            return _answer(asked, bool(offered), f"{method}:{uri}", login, cnonce)
    return None


def _answer(asked: Mapping[str, str], has_qop: bool, request: str, login: Login, cnonce: str) -> str:
    algorithm = asked.get("algorithm", "MD5")
    secret = _hash(algorithm, f"{login.user}:{asked['realm']}:{login.password}")
    middle = f"{asked['nonce']}:00000001:{cnonce}:auth" if has_qop else asked["nonce"]
    quoted = {
        "username": login.user,
        "realm": asked["realm"],
        "nonce": asked["nonce"],
        "uri": request.partition(":")[2],
        "response": _hash(algorithm, f"{secret}:{middle}:{_hash(algorithm, request)}"),
    }
    if "opaque" in asked:
        quoted["opaque"] = asked["opaque"]
    if has_qop:
        quoted["cnonce"] = cnonce
    plain = ["qop=auth", "nc=00000001"] if has_qop else []
    parts = [f'{name}="{value}"' for name, value in quoted.items()]
    return "Digest " + ", ".join([*parts, f"algorithm={algorithm}", *plain])


def _hash(algorithm: str, text: str) -> str:
    return hashlib.new(_HASHES[algorithm.upper()], text.encode(), usedforsecurity=False).hexdigest()
