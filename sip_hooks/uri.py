"""SIP, SIPS and tel URIs, parsed over the received bytes (RFC 3261 §19.1, RFC 3966).

A URI keeps its bytes: nothing is unescaped, lowered or re-ordered except in :meth:`Uri.identity` and
:meth:`Uri.address`, which exist to compare parties and are never sent.
"""

from __future__ import annotations

from typing import NamedTuple

from sip_hooks import reading
from sip_hooks.address import host, in_brackets
from sip_hooks.errors import MessageError

DIGITS = b"0123456789"
ALPHA = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SCHEME = ALPHA + DIGITS + b"+-."
_HOST = ALPHA + DIGITS + b"-._"
_IPV6 = DIGITS + b"abcdefABCDEF:."
_HEX = DIGITS + b"abcdefABCDEF"
_NEVER = bytes(range(0x21)) + b'\x7f<>"'
_VISUAL_SEPARATORS = {ord(c): None for c in "-.()"}
_DIALLED = frozenset("+0123456789*#")

MAXIMUM_PARAMS = 128
_SHORT = 10  # digits, of a number of 32 bits

Params = tuple[tuple[bytes, bytes | None], ...]


def parse_uint(value: bytes, maximum: int) -> int:
    """Read ASCII digits as a number of at most ``maximum``; anything else raises :class:`MessageError`."""
    if len(value) <= _SHORT and value.isdigit() and (number := int(value)) <= maximum:
        return number
    if not value or value.translate(None, DIGITS):
        raise MessageError("a number is not made of ASCII digits")
    significant = value.lstrip(b"0")
    if len(significant) > len(str(maximum)) or int(significant or b"0") > maximum:
        raise MessageError("a number is out of range")
    return int(significant or b"0")


def check_params(value: bytes) -> None:
    """Raise :class:`MessageError` for more parameters than anybody needs: reading them all takes its time."""
    if value.count(b";") > MAXIMUM_PARAMS:
        raise MessageError("an address has too many parameters")


def param_value(params: Params, name: bytes) -> bytes | None:
    """Return the value of the parameter ``name`` in any case, ``b""`` for a flag, None when absent."""
    wanted = name.lower()
    for key, value in params:
        if key.lower() == wanted:
            return value or b""
    return None


class Uri(NamedTuple):
    """One URI. ``user`` is still escaped; for tel: it is the number; unknown schemes have no parts."""

    raw: bytes
    scheme: bytes
    user: bytes = b""
    password: bytes = b""
    host: bytes = b""
    port: int | None = None
    params: Params = ()
    headers: bytes = b""

    def __repr__(self) -> str:
        """Without anything: it holds numbers."""
        return "Uri()"

    def param(self, name: bytes) -> bytes | None:
        """Return a URI parameter's value, ``b""`` for a flag, None when absent."""
        return param_value(self.params, name)

    def user_params(self) -> Params:
        """Return the parameters of a telephone number that stands as the user (RFC 3261 §19.1.6)."""
        return _params(self.user.partition(b";")[2])

    def identity(self) -> str:
        """Say who this is, for comparison only.

        The unescaped user without its own parameters, in lower case, without visual separators when it is a
        telephone number; the host when there is no user; the whole URI for a scheme we do not know.
        """
        if self.scheme not in (b"sip", b"sips", b"tel"):
            return _text(self.raw).lower()
        name = _text(unescape(self.user.partition(b";")[0])).lower()
        bare = name.translate(_VISUAL_SEPARATORS)
        if bare and _DIALLED.issuperset(bare):
            return bare
        return name or _host(self.host)

    def address(self) -> str:
        """Return ``user@host`` in the form of :meth:`identity`, ``""`` when either is missing."""
        return f"{self.identity()}@{_host(self.host)}" if self.user and self.host else ""

    def with_user(self, user: bytes) -> bytes:
        """Return the URI's bytes with only the user replaced. An empty user, or no place for one, raises."""
        if not user or not self.user:
            raise MessageError("a URI without a user part cannot be re-addressed", "forward it unchanged")
        start = len(self.scheme) + 1
        return self.raw[:start] + user + self.raw[start + len(self.user) :]


@reading.remembered
def parse_uri(raw: bytes) -> Uri:
    """Parse one URI without surrounding brackets. Unknown schemes are kept opaque.

    Raises :class:`MessageError` for anything that two readers could understand differently.
    """
    scheme, _, rest = raw.partition(b":")
    if not scheme or scheme.translate(None, _SCHEME) or scheme[:1].translate(None, ALPHA):
        raise MessageError("a URI has no scheme")
    if len(raw.translate(None, _NEVER)) != len(raw) or not rest:
        raise MessageError("a URI is empty or has a space, quote, bracket or control character in it")
    lowered = scheme.lower()
    if lowered in (b"sip", b"sips"):
        return _parse_sip(raw, lowered, rest)
    if lowered == b"tel":
        number, _, params = rest.partition(b";")
        if not number:
            raise MessageError("a tel URI has no number")
        return Uri(raw, lowered, user=number, params=_params(params))
    return Uri(raw, lowered)


def after_characters(user: bytes, count: int) -> bytes:
    """What is left of an escaped user without its first `count` characters; an escape is one character."""
    at = 0
    for _ in range(count):
        at += 3 if unescape(user[at : at + 3]) != user[at : at + 3] and user[at : at + 1] == b"%" else 1
    return user[at:]


def unescape(value: bytes) -> bytes:
    """Undo ``%XX``; a percent sign that escapes nothing stays as it is."""
    first, *rest = value.split(b"%")
    pieces = [first]
    for piece in rest:
        code = piece[:2]
        escapes = len(code) == 2 and not code.translate(None, _HEX)
        pieces.append(bytes((int(code, 16),)) + piece[2:] if escapes else b"%" + piece)
    return b"".join(pieces)


def split_host_port(value: bytes) -> tuple[bytes, int | None]:
    """Split ``host[:port]``; an IPv6 reference keeps its brackets. Raises :class:`MessageError`."""
    if value.startswith(b"["):
        inside, bracket, tail = value[1:].partition(b"]")
        host = b"[" + inside + b"]"
        valid = bool(bracket and inside) and not inside.translate(None, _IPV6)
    else:
        host, colon, tail = value.partition(b":")
        tail = colon + tail
        valid = bool(host) and not host.translate(None, _HOST)
    if not valid or (tail and not tail.startswith(b":")):
        raise MessageError("a host name is malformed")
    return host, parse_uint(tail[1:], 65535) if tail else None


def _parse_sip(raw: bytes, scheme: bytes, rest: bytes) -> Uri:
    # A raw "@" is legal in no other place before the host, so the first one ends the userinfo. What follows
    # is allowed to hold another only in the headers, where careless senders leave Replaces unescaped.
    userinfo, at, after = rest.partition(b"@")
    if not at:
        userinfo, after = b"", rest
    elif not userinfo:
        raise MessageError("a URI has an empty user part")
    user, _, password = userinfo.partition(b":")
    before_headers, _, headers = after.partition(b"?")
    host_port, _, params = before_headers.partition(b";")
    host, port = split_host_port(host_port)
    return Uri(raw, scheme, user, password, host, port, _params(params), headers)


def _params(value: bytes) -> Params:
    check_params(value)
    pairs = (piece.partition(b"=") for piece in value.split(b";") if piece)
    return tuple((name, content if equals else None) for name, equals, content in pairs)


def _host(value: bytes) -> str:
    """A host for comparison: an IPv6 address has many spellings (RFC 5954 §4.2)."""
    text = _text(value).lower()
    try:
        return host(in_brackets(text))
    except ValueError:
        return text


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
