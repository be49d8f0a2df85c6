"""What the engine is configured with, and the addresses it speaks of."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, NamedTuple, TypeAlias

from sip_hooks.address import Family, family_of, host

Address: TypeAlias = tuple[str, int]  # IPv4 or IPv6 address in canonical form, port
Transport: TypeAlias = Literal["udp", "tcp", "tls"]


class Packet(NamedTuple):
    """One datagram that is to leave, or one message for a connection."""

    data: bytes
    destination: Address
    listener: str  # name of the listener from whose socket it leaves, or that has the connection


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket of ours, and the name under which the neighbours on its side know it."""

    name: str
    side: Literal["phones", "pbx", "both", "trunk"]  # "both": phones, and EngineSettings.pbx
    address: str  # IPv4 or IPv6 address to bind
    port: int
    advertised_address: str = ""  # what Via, Record-Route and Contact say; "" = address
    advertised_port: int = 0  # 0 = port
    transport: Transport = "udp"
    leads_to: Literal["phones", "trunk"] = "phones"  # where what the PBX sends to this listener goes
    is_behind_nat: bool = False  # telephones that use it may be
    is_stream: bool = field(init=False)
    """Whether it has connections: nothing is lost on them and nothing is repeated (§17)."""
    family: Family = field(init=False)
    """The IP version that it speaks; it reaches no address of the other one."""
    sent_by: bytes = field(init=False)
    """The address that others are told, as ``host:port``."""

    def __post_init__(self) -> None:
        address, port = self.advertised
        object.__setattr__(self, "is_stream", self.transport != "udp")
        object.__setattr__(self, "family", family_of(self.address))
        object.__setattr__(self, "sent_by", b"%s:%d" % (host(address).encode(), port))

    @property
    def bound(self) -> Address:
        """The address that the socket has."""
        return self.address, self.port

    @property
    def advertised(self) -> Address:
        """The address that others are told."""
        return self.advertised_address or self.address, self.advertised_port or self.port

    @property
    def uri_params(self) -> bytes:
        """What a URI says besides `sent_by` to lead here."""
        return b"" if self.transport == "udp" else b";transport=" + self.transport.encode()


@dataclass(frozen=True, slots=True)
class Trunk:
    """The neighbour on the trunk side: a provider, or the SBC before it.

    A PBX trusts its trunk by address, and that address is ours: so nobody but the trunk may use it.
    """

    address: Address  # next hop for whatever the PBX sends to the trunk
    transport: Transport = "udp"
    sources: tuple[IPv4Network | IPv6Network, ...] = ()  # from where else it sends

    def admits(self, source: Address) -> bool:
        """Whether a request that comes from there is the trunk's."""
        return source[0] == self.address[0] or any(ip_address(source[0]) in it for it in self.sources)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one source may do; 0 is no limit. An office behind one NAT is one source."""

    requests_per_second: int = 50  # that open something new
    messages_per_second: int = 500
    connections: int = 512


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything the engine needs to know. The PBX, and phones or trunk, must have a listener; one "both"
    serves for two.
    """

    listeners: tuple[Listener, ...]
    pbx: Address  # next hop for whatever comes from the phones
    media_addresses: frozenset[str]  # addresses of our relays: an offer that names one is already anchored
    media_ports: tuple[int, int]  # their lowest and highest port
    token_key: bytes  # HMAC key of the Contact tokens; a new key makes phones unreachable until they register
    hold_seconds: float = 0.1  # how long an INVITE waits for ForwardCall
    silent_limit_seconds: float = 12 * 3600.0  # a dialog that says nothing for so long is forgotten
    pbx_transport: Transport = "udp"
    pbx_is_verified: bool = False  # over TLS; then it may use the connections that we make (RFC 5923)
    registration: Literal["contact", "path"] = "contact"  # how a phone's way through us is told to the PBX
    trunk: Trunk | None = None
    limits: Limits = Limits()  # of each source on the phones' side
