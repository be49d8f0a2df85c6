"""`doelband serve`: opens the runtime directory, starts every process, starts again what ends, stops all.

Order of start: keys, capture, relay workers, purge, signalling; the last one lets calls in, and is stopped
first. The media process is this one, so that media sockets outlive every other.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import structlog

from recorder import control
from recorder.config import Config
from recorder.metrics import answered, counted, sample
from recorder.notify import Notifier, keep_telling
from recorder.service import beginning, places
from recorder.service.children import Child
from recorder.service.heartbeats import Ear
from recorder.service.listening import check_listeners
from recorder.service.media import Media
from storage.errors import NotFound

log = structlog.get_logger()

LOOKS = 20
"""How often a process is looked at before it counts as hung."""


class Supervisor:
    """All processes of one installation, and the media sockets of its calls."""

    def __init__(self, config: Config, config_path: Path, hung_after: float) -> None:
        self._config = config
        self._hung_after = hung_after
        self._media = Media(config)
        configured = ["--config", str(config_path)]
        door = str(places.relays(config))
        relays = range(config.media.workers + 1)  # one waits, and takes over at once when another ends
        self._children = [
            self._child("keys", "keys", *configured),
            self._child("capture", "capture", *configured),
            *(self._child(f"relay-{it}", "relay", "--socket", door) for it in relays),
            self._child("purge", "purge", "work", *configured),
            *([self._child("watch", "watch", *configured)] if config.watch else []),
            *([self._child("crm", "crm", *configured)] if config.crm else []),
            self._child("signalling", "signalling", *configured),
        ]

    def _child(self, name: str, *arguments: str) -> Child:
        return Child(name, arguments, Ear(places.heartbeat(self._config, name), self._hung_after))

    async def run(self, notifier: Notifier) -> None:
        """Run until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        server = await control.serve(places.supervisor(self._config), self._answer)
        figures = await control.serve(places.media_status(self._config), self._media.answer)
        for child in self._children:
            child.launch()
        log.info("serving", processes=len(self._children), storage=str(self._config.storage.directory))
        notifier.ready(self._status())
        telling = asyncio.create_task(keep_telling(notifier, self._status))
        listening = asyncio.create_task(self._kill_what_hangs())
        await stop.wait()
        log.info("stopping")
        notifier.stopping()
        telling.cancel()
        listening.cancel()
        server.close()
        figures.close()
        for child in self._children:
            child.expect_end()
        *others, signalling = self._children
        await signalling.stop()  # first, so that it tells capture of every call's end
        await asyncio.gather(*(child.stop() for child in others))
        self._media.close()
        log.info("stopped")

    async def _kill_what_hangs(self) -> None:
        """Time in which this process itself was stopped does not count: nobody listened then."""
        step = self._hung_after / LOOKS
        while True:
            await asyncio.sleep(step)
            for child in self._children:
                child.kill_if_hung(step)

    def _status(self) -> str:
        running = sum(child.pid is not None for child in self._children)
        return f"{self._media.status}; {running} of {len(self._children)} processes run"

    def _reload(self) -> None:
        log.info("configuration to be read again", processes=sorted(beginning.RELOADING))
        for child in self._children:
            if child.name in beginning.RELOADING:
                child.hang_up()

    def _answer(self, message: control.Message) -> control.Message:
        if message.get("op") == "metrics":
            restarts = {it.name: it.restarts for it in self._children}
            return answered(
                [sample("process_up", 1, "supervisor"), *counted("process_restarts_total", restarts)]
            )
        if message.get("op") != "status":
            return {"ok": False, "error": "unknown question"}
        rows = [{"name": it.name, "pid": it.pid, "restarts": it.restarts} for it in self._children]
        return {"ok": True, "pid": os.getpid(), "processes": rows}


def prepare(config: Config, config_path: Path) -> None:
    """Claim storage and runtime directory for this process.

    Raises NotFound before the set-up, Unavailable when the service runs already or cannot listen.
    """
    beginning.check_founded(config, config_path)
    if not places.has_keystore(config):
        raise NotFound("start the service", f"run `doelband setup --config {config_path}` first")
    beginning.claim_storage(config)
    check_listeners(config)
    beginning.claim_name(config, "media")
    beginning.check_descriptors(config)


async def serve(config: Config, config_path: Path, notifier: Notifier, hung_after: float) -> None:
    """Run the whole recorder in the foreground until it is told to end.

    `hung_after`: a process that is silent for so many seconds is killed, and started again.
    """
    await Supervisor(config, config_path, hung_after).run(notifier)
