"""How far a long command is: a bar on a terminal, a line now and then elsewhere. Always on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from recorder.cli.output import err

Tell = Callable[[str, int, int], None]
"""What is being done, to how many, of how many."""

LINES = 10
FEW = 1000
"""Where there is no terminal, so many lines for each stage, and none when it concerns only few."""


@contextmanager
def watched(console: Console = err) -> Iterator[Tell]:
    """Tell how far each stage is for as long as the block runs."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage.capitalize(), total=total)
            progress.update(tasks[stage], completed=done)

        yield tell


def _lines(console: Console) -> Tell:
    told: dict[str, int] = {}

    def tell(stage: str, done: int, total: int) -> None:
        tenth = done * LINES // total
        if total >= FEW and tenth > told.get(stage, 0):
            told[stage] = tenth
            console.print(f"{stage}: {done} of {total}", markup=False)

    return tell
