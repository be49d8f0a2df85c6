"""Where a request goes, and how its dialog comes back through us (RFC 3261 §16.4 to §16.6, §16.12).

Our Record-Route is `<sip:host:port;transport=tcp;lr;db=TOKEN>`, over UDP without the transport; the token
names the pass. When a request enters at one listener and leaves at another, two of them are written, so that
each side is told an address that it can reach. Coming back, all leading Routes of ours with one token belong
together.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sip_hooks import reading
from sip_hooks.address import family_of, in_brackets
from sip_hooks.events import Side
from sip_hooks.headers import parse_name_addr
from sip_hooks.message import Message
from sip_hooks.settings import Address, EngineSettings, Listener, Transport
from sip_hooks.targets import Targets
from sip_hooks.uri import Uri

# Leading zeros are refused: some readers take them for octal.
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(_OCTET + rb"(?:\." + _OCTET + rb"){3}")
_DEFAULT_PORT = {"udp": 5060, "tcp": 5060, "tls": 5061}
_TRANSPORTS: dict[bytes, Transport] = {b"udp": "udp", b"tcp": "tcp", b"tls": "tls"}


class RouteSet(NamedTuple):
    """The Route headers of one request."""

    own: int  # how many leading Routes are ours and are to be removed
    token: bytes  # of the pass they name, b"" when they name none
    exit: Listener | None  # the listener that the last of them names: where the request leaves
    rest: tuple[bytes, ...]  # what is left, nearest hop first
    user: bytes = b""  # of the last that is ours: the token of a phone that is registered by Path

    def __repr__(self) -> str:
        """Without anything: it holds addresses."""
        return "RouteSet()"


class Router:
    """Knows our own names, the sides of our listeners, and nothing about calls."""

    def __init__(self, settings: EngineSettings) -> None:
        self._trunk, self._pbx_is_verified = settings.trunk, settings.pbx_is_verified
        self.targets = Targets(settings.pbx, settings.pbx_transport)
        self._own: dict[tuple[Address, Transport], Listener] = {
            (address, each.transport): each
            for each in settings.listeners
            for address in (each.bound, each.advertised)
        }
        self._addresses = {address: each for (address, _), each in reversed(self._own.items())}
        self._exits = _exits(settings.listeners)

    def side_of(self, listener: Listener, source: Address) -> Side:
        """Return from which side a message comes. A connection of the PBX may come from any port of its."""
        if listener.side != "both":
            return Side(listener.side)
        is_pbx = self.targets.includes(source, any_port=listener.is_stream)
        return Side.PBX if is_pbx else Side.PHONES

    def is_limited(self, listener: Listener, source: Address) -> bool:
        """Whether a source may send only so much: a phone, or a stranger at the trunk's listener."""
        side = self.side_of(listener, source)
        return side is Side.PHONES or (side is Side.TRUNK and not self.is_trunk(source))

    def is_trunk(self, source: Address) -> bool:
        """Whether something that comes from there to a trunk listener comes from the trunk."""
        return self._trunk is not None and self._trunk.admits(source)

    def may_reuse(self, side: Side, leaving: Listener) -> bool:
        """Whether the next hop there may send over the connection that we made (RFC 5923)."""
        return side is Side.PBX and leaving.transport == "tls" and self._pbx_is_verified

    def exit_to(
        self,
        side: Side,
        destination: Address,
        wanted: Listener | None = None,
        transport: Transport | None = None,
        behind: Side = Side.PHONES,
    ) -> Listener | None:
        """Return the listener from which a request to `destination` on `side` leaves: the wanted one, else
        the first, of those that speak its IP version and, if there is one, its transport; None when there is
        none of that version. The PBX knows by our address from which side a request comes: `behind` us.
        """
        family = family_of(destination[0])
        facing = self._exits[side, behind if side is Side.PBX else side]
        choice = (wanted, *facing) if wanted else facing
        able = [listener for listener in choice if listener.family == family]
        fitting = [listener for listener in able if listener.transport == transport]
        return next(iter(fitting or able), None)

    def listener_at(self, address: Address, transport: Transport) -> Listener | None:
        """Return which of our listeners `address` names."""
        return self._own.get((address, transport))

    def is_ours(self, address: Address) -> bool:
        """Whether a listener of ours has this address, over whatever transport."""
        return address in self._addresses

    def is_own(self, uri: Uri) -> bool:
        """Whether a URI's host and port are ours."""
        address = address_of(uri)
        return address is not None and address in self._addresses

    def record_routes(
        self, entry: Listener, leaving: Listener, token: bytes, request_uri: bytes
    ) -> tuple[bytes, ...]:
        """Return our Record-Routes, the uppermost first: the next hop sees the listener it hears us from.

        They are two when the listeners are (RFC 5658 §3.1), and SIPS when the Request-URI is (§16.6 step 4).
        """
        listeners = (leaving,) if leaving is entry else (leaving, entry)
        return tuple(_record_route(each, token, is_sips(request_uri)) for each in listeners)

    def names_token(self, record_route: bytes, token: bytes) -> bool:
        """Whether a Record-Route is ours and of this pass."""
        uri = parse_name_addr(record_route).uri
        return uri.param(b"db") == token and self.is_own(uri)

    def routes(self, request: Message) -> RouteSet:
        """Split a request's Routes into ours and those beyond us."""
        values = request.all(b"route")
        own, token, leaving, user = 0, b"", None, b""
        for value in values:
            uri = parse_name_addr(value).uri
            named = uri.param(b"db") or b""
            address = address_of(uri)
            listener = self._named(uri, address) if address else None
            if listener is None or (token and named != token):
                break
            own, token, leaving, user = own + 1, named, listener, uri.user
        return RouteSet(own, token, leaving if token else None, tuple(values[own:]), user)

    def _named(self, uri: Uri, address: Address) -> Listener | None:
        """The listener that a URI with this address names, also when the transport was lost on the way."""
        return self._own.get((address, transport_of(uri) or "udp")) or self._addresses.get(address)


def _record_route(listener: Listener, token: bytes, secure: bool) -> bytes:
    if secure and listener.transport == "tls":
        return b"<sips:%s;lr;db=%s>" % (listener.sent_by, token)
    return b"<sip:%s%s;lr;db=%s>" % (listener.sent_by, listener.uri_params, token)


def _exits(listeners: tuple[Listener, ...]) -> dict[tuple[Side, Side], tuple[Listener, ...]]:
    """The listeners that face each side; those that face the PBX, by where they lead to."""
    exits = {}
    for outer in (Side.PHONES, Side.TRUNK):
        both = [it for it in listeners if it.side == "both" and outer is Side.PHONES]
        exits[outer, outer] = (*(it for it in listeners if it.side == outer.value), *both)
        pbx = (it for it in listeners if it.side == Side.PBX.value and it.leads_to == outer.value)
        exits[Side.PBX, outer] = (*pbx, *both)
        if bool(exits[outer, outer]) != bool(exits[Side.PBX, outer]):
            raise ValueError(f"one listener must face the {outer.value} and one, that leads there, the PBX")
    if not any(exits.values()):
        raise ValueError("no listener faces phones or trunk: give one of them that side")
    return exits


def is_sips(uri: bytes) -> bool:
    """Whether a URI demands TLS on every hop (RFC 3261 §26.2.2, RFC 5630 §3.1)."""
    return uri[:5].lower() == b"sips:"


def transport_of(uri: Uri) -> Transport | None:
    """Return the transport that a URI asks for, None when it asks for none that is known here."""
    return "tls" if uri.scheme == b"sips" else _TRANSPORTS.get((uri.param(b"transport") or b"").lower())


def address_of(uri: Uri) -> Address | None:
    """Return where a URI leads when its host is an IP address; names are not resolved here."""
    if uri.port == 0:
        return None
    port = uri.port or _DEFAULT_PORT[transport_of(uri) or "udp"]
    if uri.host[:1] == b"[":
        try:
            return in_brackets(uri.host.decode("ascii")), port
        except ValueError:
            return None
    host = _ipv4(uri.host)
    return (host, port) if host else None


@reading.remembered
def _ipv4(host: bytes) -> str:
    """The address that a host is, "" when it is none."""
    return host.decode("ascii") if _IPV4.fullmatch(host) else ""
