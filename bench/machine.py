"""What a benchmark ran on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from bench.processes import output_of


def describe() -> dict[str, object]:
    """CPU model, cores, RAM, kernel, and the versions that matter."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "ram_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "hypervisor": "hypervisor" in _field("/proc/cpuinfo", "flags").split(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "gcc": (output_of("gcc", "-dumpfullversion") or "absent").strip(),
        "rtpengine": (output_of("rtpengine", "--version") or "absent").strip(),
        "kamailio": (output_of("kamailio", "-v") or "absent").partition("\n")[0].strip(),
        "doelband": metadata.version("doelband"),
        "commit": _commit(),
    }


def _commit() -> str:
    """The version, and whether anything but results was changed since."""
    commit = (output_of("git", "describe", "--always") or "unknown").strip()
    changed = output_of("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results")
    return f"{commit}-dirty" if changed else commit


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text(encoding="ascii", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
