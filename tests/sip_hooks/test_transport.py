"""The engine on real sockets: a call between two UDP peers on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sip_hooks.engine import EngineSettings, Listener
from sip_hooks.events import CallAnswered, CallEnded, CallOffered, Event, ForwardCall, PassedUntouched
from sip_hooks.message import parse
from sip_hooks.overload import LIMITS
from sip_hooks.transport import Transport
from sip_hooks.urgency import Urgency
from tests.fakes.sip import ANCHOR, EPOCH, field_of, reply, request, routes_of, sdp


class Peer:
    """A UDP socket on loopback."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.address: tuple[str, int] = self._socket.getsockname()

    async def hear(self) -> bytes:
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self._socket, 65535)

    def say(self, data: bytes, to: tuple[str, int]) -> None:
        self._socket.sendto(data, to)

    def close(self) -> None:
        self._socket.close()


class House:
    """A phone, a PBX, and the proxy between them."""

    def __init__(self) -> None:
        self.phone, self.pbx, spare = Peer(), Peer(), Peer()
        spare.close()
        self.address = spare.address
        self.events: list[Event] = []
        self.answers = True
        self.fails = False
        listener = Listener("a", "both", *self.address)
        settings = EngineSettings(
            (listener,), self.pbx.address, frozenset({"127.0.0.1"}), (20000, 30000), b"k" * 32
        )
        self.proxy = Transport(settings, self.take, lambda: EPOCH)

    def take(self, event: Event) -> None:
        self.events.append(event)
        if self.fails:
            raise LookupError("the application has a defect")
        if isinstance(event, CallOffered) and self.answers:
            self.proxy.execute(ForwardCall(event.call, 0, ANCHOR))

    def invite(self) -> bytes:
        contact = f"Contact: <sip:201@127.0.0.1:{self.phone.address[1]}>"
        return request("INVITE", sender=self.phone.address, headers=[contact], body=sdp())


@asynccontextmanager
async def opened() -> AsyncIterator[House]:
    house = House()
    await house.proxy.open()
    try:
        yield house
    finally:
        house.proxy.close()
        house.phone.close()
        house.pbx.close()
        await asyncio.sleep(0)  # let asyncio close what was closed


async def test_a_call_goes_through_on_real_sockets() -> None:
    async with opened() as house:
        house.phone.say(house.invite(), house.address)
        forwarded = await house.pbx.hear()
        assert b"m=audio 20002 " in forwarded
        contact = f"Contact: <sip:202@127.0.0.1:{house.pbx.address[1]}>"
        house.pbx.say(reply(forwarded, headers=[contact], body=sdp()), house.address)
        answer = await house.phone.hear()
        assert b"m=audio 20000 " in answer
        target = field_of(answer, "contact")[0].strip("<>")
        callee = "<sip:202@pbx.example>;tag=b"
        for method, number in (("ACK", 1), ("BYE", 2)):
            data = request(
                method,
                target,
                sender=house.phone.address,
                branch=f"z9hG4bK{method}",
                callee=callee,
                number=number,
                headers=routes_of(answer),
            )
            house.phone.say(data, house.address)
            assert parse(await house.pbx.hear()).method == method.encode()
        kinds = [type(event) for event in house.events]
        assert kinds[0] is CallOffered and CallAnswered in kinds and kinds[-1] is CallEnded


async def test_without_a_decision_the_call_goes_on_by_its_own_timer() -> None:
    async with opened() as house:
        house.answers = False
        house.phone.say(house.invite(), house.address)
        assert parse(await house.pbx.hear()).body == sdp()
        assert [type(event) for event in house.events] == [CallOffered, PassedUntouched]


async def test_a_failure_above_does_not_stop_the_call() -> None:
    async with opened() as house:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        house.fails = True
        house.phone.say(house.invite(), house.address)
        await house.pbx.hear()
        assert told[0] == "CallOffered could not be acted on"


def stand_still(seconds: float) -> None:
    """The process has no processor for a while."""
    time.sleep(seconds)


async def test_a_loop_that_stood_still_refuses_new_calls_and_lets_a_running_one_end() -> None:
    async with opened() as house:
        house.phone.say(house.invite(), house.address)
        forwarded = await house.pbx.hear()
        house.pbx.say(reply(forwarded, body=sdp()), house.address)
        routes = routes_of(await house.phone.hear())
        bye = request(
            "BYE",
            f"sip:202@127.0.0.1:{house.pbx.address[1]}",
            sender=house.phone.address,
            branch="z9hG4bKbye",
            callee="<sip:202@pbx.example>;tag=b",
            number=2,
            headers=routes,
        )
        house.phone.say(
            house.invite().replace(b"call-1", b"call-2").replace(b"phone1", b"phone2"), house.address
        )
        house.phone.say(bye, house.address)
        stand_still(LIMITS[Urgency.CALL] + 0.05)
        assert parse(await house.phone.hear()).status == 503
        assert parse(await house.pbx.hear()).method == b"BYE"
        assert house.proxy.is_shedding() and house.proxy.longest_wait() > LIMITS[Urgency.CALL]


async def test_a_port_that_nobody_listens_to_is_no_crash() -> None:
    async with opened() as house:
        house.pbx.close()
        for number in range(3):
            house.phone.say(request("OPTIONS", call_id=f"c{number}"), house.address)
        house.phone.say(request("OPTIONS", f"sip:127.0.0.1:{house.address[1]}", call_id="us"), house.address)
        assert parse(await house.phone.hear()).status == 200


async def test_a_port_that_is_taken_is_said_and_nothing_stays_open() -> None:
    async with opened() as house:
        second = House()
        free = second.address[1]
        listeners = (Listener("a", "phones", "127.0.0.1", free), Listener("b", "pbx", *house.address))
        settings = EngineSettings(listeners, house.pbx.address, frozenset(), (1, 2), b"k")
        with pytest.raises(OSError, match="in use"):
            await Transport(settings, house.take, lambda: EPOCH).open()
        await asyncio.sleep(0)
        again = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        again.bind(("127.0.0.1", free))
        again.close()
        second.phone.close()
        second.pbx.close()


async def test_both_ip_versions_have_the_same_port_side_by_side() -> None:
    """An IPv6 listener is for IPv6 only; a request is answered from the one at which it came in."""
    probe = House()
    port = probe.address[1]
    probe.phone.close()
    probe.pbx.close()
    listeners = (
        Listener("four", "both", "0.0.0.0", port, "127.0.0.1"),
        Listener("six", "both", "::", port, "::1"),
    )
    settings = EngineSettings(listeners, ("::1", port + 1), frozenset(), (1, 2), b"k")
    house = Transport(settings, lambda _: None, lambda: EPOCH)
    await house.open()
    try:
        for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            uri = f"sip:[{host}]:{port}" if ":" in host else f"sip:{host}:{port}"
            with socket.socket(family, socket.SOCK_DGRAM) as phone:
                phone.setblocking(False)
                phone.bind((host, 0))
                phone.sendto(request("OPTIONS", uri, call_id=host), (host, port))
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(phone, 4096), 5)
                assert parse(answer).status == 200
                assert f";received={host}\r\n".encode() in answer
    finally:
        house.close()
