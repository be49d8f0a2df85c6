"""Single keys from a terminal, and a line that says where one is."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from portal.desk import KEYS, Player
from recorder.cli.output import err

_ARROWS = {"\x1b[C": "right", "\x1b[D": "left", "\x1bOC": "right", "\x1bOD": "left"}
_AT_ONCE = 64  # bytes


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """A function that returns the key pressed since it was asked, "" for none; without a terminal always "".

    Ctrl-C stays what it is. The terminal is put back as it was.
    """
    if not sys.stdin.isatty():
        yield lambda: ""
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    err.print("   ".join(f"{key}: {meaning}" for key, meaning in KEYS))
    try:
        tty.setcbreak(terminal)
        yield _Keys(terminal).next
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        err.print()


class _Keys:
    """Keys one by one, also those that were typed faster than we ask."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._typed = ""

    def next(self) -> str:
        """The next key, "" while there is none."""
        if select.select([self._terminal], [], [], 0)[0]:
            self._typed += os.read(self._terminal, _AT_ONCE).decode(errors="replace")
        key = next((it for it in _ARROWS if self._typed.startswith(it)), self._typed[:1])
        self._typed = self._typed[len(key) :]
        return _ARROWS.get(key, key)


def show_position(player: Player) -> None:
    """Rewrite the line on the terminal; nothing where stderr is none."""
    if not err.is_terminal:
        return
    sound = player.sound
    now, whole = (divmod(int(it), 60) for it in (player.position / sound.rate, sound.seconds))
    state = "paused" if player.is_paused else ""
    agent, outside = player.volumes
    err.file.write(
        f"\r{now[0]}:{now[1]:02} of {whole[0]}:{whole[1]:02}   "
        f"agent {agent} %   outside party {outside} %   {state:6} "
    )
    err.file.flush()
