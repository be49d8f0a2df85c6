"""Under `serve` a process that hangs is killed and started again, and a call that runs loses no packet."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.end_to_end.installation import running
from tests.end_to_end.test_a_crash_does_not_end_a_call import call_during, eventually

HUNG_AFTER = "4"
"""Short, so that the test is; and long enough for a process on a busy machine."""


def test_the_key_service_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOELBAND_HUNG_AFTER", HUNG_AFTER)
    with running(tmp_path) as recorder:
        before = recorder.pids()
        hung = before["keys"]
        assert hung is not None

        async def disaster() -> None:
            os.kill(hung, signal.SIGSTOP)
            await eventually(lambda: recorder.pids()["keys"] not in (None, hung))

        asyncio.run(call_during(recorder, disaster))
        assert recorder.sealed(1)[0]["ending"] == "complete"
        assert {name for name, pid in recorder.pids().items() if pid != before[name]} == {"keys"}
        said = [json.loads(line) for line in recorder.log.read_text(encoding="utf-8").splitlines()]
        (killed,) = (it for it in said if it["event"] == "killed, for it hung")
        assert (killed["child"], killed["silent_seconds"]) == ("keys", 4.0)
