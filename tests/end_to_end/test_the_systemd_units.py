"""Every unit is valid, shut in as far as it can be, and sees what it needs and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
NAMES = ("media", "relay@0", "capture", "signalling", "keys", "purge", "watch", "crm")
MOST_EXPOSURE = 1.5

KEYS = {"/var/lib/doelband/keys", "/var/lib/doelband-epoch"}
CLIPS = "/var/lib/doelband/storage/clips"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory with our units in it, and as much of a system as systemd-analyze looks for."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: install systemd")
    root = tmp_path_factory.mktemp("root")
    units = root / "etc" / "systemd" / "system"
    shutil.copytree(UNITS, units)
    shutil.copy(units / "doelband-relay@.service", units / "doelband-relay@0.service")
    for name in ("sysinit", "basic", "shutdown", "multi-user"):
        (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for program in (root / "opt" / "doelband" / "bin" / "doelband", root / "bin" / "kill"):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return root


def analyze(root: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["systemd-analyze", f"--root={root}", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_no_unit_is_exposed_more_than_it_must(root: Path, name: str) -> None:
    said = analyze(root, "security", "--offline=yes", f"doelband-{name}.service")
    found = re.search(r"exposure level for \S+ ([0-9.]+)", said)
    assert found, said
    assert float(found[1]) <= MOST_EXPOSURE


def test_the_units_are_valid(root: Path) -> None:
    units = [f"doelband-{name}.service" for name in NAMES]
    assert analyze(root, "verify", "--man=no", "doelband.target", *units) == ""


def test_the_target_starts_all_of_them() -> None:
    text = (UNITS / "doelband.target").read_text(encoding="utf-8")
    wanted = {it for line in re.findall(r"^Wants=(.*)$", text, re.MULTILINE) for it in line.split()}
    assert wanted == {f"doelband-{name}.service" for name in NAMES}


def settings(name: str) -> dict[str, set[str]]:
    """What a unit's own file says; lists add up."""
    found: dict[str, set[str]] = {}
    file = UNITS / f"doelband-{name.rstrip('0')}.service"
    for line in file.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, set()).update(value.split())
    return found


@pytest.mark.parametrize("name", NAMES)
def test_who_needs_no_network_has_none(name: str) -> None:
    own = settings(name)
    if name in ("media", "signalling"):
        assert own["RestrictAddressFamilies"] == {"AF_UNIX", "AF_INET", "AF_INET6"}
    elif name in ("watch", "crm"):
        assert (own["IPAddressDeny"], own["IPAddressAllow"]) == ({"any"}, {"localhost"})
    else:
        assert own["RestrictAddressFamilies"] == {"AF_UNIX"}
        assert (own["PrivateNetwork"], own["IPAddressDeny"]) == ({"yes"}, {"any"})


def test_private_keys_are_seen_by_the_keys_process_alone_and_clips_by_those_who_handle_them() -> None:
    storage = {"/var/lib/doelband", "/var/lib/doelband-epoch"}
    hidden = {name: settings(name)["InaccessiblePaths"] for name in NAMES}
    assert hidden["media"] == storage
    assert hidden["relay@0"] == storage | {"/etc/doelband"}
    for name in ("capture", "signalling", "purge", "watch", "crm"):
        assert hidden[name] >= KEYS
    assert not hidden["keys"] & KEYS
    assert [name for name in NAMES if CLIPS in hidden[name]] == ["signalling", "keys", "watch", "crm"]
