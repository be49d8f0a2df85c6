"""A PBX for tests that is a back-to-back user agent: every party has a dialog with it alone (RFC 7092 §3.1).

It answers for its subscribers, so what it does inside shows on a leg only as far as it tells: pickup,
parking, queues, groups, forwarding, transfers by REFER, calls taken over by Replaces, connected-line
updates (re-INVITE or UPDATE with P-Asserted-Identity), music on hold. Audio goes from party to party,
except music. It challenges registrations (demo/registrar.py).
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field

from demo.registrar import Address, Message
from tests.end_to_end.peers.dialogs import Leg, UserAgent, user_in
from tests.end_to_end.peers.text import reply, uri_in

PICKUP, PARK = "*8", "*7"
"""Before an extension that rings; before the name of the place where a call is parked, or was."""


@dataclass(slots=True)
class B2bua(UserAgent):
    """One PBX. `groups`: number → who rings; `queues`: number → who is called while music plays; `rooms`:
    number → what Contact says of it. `forwards`: user → to whom, and a header field that says why.
    """

    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    queues: dict[str, str] = field(default_factory=dict)
    forwards: dict[str, tuple[str, str]] = field(default_factory=dict)
    rooms: dict[str, str] = field(default_factory=dict)
    parked: dict[str, Leg] = field(default_factory=dict)

    async def _request(self, request: Message, source: Address) -> None:
        method = request.start.split(b" ")[0]
        leg = next((it for it in self.legs if it.id == request.first(b"call-id").decode()), None)
        if method == b"INVITE" and leg is None:
            await self._arrives(request, source)
        elif leg is None or method == b"ACK":
            return
        elif method == b"INVITE":
            self._answer(request, source, "200 OK", await self._passed_on(leg, request))
        else:
            status = "202 Accepted" if method == b"REFER" else "200 OK"
            self._send(reply(request, status, (f"Contact: <{self._contact()}>",)), source)
            if method == b"BYE":
                await self._left(leg)
            elif method == b"REFER":
                await self._refer(leg, request.first(b"refer-to").decode())

    async def _arrives(self, invite: Message, source: Address) -> None:
        """A new call; what is dialled says what becomes of it."""
        caller, dialled = user_in(invite.first(b"from")), user_in(invite.start)
        tag = f";tag={secrets.token_hex(4)}"
        leg = Leg(
            invite.first(b"call-id").decode(),
            caller,
            invite.first(b"to").decode() + tag,
            invite.first(b"from").decode(),
            source,
            uri_in(invite.first(b"contact")),
            [value.decode() for value in invite.every(b"record-route")],
            sdp=invite.body,
            invite=(invite, source),
        )
        invite.replace(b"to", leg.local.encode())
        self.legs.append(leg)
        if replaces := invite.first(b"replaces").decode():
            await self._take_over(leg, next(it for it in self.legs if it.has(replaces)))
        elif dialled.startswith(PICKUP):
            ringing = next(it for it in self.legs if it.user == dialled[2:] and it.other and not it.is_up)
            await self._pick_up(leg, ringing)
        elif dialled.startswith(PARK):
            await self._meet(leg, self.parked.pop(dialled[2:]))
        elif dialled in self.rooms:
            self._accept(leg, self._own_description(), self.rooms[dialled])
            self._play(leg)
        elif dialled in self.queues:
            self._accept(leg, self._own_description())
            self._play(leg)
            await self._connected(leg, self.queues[dialled])
        else:
            await self._dial(leg, dialled)

    async def _dial(self, leg: Leg, dialled: str) -> None:
        """Ring everybody who is meant; who answers first has the call."""
        forwarded, *told = self.forwards.get(dialled, (dialled,))
        rung = self.groups.get(dialled, (forwarded,))
        assert leg.invite is not None
        self._answer(*leg.invite, "180 Ringing")
        calls = [asyncio.create_task(self.call(user, leg, *told)) for user in rung]
        for answered in asyncio.as_completed(calls):
            other = await answered
            if leg.is_up and other is not None:  # somebody else has it
                await self.hang_up(other)
            elif other is not None:
                leg.other = other
                self._accept(leg, other.sdp, shown=other.user)
                for ringing in self.legs:
                    if ringing.other is leg and not ringing.is_up and not ringing.is_over:
                        self._cancel(ringing)
        if not leg.is_up:
            self._answer(*leg.invite, "480 Temporarily Unavailable")

    async def _connected(self, leg: Leg, user: str) -> None:
        """Call somebody for a party that is up, and let them meet."""
        other = await self.call(user, leg)
        if other is not None:
            leg.other = other
            await self.offer(leg, other.sdp, other.user)

    async def _pick_up(self, leg: Leg, ringing: Leg) -> None:
        """Who dialled gets the call that rings elsewhere, which stops ringing."""
        caller = ringing.other
        assert caller is not None
        self._cancel(ringing)
        caller.other, leg.other = leg, caller
        self._accept(leg, caller.sdp, shown=caller.user)
        self._accept(caller, leg.sdp, shown=leg.user)

    async def _meet(self, leg: Leg, other: Leg) -> None:
        """Answer with a party that is up already."""
        leg.other, other.other = other, leg
        self._accept(leg, other.sdp, shown=other.user)
        await self.offer(other, leg.sdp, leg.user)

    async def _take_over(self, leg: Leg, replaced: Leg) -> None:
        """Who sent Replaces gets the place of a leg (RFC 3891 §3)."""
        other = replaced.other
        assert other is not None
        replaced.other = None
        await self._meet(leg, other)
        await self.hang_up(replaced)

    async def _refer(self, leg: Leg, refer_to: str) -> None:
        """Transfer the other party to somebody, or park it (RFC 3515; RFC 5589 §6, §7)."""
        uri = uri_in(refer_to.encode())
        party, user = leg.other, user_in(uri.encode())
        assert party is not None
        await self._notify(leg, "100 Trying")
        leg.other = None
        if "Replaces=" in uri:
            replaces = (
                uri.partition("Replaces=")[2].replace("%3B", ";").replace("%3D", "=").replace("%40", "@")
            )
            consulted = next(it for it in self.legs if it.has(replaces))
            target = consulted.other
            assert target is not None
            consulted.other = None
            await self.connect(party, target)
            await self.hang_up(consulted)
        elif user.startswith(PARK):
            self.parked[user[2:]] = party
            party.other = None
            await self.play_music(party)
        else:
            await self._connected(party, user)
        await self._notify(leg, "200 OK")
        await self.hang_up(leg)

    async def _passed_on(self, leg: Leg, request: Message) -> bytes:
        """The answer to an offer within a call: the other party's; music for it when it is put on hold."""
        leg.sdp, other = request.body or leg.sdp, leg.other
        if other is None or other.is_over:
            return self._own_description()
        if b"a=sendonly" in leg.sdp or b"a=inactive" in leg.sdp:
            await self.play_music(other)
            return re.sub(rb"a=sendrecv", b"a=recvonly", other.sdp)
        return await self.offer(other, leg.sdp)

    async def _left(self, leg: Leg) -> None:
        leg.is_over = True
        self._silence(leg)
        if leg.other is not None and not leg.other.is_over:
            await self.hang_up(leg.other)

    async def _notify(self, leg: Leg, status: str) -> None:
        extra = ("Event: refer", "Subscription-State: active", "Content-Type: message/sipfrag;version=2.0")
        await self._ask(leg, "NOTIFY", extra, f"SIP/2.0 {status}\r\n".encode())
