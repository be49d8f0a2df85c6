"""What a running process may take over from a changed configuration file, and what has to wait."""

from __future__ import annotations

from recorder.config.model import Config

FIXED = ("tenant", "listeners", "pbx", "trunk", "limits", "media", "storage", "keys", "runtime", "clock")
"""Sockets, directories and clocks, which stay as they were opened. Of `media` the horizon may change."""


def adopt(running: Config, changed: Config) -> tuple[Config, tuple[str, ...]]:
    """What is in force from now on, and the names of the sections that take effect at the next start."""
    kept = {name: getattr(running, name) for name in FIXED}
    kept["media"] = running.media.model_copy(update={"horizon": changed.media.horizon})
    adopted = changed.model_copy(update=kept)
    waiting = (name for name in FIXED if getattr(changed, name) != getattr(adopted, name))
    return adopted, tuple(waiting)
