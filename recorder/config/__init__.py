"""The configuration file: read, checked as a whole, and either used or refused with every reason at once.

Nothing but the file itself is touched: no network, no directory, no other file. Only `findings` also reads
announcements, and which ports the system gives away by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from recorder import sounds
from recorder.config.changes import adopt
from recorder.config.contradictions import contradictions, doubts, port_doubts
from recorder.config.model import Config
from recorder.config.places import Key, place_of, places
from recorder.config.problems import ConfigError, Problem, explain, shown

__all__ = ["Config", "ConfigError", "Problem", "adopt", "findings", "load", "parse", "questionable"]

_GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TWICE = re.compile(r"Cannot (overwrite|declare)|Duplicate")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


def load(path: Path) -> Config:
    """Read and check a file. Raises ConfigError with all problems."""
    return parse(_read(path), str(path), path.absolute().parent)


def parse(text: str, file: str, base: Path) -> Config:
    """Check a text; relative paths start at `base`. Raises ConfigError with all problems."""
    data = _toml(text, file)
    try:
        config = Config.model_validate(data, context={"base": base})
    except ValidationError as error:
        raise ConfigError(_problems(explain(error), text, file)) from None
    if found := _problems(contradictions(config), text, file):
        raise ConfigError(found)
    return config


def findings(path: Path, given_away: Path = _GIVEN_AWAY) -> tuple[Problem, ...]:
    """What is allowed and yet probably not meant, for `doelband config check`. Raises ConfigError."""
    text = _read(path)
    config = parse(text, str(path), path.absolute().parent)
    found = (*doubts(config), *port_doubts(config, _two_ports(given_away)), *_unusable_sounds(config))
    return _problems(found, text, str(path))


def questionable(config: Config) -> tuple[str, ...]:
    """What is allowed and yet probably not meant, without its place in the file."""
    return tuple(text for _, text in doubts(config))


def _unusable_sounds(config: Config) -> Iterator[tuple[Key, str]]:
    for name, purpose in config.purposes.items():
        if purpose.announcement and purpose.announcement_sha256:
            try:
                sounds.read(purpose.file, purpose.announcement_sha256)
            except sounds.Unusable as error:
                yield ("purposes", name, "announcement"), f"so nothing is recorded: {error}"


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        if not text.startswith("\ufeff"):
            return text
        problem = "begins with a byte order mark; save it without a byte order mark"
    except UnicodeDecodeError:
        problem = "is not UTF-8; save it as UTF-8"
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); name an existing, readable file"
    raise ConfigError([Problem(str(path), None, "", problem)])


def _two_ports(path: Path) -> tuple[int, int] | None:
    """The lowest and the highest of the system's own ports (ip-sysctl.rst), if it says so."""
    try:
        low, high = path.read_text(encoding="ascii").split()
        return int(low), int(high)
    except (OSError, ValueError):
        return None


def _toml(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        line = int(match[1]) if (match := _AT_LINE.search(said)) else None
        what = f"is not TOML: {_AT_LINE.sub('', said)}; write key = value, texts in quotes"
        if _TWICE.match(said):
            what = "is not TOML: this key or section is there already; write it once"
        raise ConfigError([Problem(file, line, "", what)]) from None


def _problems(found: Iterable[tuple[Key, str]], text: str, file: str) -> tuple[Problem, ...]:
    known, data = places(text), tomllib.loads(text)
    problems = (Problem(file, place_of(key, known), shown(key, data), what) for key, what in found)
    return tuple(sorted(problems, key=lambda it: (it.line or 0, it.key)))
