"""The transaction layer (RFC 3261 §17): holds all transactions and does what their tables say.

Above it stands the proxy as *transaction user*; below it there is only the list of packets to send.
"""

from __future__ import annotations

from typing import Protocol

from sip_hooks.flows import Flow, Flows
from sip_hooks.forwarding import acknowledge, cancel, respond, way_back
from sip_hooks.message import Message, parse
from sip_hooks.settings import Address, Listener, Packet
from sip_hooks.targets import PATIENCE_SECONDS, Targets
from sip_hooks.timer import Timed, Timer, TimerQueue, delay
from sip_hooks.transaction import (
    Act,
    ClientKey,
    ClientTransaction,
    Input,
    ServerKey,
    ServerTransaction,
    State,
    Transaction,
    client_key,
    input_of,
    server_key,
)

_RETRANSMITTING = frozenset((Timer.A, Timer.E, Timer.G))
_ABSORBING = frozenset((Timer.D, Timer.I_, Timer.J, Timer.K))  # what was retransmitted


class TransactionUser(Protocol):
    """What the layer above is told."""

    def answer(self, client: ClientTransaction, response: Message, now: float) -> None:
        """A response arrived that has to be acted on."""

    def give_up(self, client: ClientTransaction, now: float) -> None:
        """No final response will arrive."""

    def unreachable(self, client: ClientTransaction, now: float) -> None:
        """The request did not reach the next hop."""


class TransactionLayer:
    """All transactions, their timers, and the packets that are to leave, in order."""

    def __init__(self, user: TransactionUser, flows: Flows, targets: Targets) -> None:
        self._user = user
        self._flows = flows
        self._targets = targets
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._clients: dict[ClientKey, ClientTransaction] = {}
        self.timers = TimerQueue()
        self.packets: list[Packet] = []

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    def find(self, request: Message, method: bytes) -> ServerTransaction | None:
        """Return the server transaction a request belongs to; `method` as in `server_key`."""
        return self._servers.get(server_key(request, method))

    def at(self, key: ServerKey) -> ServerTransaction | None:
        """Return the server transaction of this key."""
        return self._servers.get(key)

    def has(self, key: ServerKey) -> bool:
        """Whether a request of this key has arrived before."""
        return key in self._servers

    def awaits(self, response: Message) -> bool:
        """Whether a response answers a request of ours."""
        return client_key(response) in self._clients

    def open_server(
        self, key: ServerKey, request: Message, source: Address, listener: Listener, now: float
    ) -> ServerTransaction:
        """Open the transaction of a request that arrived for the first time; `key` is its `server_key`."""
        server = self._servers[key] = ServerTransaction(key, request, source, listener)
        if request.method == b"INVITE":
            self._start(server, Timer.TRYING, now)
        return server

    def open_client(
        self,
        key: ClientKey,
        packet: bytes,
        hop: tuple[Address, Listener],
        server: ServerTransaction | None,
        now: float,
    ) -> ClientTransaction:
        """Send a request to the next hop and see to it that it arrives."""
        client = ClientTransaction(key, packet, *hop, server)
        self._clients[key] = client
        if server is not None:
            server.client = client
        is_invite = key[1] == b"INVITE"
        self.send(packet, *hop)
        for timer in (Timer.A, Timer.B) if is_invite else (Timer.E, Timer.F):
            self._start(client, timer, now)
        return client

    def send(self, data: bytes, destination: Address, listener: Listener) -> None:
        """Let one message leave."""
        self.packets.append(Packet(data, destination, listener.name))

    def feed_server(
        self, server: ServerTransaction, happened: Input | Timer, now: float, response: bytes = b""
    ) -> bool:
        """Let something happen to a server transaction. Returns whether the message is to be passed on."""
        actions = server.feed(happened)
        for act in actions:
            if isinstance(act, Timer):
                self._start(server, act, now)
                continue
            if act is Act.SEND:
                server.response = response
            elif act is Act.SEND_TRYING:
                server.response = respond(server.request, 100, b"Trying", server.source)
            if act is not Act.PASS:
                self._send_back(server)
        if happened is Input.SUCCESS or happened is Input.FAILURE:
            server.rest()
        self._forget_if_over(server)
        return Act.PASS in actions

    def _send_back(self, server: ServerTransaction) -> None:
        """Send a response over the connection of its request; when that has gone, to where its Via leads."""
        to: Address | None = server.source
        if not self._flows.carries(server.listener, server.source):
            to = way_back(server.request, server.source)
        if to is not None:
            self.send(server.response, to, server.listener)

    def lose(self, flow: Flow, now: float) -> None:
        """A connection has gone or was not made. What was not answered at all on it never arrived (§16.9)."""
        for client in list(self._clients.values()):
            if client.listener.is_stream and (client.listener.name, client.destination) == flow:
                self.feed_client(client, Input.LOST, now)

    def respond(self, server: ServerTransaction, status: int, reason: bytes, tag: bytes, now: float) -> None:
        """Answer a request ourselves."""
        response = respond(server.request, status, reason, server.source, tag)
        self.feed_server(server, input_of(status), now, response)

    def abandon(self, server: ServerTransaction) -> None:
        """Forget a request that will never be answered (RFC 4320 §4.2)."""
        server.state = State.TERMINATED
        self._forget_if_over(server)

    def receive_response(self, response: Message, now: float) -> bool:
        """Give a response to its client transaction. Returns whether there was one."""
        client = self._clients.get(client_key(response))
        if client is None:
            return False
        client.has_rung |= 100 < response.status < 200
        self.feed_client(client, input_of(response.status), now, response)
        return True

    def hear_trying(self, key: ClientKey, now: float) -> bool:
        """The request of this key has arrived (100). Returns whether there is one."""
        client = self._clients.get(key)
        if client is not None:
            self.feed_client(client, Input.TRYING, now)
        return client is not None

    def feed_client(
        self, client: ClientTransaction, happened: Input | Timer, now: float, response: Message | None = None
    ) -> None:
        """Let something happen to a client transaction. It comes to its end also when the user raises."""
        actions = client.feed(happened)
        for timer in actions:
            if isinstance(timer, Timer):
                self._start(client, timer, now)
        try:
            for act in actions:
                if not isinstance(act, Timer):
                    self._act(client, act, response, now)
        finally:
            self._forget_if_over(client)

    def _act(self, client: ClientTransaction, act: Act, response: Message | None, now: float) -> None:
        is_503 = act is Act.PASS and response is not None and response.status == 503
        if (act in (Act.GIVE_UP, Act.UNREACHABLE) or is_503) and self._elsewhere(client, now):
            return
        if act is Act.REPEAT:
            self.send(client.packet, client.destination, client.listener)
        elif act is Act.SEND_CANCEL:
            self._send_cancel(client, now)
        elif act is Act.GIVE_UP:
            self._user.give_up(client, now)
        elif act is Act.UNREACHABLE:
            self._user.unreachable(client, now)
        elif response is not None and act is Act.SEND_ACK:
            self.send(acknowledge(parse(client.packet), response), client.destination, client.listener)
        elif response is not None:
            self._user.answer(client, response, now)

    def _elsewhere(self, client: ClientTransaction, now: float) -> bool:
        """Try the next server of the PBX with what opens something there (RFC 3263 §4.3). Returns whether."""
        server = client.server
        if server is None or server.is_cancelled or client.has_rung or server.request.to_tag:
            return False
        target = self._targets.after(client.destination, now)
        if target is None:
            return False
        branch = client.key[0] + b"n"
        packet = client.packet.replace(client.key[0], branch, 1)
        self.open_client((branch, client.key[1]), packet, (target, client.listener), server, now)
        return True

    def _send_cancel(self, client: ClientTransaction, now: float) -> None:
        reasons = client.server.cancel_reasons if client.server else []
        packet = cancel(parse(client.packet), reasons)
        self.open_client((client.key[0], b"CANCEL"), packet, (client.destination, client.listener), None, now)

    def start(self, owner: Timed, timer: Timer, at: float) -> None:
        """Start a timer of the layer above; `fire` hands it back."""
        self.timers.start(owner, timer, at)

    def fire(self, now: float) -> list[tuple[Timed, Timer]]:
        """Let all timers fire that are due. Returns those of the layer above."""
        others: list[tuple[Timed, Timer]] = []
        for owner, timer in self.timers.fired(now):
            if isinstance(owner, Transaction):
                owner.repeats += timer in _RETRANSMITTING
            if isinstance(owner, ServerTransaction):
                self.feed_server(owner, timer, now)
            elif isinstance(owner, ClientTransaction):
                self.feed_client(owner, timer, now)
            else:
                others.append((owner, timer))
        return others

    def _start(self, owner: ServerTransaction | ClientTransaction, timer: Timer, now: float) -> None:
        is_repeating = timer in _RETRANSMITTING
        if owner.listener.is_stream and (is_repeating or timer in _ABSORBING):
            if not is_repeating:
                self.timers.start(owner, timer, now)
            return
        repeats = owner.repeats if is_repeating else 0
        if timer is Timer.E and owner.state is State.PROCEEDING:
            repeats = 16  # §17.1.2.2: every T2 once a 1xx came
        after = delay(timer, repeats)
        if (timer is Timer.B or timer is Timer.F) and isinstance(owner, ClientTransaction):
            is_first = owner.server is not None and not owner.server.request.to_tag
            if is_first and self._targets.has_others(owner.destination):
                after = PATIENCE_SECONDS
        self.timers.start(owner, timer, now + after)

    def _forget_if_over(self, transaction: Transaction) -> None:
        if transaction.state is not State.TERMINATED:
            return
        transaction.due.clear()
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            transaction.client = None  # which knows it, too: neither waits for the collector to find them
        elif isinstance(transaction, ClientTransaction):
            self._clients.pop(transaction.key, None)
