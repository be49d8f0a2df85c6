"""How far a command is: a bar where somebody watches, few plain lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from recorder.cli.progress import watched


def told(total: int, is_terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=80, legacy_windows=False)
    with watched(console) as tell:
        for done in range(1, total + 1):
            tell("destroyed", done, total)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_ten_lines_are_enough() -> None:
    lines = told(2000, False).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("destroyed: 200 of 2000", "destroyed: 2000 of 2000", 10)


def test_few_need_no_lines() -> None:
    assert told(999, False) == ""


def test_a_terminal_shows_a_bar() -> None:
    assert "Destroyed" in told(5, True) and "5/5" in told(5, True)
