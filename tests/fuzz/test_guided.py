"""The guided run finds a fault, and says with which message."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLANTED = """\
import sys
from fuzz import guided

inspect = guided.inspect

def broken(data, is_thorough):
    inspect(data, is_thorough)
    if b"Replaces" in data{also}:
        raise KeyError("planted")

guided.inspect = broken
guided.main(sys.argv[1:])
"""

if find_spec("atheris") is None:
    pytest.skip("atheris is not installed (there is none for this machine)", allow_module_level=True)


def guided(folder: Path, also: str, seconds: int) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        PLANTED.format(also=also),
        "--seconds",
        str(seconds),
        "--findings",
        str(folder),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_planted_fault_is_found_and_left_behind(tmp_path: Path) -> None:
    done = guided(tmp_path, "", 60)
    (left,) = tmp_path.glob("crash-*")
    assert b"Replaces" in left.read_bytes()
    assert (done.returncode != 0, "planted" in done.stderr + done.stdout) == (True, True)


def test_without_a_fault_it_ends_well(tmp_path: Path) -> None:
    done = guided(tmp_path, " and not data", 1)
    assert (done.returncode, list(tmp_path.iterdir())) == (0, []), done.stderr[-2000:]
