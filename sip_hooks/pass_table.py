"""All passes, and how a message finds its own."""

from __future__ import annotations

from sip_hooks import reading
from sip_hooks.call import Pass
from sip_hooks.events import Disturbance, Side
from sip_hooks.identity import Role
from sip_hooks.message import Message
from sip_hooks.relation import dialogs_named


class PassTable:
    """Passes by their identifier, by the token in our Record-Route, and by Call-ID."""

    def __init__(self) -> None:
        self._by_call: dict[str, Pass] = {}
        self._by_token: dict[bytes, Pass] = {}
        self._by_call_id: dict[bytes, list[Pass]] = {}

    def __len__(self) -> int:
        return len(self._by_call)

    def add(self, call: Pass) -> None:
        """Take a pass in. Several may share a Call-ID: spirals, forks made upstream, repeated INVITEs."""
        self._by_call[call.call] = call
        self._by_call_id.setdefault(call.call_id, []).append(call)

    def name(self, call: Pass, token: bytes) -> None:
        """A pass is called so on the wire."""
        call.token = token
        self._by_token[token] = call

    def knows(self, token: bytes) -> bool:
        """Whether there is a pass of this name."""
        return token in self._by_token

    def has(self, call_id: bytes) -> bool:
        """Whether there is a pass of this Call-ID."""
        return call_id in self._by_call_id

    def remove(self, call: Pass) -> None:
        """Forget a pass."""
        if self._by_call.pop(call.call, None) is None:
            return
        self._by_token.pop(call.token, None)
        others = self._by_call_id[call.call_id]
        others.remove(call)
        if not others:
            del self._by_call_id[call.call_id]
        if not self._by_call:
            reading.forget()

    def named(self, call: str) -> Pass | None:
        """Return the pass that events call so."""
        return self._by_call.get(call)

    def find(self, request: Message, token: bytes, side: Side) -> tuple[Pass, Role] | None:
        """Return the pass a request within a dialog belongs to, and which party sent it.

        The token of a Route decides. Phones that send no Route are found by Call-ID, the sender's tag and
        the side they are on; among several passes the one that knows the other tag as well is taken, else
        one that was answered, else the latest.
        """
        named = self._by_token.get(token)
        if named is not None:
            return named, "caller" if request.from_tag == named.caller.tag else "callee"
        found: list[tuple[int, Pass, Role]] = []
        for call in self._by_call_id.get(request.call_id, ()):
            if (role := _role_of(request.from_tag, side, call)) is not None:
                rank = 2 * (bool(request.to_tag) and call.has_tag(request.to_tag)) + (call.winner is not None)
                found.append((rank, call, role))
        if not found:
            return None
        best = max(rank for rank, _, _ in found)
        return next((call, role) for rank, call, role in reversed(found) if rank == best)

    def mentioned_by(self, request: Message) -> list[tuple[Disturbance, Pass]]:
        """Return the passes whose dialogs a request names, and what it says of them."""
        return [(cause, it) for cause, dialog in dialogs_named(request) for it in self.mentioned(dialog)]

    def mentioned(self, dialog: bytes) -> list[Pass]:
        """Return the passes that a Replaces, Join or Target-Dialog value names (RFC 3891, 3911, 4538)."""
        call_id, *params = [piece.strip(b" \t") for piece in dialog.split(b";")]
        tags = [value for _, equals, value in (piece.partition(b"=") for piece in params) if equals]
        known = self._by_call_id.get(call_id, [])
        return [call for call in known if len(tags) >= 2 and all(call.has_tag(tag) for tag in tags[:2])]


def _role_of(tag: bytes, side: Side, call: Pass) -> Role | None:
    if tag == call.caller.tag and side is call.caller.side:
        return "caller"
    return "callee" if tag in call.dialogs and side is call.callee_side else None
