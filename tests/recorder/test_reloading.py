"""A running process takes over a changed file: all that can change, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from recorder import control
from recorder.config import Config, adopt, load, parse
from recorder.service.reloading import Reloader
from storage.errors import Unavailable
from tests.recorder.schemes import CONFIGURATION

EXCLUDED = CONFIGURATION.replace('"250"', '"250", "251"')


class Followed:
    """What the process was told to follow."""

    def __init__(self, error: Exception | None = None) -> None:
        self.configs: list[Config] = []
        self.error = error

    async def __call__(self, config: Config) -> Mapping[str, Any]:
        if self.error:
            raise self.error
        self.configs.append(config)
        return {"made": 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    return path


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def config(text: str) -> Config:
    return parse(text, "test.toml", Path("/"))


async def test_a_changed_scheme_is_followed_at_once(file: Path) -> None:
    followed = Followed()
    reloader = Reloader(load(file), file, followed)
    write(file, EXCLUDED)
    answer = await reloader.reload()
    assert (answer["ok"], answer["made"], answer["next_start"]) == (True, 3, [])
    (taken,) = followed.configs
    assert taken.exclusions[0].numbers == ("250", "251")


async def test_a_file_that_cannot_be_used_changes_nothing_and_every_problem_is_told(file: Path) -> None:
    followed = Followed()
    reloader = Reloader(load(file), file, followed)
    broken = EXCLUDED.replace('lines = ["service"]', 'lines = ["servce"]')
    write(file, broken.replace('purposes = ["coaching"]', 'purposes = ["coching"]'))
    answer = await reloader.reload()
    assert not answer["ok"] and followed.configs == []
    assert len(answer["problems"]) == 2 and all(f"{file}:" in it for it in answer["problems"])


async def test_a_reload_that_cannot_be_finished_is_told_and_can_be_tried_again(file: Path) -> None:
    followed = Followed(Unavailable("write the keystore", "make room"))
    reloader = Reloader(load(file), file, followed)
    assert "make room" in (await reloader.reload())["error"]
    followed.error = None
    assert (await reloader.reload())["ok"]


async def test_the_question_reload_is_answered_beside_those_of_the_process(file: Path) -> None:
    answers = Reloader(load(file), file, Followed()).answering(lambda message: {"asked": message["op"]})
    async with await control.serve(file.with_name("process.sock"), answers):
        assert await control.ask(file.with_name("process.sock"), {"op": "status"}) == {"asked": "status"}
        assert (await control.ask(file.with_name("process.sock"), {"op": "reload"}))["made"] == 3


@pytest.mark.parametrize(
    ("old", "new", "section"),
    [
        ("port = 5060", "port = 5070", "listeners"),
        ('address = "192.0.2.20"', 'address = "192.0.2.21"', "pbx"),
        ("20000-20999", "20000-21999", "media"),
        ('directory = "storage"', 'directory = "elsewhere"', "storage"),
        ('directory = "keys"', 'directory = "elsewhere"', "keys"),
        ('directory = "run"', 'directory = "elsewhere"', "runtime"),
    ],
)
def test_sockets_and_directories_wait_for_the_next_start_and_the_rest_is_taken(
    old: str, new: str, section: str
) -> None:
    running = config(CONFIGURATION)
    adopted, waiting = adopt(running, config(EXCLUDED.replace(old, new)))
    assert waiting == (section,)
    assert getattr(adopted, section) == getattr(running, section)
    assert adopted.exclusions[0].numbers == ("250", "251")


def test_the_horizon_changes_while_the_ports_wait() -> None:
    changed = config(
        CONFIGURATION.replace('ports = "20000', 'horizon = "5 s"\nports = "22000').replace("-20999", "-22999")
    )
    adopted, waiting = adopt(config(CONFIGURATION), changed)
    assert waiting == ("media",)
    assert (adopted.media.horizon.total_seconds(), adopted.media.port_low) == (5, 20000)
