"""`doelband announcement render`: from a text to a sound file and what to write into the configuration."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEAKER = """#!/bin/sh
# in place of espeak-ng: writes what it was told
[ "$2" = "nl" ] || { echo "no such voice" >&2; exit 1; }
[ "$5" = "-w" ] && [ "$7" = "--stdin" ] && { /bin/cat > "$6"; }
"""


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A directory in which the only espeak-ng is ours."""
    program = tmp_path / "espeak-ng"
    program.write_text(SPEAKER)
    program.chmod(0o755)
    return tmp_path


def render(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "recorder", "announcement", "render", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PATH": str(directory)}
    )


def test_a_text_becomes_a_file_and_two_lines_of_the_configuration(shell: Path) -> None:
    file = shell / "coaching.wav"
    done = render(shell, str(file), "--text", "Dit gesprek wordt opgenomen.", "--json")
    assert done.returncode == 0, done.stderr
    assert file.read_text() == "Dit gesprek wordt opgenomen."
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads(done.stdout) == {"announcement": str(file), "announcement_sha256": digest}


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(shell: Path) -> None:
    file = shell / "coaching.wav"
    file.write_text("before")
    done = render(shell, str(file), "--text", "Goedendag")
    assert done.returncode != 0 and "--overwrite" in done.stderr
    assert file.read_text() == "before"
    assert render(shell, str(file), "--text", "Goedendag", "--overwrite").returncode == 0
    assert file.read_text() == "Goedendag"


@pytest.mark.parametrize(("voice", "says"), [("xx", "no such voice"), ("nl", "install espeak-ng")])
def test_what_went_wrong_is_said_with_what_to_do(shell: Path, voice: str, says: str) -> None:
    if voice == "nl":
        (shell / "espeak-ng").unlink()
    done = render(shell, str(shell / "a.wav"), "--text", "Goedendag", "--language", voice)
    assert done.returncode != 0 and says in done.stderr
    assert not (shell / "a.wav").exists()
