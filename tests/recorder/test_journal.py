"""What a process says on stderr, whoever in it says it: one JSON line an event, and no number in any."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("recorder", "portal", "purge", "storage", "sip_hooks")
LEVELS = {"debug", "info", "warning", "error", "critical"}
NUMBER = "0612345678"

PROCESS = """
import asyncio, logging, threading, warnings
import structlog
from recorder.service.journal import start_logging

NUMBER, WRITTEN = "0612345678", "06-12 34 56 78"
start_logging("signalling")
log = structlog.get_logger()
{act}
"""

ACTS = {
    "an event": "log.error('order refused', why=NUMBER, port=5060, at='192.0.2.1:5060', to={{1: [WRITTEN]}})",
    "an event's own name": "log.error(f'call to {{NUMBER}}')",
    "a caught exception": """
try:
    raise ValueError(f"cannot read <sip:{{NUMBER}}@192.0.2.1>")
except ValueError:
    log.exception("event not acted on")
""",
    "a chain of exceptions": """
try:
    try:
        raise KeyError(NUMBER)
    except KeyError as error:
        raise ValueError(WRITTEN) from error
except ValueError:
    log.exception("event not acted on")
""",
    "an uncaught exception": "raise RuntimeError(NUMBER)",
    "a thread": "threading.Thread(target=int, args=('x' + NUMBER,)).start()",
    "a destructor": """
class Gone:
    def __del__(self): raise ValueError(NUMBER)
Gone()
""",
    "a library": "logging.getLogger('library').error('no route to %s', WRITTEN)",
    "a library's exception": "logging.getLogger('library').error('no', exc_info=ValueError(NUMBER))",
    "a library's slip": "logging.getLogger('library').error('no route to %d', NUMBER)",
    "a warning": "warnings.warn(f'{{NUMBER}} is odd')",
    "a task": """
async def fail(): raise ValueError(NUMBER)
async def run():
    task = asyncio.create_task(fail(), name=NUMBER)
    await asyncio.sleep(0.01)
    del task
asyncio.run(run())
""",
    "a callback": """
async def run():
    asyncio.get_running_loop().call_soon(int, 'x' + NUMBER)
    await asyncio.sleep(0.01)
asyncio.run(run())
""",
}


def said_by(act: str, log_format: str = "json") -> str:
    script = PROCESS.replace("{act}", act.replace("{{", "{").replace("}}", "}"))
    environment = os.environ | {"DOELBAND_LOG_FORMAT": log_format}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    assert run.stdout == ""
    return run.stderr


@pytest.fixture(scope="module")
def everything() -> list[dict[str, Any]]:
    """All acts but the one that ends a process, in one process."""
    others = "\n".join(act for name, act in ACTS.items() if name != "an uncaught exception")
    said = said_by(others + "\n" + ACTS["an uncaught exception"])
    return [json.loads(line) for line in said.splitlines()]


def test_every_line_is_one_event_of_this_process(everything: list[dict[str, Any]]) -> None:
    assert len(everything) >= len(ACTS)
    for event in everything:
        assert event["process"] == "signalling"
        assert {"event", "level", "timestamp"} <= event.keys()


def test_nobody_in_the_process_gets_a_number_out(everything: list[dict[str, Any]]) -> None:
    for event in everything:
        digits = re.sub(r"\D", "", json.dumps({**event, "timestamp": ""}))
        assert NUMBER[-6:] not in digits, event


def test_what_else_was_said_is_readable(everything: list[dict[str, Any]]) -> None:
    first = everything[0]
    assert (first["port"], first["at"], first["why"]) == (5060, "192.0.2.1:5060", "[number]")
    assert any(
        "ValueError: cannot read <sip:[user]@192.0.2.1>" in it.get("exception", "") for it in everything
    )
    assert {"library", "uncaught exception", "exception that could not be raised"} <= {
        it["event"] for it in everything
    }


def test_text_for_people_is_masked_as_well() -> None:
    said = said_by(ACTS["a chain of exceptions"], "text")
    assert "event not acted on" in said
    assert NUMBER[-6:] not in re.sub(r"\D", "", said)


def test_every_event_is_constant_and_documented() -> None:
    """`log.error("name", …)`: a name that was put together could hold what it must not."""
    documented = set(re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/logs.md").read_text(), re.MULTILINE))
    used = {
        name for package in PACKAGES for file in (ROOT / package).rglob("*.py") for name in events_in(file)
    }
    assert used - documented == set(), "say in docs/logs.md what it means and what to do"
    assert documented - used == set(), "docs/logs.md names what is never logged"


def events_in(file: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_log(node.func):
            event = node.args[0] if node.func.attr != "log" else node.args[1]
            assert isinstance(event, ast.Constant), f"{file}:{node.lineno}: the event is no constant"
            found.append(str(event.value))
    return found


def is_log(function: ast.Attribute) -> bool:
    is_ours = isinstance(function.value, ast.Name) and function.value.id == "log"
    return is_ours and function.attr in LEVELS | {"log", "exception"}
