"""The documents tell the truth: commands that they show exist, configurations that they show are accepted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
import typer.main

from recorder.cli import app
from recorder.config import parse

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:^|`|\$ )(?:sudo (?:-u \S+ )?)?doelband ([^`\n]*)", re.MULTILINE)
TOML = re.compile(r"```toml\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def shown_commands() -> list[tuple[str, str]]:
    return sorted(
        {
            (document.name, match[1].strip())
            for document in DOCUMENTS
            for match in COMMAND.finditer(document.read_text(encoding="utf-8"))
        }
    )


@pytest.mark.parametrize(("document", "line"), shown_commands())
def test_a_command_that_a_document_shows_exists(document: str, line: str) -> None:
    command: Any = typer.main.get_command(app)
    context: Any = command.make_context("doelband", [], resilient_parsing=True)
    words = [it for it in re.sub(r"\s[#>|].*", "", line).split() if it not in ("…", "...")]
    while words and not words[0].startswith("-") and hasattr(command, "get_command"):
        for name in words.pop(0).strip(",.;:)").split("|"):
            found = command.get_command(context, name)
            assert found is not None, f"{document}: doelband {line}: there is no {name}"
        command = found
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert re.split(r"[=,.;:)\]|]", word)[0] in options, f"{document}: doelband {line}: no {word}"


@pytest.mark.parametrize(
    ("document", "snippet"),
    [(it.name, found) for it in DOCUMENTS for found in TOML.findall(it.read_text(encoding="utf-8"))],
)
def test_a_configuration_that_a_document_shows_is_accepted(document: str, snippet: str) -> None:
    whole = tomlkit.parse((ROOT / "config.example.toml").read_text(encoding="utf-8"))
    for section, value in tomllib.loads(snippet).items():
        table = isinstance(value, dict) and section in whole and section != "purposes"
        whole[section] = {**whole[section], **value} if table else value
    parse(tomlkit.dumps(whole), document, ROOT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: it.name)
def test_a_link_leads_to_a_file(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
