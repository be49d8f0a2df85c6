"""Letting the running service take over a changed configuration file, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recorder import control
from recorder.cli.output import Exit
from recorder.config import Config
from recorder.service import places

PATIENCE_SECONDS = 60.0
"""A new purpose with a long retention needs thousands of keys."""


async def reload(config: Config) -> dict[str, Any]:
    """Ask every process that uses the configuration; keys first, so that a new purpose has its own.

    `running`: whether any process answered. `processes`: which of them has taken the file, and why not.
    """
    asked = {"keys": places.keys_control(config), "signalling": places.signalling(config)}
    answers = {name: await _ask(path) for name, path in asked.items()}
    told = {key: value for answer in answers.values() for key, value in answer.items()}
    return {
        "running": any(answers.values()),
        "processes": [_taken(name, answer) for name, answer in answers.items()],
        "problems": told.get("problems", []),
        "scheme": told.get("scheme"),
        "next_start": told.get("next_start", []),
        "new_day_keys": told.get("new_day_keys", 0),
        "recording_allowed": told.get("recording"),
        "gate": told.get("explanation"),
        "stopped_recordings": told.get("stopped", 0),
    }


def exit_of(result: Mapping[str, Any]) -> Exit:
    """The status for what came of a reload."""
    if result["problems"]:
        return Exit.CONFIGURATION
    taken = [it["taken"] for it in result["processes"]]
    return Exit.OK if all(taken) else Exit.TEMPORARY


def words(result: Mapping[str, Any]) -> list[str]:
    """What came of a reload, a sentence a line; nothing of its problems."""
    said = ["The service is not running; the file takes effect at the next start."]
    if result["running"]:
        said = [_sentence(it) for it in result["processes"]]
    if result["stopped_recordings"]:
        said.append(f"The recording of {_calls(result['stopped_recordings'])} was stopped.")
    if result["gate"]:
        allowed = "Recording is allowed" if result["recording_allowed"] else "Nothing is recorded"
        said.append(f"{allowed}: {result['gate']}.")
    if result["next_start"]:
        said.append(f"Takes effect at the next start only: {', '.join(result['next_start'])}.")
    return said


def _calls(count: int) -> str:
    return "1 running call" if count == 1 else f"{count} running calls"


def _sentence(process: Mapping[str, Any]) -> str:
    if process["taken"]:
        return f"{process['name']}: has taken the file."
    return f"{process['name']}: has not taken it: {process['why']}."


async def _ask(path: Path) -> dict[str, Any]:
    try:
        return await control.ask(path, {"op": "reload"}, PATIENCE_SECONDS)
    except control.NotRunning:
        return {}


def _taken(name: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    why = None if answer.get("ok") else _why(answer)
    return {"name": name, "pid": answer.get("pid"), "taken": why is None, "why": why}


def _why(answer: Mapping[str, Any]) -> str:
    if not answer:
        return "it does not answer; it reads the file when it starts"
    if "problems" in answer:
        return "the file cannot be used; what ran before goes on unchanged"
    return str(answer.get("error"))
