"""Orders to a relay worker, read from JSON and checked before they act.

Every order carries `seq`; its answer repeats it: `{"seq":…,"ok":true,…}` or `{"seq":…,"ok":false,"error":…}`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from sip_hooks.address import canonical

Side = Literal["a", "b"]
Level = Literal["none", "events", "all"]
"""What reaches the ring: nothing, that of one side in which its keys are, or all that the parties say."""
Address = tuple[str, int] | tuple[str, int, int, int]
"""As Python's sockets have it; of an IPv6 address, flow and scope as well."""
LEVELS: tuple[Level, ...] = ("none", "events", "all")
LABELS = ("a.rtp", "a.rtcp", "b.rtp", "b.rtcp")


class OrderError(ValueError):
    """An order that cannot be carried out as it stands; the sender's fault."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Where one party's media comes from and goes to."""

    address: str
    rtp_port: int
    rtcp_port: int


@dataclass(frozen=True, slots=True)
class Remotes:
    """All announced ends of one side. `payload_types` are those this side may send; None: any.

    `final`: the one end is certain, so the socket is connected to it. `learn`: the address at which the side
    may have another port; "" for none.
    """

    side: Side
    ends: tuple[Remote, ...]
    payload_types: frozenset[int] | None
    final: bool
    learn: str = ""


Keys = dict[Side, frozenset[int]]
"""Of level "events": who presses them, and in which payload types."""


def decode(data: bytes) -> dict[str, Any]:
    """Read one order. Raises ValueError."""
    order = json.loads(data)
    if not isinstance(order, dict):
        raise OrderError("an order must be a JSON object")
    return order


def session_of(message: dict[str, Any]) -> int:
    """The call's number, an unsigned 64-bit integer. Raises OrderError."""
    return _integer(message.get("session"), 0, 2**64 - 1, "session")


def sessions_of(message: dict[str, Any]) -> list[int]:
    """Read a `claim` order: the calls' numbers. Raises OrderError."""
    sessions = message.get("sessions")
    if not isinstance(sessions, list):
        raise OrderError("sessions must be a list of numbers")
    return [_integer(each, 0, 2**64 - 1, "session") for each in sessions]


def addresses_of(message: dict[str, Any]) -> tuple[str, str]:
    """Read an `open` order: our address on the caller's side and on the callee's. Raises OrderError."""
    addresses = message.get("addresses")
    if not isinstance(addresses, list) or len(addresses) != 2:
        raise OrderError("addresses must be two: the caller's side, the callee's side")
    return _address(addresses[0]), _address(addresses[1])


def remotes_of(message: dict[str, Any]) -> Remotes:
    """Read a `remote` order. Raises OrderError."""
    side = _side(message)
    raw = message.get("remotes")
    if not isinstance(raw, list):
        raise OrderError("remotes must be a list of [address, RTP port, RTCP port]")
    ends = tuple(_remote(each) for each in raw)
    final = message.get("final") is True
    if final and len(ends) != 1:
        raise OrderError("a final remote is exactly one")
    learn = _address(message["learn"]) if message.get("learn") else ""
    return Remotes(side, ends, _payload_types(message.get("payload_types")), final, learn)


def level_of(message: dict[str, Any]) -> Level:
    """Read a tap's level. Raises OrderError: what is not understood never opens a tap."""
    level = message.get("level")
    for known in LEVELS:
        if level == known:
            return known
    raise OrderError(f"level is {level!r}: write one of {', '.join(LEVELS)}")


def keys_of(message: dict[str, Any]) -> Keys:
    """Read whose keys a `tap` order of level "events" is about; nobody's for any other. Raises OrderError."""
    if level_of(message) != "events":
        return {}
    raw = message.get("keys")
    found = (
        {_side({"side": side}): _payload_types(raw[side]) for side in raw} if isinstance(raw, dict) else {}
    )
    keys = {side: types for side, types in found.items() if types}
    if not keys or len(keys) < len(found):
        raise OrderError("level events needs keys: the payload types of a, of b or of both")
    return keys


def tap_of(message: dict[str, Any]) -> dict[str, Any]:
    """Read what a `tap` order says of the tap, to be passed on. Raises OrderError."""
    keys = keys_of(message)
    told = {"keys": {side: sorted(types) for side, types in keys.items()}} if keys else {}
    return {"level": level_of(message), **told}


def hearers_of(message: dict[str, Any]) -> list[Side]:
    """Read to which sides a `play` order is about to play. Raises OrderError."""
    sides = message.get("sides")
    if not isinstance(sides, list) or not 0 < len(sides) == len(set(map(str, sides))):
        raise OrderError("sides must be a list of a, b or both")
    return [_side({"side": each}) for each in sides]


def _side(message: dict[str, Any]) -> Side:
    side = message.get("side")
    if side == "a" or side == "b":
        return "a" if side == "a" else "b"
    raise OrderError(f"side is {side!r}: write a or b")


def _remote(raw: object) -> Remote:
    if not isinstance(raw, list) or len(raw) != 3:
        raise OrderError("a remote is [address, RTP port, RTCP port]")
    ports = _integer(raw[1], 1, 65535, "RTP port"), _integer(raw[2], 1, 65535, "RTCP port")
    return Remote(_address(raw[0]), *ports)


def _address(raw: object) -> str:
    try:
        return canonical(str(raw))
    except ValueError as error:
        raise OrderError("an address must be IPv4 or IPv6, and not link-local") from error


def _payload_types(raw: object) -> frozenset[int] | None:
    if not raw:
        return None
    if not isinstance(raw, list):
        raise OrderError("payload_types must be a list of numbers")
    return frozenset(_integer(each, 0, 127, "payload type") for each in raw)


def _integer(value: object, low: int, high: int, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise OrderError(f"{name} must be an integer between {low} and {high}")
    return value
