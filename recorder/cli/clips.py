"""`doelband clips`: find, look at and take out recordings, for their purpose only."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from portal import playback
from portal.access import Action
from portal.decoding import NotPlayable
from recorder.cli.installation import Installation, account_name, work
from recorder.cli.options import DEFAULT, ID_CHARACTERS, ConfigPath, Person, some_text, whole_id
from recorder.cli.output import Id, Json, facts, rows, show
from recorder.service import places
from storage.errors import Conflict, NotFound
from storage.keydoor import KeyDoor
from storage.model import Clip, ClipFilter
from storage.records import CLOCK_RATE, LEGS, Announcement, End, Quality
from storage.vault import Opened, Vault

app = typer.Typer(
    help="Recordings: find them, and open them for their purpose.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

Purpose = Annotated[
    str | None,
    typer.Option(callback=some_text, help="The purpose you listen for (KSF 3.4). Asked when missing."),
]
Reason = Annotated[
    str | None,
    typer.Option(
        callback=some_text, help="Why you open this clip; kept in the audit log. Asked when missing."
    ),
]
ClipId = Annotated[
    str,
    typer.Argument(
        metavar="CLIP", help="The clip's identifier, or its first characters, as `clips list` shows them."
    ),
]
Volume = Annotated[int, typer.Option(min=0, max=200, help="Per cent of the loudness it was recorded with.")]
ALIKE = 100
"""So many clips of one beginning are enough to say that it is too short."""
COLUMNS = ("clip", "started (UTC)", "seconds", "purpose", "line", "agent", "deadline", "state")


@app.command("list")
def list_clips(
    purpose: Annotated[str | None, typer.Option(metavar="PURPOSE", help="Only of this purpose.")] = None,
    line: Annotated[str | None, typer.Option(metavar="LINE", help="Only of this line.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="AGENT", help="Only of this agent.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 100,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """List clips by what stands in the catalogue: never a number, never a party's name."""
    wanted = ClipFilter(purpose=purpose, line=line, agent=agent, limit=limit)
    found = work(config, lambda installation: _find(installation, wanted))
    lines = [
        (
            *(Id(it.id), it.started_at, it.seconds, it.purpose, it.line, it.agent),
            *(it.deadline_day, it.state.value),
        )
        for it in found
    ]
    show([described(it) for it in found], as_json, rows("Clips", COLUMNS, lines, "No clips."))


@app.command("show")
def show_clip(
    clip: ClipId,
    purpose: Purpose = None,
    reason: Reason = None,
    person: Person = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Show what the catalogue knows of a clip. It does not open it, unless you say for which --purpose and
    why (--reason): then it also shows how well either party was received, and what was announced.
    """

    async def look(installation: Installation) -> Clip:
        return await installation.catalogue.clips.show(await clip_id(installation, clip))

    if (purpose is None) != (reason is None):
        raise typer.BadParameter("a clip is opened for a --purpose and a --reason; give both or none")
    value = described(work(config, look))
    if purpose is not None:
        _, opened = _opened_for(config, Action.PLAY, clip, purpose, reason, person)
        value |= {"announced": _announced(opened), "quality": _quality(opened)}
    show(value, as_json, facts("Clip", value))


@app.command()
def export(
    clip: ClipId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, ending in .wav or .flac.")],
    purpose: Purpose = None,
    reason: Reason = None,
    person: Person = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Open a clip for its purpose and write it as stereo audio: agent left, outside party right.

    Refused (exit 4) for another purpose, past the deadline, or without a grant of management; refusals are
    in the audit log too. The file that you write is outside the recorder's control: the log says who made it.
    """
    _check_target(file, overwrite)
    if as_json and (purpose is None or reason is None):
        raise typer.BadParameter("give --purpose and --reason; with --json nothing is asked")
    whole, opened = _opened_for(config, Action.EXPORT, clip, purpose, reason, person)
    sound = playback.render(opened.records, opened.header.codecs)
    playback.write(sound, file, overwrite=overwrite)
    value = {
        "clip": whole,
        "file": str(file),
        "seconds": sound.seconds,
        "ending": opened.ending.value,
        "announced": _announced(opened),
        "quality": _quality(opened),
    }
    show(value, as_json, facts("Exported", value))


@app.command()
def play(
    clip: ClipId,
    purpose: Purpose = None,
    reason: Reason = None,
    person: Person = None,
    agent_volume: Volume = 100,
    outside_volume: Volume = 100,
    skip: Annotated[float, typer.Option(min=0, help="Begin so many seconds into the clip.")] = 0.0,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="The sound device: part of its name is enough.")
    ] = None,
    config: ConfigPath = DEFAULT,
) -> None:
    """Open a clip for its purpose and listen: agent left, outside party right. Nothing is written to a disk.

    Keys: space pauses; left and right skip 5 seconds; a and A make the agent softer and louder, o and O the
    outside party; q ends. Needs a sound device and `pip install 'doelband[playback]'`.
    """
    from portal import desk
    from recorder.cli.keyboard import keyboard, show_position

    desk.require()
    with desk.speaker(device) as tuned:  # what would go wrong after the clip is opened goes wrong before
        _, opened = _opened_for(config, Action.PLAY, clip, purpose, reason, person)
        sound = playback.render(opened.records, opened.header.codecs)
        player = desk.Player(sound, [agent_volume, outside_volume])
        player.skip(skip)
        with keyboard() as pressed:
            desk.play(player, tuned(sound.rate), pressed, show_position)


def _announced(opened: Opened) -> list[dict[str, Any]]:
    """What the outside party had heard before it was recorded: proof of KSF 6.6."""
    start, second = opened.header.started_at, timedelta(seconds=1)
    return [
        {
            "sha256": it.sha256.hex(),
            "from": start + it.start * second / CLOCK_RATE,
            "to": start + it.end * second / CLOCK_RATE,
        }
        for it in opened.records
        if isinstance(it, Announcement)
    ]


def _quality(opened: Opened) -> dict[str, dict[str, int]]:
    """How well each party was received; nothing of a clip that was cut off."""
    names = ("received", "lost", "late", "duplicated")
    found = [it for it in opened.records if isinstance(it, Quality)]
    legs = {LEGS[it.channel]: {name: getattr(it, name) for name in names} for it in found}
    for name, value in next((it.counts for it in opened.records if isinstance(it, End)), {}).items():
        leg, _, figure = name.partition("-")
        legs.get(leg, {})[figure] = value
    return legs


def _opened_for(
    config: Path, action: Action, clip: str, purpose: str | None, reason: str | None, person: str | None
) -> tuple[str, Opened]:
    """The clip, opened for its purpose; asks for what was not given."""
    listens_for = purpose or _asked("For which purpose")
    because = reason or _asked("Why")
    return work(config, lambda it: _open(it, action, clip, listens_for, because, person))


def _check_target(file: Path, overwrite: bool) -> None:
    """What would go wrong after the clip is opened goes wrong before."""
    try:
        playback.check_target(file, overwrite=overwrite)
    except Conflict as error:
        raise Conflict(
            f"write {file}", "it is there already; give --overwrite to replace it, or choose another name"
        ) from error
    except NotPlayable as error:
        raise typer.BadParameter(str(error)) from error
    if not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no directory {file.absolute().parent}")


def _asked(question: str) -> str:
    """The answer, trimmed. The question goes to stderr, so that stdout holds nothing but the result."""
    typer.echo(f"{question}: ", nl=False, err=True)
    return some_text(sys.stdin.readline()) or ""


async def clip_id(installation: Installation, given: str) -> str:
    """The whole identifier of a clip that may be given by its first characters. Raises NotFound."""
    if len(given) >= ID_CHARACTERS:
        return given
    alike = await installation.catalogue.clips.find(ClipFilter(begins=given.lower(), limit=ALIKE))
    return whole_id("clip", given, [it.id for it in alike])


async def _find(installation: Installation, wanted: ClipFilter) -> list[Clip]:
    """Raises NotFound for a purpose that neither the configuration nor any clip has."""
    found = await installation.catalogue.clips.find(wanted)
    purposes = sorted(installation.config.purposes)
    if not found and wanted.purpose is not None and wanted.purpose not in purposes:
        raise NotFound(
            f"list clips of purpose {wanted.purpose!r}",
            f"there is none of that name; the scheme has {', '.join(purposes)}",
        )
    return found


async def _open(
    installation: Installation, action: Action, clip: str, purpose: str, reason: str, person: str | None
) -> tuple[str, Opened]:
    clip = await clip_id(installation, clip)
    door = KeyDoor(places.keys(installation.config))
    key = await door.open_clip(clip, purpose, action, reason, actor=person or account_name())
    vault = await Vault.open(
        installation.config.storage.directory, installation.catalogue, installation.clock
    )
    return clip, await vault.read(clip, key)


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
