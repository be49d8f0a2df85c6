"""Every code that a verdict, the ledger or a clip can carry is known in words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from recorder.decision import Reason
from recorder.words import DISTURBANCES, FAILURES, OBSTACLES, REASONS, in_words
from sip_hooks.events import Disturbance
from sip_hooks.sdp import Obstacle

RECORDER = Path(__file__).parents[2] / "recorder"
SAY_A_FAILURE = {"_fail", "fail", "give_up", "add", "refuse", "refusals", "_cut", "cut", "_seal"}
"""Functions to which a code is given as a plain text."""


def test_every_code_has_words() -> None:
    assert set(REASONS) == set(Reason)
    assert set(OBSTACLES) == set(Obstacle)
    assert set(DISTURBANCES) == set(Disturbance)


def test_every_failure_that_signalling_and_capture_name_has_words() -> None:
    files = [RECORDER / f"{it}.py" for it in ("session", "course", "account", "recordings")]
    files += sorted((RECORDER / "capture").glob("*.py"))
    named = {code for file in files for code in codes(ast.parse(file.read_text(encoding="utf-8")))}
    assert {"no-media-ports", "internal-error", "capture-lost", "disk-full", "interrupted", "codec"} <= named
    assert not {it for it in named if in_words(it) == it}


def test_what_two_lists_have_in_common_means_the_same() -> None:
    for code in {it.value for it in Obstacle} & ({it.value for it in Disturbance} | FAILURES.keys()):
        assert OBSTACLES[Obstacle(code)] == in_words(code)


def codes(tree: ast.AST) -> Iterator[str]:
    """The plain texts that are given as a reason, or returned by `reason_of`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "reason_of":
            yield from filter(None, map(_code, ast.walk(node)))
        if isinstance(node, ast.Call) and _name(node.func) in SAY_A_FAILURE:
            yield from filter(None, map(_code, node.args))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _code(node: ast.AST) -> str:
    """The text of a node that is a code, else nothing."""
    text = node.value if isinstance(node, ast.Constant) else None
    is_code = isinstance(text, str) and text.replace("-", "").isalpha() and text == text.lower()
    return str(text) if is_code else ""
