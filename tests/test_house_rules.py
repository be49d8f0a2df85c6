"""The rules of the house, for the whole tree and without waivers.

Complexity, types and imports are held by ruff, mypy and import-linter (`make check`); that their settings are
not loosened is held here. A rule takes a path and a text and returns what is wrong with it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("recorder", "portal", "purge", "storage", "sip_hooks")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
PURE_MODULES: list[str] = next(c["source_modules"] for c in CONTRACTS if c["type"] == "forbidden")

WAIVER = re.compile(
    r"#\s*(noqa|ruff:|fmt:|isort:|pylint:|pragma:|type: ignore(?!\[(import-untyped|no-untyped-call)\]))"
)
NAMELESS = {"core", "common", "util", "utils", "helper", "helpers", "misc", "base", "manager"}
OF_ONE_MACHINE = ("/work/", "/tmp/lab", "/root/", "/home/", "pypi.org", "pythonhosted", "npmjs.org")
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter"}
CHANCE = {"random", "uuid1", "uuid4", "urandom", "token_bytes", "token_hex", "default_rng", "getrandbits"}

Rule = Callable[[Path, str], Iterable[str]]


def python_files() -> list[Path]:
    folders = (*PACKAGES, "tests", "demo", "bench", "soak", "fuzz", "simulate")
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def text_files() -> list[Path]:
    kinds = {".md", ".toml", ".lock", ".xml", ".yml", ".yaml", ".ini", ".mako", ".service"}
    documents = [
        file for folder in ("docs", "deploy", "tests", "demo") for file in (ROOT / folder).rglob("*.*")
    ]
    documents += [file for file in (*ROOT.iterdir(), *(ROOT / ".ci").iterdir()) if file.is_file()]
    documents = [file for file in documents if file.name != ".git"]  # a worktree's pointer to its repository
    plain = [file for file in documents if file.suffix in kinds or file.suffix == ""]
    return sorted({*python_files(), *plain})


def short_file(_: Path, text: str) -> Iterable[str]:
    if (length := text.count("\n")) > 400:
        yield f"{length} lines, 400 are allowed"


def short_functions(_: Path, text: str) -> Iterable[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > 50:
                yield f"{node.name} has {length} lines, 50 are allowed"


def no_waiver(_: Path, text: str) -> Iterable[str]:
    for match in WAIVER.finditer(text):
        yield f"waives a check: {match.group()}"


def telling_name(path: Path, _: str) -> Iterable[str]:
    for part in {*path.parts, path.stem} & NAMELESS:
        yield f"{part} says nothing about what is in it"


def of_no_machine(_: Path, text: str) -> Iterable[str]:
    for foreign in OF_ONE_MACHINE:
        if foreign in text:
            yield f"speaks of one machine: {foreign}"


def reads_no_clock(_: Path, text: str) -> Iterable[str]:
    """For pure modules: import-linter stops `import time`; this stops `datetime.now(UTC)`, `numpy.random`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in CHANCE:
            yield f"line {node.lineno} draws chance: .{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            yield f"line {node.lineno} reads a clock: .{node.func.attr}()"


def pure_files() -> list[Path]:
    return [module_file(name) for name in PURE_MODULES]


def module_file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        (short_file, python_files),
        (short_functions, python_files),
        (no_waiver, python_files),
        (telling_name, python_files),
        (of_no_machine, text_files),
        (reads_no_clock, pure_files),
    ],
)
def test_the_tree_keeps_the_rule(rule: Rule, files: Callable[[], list[Path]]) -> None:
    paths = [path for path in files() if path != Path(__file__)]  # this file names what it forbids
    assert paths, "nothing was looked at"
    wrong = [
        f"{path.relative_to(ROOT)}: {finding}"
        for path in paths
        for finding in rule(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (short_file, "recorder/session.py", "x = 1\n" * 401),
        (short_functions, "recorder/session.py", "def f():\n" + "    x = 1\n" * 50),
        (no_waiver, "recorder/session.py", "x = 1  # noqa: E501"),
        (no_waiver, "recorder/session.py", "x = 1  # type: ignore[arg-type]"),
        (no_waiver, "recorder/session.py", "x = 1  # type: ignore"),
        (telling_name, "recorder/utils/text.py", ""),
        (telling_name, "recorder/helpers.py", ""),
        (of_no_machine, "README.md", "see /work/main"),
        (reads_no_clock, "recorder/decision.py", "datetime.now(UTC)"),
        (reads_no_clock, "recorder/decision.py", "time.time()"),
        (reads_no_clock, "recorder/decision.py", "numpy.random.rand()"),
    ],
)
def test_a_broken_rule_is_found(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Path(path), text))


def test_tests_mirror_the_packages() -> None:
    allowed = {*PACKAGES, "end_to_end", "fakes", "demo", "bench", "soak", "fuzz", "simulate"}
    folders = {
        path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert folders <= allowed
    for package in PACKAGES:
        assert list((ROOT / "tests" / package).glob("test_*.py")), f"tests/{package} is empty"


def test_every_module_has_its_place_in_exhaustive_layers() -> None:
    layered = {contract["containers"][0] for contract in CONTRACTS if contract.get("exhaustive")}
    assert layered == set(PACKAGES)


def test_every_pure_module_exists() -> None:
    assert [name for name in PURE_MODULES if not module_file(name).is_file()] == []


def test_the_checks_are_not_loosened() -> None:
    tools = PROJECT["tool"]
    assert tools["ruff"]["lint"]["mccabe"]["max-complexity"] == 8
    assert "C90" in tools["ruff"]["lint"]["select"]
    assert "per-file-ignores" not in tools["ruff"]["lint"]
    assert tools["mypy"]["strict"] is True
    assert {*PACKAGES, "tests", "demo", "bench"} <= set(tools["mypy"]["files"])
    assert tools["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert not any("ignore_imports" in contract for contract in CONTRACTS)
