"""What makes histories quick is undone after each test."""

from __future__ import annotations

from functools import lru_cache

import pytest

from simulate import swift


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `swift.remember`, for one test."""
    remembering = {function: _remembering(function) for function in swift.PURE}
    for module, name, function in swift.places():
        monkeypatch.setattr(module, name, remembering[function])


_remembering = lru_cache(maxsize=None)(lru_cache(maxsize=20_000))
