"""The audio that a clip may hold: the names of codecs in it, their RTP clocks, and how long a payload lasts.

A payload is kept as it came. How long it lasts must be known when it comes, to place what follows; that is
told by its length or its first octets, without decoding (RFC 3551, RFC 3952, RFC 4867, RFC 6716, RFC 7587).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from storage.records import CLOCK_RATE

TICKS_20_MS = CLOCK_RATE // 50
_G729_FRAME, _G729_SID = 10, 2
_GSM_FRAME = 33
_ILBC = {50: 240, 38: 160}  # octets of a frame, and its ticks: 30 and 20 ms
AMR_BITS: Mapping[str, tuple[int, ...]] = {
    "AMR": (95, 103, 118, 134, 148, 159, 204, 244, 39),
    "AMR-WB": (132, 177, 253, 285, 317, 365, 397, 461, 477, 40),
}
"""Bits of a frame by its type; the last one is comfort noise (3GPP TS 26.101 and 26.201)."""
NO_SPEECH = (14, 15)
"""Frame types without any bits: lost on the way to the sender, or not spoken (RFC 4867 §4.3.2)."""
ALIGNED = ";OCTET-ALIGN=1"
"""Behind AMR and AMR-WB in the octet-aligned format."""
_MOST = CLOCK_RATE
"""Ticks. No packet lasts longer than a second: what says so would push out whatever follows it."""
_OPUS_FRAMES = (*(80, 160, 320, 480) * 3, *(80, 160) * 2, *(20, 40, 80, 160) * 4)  # SILK, hybrid, CELT
_OPUS_MOST = 48 * CLOCK_RATE // 400  # 120 ms, RFC 6716 §3.2.5


def name_in_clip(name: str, channels: int, parameters: str) -> str:
    """What a clip calls a payload format: the name in SDP, upper case, and what else decides how it is read.

    `parameters`: those of `a=fmtp`. What this recorder cannot read gets a name that is none of `RATES`.
    """
    if name in AMR_BITS:
        given = dict(it.strip().lower().partition("=")[::2] for it in parameters.split(";"))
        strange = {"interleaving", "crc", "robust-sorting"} & {it for it in given if given[it] != "0"}
        if strange or channels != 1:
            return f"{name};{min(strange, default='channels').upper()}"
        return name + (ALIGNED if given.get("octet-align", "0") == "1" else "")
    mono = channels == 1 or name == "OPUS"  # whose rtpmap always says two (RFC 7587 §7)
    return name if mono else f"{name}/{channels}"


def is_kept(name: str, rate: int) -> bool:
    """Whether audio of this payload format, with this RTP clock, can be kept in a clip."""
    return rate in RATES.get(name, ())


def ticks(name: str, rate: int, payload: bytes | bytearray) -> int:
    """How long a payload lasts, in ticks of the clip; 0 when it cannot be one of this codec."""
    length = _TICKS[name](payload) if payload else 0
    span = length * CLOCK_RATE // rate if name == "L16" else length
    return span if span <= _MOST else 0


def _octets(payload: bytes | bytearray) -> int:
    return len(payload)


def _samples_of_two_octets(payload: bytes | bytearray) -> int:
    return 0 if len(payload) % 2 else len(payload) // 2


def _g729(payload: bytes | bytearray) -> int:
    """Frames of 10 octets and 10 ms; the last one may be comfort noise of 2 octets (RFC 3551 §4.5.6)."""
    frames, rest = divmod(len(payload), _G729_FRAME)
    return (frames + (rest == _G729_SID)) * CLOCK_RATE // 100 if rest in (0, _G729_SID) else 0


def _gsm(payload: bytes | bytearray) -> int:
    frames, rest = divmod(len(payload), _GSM_FRAME)
    return 0 if rest else frames * TICKS_20_MS


def ilbc_frame(payload: bytes | bytearray) -> int:
    """Octets of each frame; 0 when it is no iLBC. The two modes are told apart by length (RFC 3952 §3)."""
    return next((it for it in _ILBC if len(payload) % it == 0), 0)


def _ilbc(payload: bytes | bytearray) -> int:
    octets = ilbc_frame(payload)
    return _ILBC[octets] * (len(payload) // octets) if octets else 0


def _opus(payload: bytes | bytearray) -> int:
    """The first octet says how long a frame is, and how many there are (RFC 6716 §3.1)."""
    frame, code = _OPUS_FRAMES[payload[0] >> 3], payload[0] & 3
    if code == 3 and len(payload) < 2:
        return 0
    count = payload[1] & 63 if code == 3 else 1 + (code > 0)
    return frame * count if frame * count <= _OPUS_MOST else 0


def amr_frames(name: str, payload: bytes | bytearray) -> list[tuple[int, bytes]]:
    """Each frame's type, and its bits from the most significant one of its first octet on (RFC 4867 §4).

    `name` as in the clip. Empty when the payload is not of this format.
    """
    family, is_aligned = name.removesuffix(ALIGNED), name.endswith(ALIGNED)
    bits, used = int.from_bytes(payload, "big"), 8 if is_aligned else 4
    size, entry = len(payload) * 8, 8 if is_aligned else 6
    types: list[int] = []
    follows = True
    while follows:
        if used + entry > size:
            return []
        head = bits >> size - used - 5 & 0x1F
        follows, used = bool(head & 0x10), used + entry
        types.append(head & 0x0F)
    frames: list[tuple[int, bytes]] = []
    for kind in types:
        length = _amr_bits(family, kind)
        octets = (length + 7) // 8
        if length < 0 or used + length > size:
            return []
        frame = bits >> size - used - length & (1 << length) - 1
        frames.append((kind, (frame << octets * 8 - length).to_bytes(octets, "big")))
        used += octets * 8 if is_aligned else length
    return frames


def _amr_bits(family: str, kind: int) -> int:
    """-1 for a type that is not used."""
    if kind in NO_SPEECH:
        return 0
    known = AMR_BITS[family]
    return known[kind] if kind < len(known) else -1


def _amr(name: str) -> Callable[[bytes | bytearray], int]:
    return lambda payload: len(amr_frames(name, payload)) * TICKS_20_MS


BY_LENGTH = frozenset({"PCMU", "PCMA", "G722", "L16", "GSM", "G729", "ILBC"})
"""Whose payloads of one length last equally long."""

_TICKS: Mapping[str, Callable[[bytes | bytearray], int]] = {
    "PCMU": _octets,
    "PCMA": _octets,
    "G722": _octets,
    "L16": _samples_of_two_octets,
    "GSM": _gsm,
    "G729": _g729,
    "ILBC": _ilbc,
    "OPUS": _opus,
    **{name + format_: _amr(name + format_) for name in AMR_BITS for format_ in ("", ALIGNED)},
}
RATES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(_TICKS, (8000,)),
    "L16": (8000, 16000),
    "OPUS": (48000,),
    "AMR-WB": (16000,),
    "AMR-WB" + ALIGNED: (16000,),
}
"""The RTP clocks, in Hz, of each codec that can be kept. G.722 says 8000 for 16000 (RFC 3551 §4.5.2)."""
