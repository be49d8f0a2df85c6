"""Connections that are open, and which registered Contact is reached over which (RFC 3261 §18, RFC 5626 §5).

A flow is named by its listener and the address at its other end; a UDP listener needs none. A phone behind a
NAT is reached over the connection on which it registered or not at all, so all of this ends with the process.
"""

from __future__ import annotations

from typing import TypeAlias

from sip_hooks.settings import Address, Listener

Flow: TypeAlias = tuple[str, Address]


class Flows:
    """The connections of one engine."""

    def __init__(self) -> None:
        self._open: dict[Flow, set[bytes]] = {}  # with the tokens of the phones behind it
        self._bound: dict[bytes, Flow] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, flow: Flow) -> None:
        """A connection is there."""
        self._open.setdefault(flow, set())

    def close(self, flow: Flow) -> None:
        """A connection has gone, and nobody is reached over it any more."""
        for token in self._open.pop(flow, ()):
            if self._bound[token] == flow:
                del self._bound[token]

    def carries(self, listener: Listener, address: Address) -> bool:
        """Whether something can be sent from a listener to an address without connecting first."""
        return not listener.is_stream or (listener.name, address) in self._open

    def bind(self, token: bytes, flow: Flow) -> None:
        """The phone whose Contact is `token` has registered over this connection."""
        if flow in self._open:
            self._open[flow].add(token)
            self._bound[token] = flow

    def bound(self, token: bytes) -> Flow | None:
        """Return over which open connection a Contact is reached."""
        return self._bound.get(token)
