"""Contacts of registered phones: what the PBX is told instead, and how a call finds the phone again.

The PBX must send its calls through us, and the phone may sit behind a NAT. So a REGISTER's Contact becomes
an address of ours whose user part is a token that carries the phone's own Contact URI and the address it
registered from. Nothing is stored: a restart loses no registration. An HMAC keeps others from making us
send to any address they like.

    token = base32(source address (4 or 16 bytes) | source port (2) | Contact URI | HMAC-SHA256 (first 10))

A phone whose Contact does not say which account it registers has that written before its Contact, with a
space, which no URI can have. The PBX accepted the account; whoever calls may write into To what they like.

A phone that registers over TCP or TLS is reached over its connection (`sip_hooks.flows`). A new connection
has another port and is the same phone to the PBX all the same: so in place of the port stands a digest of the
account (4 bytes), which keeps others with the same Contact behind the same NAT apart.

The two lengths have keys of their own, for each transport, so that none can be taken for another. The token
is in lower case without padding, because some PBXs lower the user part. The same Contact from the same
address gives the same token, so that registering again is a refresh for the PBX.
"""

from __future__ import annotations

import hmac
from base64 import b32decode, b32encode
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address
from itertools import product

from sip_hooks.edits import Edits
from sip_hooks.errors import MessageError
from sip_hooks.flows import Flows
from sip_hooks.headers import uri_in
from sip_hooks.message import Member, Message
from sip_hooks.settings import Address, EngineSettings, Listener, Transport
from sip_hooks.uri import Uri, parse_uri

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_PORT = 2  # bytes
_ACCOUNT = 4  # bytes
_STREAMS: tuple[Transport, ...] = ("tcp", "tls")
_TAG = 10  # bytes
LONGEST_ACCOUNT = 64
SHORTEST_TOKEN = (4 + _PORT + len(b"sip:a") + _TAG) * 8 // 5


@dataclass(frozen=True, slots=True, repr=False)
class Registered:
    """What a token carries."""

    uri: bytes  # the Contact URI, byte for byte as the phone sent it
    source: Address  # where the REGISTER came from; port 0 when over a connection
    transport: Transport = "udp"
    account: bytes = b""  # the user that it registers, escaped; b"" if the Contact says it, or nobody does


class ContactTokens:
    """Makes and opens tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._keys: dict[tuple[int, Transport], bytes] = {
            (4, "udp"): key,
            (16, "udp"): hmac.digest(key, b"ipv6", sha256),
        }  # by the length of the address
        for length, transport in product((4, 16), _STREAMS):
            name = b"%d %s" % (length, transport.encode())
            self._keys[length, transport] = hmac.digest(key, name, sha256)

    def seal(self, uri: bytes, source: Address, transport: Transport = "udp", account: bytes = b"") -> bytes:
        """Return the token for a Contact URI that `account` registered from `source`."""
        host = ip_address(source[0]).packed
        key = self._keys[len(host), transport]
        if transport == "udp":
            middle = source[1].to_bytes(_PORT, "big")
        else:
            middle = hmac.digest(key, account, sha256)[:_ACCOUNT]
        payload = host + middle + uri
        return b32encode(payload + _tag(key, payload)).rstrip(b"=").lower()

    def open(self, user: bytes) -> Registered | None:
        """Return what a URI's user part carries, None when it is no token of ours."""
        token = user.lower()
        if len(token) < SHORTEST_TOKEN or token.translate(None, _ALPHABET):
            return None
        try:
            sealed = b32decode(token.upper() + b"=" * (-len(token) % 8))
        except ValueError:
            return None
        payload, tag = sealed[:-_TAG], sealed[-_TAG:]
        for (length, transport), key in self._keys.items():
            if hmac.compare_digest(tag, _tag(key, payload)):
                host = str(ip_address(payload[:length]))
                at = length + (_PORT if transport == "udp" else _ACCOUNT)
                port = int.from_bytes(payload[length:at], "big") if transport == "udp" else 0
                account, _, uri = payload[at:].rpartition(b" ")
                return Registered(uri, (host, port), transport, account)
        return None

    def of(self, register: Message, uri: Uri, source: Address, listener: Listener) -> bytes:
        """Return the token for one Contact of a REGISTER that came to `listener`."""
        account = _account(register)
        raw = account.raw if account else b""
        if account is None or account.identity() == uri.identity() or listener.leads_to == "trunk":
            return self.seal(uri.raw, source, listener.transport, raw)
        is_told = account.scheme in (b"sip", b"sips") and 0 < len(account.user) <= LONGEST_ACCOUNT
        shown = account.user + b" " + uri.raw if is_told else uri.raw
        return self.seal(shown, source, listener.transport, raw)

    def original(self, uri: Uri) -> Uri:
        """Return the Contact URI that `uri` stands for, `uri` itself when it holds no token."""
        registered = self.open(uri.user)
        return uri if registered is None else parse_uri(registered.uri)


def _tag(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, sha256)[:_TAG]


def _account(register: Message) -> Uri | None:
    """Who registers, None when that cannot be read."""
    with suppress(MessageError):
        return uri_in(register.first(b"to") or b"")
    return None


def hide_contacts(
    register: Message, edits: Edits, tokens: ContactTokens, came: tuple[Address, Listener], leaving: Listener
) -> None:
    """Replace the URI of each Contact of a REGISTER; `*`, parameters and Expires stay as they are."""
    source, listener = came
    for member, uri in _contacts(register):
        if uri.scheme in (b"sip", b"sips"):
            token = tokens.of(register, uri, source, listener)
            scheme = b"sips" if uri.scheme == b"sips" and leaving.transport == "tls" else b"sip"
            params = b"" if scheme == b"sips" else leaving.uri_params
            _replace_uri(edits, member, uri, b"%s:%s@%s%s" % (scheme, token, leaving.sent_by, params))


def push_path(
    register: Message, edits: Edits, tokens: ContactTokens, came: tuple[Address, Listener], leaving: Listener
) -> None:
    """Tell the registrar by which way the phone is reached (RFC 3327 §5.2); its Contact stays as it is.

    The user of our Path is the token of the first Contact. A registrar that is not told that the phone
    understands Path may refuse or forget it (§5.3), and the phone need not: it gets it back and ignores it.
    """
    source, listener = came
    for _, uri in _contacts(register)[:1]:
        token = tokens.of(register, uri, source, listener)
        edits.insert_top(b"Path", b"<sip:%s@%s%s;lr>" % (token, leaving.sent_by, leaving.uri_params))
        if not any(it.strip(b" \t").lower() == b"path" for it in register.all(b"supported")):
            edits.insert_top(b"Supported", b"path")


def name_way(
    register: Message,
    edits: Edits,
    tokens: ContactTokens,
    came: tuple[Address, Listener],
    leaving: Listener,
    settings: EngineSettings,
) -> None:
    """Make calls to the phone of a REGISTER come through us, in the way that is set for its registrar."""
    is_pbx = leaving.side != "trunk"
    write = push_path if settings.registration == "path" and is_pbx else hide_contacts
    write(register, edits, tokens, came, leaving)


def bind_contacts(
    register: Message, tokens: ContactTokens, came: tuple[Address, Listener], flows: Flows
) -> None:
    """Remember over which connection the phone of an accepted REGISTER is reached."""
    source, listener = came
    if listener.is_stream:
        for _, uri in _contacts(register):
            flows.bind(tokens.of(register, uri, source, listener), (listener.name, source))


def restore_contacts(message: Message, edits: Edits, tokens: ContactTokens) -> None:
    """Give each Contact of a REGISTER's response that holds a token its own URI back."""
    for member, uri in _contacts(message):
        if registered := tokens.open(uri.user):
            _replace_uri(edits, member, uri, registered.uri)


def _contacts(message: Message) -> list[tuple[Member, Uri]]:
    found: list[tuple[Member, Uri]] = []
    try:
        members = message.members(b"contact")
    except MessageError:
        return found  # a REGISTER was validated; a registrar's list goes to the phone as it came
    for member in members:
        try:
            found.append((member, uri_in(member.value)))
        except MessageError:
            continue  # "*", or not ours to judge: it goes on as it came
    return found


def _replace_uri(edits: Edits, member: Member, uri: Uri, new: bytes) -> None:
    bracketed = member.value.rfind(b"<" + uri.raw + b">")
    start = member.start + (0 if bracketed < 0 else bracketed + 1)
    edits.replace(start, start + len(uri.raw), new)
