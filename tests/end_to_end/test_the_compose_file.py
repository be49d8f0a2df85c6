"""The compose file shuts the container in, and keeps apart what no backup may hold together."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")


def test_the_container_may_do_nothing_that_it_need_not() -> None:
    for line in (
        'user: "973:973"',
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
        "core: 0",
    ):
        assert line in COMPOSE, line


def test_memory_is_never_swapped_out() -> None:
    assert re.findall(r"mem_limit: (\S+)", COMPOSE) == re.findall(r"memswap_limit: (\S+)", COMPOSE)


def test_storage_keys_and_epoch_keys_are_volumes_apart_where_configuration_and_image_have_them() -> None:
    example = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    directories = re.findall(r'^(?:epoch_key_)?directory = "(/var/lib/\S+)"', example, re.MULTILINE)
    assert len(directories) == 3
    volumes = re.findall(r"^      - (\w+):(\S+)$", COMPOSE, re.MULTILINE)
    assert [place for _, place in volumes] == directories
    assert len({name for name, _ in volumes}) == 3
    for directory in directories:
        assert directory in image


def test_the_runtime_directory_belongs_to_the_service_s_user() -> None:
    assert "/run/doelband:uid=973,gid=973,mode=0700" in COMPOSE
