"""Session descriptions: where one party wants its audio, and why that may not be anchored (RFC 8866).

Anchoring rewrites the address of ``c=``, the port of ``m=`` and ``a=rtcp`` (RFC 3605) of one audio stream,
takes out every line by which media would find another way (ICE), and touches nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from sip_hooks import reading
from sip_hooks.address import UNSPECIFIED, canonical, family_of
from sip_hooks.codecs import Codec, codecs_of
from sip_hooks.errors import MessageError
from sip_hooks.sdes import Crypto, crypto
from sip_hooks.sdp_lines import Line, Media, Session, attributes, lines_of, parse_session
from sip_hooks.uri import parse_uint

_HELD = {4: b"0.0.0.0", 6: b"::"}
_DIRECTIONS = (b"sendrecv", b"sendonly", b"recvonly", b"inactive")
# RFC 8839, RFC 8840, and the alternative addresses of RFC 6947; and whatever begins with ``ice-``.
_ICE = (b"candidate", b"remote-candidates", b"end-of-candidates", b"altc")
# Keys by other ways than a=crypto (RFC 4567), a promise of in-band keys (RFC 6189), or an offer to switch to
# SRTP later in the same exchange (RFC 5939).
_UNKNOWN_KEYS = (b"key-mgmt", b"zrtp-hash", b"acap", b"tcap", b"pcfg", b"acfg")
_DTLS = (b"fingerprint", b"tls-id")
# One stream of audio. What a telephone says anew in each call are its origin and its port.
_PLAIN = re.compile(
    rb"(v=0\r\no=)([^\r\n\0]*)(\r\n(?:[^m\r\n][^\r\n]*\r\n)*m=audio )"
    rb"([1-9][0-9]{0,4})( [^\r\n]*\r\n(?:[^m\r\n][^\r\n]*\r\n)*)"
)
_ANY_PORT, _LAST_PORT = b"9", 65535


class Obstacle(StrEnum):
    """Why a description is not anchored, or its media not recordable."""

    MULTIPART = "multipart"  # a part of a larger body, and not clear which (said by the engine)
    ENCRYPTED_BODY = "encrypted-body"  # S/MIME or a content encoding hides it (said by the engine)
    UNREADABLE = "unreadable"  # not SDP, or an address or port that cannot be used
    NO_AUDIO = "no-audio"  # no audio over RTP in it
    SEVERAL_MEDIA = "several-media"  # more than one active audio stream, or several media in one (BUNDLE)
    ICE = "ice"  # candidates would lead media around us, and cannot be taken out: DTLS needs them
    SRTP = "srtp"  # encrypted, under keys that are not in the descriptions or that we cannot use
    DTLS = "dtls"  # encrypted, keys exchanged by DTLS
    CLAIMED = "claims-our-ports"  # names a media port of ours that no call was given (said by those above)


@dataclass(frozen=True, slots=True)
class MediaEnd:
    """Where one party wants its audio and in what forms.

    ``address`` and ``rtcp_address`` are canonical, IPv4 or IPv6.
    ``direction`` is what the party's description comes down to, all spellings of hold included: port 0 and
    ``c=0.0.0.0`` or ``c=::`` as well as the attributes (RFC 3264 §8.4). ``codecs`` are in order of
    preference and without telephone-event. ``ptime`` is in milliseconds.
    """

    address: str = field(repr=False)
    rtp_port: int
    rtcp_port: int
    codecs: tuple[Codec, ...]
    telephone_events: frozenset[int]
    direction: str
    ptime: int | None
    rtcp_address: str = field(repr=False)
    rtcp_mux: bool
    is_secured: bool = (
        False  # it wants nothing but SRTP (RFC 3711); with `cryptos` alone, if the other agrees (RFC 8643)
    )
    cryptos: tuple[Crypto, ...] = field(default=(), repr=False)

    @property
    def payload_types(self) -> frozenset[int]:
        """Every payload type that may occur in the stream, key presses included."""
        return self.telephone_events.union(codec.payload_type for codec in self.codecs)

    @property
    def is_held(self) -> bool:
        """Whether this party does not want to hear the other."""
        return self.direction in ("sendonly", "inactive")


@dataclass(frozen=True, slots=True)
class Description:
    """What one body says. ``end`` is there whenever it can be read, also beside obstacles.

    ``stream`` counts the m= lines from 0: which of them ``end`` is.
    """

    end: MediaEnd | None
    obstacles: frozenset[Obstacle]
    origin: bytes = field(repr=False)
    stream: int | None = field(default=None, compare=False)


@reading.remembered
def describe(body: bytes, stream: int | None = None) -> Description:
    """Say what a description asks for, and what stands in the way of anchoring it. Never raises.

    ``stream``: for an answer, which m= line of the offer became the call's audio; an answer speaks of the
    streams in the order of the offer (RFC 3264 §6).
    """
    plain = _PLAIN.fullmatch(body)
    if plain is not None and (port := int(plain[4])) < _LAST_PORT and b"rtcp:" not in plain[5].lower():
        before, origin, between, _, after = plain.groups()
        alike = _described(b"-".join((before, between)) + _ANY_PORT + after, stream)
        if (end := alike.end) is not None:
            return Description(_at(end, port), alike.obstacles, origin, alike.stream)
    return _described(body, stream)


def _at(end: MediaEnd, port: int) -> MediaEnd:
    """The same at another port."""
    return MediaEnd(
        end.address,
        port,
        port + 1,
        end.codecs,
        end.telephone_events,
        end.direction,
        end.ptime,
        end.rtcp_address,
        end.rtcp_mux,
        end.is_secured,
        end.cryptos,
    )


@reading.remembered
def _described(body: bytes, stream: int | None) -> Description:
    """As `describe`; all calls of a telephone have nearly the same description."""
    try:
        session = parse_session(body)
    except MessageError:
        return Description(None, frozenset((Obstacle.UNREADABLE,)), b"")
    audio = session.audio(stream)
    obstacles = _obstacles(session, audio)
    end = None
    try:
        end = None if audio is None else _media_end(session, audio)
    except MessageError:
        obstacles.add(Obstacle.UNREADABLE)
    origin = next((line.value for line in session.lines if line.kind == b"o"), b"")
    return Description(
        end, frozenset(obstacles), origin, None if audio is None else session.media.index(audio)
    )


def rewrite(body: bytes, address: str, ports: tuple[int, int], stream: int | None = None) -> bytes:
    """Return the description with one audio stream led to ``address``, IPv4 or IPv6; ``ports``: RTP, RTCP.

    A rejected stream (port 0) stays as it is, a held address (0.0.0.0, ``::``) stays held. ``a=rtcp`` is
    changed where it is, never added, and keeps to the RTP port where it named that. Other active media keep
    the address that they had. Lines of ICE are taken out, all of them. Every other byte stays. Rewriting the
    result again, with the same arguments, changes nothing.
    Raises :class:`MessageError` when :func:`describe` finds no ``end``.
    """
    session = parse_session(body)
    audio = session.audio(stream)
    rtp_port, rtcp_port = ports
    if audio is None:
        raise MessageError("a description has no audio that could be anchored", "forward it unanchored")
    end = _media_end(session, audio)
    edits = [(*_whole(body, line), b"") for line in session.attribute_lines() if _is_ice(line)]
    if not audio.port:
        return _applied(body, edits)
    port_at = audio.line.start + len(audio.kind) + 1
    edits.append((port_at, port_at + len(audio.port_text), b"%d" % rtp_port))
    edits += _connection_edits(body, session, audio, address)
    for rtcp in attributes(audio.lines, b"rtcp"):
        new_port = rtp_port if end.rtcp_port == end.rtp_port else rtcp_port
        named = rtcp.value.partition(b" ")[2]
        new = b"rtcp:%d" % new_port + (b" " + _led(named, address) if named else b"")
        edits.append((rtcp.start, rtcp.end, new))
    return _applied(body, edits)


def _led(value: bytes, address: str) -> bytes:
    """``IN IP4 10.0.0.9`` led to ``address``: held stays held, in the IP version of whoever is shown it."""
    family = family_of(address)
    shown = _HELD[family] if _connection(value) in UNSPECIFIED else address.encode("ascii")
    return b"%b IP%d %b" % (value[:2], family, shown)


def _connection_edits(
    body: bytes, session: Session, audio: Media, address: str
) -> list[tuple[int, int, bytes]]:
    """Lead every c= line that speaks for the audio to us; one that also speaks for others gets a sibling."""
    own = lines_of(audio.lines, b"c")
    shared = lines_of(session.lines, b"c")
    is_needed_by_others = any(
        media.is_active and media is not audio and not lines_of(media.lines, b"c") for media in session.media
    )
    if is_needed_by_others:
        if not own and _connection(shared[0].value) not in UNSPECIFIED:
            after = next((line for line in audio.lines[:1] if line.kind == b"i"), audio.line)
            line_end = b"\r\n" if body[after.end : after.end + 1] == b"\r" else b"\n"
            return [(after.end, after.end, line_end + b"c=" + _led(shared[0].value, address))]
        shared = []
    return [(line.start, line.end, _led(line.value, address)) for line in (*shared, *own)]


def _applied(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    pieces, position = [], 0
    for start, end, new in sorted(edits):
        pieces += [body[position:start], new]
        position = end
    return b"".join(pieces) + body[position:]


def _is_ice(line: Line) -> bool:
    return line.name in _ICE or line.name.startswith(b"ice-")


def _whole(body: bytes, line: Line) -> tuple[int, int]:
    """A line with its kind and its line end."""
    end = body.find(b"\n", line.end)
    return line.start - 2, len(body) if end < 0 else end + 1


def _obstacles(session: Session, audio: Media | None) -> set[Obstacle]:
    active = [media for media in session.media if media.is_active]
    speaking = [media for media in active if media.kind == b"audio"] or ([audio] if audio else [])
    spoken = list(session.lines)
    for media in speaking:
        spoken += media.lines
    found = set()
    if audio is None or not (audio.is_active or not active):
        found.add(Obstacle.NO_AUDIO)
    is_bundled = len(active) > 1 and any(map(_is_bundle, spoken))
    if is_bundled or sum([media.streams for media in speaking]) > 1:
        found.add(Obstacle.SEVERAL_MEDIA)
    if _has_unknown_keys(session, spoken) or any(map(_is_locked, speaking)):
        found.add(Obstacle.SRTP)
    if _has_dtls(session.lines, *speaking):
        found.add(Obstacle.DTLS)
    if any(map(_is_ice, session.attribute_lines())) and _has_dtls(session.lines, *active):
        found.add(Obstacle.ICE)
    return found


def _is_bundle(line: Line) -> bool:
    return line.name == b"group" and line.value[6:13].upper() == b"BUNDLE "


def _has_unknown_keys(session: Session, spoken: list[Line]) -> bool:
    is_named = any(line.kind == b"k" or line.name in _UNKNOWN_KEYS for line in spoken)
    return is_named or bool(attributes(session.lines, b"crypto"))  # it may stand in a stream only


def _is_locked(media: Media) -> bool:
    """Whether it may be encrypted, and under no key that we can use."""
    return (_is_secured(media) or bool(attributes(media.lines, b"crypto"))) and not _cryptos(media)


def _is_secured(media: Media) -> bool:
    return b"SAVP" in media.protocol


def _cryptos(media: Media) -> tuple[Crypto, ...]:
    read = (crypto(line.value) for line in attributes(media.lines, b"crypto"))
    return tuple(it for it in read if it is not None)


def _has_dtls(session: tuple[Line, ...], *media: Media) -> bool:
    """Whether keys of any of these come by DTLS (RFC 5763)."""
    names = {line.name for lines in (session, *[each.lines for each in media]) for line in lines}
    return not names.isdisjoint(_DTLS) or b"TLS" in _protocols(media)


def _protocols(media: Iterable[Media]) -> bytes:
    return b" ".join([each.protocol for each in media])


def _media_end(session: Session, audio: Media) -> MediaEnd:
    own, shared = lines_of(audio.lines, b"c"), lines_of(session.lines, b"c")
    addresses = [_connection(line.value) for line in (*own, *shared)]
    if len(own or shared) != 1:
        raise MessageError("a description has no address, or several")
    address = addresses[0]
    rtcp_port, rtcp_address = _rtcp(audio, address)
    codecs, events = codecs_of(audio)
    return MediaEnd(
        address,
        audio.port,
        rtcp_port,
        codecs,
        events,
        _direction(session, audio, address),
        _ptime(audio),
        rtcp_address,
        bool(attributes(audio.lines, b"rtcp-mux")),
        _is_secured(audio),
        _cryptos(audio),
    )


@reading.remembered
def _connection(value: bytes) -> str:
    """Read ``IN IP4 address`` or ``IN IP6 address``: one unicast address, canonical."""
    nettype, _, rest = value.partition(b" ")
    addrtype, _, text = rest.partition(b" ")
    if nettype.upper() != b"IN" or addrtype.upper() not in (b"IP4", b"IP6"):
        raise MessageError("a description has an address of unknown type")
    try:
        if (b":" in text) == (addrtype.upper() == b"IP6"):
            return _unicast(canonical(text.decode("ascii")))
    except ValueError:
        pass
    raise MessageError("a description has an address that cannot be relayed to")


def _unicast(address: str) -> str:
    """From 224.0.0.0 and ff00:: on there is nobody in particular. Raises ValueError."""
    if address.startswith("ff") if ":" in address else int(address.partition(".")[0]) >= 224:
        raise ValueError("this is no unicast address")
    return address


def _rtcp(audio: Media, address: str) -> tuple[int, str]:
    found = attributes(audio.lines, b"rtcp")
    if not found:
        return (_rtcp_port(audio, audio.port + 1) if audio.port else 0), address
    port, space, named = found[0].value[len(b"rtcp:") :].partition(b" ")
    if len(found) > 1:
        raise MessageError("a description has several rtcp attributes")
    return _rtcp_port(audio, parse_uint(port, 65535)), _connection(named) if space else address


def _rtcp_port(audio: Media, port: int) -> int:
    """RTCP of a stream that is there needs a port that there is: nothing can be relayed to another."""
    if audio.port and not 0 < port <= 65535:
        raise MessageError("a description has no port for RTCP")
    return port


def _direction(session: Session, audio: Media, address: str) -> str:
    if not audio.port:
        return "inactive"
    for lines in (audio.lines, session.lines):
        found = next((line.value for line in lines_of(lines, b"a") if line.value in _DIRECTIONS), None)
        if found:
            break
    direction = (found or b"sendrecv").decode()
    if address in UNSPECIFIED:
        return "sendonly" if direction.startswith("send") else "inactive"
    return direction


def _ptime(audio: Media) -> int | None:
    found = attributes(audio.lines, b"ptime")
    try:
        return parse_uint(found[0].value[len(b"ptime:") :].strip(b" "), 1000) if found else None
    except MessageError:
        return None
