"""What a PBX takes for an order and not for a number: codes that are dialled, and keys during a call.

Who answers a code that is dialled is anybody (pickup, a parked call), or nobody (forwarding). A code that is
pressed during a call lets the PBX connect somebody else, of which no message need tell: so from its first key
on nobody knows who speaks. Only whoever runs the PBX knows its codes; nobody's word for it (None in place of
FeatureCodes) means that any key may be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from recorder.numbering import is_number

KEYS = frozenset("0123456789*#ABCD")

DIALLED: Mapping[str, str] = MappingProxyType(
    {
        "pickup": "takes a call that rings elsewhere",
        "directed_pickup": "takes the call that rings at the number after it",
        "park": "parks a call",
        "retrieve": "takes a parked call",
        "intercom": "speaks to the telephone after it",
        "forward": "tells the PBX where calls go",
    }
)
"""Of the codes that are dialled, what each does."""
PRESSED: Mapping[str, str] = MappingProxyType(
    {
        "transfer": "transfers a call that runs",
        "attended_transfer": "transfers a call that runs, after a consultation",
        "park_call": "parks a call that runs",
        "other_keys": "makes the PBX connect somebody else to a call that runs",
    }
)
"""Of those that are pressed during a call."""
BEFORE_A_NUMBER = frozenset({"directed_pickup", "intercom", "forward"})


@dataclass(frozen=True, slots=True)
class FeatureCodes:
    """The codes of one PBX: keys "0".."9", "*", "#", "A".."D". Those that are dialled by themselves may also
    be ranges "701-720". `key_seconds`: the most that may lie between two keys of one code.
    """

    pickup: tuple[str, ...] = ()
    directed_pickup: tuple[str, ...] = ()
    park: tuple[str, ...] = ()
    retrieve: tuple[str, ...] = ()
    intercom: tuple[str, ...] = ()
    forward: tuple[str, ...] = ()
    transfer: tuple[str, ...] = ()
    attended_transfer: tuple[str, ...] = ()
    park_call: tuple[str, ...] = ()
    other_keys: tuple[str, ...] = ()
    key_seconds: int = 3

    def dialled_as(self, identity: str) -> str | None:
        """Which kind of code an identity is, or begins with; None for any other. A code is compared as it is
        dialled: "+31777…" is nobody's code "0777".
        """
        user = identity.partition("@")[0]
        for kind in DIALLED:
            codes: tuple[str, ...] = getattr(self, kind)
            if codes and any(_is_code(user, code, kind in BEFORE_A_NUMBER) for code in codes):
                return kind
        return None

    def pressed(self) -> frozenset[str]:
        """All codes that are pressed during a call."""
        return frozenset(code for kind in PRESSED for code in getattr(self, kind))

    def said_of(self, number: str) -> list[tuple[str, str]]:
        """The kinds of code that this is, each with what it does."""
        dialled = self.dialled_as(number)
        found = [(dialled, DIALLED[dialled])] if dialled else []
        return found + [(kind, does) for kind, does in PRESSED.items() if number in getattr(self, kind)]


def joined(several: Iterable[FeatureCodes | None]) -> FeatureCodes | None:
    """The codes of all of them together; None if any has nobody's word for it."""
    found = list(several)
    known = [it for it in found if it is not None]
    if len(known) < len(found) or not known:
        return None
    lists = {kind: tuple(sorted({code for it in known for code in getattr(it, kind)})) for kind in _KINDS}
    return FeatureCodes(**lists, key_seconds=max(it.key_seconds for it in known))


def has_all_of(more: FeatureCodes | None, fewer: FeatureCodes | None) -> bool:
    """Whether the first takes for a code whatever the second does, so that it only takes away."""
    if more is None or fewer is None:
        return more is fewer
    wider = all(set(getattr(fewer, kind)) <= set(getattr(more, kind)) for kind in _KINDS)
    return wider and fewer.key_seconds <= more.key_seconds


_KINDS = (*DIALLED, *PRESSED)


def _is_code(user: str, code: str, is_beginning: bool) -> bool:
    if is_beginning:
        return user.startswith(code) and is_number(user)
    low, hyphen, high = code.partition("-")
    if not hyphen:
        return user == code
    return len(user) == len(low) and user.isascii() and user.isdigit() and low <= user <= high
