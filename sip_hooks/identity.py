"""Who the parties of a call are: the union of what all headers of a message say.

After a transfer the headers disagree in practice and no single one is the truth, so all of them are
reported, and one that cannot be read is reported as unreadable: whoever decides about recording must then
assume the worst.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal, NamedTuple, TypeAlias

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import HeaderField, Message, parse_fields, parse_fragment, split_members
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
_SPEAKS = _OF_SENDER | _ROLES.keys()
NAMES_OTHERS = frozenset(
    (
        "diversion",
        "history-info",
        "referred-by",
        "refer-to",
        "ext",
        "target",
        "sipfrag",
    )
)
"""Headers that tell who else is concerned, not who the party is: they can forbid, never permit."""

ONLY_SHOWN = frozenset(("x-fs-display-number",))
"""Headers that tell what is to be on a display: they are about the party, and can forbid, never permit."""

SAYS_ANEW = frozenset(
    ("p-asserted-identity", "p-preferred-identity", "remote-party-id", "x-fs-display-number")
)
"""Headers that say who the sender is now: one of them takes the place of what it said before, and once
somebody new was named, of what any other said.
"""

MOST_CLAIMS = 64
"""Of one message. No call has so many parties; each of them is weighed again whenever the call is."""

_SCHEMES = (b"sip", b"sips", b"tel")
_PARTIES: dict[bytes, Role] = {b"calling": "caller", b"called": "callee"}
_PRIVACY = (b"id", b"user", b"header")
_CONTROLS = bytes(it for it in (*range(0x20), 0x7F) if it not in b"\t\r\n")
_ANGLED = re.compile(rb"<([^<>]*)")
_NO_ONE = ("", "anonymous", "unavailable", "restricted", "unknown", "anonymous.invalid")


class Identity(NamedTuple):
    """One thing that one header says about who a party is. A party is the union of all of them.

    ``role``: whom the header speaks of; the caller is the From side of this message.
    ``header``: the long name in lower case; ``request-uri`` for the request line; ``account`` for what the
    called phone has registered, which no message of the call says; ``ext`` (RFC 3966 §5.1) and ``target``
    (RFC 4458) for what these parameters of any of its URIs add; ``sipfrag`` for what a part of a message in
    the body says: it is of another call.
    ``value``: :meth:`sip_hooks.uri.Uri.identity`. ``address``: ``user@host`` in lower case, or ``""``.
    """

    role: Role
    header: str
    value: str
    address: str

    def __repr__(self) -> str:
        """Without value and address: they are numbers."""
        return f"Identity({self.role!r}, {self.header!r})"


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
    return _gathered((_of_head(message) + _of_body(message), _is_anonymous(message)))


@reading.remembered
def _gathered(found: tuple[tuple[_Claim, ...], bool]) -> Identities:
    claims, is_anonymous = found
    if len(claims) >= MOST_CLAIMS:
        claims = (*claims[:MOST_CLAIMS], "too-many")
    return Identities(
        tuple(dict.fromkeys(claim for claim in claims if isinstance(claim, Identity))),
        tuple(dict.fromkeys(claim for claim in claims if isinstance(claim, str))),
        is_anonymous,
    )


def _of_head(message: Message) -> tuple[_Claim, ...]:
    """What request line and header fields say; of more than `MOST_CLAIMS` not all."""
    claims: tuple[_Claim, ...] = ()
    sender: Role = "callee"
    if message.is_request:
        claims, sender = _of_request_uri(message.request_uri), "caller"
    raw = message.raw
    for name, start, end, *_ in message.headers:
        if name in _SPEAKS and len(claims) < MOST_CLAIMS:
            claims += _OF_FIELD[_ROLES.get(name, sender)](raw[start:end])
    return claims


@reading.remembered
def _of_request_uri(uri: bytes) -> tuple[_Claim, ...]:
    try:
        return tuple(_claims("callee", "request-uri", parse_uri(uri)))
    except MessageError:
        return ("request-uri",)


@reading.remembered
def _of_caller(field: bytes) -> tuple[_Claim, ...]:
    return _of_field(field, "caller")


@reading.remembered
def _of_callee(field: bytes) -> tuple[_Claim, ...]:
    return _of_field(field, "callee")


_OF_FIELD: dict[Role, Callable[[bytes], tuple[_Claim, ...]]] = {"caller": _of_caller, "callee": _of_callee}


def _of_field(field: bytes, role: Role) -> tuple[_Claim, ...]:
    """What one header field says, which ends in CRLF: at most `MOST_CLAIMS`."""
    header = parse_fields(field, 0, len(field))[0]
    if header.value == b"*":
        return ()
    claims: list[_Claim] = []
    try:
        _demand_plain(field[:-2])
        claims.extend(islice(_of_members(header, role), MOST_CLAIMS))
    except MessageError:
        claims += [header.name.decode(), *_legible(header, role)]
    return tuple(claims)


def _demand_plain(field: bytes) -> None:
    """Raise for what others read otherwise: control characters, a backslash that ends a quoted string, folds
    of nothing, folds in quoted strings.
    """
    if len(field.translate(None, _CONTROLS)) != len(field):
        raise MessageError("a header has a control character in it")
    if b'\\\\"' in field:  # whoever looks one character back takes the quote for an escaped one
        raise MessageError("a quoted string ends in a backslash")
    if b"\r\n" not in field:
        return
    quotes, has_escape = 0, False
    for before, fold in pairwise(field.split(b"\r\n")):
        if not fold.strip(b" \t"):
            raise MessageError("a header is folded around an empty line")
        quotes += before.count(b'"')
        has_escape = has_escape or b"\\" in before
        if has_escape or quotes % 2:
            raise MessageError("a header is folded within a quoted string")


def _of_members(header: HeaderField, role: Role) -> Iterator[_Claim]:
    name = header.name.decode()
    members = split_members(header)
    if not members:
        yield name
    for member in members:
        yield from _of_member(name, member.value, role)


def _of_member(name: str, value: bytes, role: Role) -> Iterator[_Claim]:
    if name == "x-fs-display-number":
        return _claims(role, name, parse_uri(b"tel:" + value))
    party = parse_name_addr(value, is_strict=name != "contact")
    if b"," in party.uri.raw:  # legal, and to some stacks the end of the address all the same
        raise MessageError("an address has a comma in it")
    # draft-ietf-sip-privacy-04 §5.1: Remote-Party-ID may say itself of whom it speaks.
    named = _PARTIES.get((party.param(b"party") or b"").lower()) if name == "remote-party-id" else None
    return _claims(named or role, name, party.uri)


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


def _of_body(message: Message) -> tuple[_Claim, ...]:
    kind = message.content_type
    if not kind:
        return ()
    if kind in (b"message/sipfrag", b"message/sip"):
        try:
            claims = _of_head(parse_fragment(message.body))
        except MessageError:
            return ("sipfrag",)
        return tuple(it._replace(header="sipfrag") if isinstance(it, Identity) else it for it in claims)
    return ("sipfrag",) if kind.startswith(b"multipart/") and message.method == b"NOTIFY" else ()


def _is_anonymous(message: Message) -> bool:
    for value in message.all(b"privacy") if b"privacy" in message.by_name else ():
        if any(word.strip(b" \t").lower() in _PRIVACY for word in value.split(b";")):
            return True
    return _names_nobody(message.first(b"from") or b"")


@reading.remembered
def _names_nobody(sender: bytes) -> bool:
    try:
        return parse_name_addr(sender).uri.identity() in _NO_ONE
    except MessageError:
        return False
