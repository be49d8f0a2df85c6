"""A relay has no business with keys, catalogue or configuration; the less it loads, the sooner it is back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOREIGN = ("recorder.config", "storage.keyring", "storage.catalog", "cryptography", "sqlalchemy", "pydantic")
PROGRAM = """
import sys
import recorder.cli.processes, recorder.service.beginning, recorder.service.relaying
print(*sorted(sys.modules))
"""


def test_a_relay_loads_neither_keys_nor_catalogue_nor_configuration() -> None:
    root = Path(__file__).parents[2]
    loaded = subprocess.run([sys.executable, "-P", "-c", PROGRAM], cwd=root, capture_output=True, check=True)
    names = loaded.stdout.decode().split()
    assert "recorder.relay.worker" in names
    assert not [it for it in names if it.startswith(FOREIGN)]
