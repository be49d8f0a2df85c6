"""Starting the service: once per storage, and only where it can listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from demo.phone import free_port
from recorder.config import Config, parse
from recorder.service import places, supervisor
from storage.errors import NotFound, Unavailable
from tests.fakes.holder import held
from tests.recorder.schemes import CONFIGURATION


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """As if it were set up, on a free port."""
    text = CONFIGURATION.replace("192.0.2.10", "127.0.0.1").replace("port = 5060", f"port = {free_port()}")
    made = parse(text, "test.toml", tmp_path)
    for directory in (made.storage.directory, made.keys.directory):
        directory.mkdir()
    places.catalogue(made).touch()
    (made.keys.directory / "keystore.1").touch()
    return made


def test_a_second_service_on_the_same_storage_is_refused_and_touches_nothing(config: Config) -> None:
    places.prepare_runtime(config)
    marker = config.runtime.directory / "supervisor.sock"
    marker.touch()
    with held(places.lock(config)) as pid, pytest.raises(Unavailable, match=f"it runs already.*{pid}"):
        supervisor.prepare(config, Path("test.toml"))
    assert marker.exists()


def test_a_media_process_that_runs_alone_is_not_joined_by_a_second(config: Config) -> None:
    places.prepare_runtime(config)
    media = places.presence(config.runtime.directory, "media")
    with held(media) as pid, pytest.raises(Unavailable, match=f"start media.*{pid}"):
        supervisor.prepare(config, Path("test.toml"))


def test_a_sip_port_that_is_taken_is_named(config: Config) -> None:
    port = config.listeners[0].port
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}.*address already in use"):
            supervisor.prepare(config, Path("test.toml"))


def test_before_the_set_up_the_start_says_what_to_do(config: Config) -> None:
    places.catalogue(config).unlink()
    with pytest.raises(NotFound, match="doelband setup"):
        supervisor.prepare(config, Path("test.toml"))
