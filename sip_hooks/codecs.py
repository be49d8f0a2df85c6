"""The payload formats of one stream: what its numbers mean (RFC 8866 §6.6, RFC 3551 §6)."""

from __future__ import annotations

from typing import NamedTuple

from sip_hooks import reading
from sip_hooks.errors import MessageError
from sip_hooks.headers import is_token
from sip_hooks.sdp_lines import Media
from sip_hooks.uri import parse_uint

_EVENTS = "TELEPHONE-EVENT"
_NAME_LENGTH = 127
"""Of an encoding name, which is a media subtype (RFC 8866 §6.6, RFC 6838 §4.2)."""


class Codec(NamedTuple):
    """One RTP payload format; ``name`` in upper case, ``""`` when the description does not explain it.
    ``parameters``: those of ``a=fmtp``, as they are.
    """

    payload_type: int
    name: str
    rate: int
    channels: int
    parameters: str = ""


# RFC 3551 §6, tables 4 and 5: payload types that need no rtpmap.
_STATIC_CODECS = {
    codec.payload_type: codec
    for codec in (
        Codec(0, "PCMU", 8000, 1),
        Codec(3, "GSM", 8000, 1),
        Codec(4, "G723", 8000, 1),
        Codec(5, "DVI4", 8000, 1),
        Codec(6, "DVI4", 16000, 1),
        Codec(7, "LPC", 8000, 1),
        Codec(8, "PCMA", 8000, 1),
        Codec(9, "G722", 8000, 1),
        Codec(10, "L16", 44100, 2),
        Codec(11, "L16", 44100, 1),
        Codec(12, "QCELP", 8000, 1),
        Codec(13, "CN", 8000, 1),
        Codec(14, "MPA", 90000, 1),
        Codec(15, "G728", 8000, 1),
        Codec(16, "DVI4", 11025, 1),
        Codec(17, "DVI4", 22050, 1),
        Codec(18, "G729", 8000, 1),
    )
}


def codecs_of(audio: Media) -> tuple[tuple[Codec, ...], frozenset[int]]:
    """The codecs in order of preference, and the payload types of telephone-event."""
    said = [line.value for line in audio.lines if line.name in (b"rtpmap", b"fmtp")]
    return _codecs_in(b"\n".join((b" ".join(audio.formats), *said)))


@reading.remembered
def _codecs_in(text: bytes) -> tuple[tuple[Codec, ...], frozenset[int]]:
    """The same from formats and attributes, each in a line: nearly all calls of a telephone have the same."""
    formats, *said = text.split(b"\n")
    mapped: dict[int, Codec] = {}
    explained: dict[bytes, bytes] = {}
    for name, _, value in (line.partition(b":") for line in said):
        if name.lower() == b"fmtp":
            written, _, explained[written] = value.partition(b" ")
            continue
        codec = _rtpmap(value)
        if mapped.setdefault(codec.payload_type, codec) != codec:
            raise MessageError("two rtpmaps explain one payload type")
    known = _STATIC_CODECS | mapped
    found: dict[int, Codec] = {}
    for written in formats.split(b" "):
        number = parse_uint(written, 127)
        parameters = explained.get(written, b"").decode("latin-1")
        found[number] = known.get(number, Codec(number, "", 0, 0))._replace(parameters=parameters)
    events = frozenset(it.payload_type for it in found.values() if it.name == _EVENTS)
    return tuple(it for it in found.values() if it.name != _EVENTS), events


@reading.remembered
def _rtpmap(value: bytes) -> Codec:
    number, _, encoding = value.partition(b" ")
    name, _, clock = encoding.strip(b" ").partition(b"/")
    rate, slash, channels = clock.partition(b"/")
    if not is_token(name) or len(name) > _NAME_LENGTH:
        raise MessageError("an rtpmap is malformed")
    return Codec(
        parse_uint(number, 127),
        name.decode("ascii").upper(),
        parse_uint(rate, 999_999),
        parse_uint(channels, 255) if slash else 1,
    )
