"""Options that many commands have in common, and what they accept. What is refused here is a usage error."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LONGEST_NAME = 64
SHORTEST_ID = 8
ID_CHARACTERS = 32
LISTED_BY = {"call": "doelband calls", "clip": "doelband clips list", "grant": "doelband grant list"}

ConfigPath = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="DOELBAND_CONFIG",
        metavar="FILE",
        help="The configuration file.",
        show_default=True,
    ),
]
DEFAULT = Path("/etc/doelband/config.toml")


def person_name(text: str | None) -> str | None:
    """A person's name or account: 1 to 64 printable characters, trimmed. Raises typer.BadParameter."""
    if text is None:
        return None
    name = text.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise typer.BadParameter(f"write a name of 1 to {LONGEST_NAME} printable characters")
    return name


def some_text(text: str | None) -> str | None:
    """A text that says something, trimmed. Raises typer.BadParameter."""
    if text is not None and not text.strip():
        raise typer.BadParameter("write something; it may not be empty")
    return text.strip() if text is not None else None


def utc_day(text: str) -> datetime:
    """The start of a UTC day written as 2030-12-31. Raises typer.BadParameter."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; write year-month-day, as 2030-12-31") from None


Person = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="PERSON",
        callback=person_name,
        help="The person you act for, when you work as root or as the service's own user. "
        "The audit log names both.",
    ),
]


def whole_id(what: str, given: str, known: list[str]) -> str:
    """The one identifier among `known` that begins with `given`; a whole one is taken as it is.

    Raises typer.BadParameter for too short or ambiguous beginnings, NotFound for one that nothing has.
    """
    from storage.errors import NotFound

    if len(given) >= ID_CHARACTERS:
        return given
    if len(given) < SHORTEST_ID:
        raise typer.BadParameter(f"give {SHORTEST_ID} or more characters of the {what}'s identifier")
    fitting = [it for it in known if it.startswith(given.lower())]
    if not fitting:
        raise NotFound(
            f"find {what} {given}", f"there is no such {what}; `{LISTED_BY[what]}` shows those there are"
        )
    if len(fitting) > 1:
        raise typer.BadParameter(f"{len(fitting)} {what}s begin with {given}; give more characters")
    return fitting[0]


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file that was named on the command line. Raises typer.BadParameter."""
    from storage.errors import Corrupt, NotFound, Unavailable
    from storage.signing import load_key

    try:
        if path.read_bytes().startswith(b"ed25519:"):
            raise typer.BadParameter(f"{path} is the public half; give the private key, without .pub")
        return load_key(path)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    except (NotFound, Unavailable) as error:
        raise typer.BadParameter(str(error)) from error
    except Corrupt as error:
        raise typer.BadParameter(
            f"{path} holds no private key; give the file that `doelband keygen` wrote, not its .pub half"
        ) from error


def public_key(path: Path) -> bytes:
    """The public key in a file that was named on the command line. Raises typer.BadParameter."""
    from storage.signing import parse_public

    try:
        return parse_public(path.read_text(encoding="ascii"))
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise typer.BadParameter(
            f"{path} holds no public key; give the .pub file that `doelband keygen` wrote"
        ) from error
