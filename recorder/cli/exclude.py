"""`doelband exclude`: who is never recorded (KSF 2.1). The file is changed, and the service takes it over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recorder.cli.options import DEFAULT, ConfigPath, Person, some_text
from recorder.cli.output import Exit, Json, complain, rows, show
from recorder.config import Config, ConfigError, load
from recorder.scheme import scheme_hash

if TYPE_CHECKING:
    from recorder.config.model import Exclusion
    from recorder.service.amending import Amended

app = typer.Typer(
    help="Who is never recorded, on either side of a call (KSF 2.1).",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)
Identities = Annotated[
    list[str],
    typer.Argument(
        metavar="NUMBER|ALIAS...", help="Numbers as in the configuration file; SIP users, addresses."
    ),
]
UNCHANGED = "nothing was changed"
_DIALLED = tuple("0123456789+*#(")


@app.command()
def add(
    identities: Identities,
    name: Annotated[
        str,
        typer.Option(metavar="NAME", callback=some_text, help="The entry to add to, or a new one's name."),
    ],
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", callback=some_text, help="Why, as staff read it; needed for a new entry."
        ),
    ] = None,
    person: Person = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Never record these. It takes effect at once: what is being recorded with them is stopped.

    The file keeps its comments and its order. The works council need not sign before it counts, and
    ratifies it afterwards.
    """
    from recorder.config.exclusions import Entry, add

    def edit(text: str, before: Config) -> str:
        numbers, aliases = sorted_out(identities, before)
        return add(text, Entry(name or "", _reason(before, name, reason), numbers, aliases))

    _change(config, edit, "exclusion.add", person, as_json, "All of it is excluded already")


@app.command()
def remove(
    identities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NUMBER|ALIAS...]", help="As they stand in the file; else the whole entry."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", callback=some_text, help="Only in this entry.")
    ] = None,
    person: Person = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Exclude these no longer. More may be recorded then: so nothing is, until the works council has signed.

    An entry with nothing left in it goes. With --name and no number, the whole entry goes.
    """
    from recorder.config.exclusions import remove

    if not identities and name is None:
        raise typer.BadParameter("say which numbers or aliases, or which entry with --name")

    def edit(text: str, before: Config) -> str:
        return remove(text, _meant(before, identities or [], name))

    _change(config, edit, "exclusion.remove", person, as_json, "Nothing to remove")


@app.command("list")
def list_exclusions(config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """List who is never recorded, and why."""
    found = load(config).exclusions
    lines = [(it.name, it.reason, it.numbers, it.aliases) for it in found]
    columns = ("name", "reason", "numbers", "aliases")
    show([it.model_dump() for it in found], as_json, rows("Never recorded", columns, lines, "Nobody."))


def _change(
    path: Path,
    edit: Callable[[str, Config], str],
    action: str,
    person: str | None,
    as_json: bool,
    nothing: str,
) -> None:
    """Edit, let the service take it over, write it down, and say what came of it."""
    import asyncio

    from recorder.cli import reloads
    from recorder.config.exclusions import EditError
    from recorder.service.amending import amend
    from storage.errors import Refused

    try:
        amended = amend(path, edit)
    except ConfigError:
        complain(UNCHANGED)
        raise
    except EditError as error:
        raise Refused("written-by-hand", f"edit {path}", str(error)) from error
    for doubt in amended.doubts:
        complain(doubt)
    result = asyncio.run(_in_force(path, amended, action, person))
    value = {
        "file": str(path),
        "changed": amended.is_changed,
        "exclusions": [it.model_dump() for it in amended.after.exclusions],
        "findings": list(amended.doubts),
        "service": result,
    }
    said = [f"{path} was changed." if amended.is_changed else f"{nothing}; {path} stays as it is."]
    if result["running"] and amended.is_changed:
        said.append("The change takes effect now.")
    show(value, as_json, "\n".join([*said, *reloads.words(result)]))
    raise typer.Exit(reloads.exit_of(result) if result["running"] else Exit.OK)


async def _in_force(path: Path, amended: Amended, action: str, person: str | None) -> dict[str, Any]:
    """Let the service take the file over, then write down who changed it; what the gate says, too."""
    from recorder.cli.installation import opened
    from recorder.cli.reloads import reload
    from recorder.service import gatekeeper
    from storage.errors import NotFound, StorageError

    result = await reload(amended.after)
    try:
        async with opened(path) as installation:
            if amended.is_changed:
                digest = scheme_hash(amended.after.scheme())
                await installation.catalogue.audit.append(installation.by(person), action, digest)
            if not result["running"]:
                gate = await gatekeeper.look(amended.after, installation.catalogue)
                words = gatekeeper.explain(gate.reason, gate.declared)
                result |= {"recording_allowed": gate.approved, "gate": words}
    except NotFound:
        pass  # before the set-up there is no log, and nothing to approve
    except StorageError as error:
        complain(f"the change is not in the audit log: {error}")
    return result


def _reason(config: Config, name: str, given: str | None) -> str:
    """The reason of an entry that is there, or the one given for a new one. Raises typer.BadParameter."""
    there = next((it.reason for it in config.exclusions if it.name == name), None)
    if there is not None and given not in (None, there):
        raise typer.BadParameter(f'"{name}" is there already, with the reason "{there}"; leave --reason out')
    if there is None and given is None:
        raise typer.BadParameter(f'"{name}" is new; say why with --reason')
    return there or given or ""


def sorted_out(identities: Iterable[str], config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Numbers and aliases. Raises typer.BadParameter for what would match nobody: what begins as a number
    does must be one, or an address.
    """
    from recorder.config.numbers import check_alias, check_number
    from recorder.numbering import PatternError

    numbers: list[str] = []
    aliases: list[str] = []
    for identity in dict.fromkeys(it.strip() for it in identities):
        begins_as_number = identity[:1] in _DIALLED and "@" not in identity
        is_name = not begins_as_number and any(it.isalpha() or it == "@" for it in identity)
        check = check_alias if is_name else check_number
        try:
            check(identity, config.numbering.values())
        except PatternError as error:
            raise typer.BadParameter(str(error)) from error
        (aliases if is_name else numbers).append(identity)
    return tuple(numbers), tuple(aliases)


def _meant(config: Config, identities: list[str], name: str | None) -> Callable[[str, str], bool]:
    """Which pattern of which entry goes. Raises NotFound for what no entry lists."""
    from recorder.numbering import number_set
    from storage.errors import NotFound

    numbering = config.numbering.values()
    entries = [it for it in config.exclusions if name in (None, it.name)]
    if not entries:
        raise NotFound(f'remove from "{name}"', "there is no such entry; see `doelband exclude list`")
    meant = {number_set([it], numbering): it for it in identities}
    listed = {number_set([it], numbering) for entry in entries for it in (*entry.numbers, *entry.aliases)}
    for numbers, identity in meant.items():
        if numbers not in listed:
            raise NotFound(f"remove {identity}", _remedy(identity, entries, config))
    names = {it.name for it in entries}
    return lambda of, pattern: of in names and (not meant or number_set([pattern], numbering) in meant)


def _remedy(identity: str, entries: Iterable[Exclusion], config: Config) -> str:
    """What is listed in its place: a range, perhaps, that it lies in."""
    from recorder.explanation import excluded_by

    names = {it.name for it in entries}
    found = [it for it in excluded_by(config.scheme(), identity) if it[0].name in names]
    if not found:
        return "no entry has it; see `doelband exclude list`"
    entry, pattern = found[0]
    return f'it is excluded by "{pattern}" of "{entry.name}"; remove that, then add what shall stay'
