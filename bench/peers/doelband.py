"""Our relay: a worker process as `doelband serve` starts it, its calls opened by signalling's client."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.load import Ports
from bench.peers import Peer, Running, Site
from bench.processes import BenchError, pinned
from recorder import handover, ring
from recorder.channel import Listener
from recorder.relay.broker import BrokerSettings, MediaBroker
from recorder.relay.client import MediaClient
from recorder.relay.protocol import Level
from recorder.service.media import RING_SLOTS

LOW_PORT, HIGH_PORT = 20000, 31999
_PATIENCE_SECONDS = 10.0
_DESCRIPTORS = 4096


def doelband(level: Level) -> Peer:
    """The relay with every call's tap at `level`. The ring is emptied on the other core."""

    @contextmanager
    def start(site: Site) -> Iterator[Running]:
        with ExitStack() as stack:
            ring_fd = ring.create(RING_SLOTS)
            stack.callback(os.close, ring_fd)
            worker = stack.enter_context(relay_worker(site))
            if level == "all":
                drain = [sys.executable, "-m", "bench.drain", str(ring_fd)]
                stack.enter_context(pinned(site.other_core, drain, (ring_fd,), first=False))
            runner = stack.enter_context(asyncio.Runner())
            ports = runner.run(open_calls(site, ring_fd, level, stack))
            yield Running((worker.pid,), ports)

    return start


@contextmanager
def relay_worker(site: Site) -> Iterator[subprocess.Popen[str]]:
    """As `doelband serve` starts it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _DESCRIPTORS), hard))
    command = [sys.executable, "-m", "recorder", "relay", "--socket", str(site.directory / "relays")]
    with pinned(site.core, command, log=site.directory / "relay.log") as worker:
        yield worker


async def open_calls(site: Site, ring_fd: int, level: Level, stack: ExitStack) -> list[Ports]:
    """Open all calls. Broker and client stay until `stack` is left, idle while packets flow."""
    settings = BrokerSettings(
        site.directory / "media.sock", LOW_PORT, HIGH_PORT, open_seconds=_PATIENCE_SECONDS
    )
    broker = MediaBroker(settings, secrets.randbelow)
    stack.callback(broker.close)
    attached, up = asyncio.Event(), asyncio.Event()

    def employ(connection: socket.socket) -> None:
        handover.give(connection, [ring_fd])
        broker.attach_worker(0, connection)
        attached.set()

    stack.callback(Listener(site.directory / "relays", employ).close)
    client = MediaClient(settings.socket, up.set, _PATIENCE_SECONDS)
    stack.callback(client.shut)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await asyncio.gather(attached.wait(), up.wait())
    ports = []
    for session in range(site.calls):
        ports.append(await client.open(session, ("127.0.0.1", "127.0.0.1")))
        a, b = ([("127.0.0.1", end, end + 1)] for end in site.ends)
        client.remote(session, "a", a, (0, 8), final=True)
        client.remote(session, "b", b, (0, 8), final=True)
        client.tap(session, level)
    rows = await client.stats()  # answered after everything before it
    if rows[0]["calls"] != site.calls:
        raise BenchError(f"the worker has {rows[0]['calls']} calls open, {site.calls} were ordered")
    return ports
