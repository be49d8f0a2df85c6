"""`doelband announcement`: make a sound file of what the outside party is to be told (KSF 6.6)."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from recorder.cli.options import some_text
from recorder.cli.output import Json, facts, show
from storage.errors import Conflict, Unavailable

app = typer.Typer(
    help="What the outside party is told before anything is recorded (KSF 6.6).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
WORDS_A_MINUTE = 145


@app.callback()
def _group() -> None:
    """What the outside party is told before anything is recorded (KSF 6.6)."""


@app.command()
def render(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The WAV file to write.")],
    text: Annotated[
        str, typer.Option(callback=some_text, help="Who you are, that you record, and what for.")
    ],
    language: Annotated[
        str, typer.Option(metavar="VOICE", help="A voice of espeak-ng, such as nl, en or nl+f2.")
    ] = "nl",
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Let espeak-ng speak a text, and say what to write into the configuration.

    Any other WAV file will do as well: `sha256sum` says its `announcement_sha256`.
    """
    if file.exists() and not overwrite:
        raise Conflict(f"write {file}", "it is there already; give --overwrite, or choose another name")
    _speak(file, text, language)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    value = {"announcement": str(file), "announcement_sha256": digest}
    show(value, as_json, facts("For a purpose in the configuration", value))


def _speak(file: Path, text: str, language: str) -> None:
    """Raises Unavailable."""
    command = ["espeak-ng", "-v", language, "-s", str(WORDS_A_MINUTE), "-w", str(file), "--stdin"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    except OSError:
        remedy = "it is not installed; install espeak-ng, or record a WAV file yourself"
        raise Unavailable("speak a text with espeak-ng", remedy) from None
    if done.returncode or not file.exists():
        said = " ".join(done.stderr.decode(errors="replace").split()) or "it wrote nothing"
        raise Unavailable("speak a text with espeak-ng", f"{said}; `espeak-ng --voices` lists the voices")
