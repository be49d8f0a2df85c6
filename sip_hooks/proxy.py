"""The proxy: what is done with each request and response (RFC 3261 §16).

It stands between the transaction layer, which sees to retransmission, and the passes, which turn what they
are shown into events and edits. A request is *planned* (where does it go, whose is it), then *sent on*.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

from sip_hooks.call import Exchange, Pass
from sip_hooks.dialog import Party, contact_of
from sip_hooks.edits import Edits
from sip_hooks.errors import SipError
from sip_hooks.events import (
    CallDisturbed,
    CallRestored,
    CallsRelated,
    Event,
    ForwardCall,
    PassedUntouched,
)
from sip_hooks.flows import Flows
from sip_hooks.forwarding import (
    append_record_routes,
    count_hop,
    loop_mark,
    note_source,
    push_record_routes,
    push_routes,
    push_via,
    respond,
)
from sip_hooks.message import Message, parse
from sip_hooks.pass_table import PassTable
from sip_hooks.planning import Plan, Planner, Refusal
from sip_hooks.registration import ContactTokens, bind_contacts, name_way, restore_contacts
from sip_hooks.restoration import Restorer
from sip_hooks.routing import Router
from sip_hooks.settings import Address, EngineSettings, Listener
from sip_hooks.timer import Timer, delay
from sip_hooks.transaction import ClientTransaction, Input, ServerTransaction, State, input_of, server_key
from sip_hooks.transaction_layer import TransactionLayer
from sip_hooks.validity import validate

_DIALOG_FORMING = (b"INVITE", b"SUBSCRIBE", b"REFER")
_TARGET_REFRESHING = (b"INVITE", b"UPDATE")
Cause = Literal["bye", "cancelled", "rejected", "timeout", "error"]
_CAUSES: dict[int, Cause] = {487: "cancelled", 408: "timeout", 503: "error"}


class Proxy:
    """Transaction user of a `TransactionLayer`. Its output is `events` and `layer.packets`."""

    def __init__(
        self,
        settings: EngineSettings,
        new_id: Callable[[int], bytes],
        utc: Callable[[float], datetime],
    ) -> None:
        self.flows = Flows()
        self.router = Router(settings)
        self.layer = TransactionLayer(self, self.flows, self.router.targets)
        self.events: deque[Event] = deque()
        self.counters: Counter[str] = Counter()
        self.passes = PassTable()
        self._settings = settings
        self._new_id = new_id
        self._utc = utc
        self._tokens = ContactTokens(settings.token_key)
        self._planner = Planner(settings, self.router, self._tokens, self.passes, self.flows)
        self.restorer = Restorer(settings, self.passes, new_id)
        self._held: dict[str, tuple[ServerTransaction, Plan]] = {}
        self._salt = new_id(8)

    # --- requests

    def receive_request(self, request: Message, source: Address, listener: Listener, now: float) -> None:
        """Act on one request. Raises SipError when it cannot be acted on; then nothing has happened."""
        if problem := validate(request):
            self.counters["malformed requests"] += 1
            if request.method != b"ACK":
                extra = ((b"Unsupported", problem.unsupported),) if problem.unsupported else ()
                answer = respond(request, problem.status, problem.reason, source, self._tag(), extra)
                self.layer.send(answer, source, listener)
            return
        if request.method == b"ACK":
            self._acknowledge(request, source, listener, now)
            return
        if (known := self.layer.at(key := server_key(request, request.method))) is not None:
            self.layer.feed_server(known, Input.REQUEST, now)
            return
        plan = self._plan(request, source, listener, now)
        server = self.layer.open_server(key, request, source, listener, now)
        if request.method == b"CANCEL":
            self._cancel(server, now)
        elif isinstance(outcome := self._refusal(server) or plan, Refusal):
            self.counters["refused requests"] += 1
            self._respond(server, outcome.status, outcome.reason, now)
        else:
            self._take(server, outcome, now)

    def _plan(self, request: Message, source: Address, listener: Listener, now: float) -> Plan | Refusal:
        """Plan a request. It may be the first sign of a dialog that outlived a restart."""
        routes = self.router.routes(request)
        call = self.restorer.restore(request, routes, listener)
        if call is not None:
            self.counters["restored dialogs"] += 1
            self._hear(call, now)
            self.events.append(CallRestored(call.call, call.negotiation.media))
        return self._planner.plan(request, routes, source, listener)

    def _hear(self, call: Pass, now: float) -> None:
        """The first sign of a pass."""
        call.heard_at = now
        self.layer.start(call, Timer.SILENCE, now + self._settings.silent_limit_seconds)

    def _refusal(self, server: ServerTransaction) -> Refusal | None:
        """Return the final response we owe a request ourselves, if any, wherever it would go."""
        request = server.request
        if request.method == b"OPTIONS" and self._planner.is_for_us(request):
            return Refusal(200, b"OK")
        mark = server.mark = loop_mark(request, self._salt)
        return Refusal(482, b"Loop Detected") if any(mark in it for it in request.all(b"via")) else None

    def _take(self, server: ServerTransaction, plan: Plan, now: float) -> None:
        request = server.request
        others = self._disturb_mentioned(request)
        try:
            if request.method == b"INVITE" and not request.to_tag:
                self._relate(self._offer(server, plan, now), others)
            else:
                self._relate(plan.call, others)
                self._send_on(server, plan, now)
        except SipError:
            self.counters["unforwardable requests"] += 1
            self._respond(server, 500, b"Server Internal Error", now)

    def _offer(self, server: ServerTransaction, plan: Plan, now: float) -> Pass:
        """A new call: hold the INVITE and ask those above (`CallOffered`)."""
        invite = server.request
        side = self.router.side_of(server.listener, server.source)
        routes = tuple(invite.all(b"record-route"))
        caller = Party(side, invite.from_tag, server.source, server.listener, contact_of(invite), routes)
        call = Pass(self._new_id(16).hex(), invite, caller, plan.side, self._tokens)
        offered = call.offered(invite, self._utc(now), plan.destination, self._settings, plan.account)
        server.context = Exchange("caller", None, call, is_opening=True)
        self.passes.add(call)
        self._held[call.call] = server, plan
        self.layer.start(call, Timer.HELD, now + self._settings.hold_seconds)
        self._hear(call, now)
        self.events.append(offered)
        return call

    def forward_call(self, command: ForwardCall, now: float) -> None:
        """Let a held INVITE go on. A command that comes too late is counted and ignored."""
        held = self._held.pop(command.call, None)
        call = self.passes.named(command.call)
        if held is None or call is None:
            self.counters["late commands"] += 1
            return
        call.due.pop(Timer.HELD, None)
        call.strip = command.strip
        call.negotiation.media = command.media
        self._release(call, *held, now)

    def _release(self, call: Pass, server: ServerTransaction, plan: Plan, now: float) -> None:
        self.restorer.name(call, plan)
        try:
            self._send_on(server, plan, now)
        except SipError:
            self.counters["unforwardable requests"] += 1
            self._respond(server, 500, b"Server Internal Error", now)
            self._end(call, "error", 500, now)

    def _send_on(self, server: ServerTransaction, plan: Plan, now: float) -> None:
        request = server.request
        edits = Edits(request)
        if plan.call is not None and server.context is None:
            server.context = Exchange(plan.sender, plan.dialog, plan.call)
        if isinstance(server.context, Exchange):
            self._show_request(request, edits, server.context, server.source, now)
        if request.method == b"REGISTER":
            came = server.source, server.listener
            name_way(request, edits, self._tokens, came, plan.exit, self._settings)
        packet, branch = self._edited(request, edits, plan, server)
        hop = plan.destination, plan.exit
        self.layer.open_client((branch, request.method), packet, hop, server, now)

    def _show_request(
        self, request: Message, edits: Edits, exchange: Exchange, source: Address, now: float
    ) -> None:
        """Let a pass see a request of its own, and report what it makes of it."""
        call = exchange.call
        call.heard_at = now
        if exchange.is_opening:
            self._report(call, call.forward(request, edits, exchange))
            return
        sender = call.party(exchange.sender, exchange.dialog)
        if sender is not None:
            sender.learn(request, source, is_refresh=request.method in _TARGET_REFRESHING)
        self._report(call, call.request(request, edits, exchange))
        if request.method == b"BYE" and call.winner in (None, exchange.dialog):
            self._end(call, "bye", 200, now)

    def _edited(
        self, request: Message, edits: Edits, plan: Plan, server: ServerTransaction
    ) -> tuple[bytes, bytes]:
        """Return the request as it leaves, and the branch of its Via."""
        branch = (server.mark or loop_mark(request, self._salt)) + self._new_id(8).hex().encode()
        context = server.context
        strip = context.call.strip if isinstance(context, Exchange) else 0
        uri = plan.request_uri(strip, context.call.dialled if isinstance(context, Exchange) else b"")
        if uri != request.request_uri:
            edits.set_request_uri(uri)
        note_source(request, edits, server.source)
        count_hop(request, edits)
        if plan.own_routes:
            edits.remove_first(b"route", plan.own_routes)
        if plan.added_routes:
            push_routes(request, edits, plan.added_routes)
        if request.method in _DIALOG_FORMING:
            token = context.call.token if isinstance(context, Exchange) else self._new_id(8).hex().encode()
            routes = self.router.record_routes(server.listener, plan.exit, token, uri)
            push_record_routes(request, edits, routes)
        push_via(edits, plan.exit, branch, self.router.may_reuse(plan.side, plan.exit))
        return edits.apply(), branch

    def _acknowledge(self, ack: Message, source: Address, listener: Listener, now: float) -> None:
        """Absorb the ACK of a failure; send the ACK of a 2xx on, but never to ourselves."""
        server = self.layer.find(ack, b"INVITE")
        if server is not None and not self.layer.feed_server(server, Input.ACK, now):
            return
        plan = self._plan(ack, source, listener, now)
        if isinstance(plan, Refusal) or (plan.call is None and not plan.own_routes):
            self.counters["stray ACKs"] += 1
            return
        passing = ServerTransaction((), ack, source, listener)
        edits = Edits(ack)
        if plan.call is not None:
            passing.context = Exchange(plan.sender, plan.dialog, plan.call)
            self._show_request(ack, edits, passing.context, source, now)
        packet, _ = self._edited(ack, edits, plan, passing)
        self.layer.send(packet, plan.destination, plan.exit)

    def _cancel(self, server: ServerTransaction, now: float) -> None:
        """Answer a CANCEL and withdraw the INVITE downstream (§16.10)."""
        invite = self.layer.find(server.request, b"INVITE")
        if invite is None:
            self._respond(server, 481, b"Call/Transaction Does Not Exist", now)
            return
        invite.is_cancelled = True
        invite.cancel_reasons = server.request.all(b"reason")
        self._respond(server, 200, b"OK", now)
        if invite.client is not None:
            self.layer.feed_client(invite.client, Input.CANCEL, now)
        elif isinstance(invite.context, Exchange):
            self._held.pop(invite.context.call.call, None)
            self._respond(invite, 487, b"Request Terminated", now)
            self._end(invite.context.call, "cancelled", 487, now)

    def _disturb_mentioned(self, request: Message) -> tuple[str, ...]:
        """Report the calls that a request wants to take over, join or speak of; return them."""
        for cause, call in (mentioned := self.passes.mentioned_by(request)):
            self._report(call, [CallDisturbed(call.call, cause, ())])
        return tuple(call.call for _, call in mentioned)

    def _relate(self, call: Pass | None, others: tuple[str, ...]) -> None:
        if call is not None and others:
            self._report(call, [CallsRelated(call.call, others)])

    # --- responses

    def receive_response(self, response: Message, now: float) -> None:
        """Act on one response; one that is malformed or answers nothing of ours is dropped."""
        is_lost = response.field(b"via") is None or (
            response.cseq[1] != b"CANCEL" and len(response.all(b"via")) < 2
        )
        if is_lost or validate(response) is not None:
            self.counters["malformed responses"] += 1
        elif not self.layer.receive_response(response, now):
            self.counters["stray responses"] += 1

    def answer(self, client: ClientTransaction, response: Message, now: float) -> None:
        """Send a response up to whoever sent the request. A 100 goes no further (§16.7)."""
        server = client.server
        if server is None or response.status == 100:
            return
        edits = Edits(response)
        edits.remove_first_via()
        if isinstance(server.context, Exchange):
            self._show_response(response, edits, client, server.context, now)
        elif client.key[1] == b"REGISTER":
            restore_contacts(response, edits, self._tokens)
            if 200 <= response.status < 300:
                bind_contacts(server.request, self._tokens, (server.source, server.listener), self.flows)
        self.layer.feed_server(server, input_of(response.status), now, edits.apply())

    def _show_response(
        self, response: Message, edits: Edits, client: ClientTransaction, exchange: Exchange, now: float
    ) -> None:
        """Let a pass see a response of its own, and report what it makes of it."""
        call = exchange.call
        call.heard_at = now
        is_opening = exchange.is_opening
        is_late = client.state is State.ACCEPTED and response.status < 200
        if is_opening and response.status < 300 and not is_late:
            self._record_route(response, edits, client, call)
        self._report(call, call.response(response, edits, exchange, self._utc(now), is_late))
        if is_opening and response.status >= 300:
            is_cancelled = response.status == 487 or bool(client.server and client.server.is_cancelled)
            self._end(call, "cancelled" if is_cancelled else "rejected", response.status, now)

    def _record_route(self, response: Message, edits: Edits, client: ClientTransaction, call: Pass) -> None:
        """Learn the way to the callee, and put our Record-Route back where the far end dropped it."""
        assert client.server is not None
        routes = response.all(b"record-route")
        ours = [self.router.names_token(route, call.token) for route in routes]
        beyond = routes[: ours.index(True)] if True in ours else routes
        if True not in ours:
            entry = client.server.listener
            uri = parse(client.packet).request_uri
            own = self.router.record_routes(entry, client.listener, call.token, uri)
            append_record_routes(response, edits, [*own, *call.caller.routes])
        call.fork(response, client.destination, client.listener, tuple(reversed(beyond)))

    def give_up(self, client: ClientTransaction, now: float) -> None:
        """No final response will come: 408 or 487 to an INVITE, silence to all else (RFC 4320)."""
        if client.key[1] == b"INVITE":
            self._fail(client, Refusal(408, b"Request Timeout"), now)
        elif client.server is not None:
            self.layer.abandon(client.server)
            self._fail(client, None, now)

    def unreachable(self, client: ClientTransaction, now: float) -> None:
        """There is no connection to the next hop: 503 (§16.9)."""
        self._fail(client, Refusal(503, b"Service Unavailable"), now)

    def _fail(self, client: ClientTransaction, owed: Refusal | None, now: float) -> None:
        server = client.server
        if server is None:
            return
        if owed is not None and server.is_cancelled:
            owed = Refusal(487, b"Request Terminated")
        if owed is not None:
            self._respond(server, owed.status, owed.reason, now)
        exchange = server.context
        if not isinstance(exchange, Exchange):
            return
        if owed is None or not exchange.is_opening:
            self._report(exchange.call, exchange.call.fail(exchange))
        else:
            self._end(exchange.call, _CAUSES[owed.status], owed.status, now)

    # --- time

    def handle_timer(self, now: float) -> None:
        """Let everything happen that is due."""
        for owner, timer in self.layer.fire(now):
            if isinstance(owner, Pass):
                self._fired(owner, timer, now)

    def _fired(self, call: Pass, timer: Timer, now: float) -> None:
        if timer is Timer.HELD:
            held = self._held.pop(call.call, None)
            if held is not None:
                self.counters["passed untouched"] += 1
                self.events.append(PassedUntouched(call.call))
                self._release(call, *held, now)
        elif timer is Timer.LINGER:
            self.passes.remove(call)
        elif timer is Timer.SILENCE:
            silent_until = call.heard_at + self._settings.silent_limit_seconds
            if silent_until > now:
                self.layer.start(call, Timer.SILENCE, silent_until)
            else:
                self._end(call, "timeout", 408, now)

    def _report(self, call: Pass, events: Iterable[Event]) -> None:
        """Report what a pass makes of a message; nothing comes after its end, edits are made all the same."""
        made = list(events)
        if not call.is_ended:
            self.events.extend(made)

    def _end(self, call: Pass, cause: Cause, status: int, now: float) -> None:
        if not call.is_ended:
            self.events.append(call.end(cause, status, self._utc(now)))
            call.due.clear()
            self.layer.start(call, Timer.LINGER, now + delay(Timer.LINGER, 0))

    # --- small things

    def _respond(self, server: ServerTransaction, status: int, reason: bytes, now: float) -> None:
        self.layer.respond(server, status, reason, self._tag(), now)

    def _tag(self) -> bytes:
        return self._new_id(8).hex().encode()
