"""What several end-to-end tests share: starting the service costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.installation import Recorder, running


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """A running installation whose scheme is signed. Its tests leave it as they found it, but for clips."""
    with running(tmp_path_factory.mktemp("recorder")) as recorder:
        yield recorder
