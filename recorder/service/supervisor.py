"""`doelband serve`: opens the runtime directory, starts every process, starts again what ends, stops all.

Order of start: keys, capture, relay workers, purge, signalling; the last one lets calls in, and is stopped
first. The media broker runs here, so that media sockets outlive every other process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import secrets
import signal
import socket
from pathlib import Path
from typing import Any

import structlog

from recorder import control, ring
from recorder.config import Config
from recorder.relay.broker import BrokerSettings, MediaBroker
from recorder.service import places
from recorder.service.children import Child, Start
from sip_hooks.address import family_of, host
from storage.errors import NotFound, Unavailable

log = structlog.get_logger()

RING_SLOTS = 32768
"""568 bytes each: five seconds of 64 recorded calls, should capture be away so long."""
DESCRIPTORS_PER_CALL = 10


class Supervisor:
    """All processes of one installation, and the media sockets of its calls."""

    def __init__(self, config: Config, config_path: Path) -> None:
        self._config = config
        self._config_path = config_path
        self._runtime = config.runtime.directory
        self._rings = [ring.create(RING_SLOTS) for _ in range(config.media.workers)]
        self._broker = MediaBroker(
            BrokerSettings(places.media(config), config.media.port_low, config.media.port_high),
            secrets.randbelow,
        )
        relays = [Child(f"relay-{it}", self._relay(it)) for it in range(config.media.workers)]
        self._children = [
            Child("keys", self._plain("keys")),
            Child("capture", self._capture),
            *relays,
            Child("purge", self._plain("purge", "work")),
            Child("signalling", self._plain("signalling")),
        ]

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = await control.serve(places.supervisor(self._config), self._answer)
        for child in self._children:
            child.launch()
        log.info("serving", processes=len(self._children), config=str(self._config_path))
        await stop.wait()
        log.info("stopping")
        server.close()
        for child in self._children:
            child.expect_end()
        *others, signalling = self._children
        await signalling.stop()  # first, so that it tells capture of every call's end
        await asyncio.gather(*(child.stop() for child in others))
        self._broker.close()
        log.info("stopped")

    def _plain(self, *command: str) -> Any:
        return lambda: Start([*command, "--config", str(self._config_path)])

    def _capture(self) -> Start:
        rings = [argument for fd in self._rings for argument in ("--ring-fd", str(fd))]
        return Start(["capture", "--config", str(self._config_path), *rings], tuple(self._rings))

    def _relay(self, index: int) -> Any:
        def prepare() -> Start:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

            def started() -> None:
                theirs.close()
                self._broker.attach_worker(index, ours)

            arguments = ["relay", "--control-fd", str(theirs.fileno()), "--ring-fd", str(self._rings[index])]
            return Start(arguments, (theirs.fileno(), self._rings[index]), started)

        return prepare

    def _answer(self, message: control.Message) -> control.Message:
        if message.get("op") != "status":
            return {"ok": False, "error": "unknown question"}
        rows = [{"name": it.name, "pid": it.pid, "restarts": it.restarts} for it in self._children]
        return {"ok": True, "pid": os.getpid(), "processes": rows}


def raise_descriptor_limit(calls: int) -> None:
    """Let every process open as many descriptors as the hard limit allows, and say if that is too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < calls * DESCRIPTORS_PER_CALL:
        log.warning(
            "too few file descriptors for the configured media ports",
            limit=hard,
            needed=calls * DESCRIPTORS_PER_CALL,
            remedy="raise LimitNOFILE in the unit, or `ulimit -n`",
        )


def _claim(config: Config) -> None:
    """One service for one storage: two would seal each other's open clips. Held until we end."""
    place = places.lock(config)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise Unavailable(
            f"start the service on {config.storage.directory}",
            f"it runs already (process {pid or 'unknown'}); stop that one first",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _check_listeners(config: Config) -> None:
    """Say at once which SIP address cannot be had. Raises Unavailable."""
    for it in config.listeners:
        family = socket.AF_INET if family_of(it.address) == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((it.address, it.port))
            except OSError as error:
                raise Unavailable(
                    f"listen for SIP on {host(it.address)}:{it.port}",
                    f"{(error.strerror or str(error)).lower()}; stop the program that has it (ss -lunp) or "
                    "change [[listeners]]",
                ) from error


def prepare(config: Config, config_path: Path) -> None:
    """Make the runtime directory and set this process's limits.

    Raises NotFound before the set-up, Unavailable when the service runs already or cannot listen.
    """
    if not places.catalogue(config).exists() or not places.has_keystore(config):
        raise NotFound("start the service", f"run `doelband setup --config {config_path}` first")
    _claim(config)
    _check_listeners(config)
    places.prepare_runtime(config)
    raise_descriptor_limit((config.media.port_high - config.media.port_low + 1) // 4)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


async def serve(config: Config, config_path: Path) -> None:
    """Run the whole recorder in the foreground until it is told to end."""
    await Supervisor(config, config_path).run()
