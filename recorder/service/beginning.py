"""What every process does first, whoever starts it: `serve`, a systemd unit or a person."""

from __future__ import annotations

import gc
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from recorder import notify, presence
from recorder.service import places
from recorder.service.children import follow_supervisor
from recorder.service.journal import Format, start_logging
from storage.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from recorder.config import Config

log = structlog.get_logger()

DESCRIPTORS_PER_CALL = 10
SIGNALLING_COLLECTS = 10_000, 20, 20
"""Objects of the youngest generation, and how often it is gone through before each older one is. A
transaction lingers for 32 s and is freed when it is over: the collector finds nothing, and stops every call.
"""
RELOADING = frozenset({"signalling", "keys"})
"""The processes that use anything of the configuration which may change while they run (SIGHUP)."""


def begin(name: str, log_format: Format | None = None) -> notify.Notifier:
    """End with the supervisor if there is one, not with a terminal; log, leave no core file, open as many
    files as allowed. What is loaded by now stays, and is not looked through for garbage again: that would
    stop the loop, and be done so rarely that garbage piles up.
    """
    follow_supervisor()
    if name not in RELOADING:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a closed terminal sends, too
    start_logging(name, log_format)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()
    gc.collect()  # of nothing: from now on what is collected is little, and so it is done often
    if name == "signalling":
        gc.set_threshold(*SIGNALLING_COLLECTS)
    return notify.from_environment(os.environ, os.getpid())


def check_founded(config: Config, config_path: Path) -> None:
    """Raises NotFound before the set-up. A process that may not see the keys need not."""
    if not places.catalogue(config).exists():
        raise NotFound("start the service", f"run `doelband setup --config {config_path}` first")


def claim_name(config: Config, name: str) -> None:
    """Be the only process of this name, as long as it runs. Raises Unavailable."""
    places.prepare_runtime(config)
    _claim(places.presence(config.runtime.directory, name), f"start {name}")


def claim_storage(config: Config) -> None:
    """One service for one storage: two would seal each other's open clips. Raises Unavailable."""
    _claim(places.lock(config), f"start the service on {config.storage.directory}")


def check_descriptors(config: Config) -> None:
    """Say when calls on all media ports would need more descriptors than this process may open."""
    calls = (config.media.port_high - config.media.port_low + 1) // 4
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < calls * DESCRIPTORS_PER_CALL:
        log.warning(
            "too few file descriptors for the configured media ports",
            limit=limit,
            needed=calls * DESCRIPTORS_PER_CALL,
            remedy="raise LimitNOFILE in the unit, or `ulimit -n`",
        )


def _claim(place: Path, attempted: str) -> None:
    try:
        presence.claim(place)
    except presence.Held as held:
        raise Unavailable(attempted, f"it runs already ({held}); stop that one first") from None
