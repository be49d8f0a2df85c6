"""Who the parties of a call are: the union of what all headers of a message say.

After a transfer the headers disagree in practice and no single one is the truth, so all of them are
reported, and one that cannot be read is reported as unreadable: whoever decides about recording must then
assume the worst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, TypeAlias

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import HeaderField, Message, parse_fragment, split_members
from sip_hooks.uri import Uri, parse_uri, unescape

Role: TypeAlias = Literal["caller", "callee"]

# Headers that speak of one party whoever sent the message: RFC 3261 §20, RFC 3892, RFC 3515, RFC 5806,
# RFC 7044, RFC 7315.
_ROLES: dict[bytes, Role] = {
    b"from": "caller",
    b"referred-by": "caller",
    b"to": "callee",
    b"diversion": "callee",
    b"history-info": "callee",
    b"p-called-party-id": "callee",
    b"refer-to": "callee",
}
# Headers that speak of whoever sent the message: RFC 3261 §20.10, RFC 3325, draft-ietf-sip-privacy-04,
# FreeSWITCH.
_OF_SENDER = frozenset(
    (
        b"contact",
        b"p-asserted-identity",
        b"p-preferred-identity",
        b"remote-party-id",
        b"x-fs-display-number",
    )
)
NAMES_OTHERS = frozenset(
    (
        "diversion",
        "history-info",
        "referred-by",
        "refer-to",
        "x-fs-display-number",
        "ext",
        "target",
        "sipfrag",
    )
)
"""Headers that tell who else is concerned, not who the party is: they can forbid, never permit."""

MOST_CLAIMS = 64
"""Of one message. No call has so many parties; each of them is weighed again whenever the call is."""

_SCHEMES = (b"sip", b"sips", b"tel")
_PARTIES: dict[bytes, Role] = {b"calling": "caller", b"called": "callee"}
_PRIVACY = (b"id", b"user", b"header")
_CONTROLS = bytes(it for it in (*range(0x20), 0x7F) if it not in b"\t\r\n")
_ANGLED = re.compile(rb"<([^<>]*)")
_NO_ONE = ("", "anonymous", "unavailable", "restricted", "unknown", "anonymous.invalid")


@dataclass(frozen=True, slots=True)
class Identity:
    """One thing that one header says about who a party is. A party is the union of all of them.

    ``role``: whom the header speaks of; the caller is the From side of this message.
    ``header``: the long name in lower case; ``request-uri`` for the request line; ``ext`` (RFC 3966 §5.1)
    and ``target`` (RFC 4458) for what these parameters of any of its URIs add; ``sipfrag`` for what a message
    fragment in the body says: it is of another call.
    ``value``: :meth:`sip_hooks.uri.Uri.identity`. ``address``: ``user@host`` in lower case, or ``""``.
    """

    role: Role
    header: str
    value: str = field(repr=False)
    address: str = field(repr=False)


# What one header says: somebody, or the header's name when that cannot be read.
_Claim: TypeAlias = Identity | str


@dataclass(frozen=True, slots=True)
class Identities:
    """What a message says about its parties, in the order of its headers.

    ``unreadable``: the headers of which a part cannot be read or names nobody we can compare; "too-many" when
    there are more than are looked at.
    ``is_anonymous``: the sender asks for privacy (RFC 3323), or From names nobody.
    """

    named: tuple[Identity, ...]
    unreadable: tuple[str, ...]
    is_anonymous: bool


def identities(message: Message) -> Identities:
    """Collect what one message says about both parties, in a sipfrag body too (RFC 3420). Never raises."""
    claims = list(islice(_claimed(message), MOST_CLAIMS))
    if len(claims) == MOST_CLAIMS:
        claims.append("too-many")
    return Identities(
        tuple(dict.fromkeys(claim for claim in claims if isinstance(claim, Identity))),
        tuple(dict.fromkeys(claim for claim in claims if isinstance(claim, str))),
        _is_anonymous(message),
    )


def _claimed(message: Message) -> Iterator[_Claim]:
    yield from _of_request_line(message)
    yield from _of_fields(message)
    yield from _of_body(message)


def _of_request_line(message: Message) -> Iterator[_Claim]:
    if message.is_request:
        try:
            yield from _claims("callee", "request-uri", parse_uri(message.request_uri))
        except MessageError:
            yield "request-uri"


def _of_fields(message: Message) -> Iterator[_Claim]:
    sender: Role = "caller" if message.is_request else "callee"
    for header in message.headers:
        role = sender if header.name in _OF_SENDER else _ROLES.get(header.name)
        if role is None or header.value == b"*":
            continue
        try:
            _demand_plain(message.raw[header.start : header.end - 2])
            yield from _of_field(header, role)
        except MessageError:
            yield header.name.decode()
            yield from _legible(header, role)


def _demand_plain(field: bytes) -> None:
    """Raise for what others read otherwise: control characters, folds of nothing, folds in quoted strings."""
    if len(field.translate(None, _CONTROLS)) != len(field):
        raise MessageError("a header has a control character in it")
    if b"\r\n" not in field:
        return
    before, *folds = field.split(b"\r\n")
    for fold in folds:
        if not fold.strip(b" \t"):
            raise MessageError("a header is folded around an empty line")
        if b"\\" in before or before.count(b'"') % 2:
            raise MessageError("a header is folded within a quoted string")
        before += fold


def _of_field(header: HeaderField, role: Role) -> Iterator[_Claim]:
    name = header.name.decode()
    members = split_members(header)
    if not members:
        yield name
    for member in members:
        yield from _of_member(name, member.value, role)


@reading.remembered
def _of_member(name: str, value: bytes, role: Role) -> tuple[_Claim, ...]:
    if name == "x-fs-display-number":
        return tuple(_claims(role, name, parse_uri(b"tel:" + value)))
    party = parse_name_addr(value, is_strict=name != "contact")
    if b"," in party.uri.raw:  # legal, and to some stacks the end of the address all the same
        raise MessageError("an address has a comma in it")
    # draft-ietf-sip-privacy-04 §5.1: Remote-Party-ID may say itself of whom it speaks.
    named = _PARTIES.get((party.param(b"party") or b"").lower()) if name == "remote-party-id" else None
    return tuple(_claims(named or role, name, party.uri))


def _legible(header: HeaderField, role: Role) -> Iterator[Identity]:
    """What some reader may find in a header that we cannot read: it can only forbid, and must."""
    angled = [found.group(1) for found in islice(_ANGLED.finditer(header.value), MOST_CLAIMS)]
    for found in angled or [header.value.partition(b";")[0]]:
        for spelling in (found.strip(b" \t"), b"sip:" + found.strip(b" \t")):
            with suppress(MessageError):
                claims = _claims(role, header.name.decode(), parse_uri(spelling))
                yield from (it for it in claims if isinstance(it, Identity))
                break


def _claims(role: Role, header: str, uri: Uri) -> Iterator[_Claim]:
    if uri.scheme not in _SCHEMES:
        yield header
        return
    yield Identity(role, header, uri.identity(), uri.address())
    for name, value in (*uri.user_params(), *uri.params):
        if name.lower() == b"ext":
            yield Identity(role, "ext", parse_uri(b"tel:" + unescape(value or b"")).identity(), "")
        elif name.lower() == b"target":
            target = parse_uri(unescape(value or b""))
            yield Identity(role, "target", target.identity(), target.address())


def _of_body(message: Message) -> Iterator[_Claim]:
    kind = message.content_type
    if kind in (b"message/sipfrag", b"message/sip"):
        try:
            fragment = parse_fragment(message.body)
        except MessageError:
            yield "sipfrag"
        else:
            for claim in (*_of_request_line(fragment), *_of_fields(fragment)):
                yield replace(claim, header="sipfrag") if isinstance(claim, Identity) else claim
    elif kind.startswith(b"multipart/") and message.method == b"NOTIFY":
        yield "sipfrag"


def _is_anonymous(message: Message) -> bool:
    for value in message.all(b"privacy"):
        if any(word.strip(b" \t").lower() in _PRIVACY for word in value.split(b";")):
            return True
    try:
        return parse_name_addr(message.first(b"from") or b"").uri.identity() in _NO_ONE
    except MessageError:
        return False
