"""Where a request goes, and how its dialog comes back through us (RFC 3261 §16.4 to §16.6, §16.12).

Our Record-Route is `<sip:host:port;lr;db=TOKEN>`; the token names the pass. When a request enters at one
listener and leaves at another, two of them are written, so that each side is told an address that it can
reach. Coming back, all leading Routes of ours with one token belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

from sip_hooks.address import family_of, in_brackets
from sip_hooks.events import Side
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import Message
from sip_hooks.settings import Address, EngineSettings, Listener
from sip_hooks.uri import Uri

DEFAULT_PORT = 5060


@dataclass(frozen=True, slots=True, repr=False)
class RouteSet:
    """The Route headers of one request."""

    own: int  # how many leading Routes are ours and are to be removed
    token: bytes  # of the pass they name, b"" when they name none
    exit: Listener | None  # the listener that the last of them names: where the request leaves
    rest: tuple[bytes, ...]  # what is left, nearest hop first


class Router:
    """Knows our own names, the sides of our listeners, and nothing about calls."""

    def __init__(self, settings: EngineSettings) -> None:
        self._pbx = settings.pbx
        self._own = {
            address: each for each in settings.listeners for address in (each.bound, each.advertised)
        }
        self._exits = {side: _facing(settings.listeners, side) for side in Side}

    def side_of(self, listener: Listener, source: Address) -> Side:
        """Return from which side a datagram comes."""
        if listener.side == "both":
            return Side.PBX if source == self._pbx else Side.PHONES
        return Side(listener.side)

    def exit_to(self, side: Side, destination: Address, wanted: Listener | None = None) -> Listener | None:
        """Return the listener from which a request to `destination` on `side` leaves: the wanted one, else
        the first that speaks its IP version; None when there is none.
        """
        family = family_of(destination[0])
        choice = (wanted, *self._exits[side]) if wanted else self._exits[side]
        return next((listener for listener in choice if listener.family == family), None)

    def listener_at(self, address: Address) -> Listener | None:
        """Return which of our listeners `address` names."""
        return self._own.get(address)

    def is_own(self, uri: Uri) -> bool:
        """Whether a URI's host and port are ours."""
        address = address_of(uri)
        return address is not None and address in self._own

    def record_routes(self, entry: Listener, leaving: Listener, token: bytes) -> tuple[bytes, ...]:
        """Return our Record-Routes, the uppermost first: the next hop sees the listener it hears us from."""
        listeners = (leaving,) if leaving is entry else (leaving, entry)
        return tuple(b"<sip:%s;lr;db=%s>" % (each.sent_by, token) for each in listeners)

    def names_token(self, record_route: bytes, token: bytes) -> bool:
        """Whether a Record-Route is ours and of this pass."""
        uri = parse_name_addr(record_route).uri
        return uri.param(b"db") == token and self.is_own(uri)

    def routes(self, request: Message) -> RouteSet:
        """Split a request's Routes into ours and those beyond us."""
        values = request.all(b"route")
        own, token, leaving = 0, b"", None
        for value in values:
            uri = parse_name_addr(value).uri
            named = uri.param(b"db") or b""
            address = address_of(uri)
            listener = self._own.get(address) if address else None
            if listener is None or (token and named != token):
                break
            own, token, leaving = own + 1, named, listener
        return RouteSet(own, token, leaving if token else None, tuple(values[own:]))


def _facing(listeners: tuple[Listener, ...], side: Side) -> tuple[Listener, ...]:
    facing = [it for wanted in (side.value, "both") for it in listeners if it.side == wanted]
    if not facing:
        raise ValueError(f"no listener faces the side {side.value!r}: give one of them that side, or both")
    return tuple(facing)


def address_of(uri: Uri) -> Address | None:
    """Return where a URI leads when its host is an IP address; names are not resolved here."""
    if uri.port == 0:
        return None
    if uri.host[:1] == b"[":
        try:
            return in_brackets(uri.host.decode("ascii")), uri.port or DEFAULT_PORT
        except ValueError:
            return None
    octets = uri.host.split(b".")
    if len(octets) != 4 or not all(_is_octet(octet) for octet in octets):
        return None
    return uri.host.decode("ascii"), uri.port or DEFAULT_PORT


def _is_octet(text: bytes) -> bool:
    """Leading zeros are refused: some readers take them for octal."""
    return text.isdigit() and len(text) <= 3 and int(text) < 256 and (text == b"0" or text[:1] != b"0")
