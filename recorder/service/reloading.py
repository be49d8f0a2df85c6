"""Taking over a changed configuration file while the process runs: all that can be, or nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from recorder.config import Config, ConfigError, adopt, load
from recorder.control import Handler, Message
from recorder.scheme import scheme_hash
from storage.errors import StorageError

log = structlog.get_logger()

Follow = Callable[[Config], Awaitable[Mapping[str, Any]]]
"""Acts on a configuration that has been checked; returns what to answer beside the rest."""


class Reloader:
    """One process's configuration: the file, what is in force, and how the process follows."""

    def __init__(self, config: Config, path: Path, follow: Follow) -> None:
        self._config = config
        self._path = path
        self._follow = follow
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[Message]] = set()

    def on_signal(self) -> None:
        """Reload at every SIGHUP from now on."""

        def begin() -> None:
            task = asyncio.create_task(self.reload())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)

    def answering(self, handler: Handler) -> Handler:
        """The same handler, which understands `reload` as well."""
        return lambda message: self.reload() if message.get("op") == "reload" else handler(message)

    async def reload(self) -> Message:
        """Read the file anew. Without ok: nothing has changed, and `problems` or `error` say why."""
        async with self._one_at_a_time:
            try:
                changed = await asyncio.to_thread(load, self._path)
                adopted, waiting = adopt(self._config, changed)
                told = await self._follow(adopted)
            except ConfigError as error:
                problems = [str(it) for it in error.problems]
                log.error("reload refused; the running configuration stays as it is", problems=problems)
                return {"ok": False, "pid": os.getpid(), "file": str(self._path), "problems": problems}
            except StorageError as error:
                log.error("reload not finished", why=str(error))
                return {"ok": False, "pid": os.getpid(), "file": str(self._path), "error": str(error)}
            self._config = adopted
        digest = scheme_hash(adopted.scheme())
        log.info("configuration reloaded", scheme=digest, next_start=list(waiting))
        answer = {"ok": True, "pid": os.getpid(), "file": str(self._path), "scheme": digest}
        return {**answer, "next_start": list(waiting), **told}
