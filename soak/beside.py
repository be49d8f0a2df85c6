"""A soak with kills, shared out over installations that run beside each other."""

from __future__ import annotations

import multiprocessing
import statistics
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from soak import kill
from soak.kill import Plan
from soak.service import MEDIA_PORTS


def run(directory: Path, plan: Plan, installations: int = 1) -> dict[str, Any]:
    """One whole run: the kills shared out over fresh installations that run beside each other. Returns the
    report, in which `faults` is empty if all held.
    """
    began = time.monotonic()
    plans = [
        replace(
            plan,
            kills=plan.kills // installations + (it < plan.kills % installations),
            seed=plan.seed + it,
            first_port=plan.first_port + it * MEDIA_PORTS,
        )
        for it in range(installations)
    ]
    places = [directory / str(it.seed) for it in plans]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(installations, mp_context=context) as executor:
        runs = [executor.submit(kill.run, *it) for it in zip(places, plans, strict=True)]
    reports = [it.result() for it in runs if it.exception() is None]
    broken = [error for it in runs if (error := it.exception()) is not None]
    for error in broken:
        traceback.print_exception(error)
    if not reports:
        raise broken[0]
    merged = _merged(reports)
    merged["faults"] += [f"a run broke off: {error}" for error in broken]
    return {"plan": asdict(plan), "seconds": round(time.monotonic() - began), **merged}


def _merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = sorted({kind for it in reports for kind in it["kills"]})
    back = {kind: [at for it in reports for at in it["back"].get(kind, [])] for kind in kinds}
    totals = {
        name: sum(it["totals"][name] for it in reports) for name in reports[0]["totals"] if name != "faults"
    }
    return {
        "kills": {kind: sum(it["kills"].get(kind, 0) for it in reports) for kind in kinds},
        "seconds_until_back": {
            kind: {"median": round(statistics.median(all_of), 2), "longest": round(max(all_of), 2)}
            for kind, all_of in back.items()
        },
        "longest_silence_seconds": {
            kind: round(max(it["silence"].get(kind, 0.0) for it in reports), 2) for kind in ("none", *kinds)
        },
        "finished_before_a_kill": sum(it["finished"] for it in reports),
        "phones_late_seconds": round(max(it["late"] for it in reports), 2),
        "growth_kib": {
            name: max(it["growth"].get(name, 0) for it in reports) for name in reports[0]["growth"]
        },
        "totals": totals,
        "faults": [fault for it in reports for fault in it["totals"]["faults"]],
    }
