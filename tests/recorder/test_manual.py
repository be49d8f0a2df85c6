"""The manual page says what the commands say, and a man page formatter has nothing to complain of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recorder.cli import COMMANDS, INNER, app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doelband.1"


def test_the_committed_page_is_the_one_that_the_commands_make() -> None:
    written = CliRunner().invoke(app, ["manual"], catch_exceptions=False).output
    assert PAGE.read_text(encoding="utf-8") == written, "run `make manual`"


def test_every_command_that_people_use_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in COMMANDS if name not in INNER and f".SS doelband {name}" not in text] == []


def test_a_formatter_reads_it_without_a_warning() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed (Debian: groff-base)")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(PAGE)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
