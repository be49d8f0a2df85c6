"""`doelband status`: is it running, may it record, is anything overdue?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from recorder import presence
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath
from recorder.cli.output import Exit, Json, facts, rows, say, show
from recorder.config import Config
from recorder.service import gatekeeper, places
from recorder.service.observation import Observer
from storage.errors import StorageError

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
    if waiting := value["signalling"].get("not_destroyed"):
        shown["withdrawn"] = f"{waiting} calls are not destroyed yet: the catalogue cannot be written"
    if "evidence" in value["signalling"]:
        shown["trunk side"] = trunk_side(value["signalling"])
    if value["processes"]:
        shown |= {"missing": _sentences(value["missing"])} if value["missing"] else {}
    shown |= {"WARNING": _sentences(value["warnings"])} if value["warnings"] else {}
    say(facts("Doelband", shown))


def trunk_side(signalling: Mapping[str, Any]) -> str:
    """Whether calls between PBX and trunk may be recorded now."""
    if signalling["evidence"] == "none":
        return "nothing is recorded: nobody says who speaks inside the PBX"
    if signalling["evidence"] == "phones":
        return "recorded while the same dialog is certain between PBX and phone"
    state = f" ({it})" if (it := signalling["evidence_state"]) else ""
    if signalling["evidence_connected"]:
        return f"recorded while {signalling['evidence']} says that an enrolled agent speaks inside{state}"
    return f"nothing is recorded: {signalling['evidence']} does not answer{state}; see the log of signalling"


def _sentences(findings: list[dict[str, str]]) -> str:
    return " ".join(f"{it['what']}; {it['remedy']}." for it in findings)


def _recording(value: dict[str, Any]) -> str:
    """Whether anything is recorded now, and why (not)."""
    if value["disk_low"]:
        return "nothing new is recorded: the disk of the storage directory is nearly full; make room"
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
    seen = await Observer(config, installation.clock, installation.catalogue).look()
    rows_of = seen.statuses["supervisor"].get("processes") or _alone(config)
    signalling = seen.statuses["signalling"]
    gate = await gatekeeper.look(config, installation.catalogue)
    counts = await installation.catalogue.clips.count_by_state()
    return {
        "ready": seen.readiness.is_ready and all(it["pid"] for it in rows_of),
        "missing": [asdict(it) for it in seen.readiness.missing],
        "warnings": [asdict(it) for it in seen.readiness.warnings],
        "processes": rows_of,
        "recording_allowed": signalling.get("recording", False),
        "gate": gatekeeper.explain(gate.reason, gate.declared),
        "gate_reason": gate.reason,
        "gate_approved": gate.approved,
        "running_calls": signalling.get("calls", 0),
        "signalling": signalling,
        "clips": {state.value: count for state, count in counts.items()},
        "disk_free_bytes": places.reserve(config).free(),
        "disk_low": not places.reserve(config).has_room(),
        "clock": installation.now(),
        "clock_moved_by_seconds": installation.clock.offset().total_seconds(),
    }


def _alone(config: Config) -> list[dict[str, Any]]:
    """The processes as they run without `serve`; nothing when none does. Who restarts them counts that."""
    relays = [f"relay-{it}" for it in range(config.media.workers)]
    others = [name for name in ("watch", "crm") if getattr(config, name)]
    names = ["media", "keys", "capture", *relays, "purge", *others, "signalling"]
    pids = {it: presence.holder(places.presence(config.runtime.directory, it)) for it in names}
    return (
        [{"name": it, "pid": pid, "restarts": None} for it, pid in pids.items()] if any(pids.values()) else []
    )
