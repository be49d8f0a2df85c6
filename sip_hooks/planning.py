"""Planning a request: whose it is and where it goes, before anything is done with it (RFC 3261 §16.5, §16.6).

From phones and trunk a request goes to the PBX, from the PBX to the trunk, or to the phone that its
Request-URI's token names, as the listener says to which it came; unless a Route leads elsewhere. At a trunk
listener only the trunk is heard: the PBX trusts our address. A request within a dialog goes to the other
party of its pass; when it carries no Route at all its sender ignored our Record-Route, and the plan mends
Request-URI and Route as a correct phone would have written them (§12.2.1.1).

A phone that came over a connection is reached over that connection, else where its Contact leads if no NAT
lies between, else not at all (RFC 5626 §5.3; 480 tells more PBXs what to do than 430). A SIPS Request-URI
leaves over TLS or not at all (RFC 5630 §3.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from sip_hooks.call import Pass
from sip_hooks.dialog import Dialog, Party
from sip_hooks.events import Side
from sip_hooks.flows import Flows
from sip_hooks.headers import parse_name_addr
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.pass_table import PassTable
from sip_hooks.registration import ContactTokens, Registered
from sip_hooks.routing import Router, RouteSet, address_of, is_sips, transport_of
from sip_hooks.settings import Address, EngineSettings, Listener, Transport
from sip_hooks.uri import Uri, after_characters, parse_uri

Hop: TypeAlias = tuple[Address, Listener]


class Plan(NamedTuple):
    """Where one request goes."""

    uri: bytes  # its Request-URI, before the private prefix is stripped
    destination: Address
    exit: Listener
    side: Side  # of the next hop
    own_routes: int  # leading Routes to remove
    added_routes: tuple[bytes, ...] = ()  # Routes the sender should have written
    call: Pass | None = None
    sender: Role = "caller"
    dialog: Dialog | None = None
    account: bytes = b""  # of the phone it goes to, where its token tells

    def __repr__(self) -> str:
        """Without anything: it holds numbers."""
        return "Plan()"

    def request_uri(self, strip: int, dialled: bytes) -> bytes:
        """Return the Request-URI without its first `strip` characters where it names the dialled user."""
        if not strip:
            return self.uri
        uri = parse_uri(self.uri)
        rest = after_characters(dialled, strip)
        if uri.user != dialled or not rest:
            return self.uri
        return uri.with_user(rest)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes nowhere: the response that it is owed."""

    status: int
    reason: bytes


NOWHERE = Refusal(404, b"Not Found")
GONE = Refusal(480, b"Temporarily Unavailable")
INSECURE = Refusal(480, b"SIPS Not Allowed")
UNRESOLVED = Refusal(503, b"Service Unavailable")
STRANGER = Refusal(403, b"Forbidden")


class Planner:
    """Plans requests; changes nothing."""

    def __init__(
        self,
        settings: EngineSettings,
        router: Router,
        tokens: ContactTokens,
        passes: PassTable,
        flows: Flows,
    ) -> None:
        self._trunk = settings.trunk
        self._listeners = {listener.name: listener for listener in settings.listeners}
        self._router = router
        self._tokens = tokens
        self._passes = passes
        self._flows = flows

    def is_for_us(self, request: Message) -> bool:
        """Whether a request is addressed to this proxy itself."""
        uri = request.target
        return not uri.user and self._router.is_own(uri) and not self._router.routes(request).rest

    def plan(self, request: Message, routes: RouteSet, source: Address, listener: Listener) -> Plan | Refusal:
        """Return where a request goes, whose Routes these are."""
        plan = self._planned(request, routes, source, listener)
        if isinstance(plan, Plan) and is_sips(request.request_uri) and plan.exit.transport != "tls":
            return INSECURE
        return plan

    def _planned(
        self, request: Message, routes: RouteSet, source: Address, listener: Listener
    ) -> Plan | Refusal:
        side = self._router.side_of(listener, source)
        if side is Side.TRUNK and not self._router.is_trunk(source):
            return STRANGER
        if request.to_tag:
            found = self._passes.find(request, routes.token, side)
            if found is not None and (plan := self._within(request, routes, *found)) is not None:
                return plan
        if side is not Side.PBX:
            return self._to_neighbour(request, routes, Side.PBX, side)
        if listener.leads_to == "trunk":
            return self._to_neighbour(request, routes, Side.TRUNK, side)
        return self._to_phones(request, routes)

    def _within(self, request: Message, routes: RouteSet, call: Pass, sender: Role) -> Plan | Refusal | None:
        dialog = call.dialog_of(request, sender)
        party = call.party("callee" if sender == "caller" else "caller", dialog)
        if party is None:
            return None
        uri = request.target.raw
        added: tuple[bytes, ...] = ()
        if not routes.own and not routes.rest:
            uri, added = party.contact or uri, party.routes
        rest = routes.rest or added
        if not rest and party.side is Side.PHONES and party.listener.is_stream:
            hop = self._over_connection(party.source, party.listener, parse_uri(uri))
            if hop is None:
                return GONE
        else:
            destination, transport = self._towards(party, uri, rest)
            behind = call.callee_side if party is call.caller else call.caller.side
            leaving = self._router.exit_to(party.side, destination, party.listener, transport, behind)
            if leaving is None:
                return None
            hop = destination, leaving
        return Plan(uri, *hop, party.side, routes.own, added, call, sender, dialog)

    def _towards(self, party: Party, uri: bytes, rest: tuple[bytes, ...]) -> tuple[Address, Transport]:
        neighbour = self._neighbour(party.side)
        known = neighbour or (party.source, party.listener.transport)
        is_server = neighbour is not None
        to = _first_uri(rest) if rest else parse_uri(uri)
        address = address_of(to) if rest else party.reached_at(to)
        # A Request-URI that names us leads to us again: the neighbour is where such a request belongs.
        if address is None or (not rest and self._router.is_ours(address)):
            return known
        return address, (transport_of(to) if is_server or rest else None) or party.listener.transport

    def _neighbour(self, side: Side) -> tuple[Address, Transport] | None:
        """The server on a side; None for phones, and while nobody knows the PBX's address."""
        if side is Side.TRUNK and self._trunk is not None:
            return self._trunk.address, self._trunk.transport
        if side is Side.PBX and (current := self._router.targets.current) is not None:
            return current, self._router.targets.transport
        return None

    def _over_connection(self, source: Address, listener: Listener, contact: Uri) -> Hop | None:
        """How a phone is reached that came from `source` over a connection to `listener`."""
        if self._flows.carries(listener, source):
            return source, listener
        address = address_of(contact)
        if listener.transport == "tcp" and address is not None and address[0] == source[0]:
            return address, listener
        return None

    def _to_neighbour(self, request: Message, routes: RouteSet, side: Side, behind: Side) -> Plan | Refusal:
        known = self._neighbour(side)
        if known is None:
            return UNRESOLVED
        neighbour, spoken = destination, transport = known
        uri = request.target
        if routes.rest:
            to = _first_uri(routes.rest)
            destination, transport = address_of(to) or neighbour, transport_of(to) or spoken
        elif behind is Side.TRUNK and (registered := self._tokens.open(uri.user)):
            uri = parse_uri(registered.uri)  # the PBX registered itself at the provider
        elif routes.token:
            # A dialog we no longer know, and the sender's Route ends here: its Request-URI is the target.
            address = address_of(uri)
            if address is not None and not self._router.is_ours(address):
                destination, transport = address, transport_of(uri) or spoken
        return self._leaving(uri.raw, destination, side, routes, transport, behind)

    def _to_phones(self, request: Message, routes: RouteSet) -> Plan | Refusal:
        uri = request.target
        if not routes.rest and (registered := self._tokens.open(uri.user)):
            return self._to_registered(registered, uri.user.lower(), routes)
        if not routes.rest and (registered := self._tokens.open(routes.user)):  # by its Path (RFC 3327 §5.4)
            return self._to_registered(replace(registered, uri=uri.raw), routes.user.lower(), routes)
        to = _first_uri(routes.rest) if routes.rest else uri
        destination = address_of(to)
        if not routes.rest and destination is not None and self._router.is_ours(destination):
            destination = None
        transport = transport_of(to) or "udp"
        return self._leaving(uri.raw, destination, Side.PHONES, routes, transport)

    def _to_registered(self, registered: Registered, token: bytes, routes: RouteSet) -> Plan | Refusal:
        plan = self._to_its_place(registered, token, routes)
        return plan._replace(account=registered.account) if isinstance(plan, Plan) else plan

    def _to_its_place(self, registered: Registered, token: bytes, routes: RouteSet) -> Plan | Refusal:
        source, transport = registered.source, registered.transport
        if transport == "udp":
            return self._leaving(registered.uri, source, Side.PHONES, routes, transport)
        if (flow := self._flows.bound(token)) is not None:
            name, source = flow
            listener: Listener | None = self._listeners[name]
        else:
            listener = self._router.exit_to(Side.PHONES, source, routes.exit, transport)
        if listener is None or listener.transport != transport:
            return GONE
        hop = self._over_connection(source, listener, parse_uri(registered.uri))
        return GONE if hop is None else Plan(registered.uri, *hop, Side.PHONES, routes.own)

    def _leaving(
        self,
        uri: bytes,
        destination: Address | None,
        side: Side,
        routes: RouteSet,
        transport: Transport,
        behind: Side = Side.PHONES,
    ) -> Plan | Refusal:
        if destination is None:
            return NOWHERE
        leaving = self._router.exit_to(side, destination, routes.exit, transport, behind)
        return NOWHERE if leaving is None else Plan(uri, destination, leaving, side, routes.own)


def _first_uri(routes: tuple[bytes, ...]) -> Uri:
    return parse_name_addr(routes[0]).uri
