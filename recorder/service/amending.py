"""Changing the configuration file: one at a time, checked before it takes the old one's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recorder.config import Config, load, parse, questionable
from storage.durable import locked, rewrite_file


@dataclass(frozen=True, slots=True)
class Amended:
    """What a change came to. `doubts`: what looks unintended and did not before."""

    before: Config
    after: Config
    is_changed: bool
    doubts: tuple[str, ...]


def amend(path: Path, edit: Callable[[str, Config], str]) -> Amended:
    """Put `edit(text, configuration)` in the place of the file. Durable on return.

    Raises ConfigError for a file that cannot be used, before or after: then nothing has changed. Raises
    Unavailable, and whatever `edit` raises.
    """
    real = path.resolve()
    with locked(real.parent):
        before = load(path)
        text = real.read_bytes().decode()
        changed = edit(text, before)
        after = parse(changed, str(path), path.absolute().parent)
        if changed != text:
            rewrite_file(real, changed.encode())
    new = set(questionable(after)) - set(questionable(before))
    return Amended(before, after, changed != text, tuple(sorted(new)))
