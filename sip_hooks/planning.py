"""Planning a request: whose it is and where it goes, before anything is done with it (RFC 3261 §16.5, §16.6).

From the phones a request goes to the PBX, from the PBX to the phone that its Request-URI's token names,
unless a Route leads elsewhere. A request within a dialog goes to the other party of its pass; when it
carries no Route at all its sender ignored our Record-Route, and the plan mends Request-URI and Route as a
correct phone would have written them (§12.2.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from sip_hooks.call import Pass
from sip_hooks.dialog import Dialog, Party
from sip_hooks.events import Side
from sip_hooks.headers import parse_name_addr
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.pass_table import PassTable
from sip_hooks.registration import ContactTokens
from sip_hooks.routing import Router, RouteSet, address_of
from sip_hooks.settings import Address, EngineSettings, Listener
from sip_hooks.uri import after_characters, parse_uri


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
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

    def request_uri(self, strip: int, dialled: bytes) -> bytes:
        """Return the Request-URI without its first `strip` characters where it names the dialled user."""
        uri = parse_uri(self.uri)
        rest = after_characters(dialled, strip)
        if not strip or uri.user != dialled or not rest:
            return self.uri
        return uri.with_user(rest)


class Planner:
    """Plans requests; changes nothing."""

    def __init__(
        self, settings: EngineSettings, router: Router, tokens: ContactTokens, passes: PassTable
    ) -> None:
        self._pbx = settings.pbx
        self._router = router
        self._tokens = tokens
        self._passes = passes

    def is_for_us(self, request: Message) -> bool:
        """Whether a request is addressed to this proxy itself."""
        uri = request.target
        return not uri.user and self._router.is_own(uri) and not self._router.routes(request).rest

    def plan(self, request: Message, source: Address, listener: Listener) -> Plan | None:
        """Return where a request goes; None when nowhere."""
        side = self._router.side_of(listener, source)
        routes = self._router.routes(request)
        if request.to_tag:
            found = self._passes.find(request, routes.token, side)
            if found is not None and (plan := self._within(request, routes, *found)) is not None:
                return plan
        return self._from_phones(request, routes) if side is Side.PHONES else self._from_pbx(request, routes)

    def _within(self, request: Message, routes: RouteSet, call: Pass, sender: Role) -> Plan | None:
        dialog = call.dialog_of(request, sender)
        party = call.party("callee" if sender == "caller" else "caller", dialog)
        if party is None:
            return None
        uri = request.target.raw
        added: tuple[bytes, ...] = ()
        if not routes.own and not routes.rest:
            uri, added = party.contact or uri, party.routes
        rest = routes.rest or added
        destination = self._towards(party, uri, rest)
        leaving = self._router.exit_to(party.side, destination, party.listener)
        if leaving is None:
            return None
        return Plan(uri, destination, leaving, party.side, routes.own, added, call, sender, dialog)

    def _towards(self, party: Party, uri: bytes, rest: tuple[bytes, ...]) -> Address:
        fallback = self._pbx if party.side is Side.PBX else party.source
        if rest:
            return _route_address(rest) or fallback
        address = party.reached_at(parse_uri(uri))
        # A Request-URI that names us leads to us again: the PBX is where such a request belongs.
        return fallback if address is None or self._router.listener_at(address) else address

    def _from_phones(self, request: Message, routes: RouteSet) -> Plan | None:
        destination = self._pbx
        if routes.rest:
            destination = _route_address(routes.rest) or self._pbx
        elif routes.token:
            # A dialog we no longer know, and the phone's Route ends here: its Request-URI is the target.
            address = address_of(request.target)
            if address is not None and not self._router.listener_at(address):
                destination = address
        return self._leaving(request.target.raw, destination, Side.PBX, routes)

    def _from_pbx(self, request: Message, routes: RouteSet) -> Plan | None:
        uri = request.target
        if routes.rest:
            destination = _route_address(routes.rest)
        elif registered := self._tokens.open(uri.user):
            return self._leaving(registered.uri, registered.source, Side.PHONES, routes)
        else:
            destination = address_of(uri)
            if destination is not None and self._router.listener_at(destination):
                destination = None
        return self._leaving(uri.raw, destination, Side.PHONES, routes)

    def _leaving(self, uri: bytes, destination: Address | None, side: Side, routes: RouteSet) -> Plan | None:
        if destination is None:
            return None
        leaving = self._router.exit_to(side, destination, routes.exit)
        return None if leaving is None else Plan(uri, destination, leaving, side, routes.own)


def _route_address(routes: tuple[bytes, ...]) -> Address | None:
    return address_of(parse_name_addr(routes[0]).uri)
