"""`doelband clips`: find, look at and take out recordings, for their purpose only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from portal import playback
from portal.access import Action
from recorder.cli.installation import Installation, account_name, work
from recorder.cli.options import DEFAULT, ConfigPath, Person
from recorder.cli.output import Json, facts, rows, show
from recorder.service import places
from storage.keydoor import KeyDoor
from storage.model import Clip, ClipFilter
from storage.vault import Opened, Vault

app = typer.Typer(
    help="Recordings: find them, and open them for their purpose.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Purpose = Annotated[
    str,
    typer.Option(
        prompt="For which purpose", help="The purpose you listen for (KSF 3.4). Asked when missing."
    ),
]
Reason = Annotated[
    str, typer.Option(prompt="Why", help="Why you open this clip; kept in the audit log. Asked when missing.")
]
ClipId = Annotated[str, typer.Argument(help="The clip's identifier, as `clips list` shows it.")]
COLUMNS = ("clip", "started", "purpose", "line", "agent", "deadline", "state", "seconds", "bytes")


@app.command("list")
def list_clips(
    purpose: Annotated[str | None, typer.Option(help="Only of this purpose.")] = None,
    line: Annotated[str | None, typer.Option(help="Only of this line.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only of this agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 100,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """List clips by what stands in the catalogue: never a number, never a party's name."""
    wanted = ClipFilter(purpose=purpose, line=line, agent=agent, limit=limit)
    found = work(config, lambda installation: installation.catalogue.clips.find(wanted))
    lines = [
        (
            it.id,
            it.started_at,
            it.purpose,
            it.line,
            it.agent,
            it.deadline_day,
            it.state.value,
            it.seconds,
            it.size,
        )
        for it in found
    ]
    show([described(it) for it in found], as_json, rows("Clips", COLUMNS, lines, "No clips."))


@app.command("show")
def show_clip(clip: ClipId, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Show what the catalogue knows of a clip. It does not open it."""
    value = described(work(config, lambda installation: installation.catalogue.clips.show(clip)))
    show(value, as_json, facts(f"Clip {clip}", value))


@app.command()
def export(
    clip: ClipId,
    file: Annotated[Path, typer.Argument(help="The file to write, ending in .wav or .flac.")],
    purpose: Purpose,
    reason: Reason,
    person: Person = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Open a clip for its purpose and write it as stereo audio: agent left, outside party right.

    Refused (exit 4) for another purpose, past the deadline, or without a grant of management; refusals are
    in the audit log too. The file that you write is outside the recorder's control: the log says who made it.
    """
    playback.check_target(file, overwrite=overwrite)
    opened = work(config, lambda installation: _open(installation, clip, purpose, reason, person))
    samples = playback.render(opened.records, opened.header.codecs)
    playback.write(samples, file, overwrite=overwrite)
    value = {
        "clip": clip,
        "file": str(file),
        "seconds": len(samples) / playback.RATE,
        "ending": opened.ending.value,
    }
    show(value, as_json, facts("Exported", value))


async def _open(
    installation: Installation, clip: str, purpose: str, reason: str, person: str | None
) -> Opened:
    door = KeyDoor(places.keys(installation.config))
    key = await door.open_clip(clip, purpose, Action.EXPORT, reason, actor=person or account_name())
    vault = await Vault.open(
        installation.config.storage.directory, installation.catalogue, installation.clock
    )
    return await vault.read(clip, key)


def described(clip: Clip) -> dict[str, Any]:
    """A clip's row for people and machines; no key material."""
    return {
        "clip": clip.id,
        "recording": clip.recording,
        "call": clip.call,
        "purpose": clip.purpose,
        "line": clip.line,
        "agent": clip.agent,
        "started_at": clip.started_at,
        "deadline_day": clip.deadline_day,
        "part": clip.part,
        "previous": clip.previous,
        "state": clip.state.value,
        "ending": clip.ending.value if clip.ending else None,
        "seconds": clip.seconds,
        "bytes": clip.size,
        "chunks": clip.chunks,
        "sha256": clip.sha256,
        "scheme_hash": clip.scheme_hash,
        "sealed_at": clip.sealed_at,
    }
