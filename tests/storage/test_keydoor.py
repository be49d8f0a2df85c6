"""The client of the key service."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage import keydoor
from storage.errors import Corrupt, Forgery, NotFound, StorageError, Unavailable
from storage.keydoor import KeyDoor


@pytest.mark.parametrize("kind", [Unavailable, NotFound, Corrupt, Forgery])
def test_errors_keep_their_kind_over_the_socket(kind: type[StorageError]) -> None:
    again = keydoor._error(keydoor.describe(kind("try this", "do that")))
    assert (type(again), again.attempted, again.remedy) == (kind, "try this", "do that")


async def test_a_service_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is the recorder running"):
        await KeyDoor(tmp_path / "no.sock").status()
