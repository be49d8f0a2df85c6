"""The trial: what the PBX does with a proxy of ours before it, once with Path and once with our Contact.

The proxy is the product's own engine on the listener of the configuration that faces the PBX, at its port if
nobody has it, else at another one, so that the service may go on beside it. Nothing is recorded.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dns.asyncresolver import Resolver
from dns.exception import DNSException

from recorder.config import Config
from recorder.config.listening import transports_of_pbx, versions_of_pbx
from recorder.probe.findings import Called, Came, Registration, Seen, Way
from recorder.probe.telephone import PATIENCE_SECONDS, Account, Telephone
from recorder.service.listening import encryption, listeners
from recorder.service.resolving import look_up
from sip_hooks.address import family_of
from sip_hooks.digest import Login
from sip_hooks.events import CallOffered, Event, ForwardCall
from sip_hooks.message import Message
from sip_hooks.settings import Address, EngineSettings, Listener
from sip_hooks.settings import Transport as SipTransport
from sip_hooks.streams import bound
from sip_hooks.targets import in_order
from sip_hooks.transport import Transport
from storage.errors import NotFound, Unavailable

WRONG_PASSWORDS = 10
BAN_SECONDS = 5.0
"""What a PBX has to act on its log; fail2ban reads it once a second."""
_LASTS_SECONDS = 120
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is tried. `number`: what rings the account; `caller`: a second account, which calls the first."""

    account: Account
    number: str
    caller: Account | None = None
    tries_bans: bool = False


async def try_out(config: Config, wanted: Wanted, tell: Tell) -> Seen:
    """Try everything. Raises Unavailable when the PBX says nothing, NotFound when no listener faces it."""
    (servers, transport), seen = (
        await _servers(config),
        Seen(config.pbx.registration, is_shared=wanted.caller is not None),
    )
    for way in ("path", "contact"):
        tell(f"registering and calling with registration = {way!r}")
        async with _beside(config, servers, transport, way) as place:
            phone = Telephone(wanted.account, *place)
            async with phone, Telephone(wanted.caller or wanted.account, *place) as other:
                if seen.status == 0:
                    seen = _greeted(seen, await phone.options())
                trial = _Trial(phone, other if wanted.caller else phone, wanted, config.private.prefix)
                seen = seen.with_way(way, await trial.run())
    if wanted.tries_bans and seen.best is not None:
        tell(f"trying {WRONG_PASSWORDS} wrong passwords")
        async with (
            _beside(config, servers, transport, seen.best) as place,
            Telephone(wanted.account, *place) as phone,
        ):
            seen = replace(seen, is_banned=await _provoke(phone))
    return seen


@dataclass(frozen=True, slots=True)
class _Trial:
    """One way of registering. `caller` is `phone` itself when there is one account."""

    phone: Telephone
    caller: Telephone
    wanted: Wanted
    prefix: str

    async def run(self) -> Way:
        """Register, let a call come back, and one with the private prefix; register no more."""
        registered = _registered(self.phone, await self.phone.register(_LASTS_SECONDS))
        if not registered.is_accepted:
            return Way(registered)
        try:
            if self.caller is not self.phone:
                second = _registered(self.caller, await self.caller.register(_LASTS_SECONDS))
                if not second.is_accepted:
                    return Way(registered, second=second)
            called = await self._call(self.wanted.number)
            private = await self._call(self.prefix + self.wanted.number) if called.is_through else None
            back = None
            if called.is_through and self.caller is not self.phone:
                back = await _call(self.phone, self.caller, self.caller.account.user)
            return Way(registered, called, private, back)
        finally:
            await self.phone.register(0)
            if self.caller is not self.phone:
                await self.caller.register(0)

    async def _call(self, number: str) -> Called:
        return await _call(self.caller, self.phone, number)


async def _call(caller: Telephone, callee: Telephone, number: str) -> Called:
    callee.arrived.clear()
    answer = await caller.call(number)
    if not callee.arrived:
        return Called(Came.NOT, answer.status if answer else 0)
    arrived = callee.arrived[0]
    said = b" ".join(it.value for name in _NAMING for it in arrived.invite.fields(name))
    return Called(
        Came.THROUGH_US if arrived.source == callee.server else Came.PAST_US,
        answer.status if answer else 0,
        caller.account.user.encode() in said,
    )


_NAMING = (b"from", b"p-asserted-identity", b"remote-party-id")


def _registered(phone: Telephone, answer: Message | None) -> Registration:
    if answer is None:
        return Registration(0)
    told = b",".join(it.value for it in answer.fields(b"contact"))
    return Registration(answer.status, bool(answer.fields(b"path")), phone.contact.encode() in told)


def _greeted(seen: Seen, answer: Message | None) -> Seen:
    if answer is None or answer.status == 503:  # 503: our own proxy could not connect, or the PBX is ill
        said = "cannot be reached" if answer else f"said nothing for {PATIENCE_SECONDS:.0f} s"
        raise Unavailable(
            "ask the PBX (OPTIONS)",
            f"it {said}; see whether [pbx] is right, and whether a firewall or a ban there is in the way",
        )
    software = answer.first(b"server") or answer.first(b"user-agent") or b""
    supported = b",".join(it.value for it in answer.fields(b"supported")).lower().split(b",")
    return replace(
        seen,
        status=answer.status,
        software=software.decode("utf-8", "replace"),
        says_path=b"path" in (it.strip() for it in supported),
    )


async def _provoke(phone: Telephone) -> bool:
    """Whether the PBX listens to nobody at our address after wrong passwords, as fail2ban would have it."""
    account = phone.account
    for _ in range(WRONG_PASSWORDS):
        if await phone.register(_LASTS_SECONDS, Login(account.login.user, secrets.token_hex(8))) is None:
            break
    await asyncio.sleep(BAN_SECONDS)
    answer = await phone.register(_LASTS_SECONDS)
    if answer is None or answer.status != 200:
        return True
    await phone.register(0)
    return False


@asynccontextmanager
async def _beside(
    config: Config, servers: tuple[Address, ...], transport: SipTransport, way: str
) -> AsyncIterator[tuple[Address, tuple[str, str]]]:
    """Our proxy before the PBX: where telephones find it, and where their media may be.

    It strips the private prefix, as the service does.
    """
    outer = _facing(config, transport)
    inner = Listener("probe", "phones", _LOOPBACK[outer.family], 0)
    inner = replace(inner, port=_free_port(inner))
    settings = EngineSettings(
        (inner, outer),
        servers[0],
        frozenset(),
        (config.media.port_low, config.media.port_high),
        secrets.token_bytes(32),
        pbx_transport=transport,
        registration="path" if way == "path" else "contact",
    )
    prefix = config.private.prefix

    def go_on(event: Event) -> None:
        if isinstance(event, CallOffered):
            strip = len(prefix) if event.dialled.startswith(prefix) else 0
            proxy.execute(ForwardCall(event.call, strip, None))

    proxy = Transport(settings, go_on, lambda: datetime.now(UTC), encryption=encryption(config))
    await proxy.open()
    proxy.aim(servers)
    try:
        yield inner.bound, (outer.address, outer.advertised[0])
    finally:
        proxy.close()


def _facing(config: Config, transport: SipTransport) -> Listener:
    """Our listener that faces the PBX for phones, at a port that nobody has."""
    families = versions_of_pbx(config)
    for it in listeners(config):
        is_towards = it.side in ("pbx", "both") and it.leads_to == "phones"
        if is_towards and it.transport == transport and it.family in families:
            return replace(it, side="pbx", port=it.port if _is_free(it) else _free_port(it))
    raise NotFound(
        "face the PBX as phones do",
        f'no listener with side = "pbx" or "both" and transport = "{transport}" leads to phones; '
        "add one to [[listeners]]",
    )


def _kind(listener: Listener) -> socket.SocketKind:
    return socket.SOCK_STREAM if listener.is_stream else socket.SOCK_DGRAM


def _is_free(listener: Listener) -> bool:
    try:
        bound(listener, _kind(listener)).close()
    except OSError:
        return False
    return True


def _free_port(listener: Listener) -> int:
    try:
        with bound(replace(listener, port=0), _kind(listener)) as found:
            port: int = found.getsockname()[1]
            return port
    except OSError as error:
        raise Unavailable(
            f"use the address {listener.address}",
            f"{(error.strerror or str(error)).lower()}; run this on the machine of the service",
        ) from error


async def _servers(config: Config) -> tuple[tuple[Address, ...], SipTransport]:
    """The PBX's addresses, and over what it is spoken to. Raises Unavailable when its name leads nowhere."""
    pbx = config.pbx
    if not pbx.is_name:
        return ((pbx.address, pbx.port),), pbx.transport
    found: tuple[Address, ...] = ()
    try:
        records, transport, _ = await look_up(
            pbx, transports_of_pbx(config), min(versions_of_pbx(config)), Resolver()
        )
        found = in_order(records, secrets.randbelow)
    except DNSException:
        pass
    if not found:
        raise Unavailable(
            f"resolve {pbx.address}", "the name leads nowhere; see `address` in [pbx] and the DNS"
        )
    return tuple(it for it in found if family_of(it[0]) == family_of(found[0][0])), transport
