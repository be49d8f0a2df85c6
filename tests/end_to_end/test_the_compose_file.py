"""The compose file shuts its containers in, and keeps apart what no backup may hold together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
SERVICES = dict(
    zip(
        re.findall(r"^  (\w+):$", COMPOSE, re.MULTILINE),
        re.split(r"^(?:  \w+:|volumes:)$", COMPOSE, flags=re.MULTILINE)[1:],
        strict=False,
    )
)
"""The text of each service, by its name."""
WATCHING = ("prometheus", "grafana")


def test_recorder_and_watchers_are_the_services() -> None:
    assert tuple(SERVICES) == ("recorder", *WATCHING)


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_may_do_what_it_need_not(name: str) -> None:
    for line in (
        "network_mode: host",
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
    ):
        assert line in SERVICES[name], line


def test_the_recorder_runs_as_its_own_user_and_leaves_no_core_file() -> None:
    for line in ('user: "973:973"', "core: 0"):
        assert line in SERVICES["recorder"], line


def test_memory_is_never_swapped_out() -> None:
    limits = re.findall(r"mem_limit: (\S+)", SERVICES["recorder"])
    assert limits == re.findall(r"memswap_limit: (\S+)", SERVICES["recorder"])


def volumes(name: str) -> list[tuple[str, str]]:
    return re.findall(r"^      - (\w+):(\S+)$", SERVICES[name], re.MULTILINE)


def test_storage_keys_and_epoch_keys_are_volumes_apart_where_configuration_and_image_have_them() -> None:
    example = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    directories = re.findall(r'^(?:epoch_key_)?directory = "(/var/lib/\S+)"', example, re.MULTILINE)
    assert len(directories) == 3
    assert [place for _, place in volumes("recorder")] == directories
    assert len({name for name, _ in volumes("recorder")}) == 3
    for directory in directories:
        assert directory in image


def test_the_runtime_directory_belongs_to_the_service_s_user() -> None:
    assert "/run/doelband:uid=973,gid=973,mode=0700" in SERVICES["recorder"]


@pytest.mark.parametrize("name", WATCHING)
def test_who_watches_is_asked_for_listens_on_loopback_and_sees_nothing_of_the_recorder(name: str) -> None:
    text = SERVICES[name]
    assert "profiles: [watching]" in text
    assert re.findall(r"(?:listen-address=|HTTP_ADDR: )([0-9.]+)", text) == ["127.0.0.1"]
    assert volumes(name) == [(name, {"prometheus": "/prometheus", "grafana": "/var/lib/grafana"}[name])]
    assert re.search(r"image: \S+:v?[0-9.]+$", text, re.MULTILINE), "a version, not the latest"


def test_what_the_watchers_read_is_there_read_only_and_fits_together() -> None:
    given = re.findall(r"^      - (\./\S+?):(\S+?):(\S+)$", COMPOSE, re.MULTILINE)
    assert len(given) == 4
    assert {mode for *_, mode in given} == {"ro"}
    for source, *_ in given:
        assert (ROOT / "deploy" / source).exists(), source
    places = {Path(place) for _, place, _ in given}
    (path,) = re.findall(r"path: (\S+)", (ROOT / "deploy/grafana/dashboards.yml").read_text(encoding="utf-8"))
    assert Path(path) / "doelband.json" in places
    sources = (ROOT / "deploy/grafana/datasources.yml").read_text(encoding="utf-8")
    (address,) = re.findall(r"web.listen-address=(\S+)", COMPOSE)
    assert f"url: http://{address}" in sources
