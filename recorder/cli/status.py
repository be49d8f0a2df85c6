"""`doelband status`: is it running, may it record, is anything overdue?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recorder import control, presence
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Exit, Json, facts, rows, say, show
from recorder.config import Config
from recorder.service import gatekeeper, places
from storage.errors import StorageError
from storage.keydoor import KeyDoor

Health = Annotated[
    bool, typer.Option("--health", help="Print one line; exit 0 when every process runs, 75 otherwise.")
]


def status(health: Health = False, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Processes, the gate, running calls, clips by state, the clock. Exit 75 when it is not ready."""
    try:
        value = work(config, _collect)
    except StorageError:
        if not health:
            raise
        value = {"ready": False}
    ready = bool(value["ready"])
    if as_json:
        show(value, True, "")
    elif health:
        say("ready" if ready else "not ready")
    else:
        _print(value)
    raise typer.Exit(Exit.OK if ready else Exit.TEMPORARY)


def _print(value: dict[str, Any]) -> None:
    processes = [
        (it["name"], it["pid"] or "starting", "–" if it["restarts"] is None else it["restarts"])
        for it in value["processes"]
    ]
    say(rows("Processes", ("process", "pid", "restarts"), processes, "The service is not running."))
    shown = {
        "ready": "yes" if value["ready"] else "no",
        "recording": _recording(value),
        "running calls": value["running_calls"],
        "clips": ", ".join(f"{count} {state}" for state, count in value["clips"].items() if count) or "none",
        "clock": value["clock"],
    }
    if lost := value["signalling"].get("notes_lost"):
        shown["ledger"] = f"{lost} calls may be missing from it; see the log of signalling"
    if value["clock_moved_by_seconds"]:
        shown["WARNING"] = (
            f"the clock is moved by {value['clock_moved_by_seconds']:.0f} s (clock.offset_file)"
        )
    say(facts("Doelband", shown))


def _recording(value: dict[str, Any]) -> str:
    """Whether anything is recorded now, and why (not)."""
    if value["recording_allowed"]:
        return f"allowed: {value['gate']}"
    if not value["signalling"]:
        state = "the scheme is approved" if value["gate_approved"] else value["gate"]
        return f"nothing is recorded: the service is not running ({state})"
    if value["gate_approved"]:
        return "nothing is recorded yet: the service takes the approval up within seconds"
    return f"nothing is recorded: {value['gate']}"


async def _collect(installation: Installation) -> dict[str, Any]:
    config = installation.config
    rows_of = (await _answer(places.supervisor(config))).get("processes") or _alone(config)
    signalling = await _answer(places.signalling(config))
    gate = await gatekeeper.look(config, installation.catalogue)
    counts = await installation.catalogue.clips.count_by_state()
    connected = signalling.get("media_connected") and signalling.get("capture_connected")
    return {
        "ready": bool(rows_of)
        and all(it["pid"] for it in rows_of)
        and bool(connected)
        and await _keys(config),
        "processes": rows_of,
        "recording_allowed": signalling.get("recording", False),
        "gate": gatekeeper.explain(gate.reason, gate.declared),
        "gate_reason": gate.reason,
        "gate_approved": gate.approved,
        "running_calls": signalling.get("calls", 0),
        "signalling": signalling,
        "clips": {state.value: count for state, count in counts.items()},
        "clock": installation.now(),
        "clock_moved_by_seconds": installation.clock.offset().total_seconds(),
    }


def _alone(config: Config) -> list[dict[str, Any]]:
    """The processes as they run without `serve`; nothing when none does. Who restarts them counts that."""
    relays = [f"relay-{it}" for it in range(config.media.workers)]
    names = ["media", "keys", "capture", *relays, "purge", "signalling"]
    pids = {it: presence.holder(places.presence(config.runtime.directory, it)) for it in names}
    return (
        [{"name": it, "pid": pid, "restarts": None} for it, pid in pids.items()] if any(pids.values()) else []
    )


async def _answer(path: Path) -> dict[str, Any]:
    try:
        return await control.ask(path, {"op": "status"})
    except control.NotRunning:
        return {}


async def _keys(config: Config) -> bool:
    try:
        await KeyDoor(places.keys(config)).status()
    except StorageError:
        return False
    return True
