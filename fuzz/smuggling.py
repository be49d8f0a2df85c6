"""INVITEs and responses to them that two readers may read differently: who calls, whom, and who answers.

Each begins as part of a call that is recorded (extension 201 to an outside number) and is then written so
that a careless or a lenient reader finds somebody else in it: mostly 250, who is never to be recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

from fuzz import partner
from fuzz.mutation import damaged

LONGEST = 60_000  # bytes
Lines: TypeAlias = list[bytes]
Trick: TypeAlias = Callable[[Random, Lines], None]

URI = b"sip:+31612345678@pbx.example"
_SDP = (
    b"v=0\r\no=a 1 1 IN IP4 192.0.2.31\r\ns=-\r\nc=IN IP4 192.0.2.31\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
    b"a=rtpmap:8 PCMA/8000\r\n"
)
_OTHERS = (b"<sip:250@pbx.example>", b"sip:250@pbx.example", b"<tel:250>", b"<sip:203@pbx.example>;tag=z")
_NAMES = {
    b"From": (b"f", b"FROM", b"from", b"F"),
    b"To": (b"t", b"TO", b"to", b"T"),
    b"Call-ID": (b"i", b"CALL-ID", b"call-id", b"I"),
    b"Contact": (b"m", b"CONTACT"),
    b"CSeq": (b"cseq", b"CSEQ"),
    b"P-Asserted-Identity": (b"p-asserted-identity", b"P-ASSERTED-IDENTITY"),
}
_BREAKS = (
    b"\r\n ",
    b"\r\n\t",
    b"\r\n  \r\n ",
    b"\r\n \t ",
    b"\n ",
    b"\r ",
    b"\n",
    b"\r",
    b"\r\n\0",
    b"\r\n\x0b",
    b"\0",
)
_GAPS = (b"", b" ", b"\t", b"  \t", b"\r\n ", b"\0", b"\x0b", b"\xa0")
_FIELDS = (b"From", b"To", b"Call-ID", b"Contact", b"CSeq")
_OF_OTHERS = (
    *(b"P-Asserted-Identity", b"P-Preferred-Identity", b"Remote-Party-ID", b"Diversion"),
    *(b"History-Info", b"Contact"),
)
_STATUSES = (180, 181, 183, 200, 200, 200)
_COPIED = (b"via", b"from", b"to", b"call-id", b"cseq", b"record-route")
_URIS = (
    b"sip:250@pbx.example",
    b"SIP:250@pbx.example",
    b"sips:201@pbx.example",
    b"tel:250",
    b"sip:2%350@pbx.example",
    b"sip:250:201@pbx.example",
    b"sip:201@pbx.example@250.example",
    b"sip:201%40x@pbx.example",
    b"sip:201;x=1@pbx.example",
    b"sip:pbx.example",
    b"sip:250@",
    b"sip:@pbx.example",
    b"sip:201@pbx.example;user=phone",
    b"sip:201@pbx.example?to=250",
    b"sip:201@[::1]",
    b"sip:201@pbx.example:5060:1",
    b"sip:201 @pbx.example",
    b" sip:201@pbx.example ",
    b"201",
    b'sip:201@pbx.example;x="<sip:250@pbx.example>"',
    b'sip:"201"@pbx.example',
    b"sip:201/250@pbx.example",
    b"sip:201,250@pbx.example",
    b"sip://201@pbx.example",
    b"sip:sip:201@pbx.example",
    b"sip:2\xb201@pbx.example",
    b"sip:20\xd9\xa1@pbx.example",
    b"sip:201@pbx.example#250",
    b"sip:%32%35%30@pbx.example",
    b"sip:*31250@pbx.example",
)  # of whoever is meant
_SHAPES = (
    b"%b",
    b"<%b>",
    b" <%b>",
    b"x<%b>",
    b'"x" <%b>',
    b'"<sip:250@pbx.example>" <%b>',
    b'"a\\"<sip:250@pbx.example>" <%b>',
    b'"a\\\\" <%b>',
    b'"a <sip:250@pbx.example>\\" <%b>',
    b"<%b",
    b"%b>",
    b"<%b><sip:250@pbx.example>",
    b"<sip:250@pbx.example><%b>",
    b"<<%b>>",
    b"sip:250@pbx.example <%b>",
    b"<%b>, <sip:250@pbx.example>",
    b"<sip:250@pbx.example>, <%b>",
    b'x "y" z <%b>',
    b"x;y <%b>",
    b"<%b> trailing",
    b'"x" "y" <%b>',
    b"'x' <%b>",
    b'"x\r\n y" <%b>',
    b"(<sip:250@pbx.example>) <%b>",
    b'<%b>;x="<sip:250@pbx.example>"',
    b'<%b>;x=";tag=b"',
    b"< %b >",
    b"<%b >",
    b"\t<%b>",
    b"x\0<%b>",
    b"\xe9 <%b>",
    b"\xc3\xa9 <%b>",
    b"<%b>;",
    b";<%b>",
    b"=<%b>",
    b"x=y <%b>",
)


def invite(chance: Random, number: int) -> bytes:
    """One INVITE, with one to three tricks; one in five is damaged besides. It fits into a datagram."""
    lines, body = _invite(number)
    return _written(chance, lines, body if chance.random() < 0.95 else b"", (*TRICKS, _addressed))


def plain() -> bytes:
    """The INVITE whose responses are written, as all begin."""
    lines, body = _invite(0)
    return _whole(lines, body)


def response(chance: Random, number: int, forwarded: bytes) -> bytes:
    """One response to the plain INVITE as it was forwarded, written as the INVITEs are.

    A 3xx is not among them: whom the phone calls then, its next INVITE says.
    """
    status = chance.choice(_STATUSES)
    copied = [name.title() + b": " + value for name, value in partner.fields(forwarded) if name in _COPIED]
    lines = [
        b"SIP/2.0 %d Whatever" % status,
        *(it + b";tag=b%d" % number if it.startswith(b"To:") else it for it in copied),
        b"Contact: <sip:+31612345678@192.0.2.77:5060>",
        b"Content-Type: application/sdp",
    ]
    body = partner.ANSWER if status != 180 and chance.random() < 0.95 else b""
    return _written(chance, lines, body, (*TRICKS, _stated))


def _invite(number: int) -> tuple[Lines, bytes]:
    lines = [
        b"INVITE " + URI + b" SIP/2.0",
        b"Via: SIP/2.0/UDP 192.0.2.31:5060;branch=z9hG4bKs%d" % number,
        b"Max-Forwards: 70",
        b'From: "Anna" <sip:201@pbx.example>;tag=a%d' % number,
        b"To: <" + URI + b">",
        b"Call-ID: s%d@phone.example" % number,
        b"CSeq: 1 INVITE",
        b"Contact: <sip:201@192.0.2.31:5060>",
        b"Content-Type: application/sdp",
    ]
    return lines, _SDP


def _written(chance: Random, lines: Lines, body: bytes, tricks: Sequence[Trick]) -> bytes:
    lines.append(b"Content-Length: %d" % len(body))
    for _ in range(chance.choice((1, 1, 2, 3))):
        chance.choice(tricks)(chance, lines)
    made = _whole(lines, body)
    return damaged(chance, made, made)[:LONGEST] if chance.random() < 0.2 else made


def _whole(lines: Lines, body: bytes) -> bytes:
    return b"\r\n".join([*lines, b"", b""]) + body


def _at(chance: Random, lines: Lines, name: bytes) -> int:
    """Where a header is, in any spelling; where else one is if it is not there any more."""
    wanted = {name.lower(), *(it.lower() for it in _NAMES.get(name, ()))}
    found = [at for at, line in enumerate(lines) if at and line.partition(b":")[0].strip().lower() in wanted]
    return chance.choice(found) if found else chance.randrange(1, len(lines))


def _twice(chance: Random, lines: Lines) -> None:
    """A header that may be there once, twice: its other value before or behind, its name long or compact."""
    name = chance.choice(_FIELDS)
    other = {b"Call-ID": b"other@phone.example", b"CSeq": b"2 INVITE"}.get(name, chance.choice(_OTHERS))
    spelling = chance.choice((name, *_NAMES[name]))
    lines.insert(
        chance.randint(1, len(lines)), spelling + chance.choice((b": ", b":", b" : ", b"\t:")) + other
    )


def _spelled(chance: Random, lines: Lines) -> None:
    name = chance.choice((*_FIELDS, b"P-Asserted-Identity"))
    at = _at(chance, lines, name)
    value = lines[at].partition(b":")[2]
    lines[at] = (
        chance.choice(_NAMES[name]) + chance.choice(_GAPS) + b":" + chance.choice(_GAPS) + value.strip()
    )


def _folded(chance: Random, lines: Lines) -> None:
    at = _at(chance, lines, chance.choice(_FIELDS))
    where = chance.randint(0, len(lines[at]))
    lines[at] = lines[at][:where] + chance.choice(_BREAKS) + lines[at][where:]


def _smuggled(chance: Random, lines: Lines) -> None:
    """A header within another's value, behind what some reader takes for the end of a line."""
    at = chance.randrange(len(lines))
    name = chance.choice((b"From", b"To", b"f", b"t", b"P-Asserted-Identity", b"Diversion"))
    hidden = chance.choice(_BREAKS) + name + b": " + chance.choice(_OTHERS)
    where = chance.choice((len(lines[at]), chance.randint(0, len(lines[at]))))
    lines[at] = lines[at][:where] + hidden + lines[at][where:]


def _shaped(chance: Random, lines: Lines) -> None:
    """From or To as some address in some shape."""
    name = chance.choice((b"From", b"To"))
    uri = (
        (b"sip:201@pbx.example" if name == b"From" else URI)
        if chance.random() < 0.5
        else chance.choice(_URIS)
    )
    tag = b";tag=a" if name == b"From" else b""
    lines[_at(chance, lines, name)] = name + b": " + chance.choice(_SHAPES).replace(b"%b", uri) + tag


def _addressed(chance: Random, lines: Lines) -> None:
    """The request line."""
    uri = chance.choice((URI, *_URIS, b"<" + URI + b">", URI + b" ", URI + b";x y", URI + b"\t"))
    gap = chance.choice((b" ", b" ", b" ", b"  ", b"\t"))
    method = chance.choice((b"INVITE", b"INVITE", b"INVITE", b"invite", b" INVITE"))
    lines[0] = (
        method
        + gap
        + uri
        + gap
        + chance.choice((b"SIP/2.0", b"SIP/2.0", b"sip/2.0", b"SIP/2.0 ", b"SIP/2.00"))
    )


def _stated(chance: Random, lines: Lines) -> None:
    """The status line."""
    version = chance.choice((b"SIP/2.0", b"SIP/2.0", b"sip/2.0", b" SIP/2.0", b"SIP/2.00"))
    status = chance.choice((b"200", b"180", b"183", b"0200", b"+200", b"2000", b"20", b"200\0", b"302"))
    gap = chance.choice((b" ", b" ", b" ", b"  ", b"\t"))
    lines[0] = version + gap + status + chance.choice((b" OK", b" ", b"", b"\tOK", b" 180 Ringing", b" \xe9"))


def _asserted(chance: Random, lines: Lines) -> None:
    """Identities besides From and To, one or several, in one field or two."""
    name = chance.choice(_OF_OTHERS)
    members = [
        chance.choice(_SHAPES).replace(b"%b", chance.choice((b"sip:201@pbx.example", *_URIS)))
        for _ in range(chance.choice((1, 1, 2, 3)))
    ]
    fields = [b", ".join(members)] if chance.random() < 0.6 else members
    for value in fields:
        lines.insert(chance.randint(1, len(lines)), name + b": " + value)


def _headless(chance: Random, lines: Lines) -> None:
    """A line that is no header, or one that has no name."""
    odd = (
        b":",
        b" ",
        b"From",
        b"From sip:250@pbx.example",
        b"From\0: sip:250@pbx.example",
        b"\xa0From: sip:250@x",
        b"Fr om: sip:250@x",
        b"From:",
        b"To:",
        b"X:",
        b"=: y",
        b"To;x: <sip:250@x>",
        b"Content-Length: 0",
    )
    lines.insert(chance.randint(1, len(lines)), chance.choice(odd))


def _gone(chance: Random, lines: Lines) -> None:
    del lines[_at(chance, lines, chance.choice(_FIELDS))]


TRICKS: tuple[Trick, ...] = (
    _twice,
    _spelled,
    _folded,
    _smuggled,
    _shaped,
    _shaped,
    _asserted,
    _asserted,
    _headless,
    _gone,
)
