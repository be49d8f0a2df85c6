"""Telephones and PBXs: they write and repeat SIP messages as RFC 3261 asks, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from simulate.text import COMPACT, Message, describe, is_contact, keys_in, read, uri_in
from sip_hooks.settings import Address

T1, T2, PATIENCE_SECONDS = 0.5, 4.0, 32.0
Word = tuple[str, str, bool, str]  # what a message shows: leg, word, never; and a name for this showing


class Network(Protocol):
    """What an agent needs of the world."""

    def draw(self, prefix: str) -> str: ...

    def send(self, data: str, source: Address, shows: Sequence[Word]) -> None: ...

    def later(self, seconds: float, act: Callable[[], None]) -> None: ...


@dataclass(slots=True)
class Asked:
    """A request of ours, and the final answer to it."""

    method: str
    number: int
    data: str
    shows: Sequence[Word]
    status: int = 0
    is_heard: bool = False
    answer: Message | None = None


@dataclass(slots=True)
class Dialog:
    """One end of a dialog. `here` and `there` are From and To as this end writes them."""

    agent: Agent
    leg: str
    here: str
    there: str
    target: str
    port: int
    routes: list[str] = field(default_factory=list)
    number: int = 1
    invite: Message | None = None
    asked: list[Asked] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    replies: dict[str, tuple[int, tuple[str, ...], Sequence[Word]]] = field(default_factory=dict)
    refusing: Sequence[Word] = ()  # what it shows when this end refuses a re-INVITE because of its own
    is_up: bool = False
    is_over: bool = False
    direction: str = "sendrecv"
    offers: bool = True
    focus: str = ""  # the room, at the end that is the focus of a conference
    theirs: str = ""  # the latest description of the other end
    _said: dict[tuple[str, int], tuple[str, Sequence[Word]]] = field(default_factory=dict)
    _acknowledged: set[int] = field(default_factory=set)

    @property
    def tags(self) -> tuple[str, str]:
        """Our tag and theirs."""
        return self.here.partition(";tag=")[2], self.there.partition(";tag=")[2]

    @property
    def sdp(self) -> str:
        """Where this end wants its audio now; keys in RTP only if the other end has them as well."""
        keys = self.agent.keys if not self.theirs or keys_in(self.theirs) else 0
        return describe(self.agent.address[0], self.port, self.direction, self.agent.extra, keys)

    @property
    def presses(self) -> str:
        """How this end tells of keys: "rtp", "info" or "both"."""
        return self.agent.presses if self.agent.keys and keys_in(self.theirs) else "info"

    def learn(self, message: Message) -> None:
        """What the other end says of its audio."""
        self.theirs = message.body if "m=audio" in message.body else self.theirs

    # --- as a client

    def ask(
        self,
        method: str,
        headers: Sequence[str] = (),
        body: str = "",
        kind: str = "application/sdp",
        shows: Sequence[Word] = (),
    ) -> Asked:
        """Send a request, again and again until it is answered."""
        if method != "CANCEL":
            self.number += 1
        branch = self.agent.branch_of(self, method)
        routes = [f"Route: {it}" for it in self.routes]
        data = self.agent.write(
            f"{method} {self.target} SIP/2.0",
            [f"Via: SIP/2.0/UDP {self.agent.place};branch={branch}", "Max-Forwards: 70", *routes],
            (self.here, self.there, self.leg, f"{self.number} {method}"),
            [self.contact, *headers],
            body,
            kind,
        )
        made = Asked(method, self.number, data, shows)
        self.asked.append(made)
        self._repeat(made)
        return made

    @property
    def contact(self) -> str:
        params = ";isfocus" if self.focus else ""
        return f"Contact: <sip:{self.focus or self.agent.user}@{self.agent.place}>{params}"

    def _repeat(self, asked: Asked, interval: float = T1, left: float = PATIENCE_SECONDS) -> None:
        if asked.status or left <= 0 or (asked.is_heard and asked.method == "INVITE"):
            return
        self.agent.network.send(asked.data, self.agent.address, asked.shows)
        longer = 2 * interval if asked.method == "INVITE" else min(2 * interval, T2)
        self.agent.network.later(interval, lambda: self._repeat(asked, longer, left - interval))

    def on_response(self, response: Message) -> None:
        """Take in a response to a request of ours."""
        key = response.method, response.number
        asked = next((it for it in self.asked if (it.method, it.number) == key), None)
        if asked is None:
            return
        asked.is_heard = True
        self.learn(response)
        if response.status < 200:
            self.heard.append(response)
            return
        is_first, asked.status, asked.answer = not asked.status, asked.status or response.status, response
        if asked.method == "INVITE":
            self._acknowledge(asked, response, is_first)
        elif asked.method == "BYE":
            self.is_over = True

    def _acknowledge(self, asked: Asked, response: Message, is_first: bool) -> None:
        if response.status >= 300:
            ack = asked.data.replace("INVITE ", "ACK ", 1).replace(
                f"{asked.number} INVITE", f"{asked.number} ACK"
            )
            head = ack.partition("\r\n\r\n")[0].split("\r\n")
            kept = [
                line for line in head if not line.lower().startswith(("to:", "t:", "content-", "c:", "l:"))
            ]
            self._send("\r\n".join([*kept, f"To: {response.get('to')}", "Content-Length: 0", "", ""]))
            self.is_over = self.is_over or not self.is_up
            return
        if is_first and not self.is_up:
            self.there, self.is_up = response.get("to"), True
            self.routes = list(reversed(response.all("record-route")))
        self.target = uri_in(response.get("contact")) or self.target
        branch = self.agent.network.draw("z9hG4bK")
        self._send(
            self.agent.write(
                f"ACK {self.target} SIP/2.0",
                [f"Via: SIP/2.0/UDP {self.agent.place};branch={branch}", "Max-Forwards: 70"]
                + [f"Route: {it}" for it in self.routes],
                (response.get("from"), response.get("to"), self.leg, f"{asked.number} ACK"),
                [],
                "" if "m=audio" in asked.data else self.sdp,
            )
        )

    # --- as a server

    def respond(
        self,
        request: Message,
        status: int,
        headers: Sequence[str] = (),
        body: str = "",
        shows: Sequence[Word] = (),
        tag: str = "",
    ) -> None:
        """Answer a request; a 2xx to an INVITE again and again until the ACK is there."""
        vias = [f"Via: {it}" for it in request.all("via")]
        routes = [f"Record-Route: {it}" for it in request.all("record-route")]
        there = request.get("to")
        if ";tag=" not in there:
            there += f";tag={tag or self.tags[0]}"
        data = self.agent.write(
            f"SIP/2.0 {status} Whatever",
            [*vias, *routes],
            (request.get("from"), there, self.leg, request.get("cseq")),
            [
                *([self.contact] if status < 400 and not any(is_contact(it) for it in headers) else []),
                *headers,
            ],
            body,
        )
        key = request.method, request.number
        if not tag:
            self._said[key] = data, shows
        if tag:  # another branch than ours: it says so once
            self._send(data, shows)
        elif request.method == "INVITE" and 200 <= status < 300:
            self.is_up = True
            self._answer(data, request.number, shows)
        else:
            self._send(data, shows)

    def _answer(
        self, data: str, number: int, shows: Sequence[Word], interval: float = T1, left: float = 32.0
    ) -> None:
        if number in self._acknowledged or left <= 0:
            return
        self._send(data, shows)
        self.agent.network.later(
            interval, lambda: self._answer(data, number, shows, min(2 * interval, T2), left - interval)
        )

    def on_request(self, request: Message) -> None:
        """Answer a request within the dialog as `replies` say, 200 if they say nothing."""
        self.learn(request)
        if request.method == "ACK":
            self._acknowledged.add(request.number)
            return
        known = self._said.get((request.method, request.number))
        if known is not None:
            self._send(*known)
            return
        self.heard.append(request)
        default = 202 if request.method == "REFER" else 200
        status, headers, shows = self.replies.pop(request.method, (default, (), ()))
        body = self.sdp if request.method in ("INVITE", "UPDATE") and self._wants_answer(request) else ""
        if request.method == "INVITE" and self._is_pending():
            status, body, shows = 491, "", self.refusing
        self.respond(request, status, headers, body if status < 300 else "", shows)
        if request.method == "BYE":
            self.is_over = True

    @property
    def invite_number(self) -> int:
        """The CSeq number of the INVITE that opened it, -1 if this end sent that."""
        return self.invite.number if self.invite is not None else -1

    def latest_said(self) -> tuple[str, Sequence[Word]] | None:
        """The latest response to the INVITE that opened it."""
        return self._said.get(("INVITE", self.invite_number))

    def _wants_answer(self, request: Message) -> bool:
        return bool(request.body) or request.method == "INVITE"

    def _is_pending(self) -> bool:
        """Glare (RFC 3261 §14.2): a re-INVITE of ours is under way."""
        return any(it.method == "INVITE" and not it.status for it in self.asked) and self.is_up

    def _send(self, data: str, shows: Sequence[Word] = ()) -> None:
        self.agent.network.send(data, self.agent.address, shows)


class Agent:
    """A telephone or a PBX at one address. `is_terse`: it writes compact header names (RFC 3261 §7.3.3)."""

    def __init__(self, network: Network, address: Address, user: str, is_terse: bool = False) -> None:
        self.network, self.address, self.user, self.is_terse = network, address, user, is_terse
        self.place = f"{address[0]}:{address[1]}"
        self.dialogs: dict[tuple[str, str], Dialog] = {}
        self.called: dict[str, Dialog] = {}
        self._branches: dict[tuple[str, int], str] = {}
        self.extra = ""  # a further line of its descriptions
        self.keys = 0  # the payload type of keys in RTP, 0 if it has none
        self.presses = "rtp"  # how it tells of keys: "rtp", "info" or "both"
        self._ports = 4000

    def call(
        self,
        uri: str,
        here: str,
        headers: Sequence[str] = (),
        shows: Callable[[str], Sequence[Word]] = lambda leg: (),
        to: str = "",
        offers: bool = True,
        leg: str = "",
        through: str = "",
    ) -> Dialog:
        """Call somebody. `here` is the From URI; `shows` says what the INVITE shows, given the leg; `through`
        a proxy.
        """
        leg = leg or self.network.draw("leg")
        made = Dialog(
            self, leg, f"<{here}>;tag={self.network.draw('t')}", f"<{to or uri}>", uri, self._port(), number=0
        )
        self.dialogs[leg, made.tags[0]] = made
        made.routes = [f"<sip:{through};lr>"] if through else []
        made.ask("INVITE", headers, made.sdp if offers else "", shows=shows(leg))
        return made

    def deliver(self, data: bytes) -> None:
        """A datagram arrives."""
        message = read(data)
        leg = message.get("call-id")
        if not message.is_request:
            found = self.dialogs.get((leg, message.tag("from")))
            if found is not None:
                found.on_response(message)
            return
        tag = message.tag("to")
        dialog = self.dialogs.get((leg, tag)) if tag else self.called.get(leg)
        if dialog is not None and (tag or message.number == dialog.invite_number):
            self._requested(dialog, message)
        elif not tag and message.method == "INVITE":
            self._called(message, leg)

    def _requested(self, dialog: Dialog, message: Message) -> None:
        if message.method == "CANCEL":
            dialog.respond(message, 200)
            if not dialog.is_up and dialog.invite is not None:
                dialog.respond(dialog.invite, 487)
                dialog.is_over = True
        elif not message.tag("to") and message.method == "INVITE":
            if (said := dialog.latest_said()) is not None:
                self.network.send(said[0], self.address, said[1])
        else:
            dialog.on_request(message)

    def _called(self, invite: Message, leg: str) -> None:
        here = f"{invite.get('to')};tag={self.network.draw('t')}"
        target = uri_in(invite.get("contact"))
        made = Dialog(self, leg, here, invite.get("from"), target, self._port(), number=100)
        made.invite, made.routes = invite, invite.all("record-route")
        made.learn(invite)
        self.dialogs[leg, made.tags[0]] = self.called[leg] = made

    def branch_of(self, dialog: Dialog, method: str) -> str:
        """A CANCEL has the branch of its INVITE (RFC 3261 §9.1)."""
        key = dialog.leg, dialog.number
        if method != "CANCEL":
            self._branches[key] = self.network.draw("z9hG4bK")
        return self._branches[key]

    def write(
        self,
        first: str,
        before: Sequence[str],
        dialog: tuple[str, str, str, str],
        after: Sequence[str],
        body: str = "",
        kind: str = "application/sdp",
    ) -> str:
        """A message; `dialog` is From, To, Call-ID and CSeq."""
        names = ("From", "To", "Call-ID", "CSeq")
        lines = [*before, *(f"{name}: {value}" for name, value in zip(names, dialog, strict=True)), *after]
        lines += [f"Content-Type: {kind}"] if body else []
        lines.append(f"Content-Length: {len(body)}")
        if self.is_terse:
            lines = [
                COMPACT.get(line.partition(":")[0], line.partition(":")[0]) + ":" + line.partition(":")[2]
                for line in lines
            ]
        return "\r\n".join([first, *lines, "", body])

    def _port(self) -> int:
        self._ports += 2
        return self._ports
