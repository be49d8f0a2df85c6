"""Damage to a SIP message: what careless software writes, and what somebody writes who wants to be misread.

A mutator takes chance, bytes and a second message to take from, and returns bytes. Same chance, same damage.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import TypeAlias

Mutator: TypeAlias = Callable[[Random, bytes, bytes], bytes]

LONGEST = 70_000  # bytes, a little more than any message may have
_MOST_AT_ONCE = 4

TRICKS = (
    b"\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b"\x0b",
    b"\x1c",
    b"\x85",
    b"\xa0",
    b"\xb2",
    b'"',
    b'\\"',
    b"\\",
    b"<",
    b">",
    b"<>",
    b",",
    b";",
    b";;",
    b":",
    b"::",
    b"=",
    b"@",
    b"%",
    b"%00",
    b"%0d%0a",
    b"%7",
    b"*",
    b" ",
    b"\t",
    b"[",
    b"]",
    b"[::1]",
    b"(",
    b")",
    b"\xc3\xa9",
    b"\xe9",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\xd9\xa3",
    b"\xff",
    b";tag=x",
    b";lr",
    b";branch=z9hG4bK",
    b"SIP/2.0",
    b"sip:250@pbx.example",
    b"<sip:250@pbx.example>",
    b"tel:250",
    b";ext=250",
    b"?Replaces=a",
    b"v=0\r\n",
    b"m=audio 1 RTP/AVP 0\r\n",
)
_NUMBERS = (
    b"0",
    b"-1",
    b"+1",
    b"00",
    b"007",
    b"256",
    b"65535",
    b"65536",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"9" * 40,
    b"9" * 5000,
    b"1e9",
    b"0x10",
    b"\xd9\xa3",
    b"\xb2",
    b"1 1",
    b"",
)
_COMPACT = {
    b"from": b"f",
    b"to": b"t",
    b"via": b"v",
    b"call-id": b"i",
    b"contact": b"m",
    b"content-length": b"l",
    b"content-type": b"c",
    b"refer-to": b"r",
    b"referred-by": b"b",
    b"supported": b"k",
    b"subject": b"s",
    b"session-expires": b"x",
}
_LONG = {short: name for name, short in _COMPACT.items()}
_DIGITS = re.compile(rb"[0-9]+")


def damaged(chance: Random, message: bytes, other: bytes) -> bytes:
    """Return the message with one to four kinds of damage, of `LONGEST` bytes at most."""
    for _ in range(chance.randint(1, _MOST_AT_ONCE)):
        message = chance.choice(MUTATORS)(chance, message, other)[:LONGEST]
    return message


def _place(chance: Random, message: bytes) -> int:
    return chance.randint(0, len(message))


def _flip(chance: Random, message: bytes, other: bytes) -> bytes:
    out = bytearray(message)
    for _ in range(chance.randint(1, 8) if out else 0):
        out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def _insert(chance: Random, message: bytes, other: bytes) -> bytes:
    at = _place(chance, message)
    return message[:at] + chance.choice(TRICKS) * chance.choice((1, 1, 1, 2, 50)) + message[at:]


def _remove(chance: Random, message: bytes, other: bytes) -> bytes:
    at = _place(chance, message)
    return message[:at] + message[at + chance.choice((1, 2, 8, 60)) :]


def _repeat(chance: Random, message: bytes, other: bytes) -> bytes:
    at = _place(chance, message)
    piece = message[at : at + chance.choice((1, 4, 30))]
    return message[:at] + piece * chance.choice((2, 3, 20, 2000)) + message[at:]


def _cut(chance: Random, message: bytes, other: bytes) -> bytes:
    return message[: _place(chance, message)]


def _splice(chance: Random, message: bytes, other: bytes) -> bytes:
    return message[: _place(chance, message)] + other[_place(chance, other) :]


def _number(chance: Random, message: bytes, other: bytes) -> bytes:
    found = list(_DIGITS.finditer(message))
    if not found:
        return message
    one = chance.choice(found)
    return message[: one.start()] + chance.choice(_NUMBERS) + message[one.end() :]


def _quote(chance: Random, message: bytes, other: bytes) -> bytes:
    """Quotes in quotes, and brackets in quotes in brackets."""
    start, end = sorted((_place(chance, message), _place(chance, message)))
    end = min(end, start + 40)
    left, right = chance.choice(
        ((b'"', b'"'), (b'"<', b'>"'), (b'<"', b'">'), (b'"\\"', b'\\""'), (b"<<", b">>"))
    )
    return message[:start] + left + message[start:end] + right + message[end:]


# --- whole header fields


def _parts(message: bytes) -> tuple[list[bytes], bytes]:
    """The lines of the head, and the body with the empty line before it."""
    head, gap, body = message.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), gap + body


def _joined(lines: list[bytes], rest: bytes) -> bytes:
    return b"\r\n".join(lines) + rest


def _field(chance: Random, lines: list[bytes]) -> int:
    """The index of one header field; 0, the start line, when there is none."""
    return chance.randrange(1, len(lines)) if len(lines) > 1 else 0


def _field_again(chance: Random, message: bytes, other: bytes) -> bytes:
    """A header twice: the same, or as another message has it."""
    lines, rest = _parts(message)
    source = lines if chance.random() < 0.5 else _parts(other)[0]
    lines.insert(chance.randint(1, len(lines)), source[_field(chance, source)])
    return _joined(lines, rest)


def _field_gone(chance: Random, message: bytes, other: bytes) -> bytes:
    lines, rest = _parts(message)
    del lines[_field(chance, lines)]
    return _joined(lines, rest)


def _fields_moved(chance: Random, message: bytes, other: bytes) -> bytes:
    lines, rest = _parts(message)
    one, two = _field(chance, lines), _field(chance, lines)
    lines[one], lines[two] = lines[two], lines[one]
    return _joined(lines, rest)


def _field_named_otherwise(chance: Random, message: bytes, other: bytes) -> bytes:
    """Compact or long, in capitals, with white space before the colon or none after it."""
    lines, rest = _parts(message)
    at = _field(chance, lines)
    name, colon, value = lines[at].partition(b":")
    key = name.strip().lower()
    turned = (_COMPACT.get(key, _LONG.get(key, key)), name.upper(), name + b" ", name + b"\t", b" " + name)
    lines[at] = chance.choice(turned) + colon + chance.choice((value, value.strip(), b"\t" + value, b""))
    return _joined(lines, rest)


def _fold(chance: Random, message: bytes, other: bytes) -> bytes:
    lines, rest = _parts(message)
    at = _field(chance, lines)
    where = _place(chance, lines[at])
    lines[at] = (
        lines[at][:where]
        + chance.choice((b"\r\n ", b"\r\n\t", b"\r\n  \r\n ", b"\n ", b"\r "))
        + lines[at][where:]
    )
    return _joined(lines, rest)


def _value_taken(chance: Random, message: bytes, other: bytes) -> bytes:
    """One header's value under another's name, or after it as another member of a list."""
    lines, rest = _parts(message)
    theirs = _parts(other)[0]
    at = _field(chance, lines)
    name, _, value = lines[at].partition(b":")
    taken = theirs[_field(chance, theirs)].partition(b":")[2]
    lines[at] = name + b":" + (taken if chance.random() < 0.5 else value + b"," + taken)
    return _joined(lines, rest)


def _length_told_wrongly(chance: Random, message: bytes, other: bytes) -> bytes:
    lines, rest = _parts(message)
    kept = [it for it in lines if not it.lower().startswith((b"content-length", b"l:"))]
    if chance.random() < 0.7:
        told = chance.choice((*_NUMBERS, b"%d" % max(0, len(rest) - 5), b"%d" % (len(rest) + 5)))
        kept.insert(
            chance.randint(1, len(kept)),
            chance.choice((b"Content-Length: ", b"l:", b"CONTENT-LENGTH\t: ")) + told,
        )
    return _joined(kept, rest)


# --- bodies


def _body_lines(chance: Random, message: bytes, other: bytes) -> bytes:
    """Lines of a description twice, gone, moved, from elsewhere, or ended otherwise; the length is true."""
    lines, rest = _parts(message)
    body = rest[4:].split(b"\r\n")
    theirs = _parts(other)[1][4:].split(b"\r\n")
    at = chance.randrange(len(body))
    how = chance.randrange(5)
    if how == 0:
        body.insert(at, body[at])
    elif how == 1:
        del body[at]
    elif how == 2:
        body.insert(at, chance.choice(theirs))
    elif how == 3:
        body[at], body[0] = body[0], body[at]
    return _with_body(lines, chance.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")).join(body))


def _body_wrapped(chance: Random, message: bytes, other: bytes) -> bytes:
    """The body as a part of a larger one, whose boundary may be another than the header says."""
    lines, rest = _parts(message)
    kind = next(
        (it for it in lines if it.lower().startswith(b"content-type")), b"Content-Type: application/sdp"
    )
    edge = chance.choice((b"edge", b"edge", b"", b"--", b"e" * 200))
    lines = [it for it in lines if it is not kind]
    lines.append(b"Content-Type: multipart/mixed;boundary=" + chance.choice((b"edge", b'"edge"', edge)))
    part = b"--" + edge + b"\r\n" + kind + b"\r\n\r\n" + rest[4:] + b"\r\n"
    return _with_body(
        lines, part * chance.choice((1, 1, 2, 5)) + chance.choice((b"--" + edge + b"--\r\n", b""))
    )


def _with_body(lines: list[bytes], body: bytes) -> bytes:
    lines = [it for it in lines if not it.lower().startswith(b"content-length")]
    lines.append(b"Content-Length: %d" % len(body))
    return _joined(lines, b"\r\n\r\n" + body)


MUTATORS: tuple[Mutator, ...] = (
    _flip,
    _insert,
    _remove,
    _repeat,
    _cut,
    _splice,
    _number,
    _quote,
    _field_again,
    _field_gone,
    _fields_moved,
    _field_named_otherwise,
    _fold,
    _value_taken,
    _length_told_wrongly,
    _body_lines,
    _body_wrapped,
)
