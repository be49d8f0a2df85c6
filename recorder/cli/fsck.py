"""`doelband fsck`: do files, rows, keys and audit log agree?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from recorder import control
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath, public_key
from recorder.cli.output import Exit, Json, rows, say, show
from recorder.cli.progress import watched
from recorder.service import places
from storage.blobs import Blobs
from storage.errors import NotFound
from storage.inspection import Inspector, Kind, Report

PATIENCE_SECONDS = 20.0
"""What a running service gets to finish what looks unfinished: opening a clip, recovering, a destruction."""

RecorderKey = Annotated[
    Path | None,
    typer.Option(
        "--recorder-key",
        metavar="FILE.pub",
        help="The recorder's public key, from a copy of your own. Otherwise the one beside the catalogue.",
    ),
]


def fsck(recorder_key: RecorderKey = None, config: ConfigPath = DEFAULT, as_json: Json = False) -> None:
    """Check that every file has its row, every row its file, and all signatures hold. Exit 6 with findings.

    No private key is needed. It may run beside the service: clips that are being recorded are no finding. It
    reads every clip once, and neither changes nor removes anything.
    """
    report = work(config, lambda installation: _inspect(installation, recorder_key))
    findings = [
        {**asdict(it), "what": WORDS[it.kind][0], "remedy": WORDS[it.kind][1]} for it in report.findings
    ]
    value = {
        "clips": report.clips,
        "open": report.open,
        "findings": findings,
        "not_looked_at": list(report.unseen),
    }
    show(value, as_json, "") if as_json else _print(report, findings)
    raise typer.Exit(Exit.FINDINGS if findings else Exit.OK)


def _print(report: Report, findings: list[dict[str, Any]]) -> None:
    lines = [(it["subject"], it["what"], it["detail"], it["remedy"]) for it in findings]
    clean = f"Clean: {report.clips} clips, {report.open} of them being recorded."
    say(rows("Findings", ("of", "what", "seen", "what to do"), lines, clean))
    for unseen in report.unseen:
        say(f"Not looked at: {unseen}")


async def _inspect(installation: Installation, recorder_key: Path | None) -> Report:
    config, catalogue = installation.config, installation.catalogue
    public = _public(recorder_key, places.recorder_public_key(config))
    total = await catalogue.holdings.count()
    with watched() as tell:
        inspector = Inspector(
            catalogue,
            Blobs(places.clips(config)),
            public,
            places.keyring(config),
            lambda clips: tell("looked at", clips, max(clips, total)),
        )
        return await inspector.inspect(PATIENCE_SECONDS if await _is_running(installation) else 0.0)


def _public(given: Path | None, kept: Path) -> bytes:
    if given is None and not kept.exists():
        remedy = "`doelband serve` writes it; or give a copy with --recorder-key"
        raise NotFound(f"read the recorder's public key {kept}", remedy)
    return public_key(given or kept)


async def _is_running(installation: Installation) -> bool:
    try:
        return bool(await control.ask(places.supervisor(installation.config), {"op": "status"}))
    except control.NotRunning:
        return False


_RESTORE = (
    "restore the file from a copy; what cannot be restored is lost, and its row stays until its deadline"
)
_TAMPERED = (
    "somebody changed it: keep the disk as it is, compare with copies and the audit log, tell management"
)
_PURGE = "run `doelband purge run`, and look at the log of the service if it stays"

WORDS: dict[Kind, tuple[str, str]] = {
    Kind.FILE_MISSING: ("the clip's file is missing", _RESTORE),
    Kind.FILE_CHANGED: ("the file is not the one that was closed", _RESTORE),
    Kind.FILE_OF_ANOTHER: ("the file is that of another clip", "give both files their own names again"),
    Kind.PROLOGUE_FORGED: ("the file does not begin as this recorder wrote it", _RESTORE),
    Kind.CLOSE_RECORD_FORGED: ("this recorder did not sign the close record", _TAMPERED),
    Kind.ROW_INCOMPLETE: ("a sealed clip's row lacks something", "restore the catalogue from a copy"),
    Kind.ROW_DIFFERS: ("row and signed bytes differ", _TAMPERED),
    Kind.WRAPS_MISSING: (
        "the wraps file is missing",
        "restore it; the row still has the wrap, the clip opens",
    ),
    Kind.WRAPS_DIFFER: ("row and wraps file differ", _TAMPERED),
    Kind.CLOSE_DIFFERS: ("row and close-record file differ", _TAMPERED),
    Kind.UNFINISHED_FILE: ("a half-written file is left", "remove it: the whole one lies beside it"),
    Kind.DAY_KEY_MISSING: (
        "no living day key opens this clip",
        "see that the key service runs; if it does, use a replica of the keystore of this epoch",
    ),
    Kind.PART_MISSING: ("the part before is missing", "restore the catalogue from a copy"),
    Kind.LEFT_OPEN: (
        "it is open and nobody writes it",
        "start or restart the service: it seals what a crash left",
    ),
    Kind.LEFT_ERASING: ("its destruction is not finished", _PURGE),
    Kind.ERASED_WITH_FILE: (
        "it is destroyed, yet there is a file",
        "its key is gone, nobody can open it; find out who restored it, then remove the files named",
    ),
    Kind.TOMBSTONE_MISSING: ("it is destroyed without a tombstone", _TAMPERED),
    Kind.TOMBSTONE_EARLY: ("it has a tombstone and is not destroyed", _TAMPERED),
    Kind.CERTIFICATE_MISSING: ("it is destroyed without a certificate", _PURGE),
    Kind.STRAY_FILE: (
        "no row knows this file",
        "restore the catalogue that has its row; otherwise remove the files named, nobody can open them",
    ),
    Kind.UNKNOWN_FILE: ("this is no file of a clip", "move it out of the clip directory"),
    Kind.ROW_MISSING: ("the audit log knows a clip that has no row", _TAMPERED),
    Kind.ACT_MISSING: ("a row whose beginning is not in the audit log", _TAMPERED),
    Kind.AUDIT_BROKEN: ("the audit log's chain is broken", _TAMPERED),
    Kind.CATALOGUE_DAMAGED: (
        "the catalogue is damaged",
        "stop the service, restore the catalogue from a copy",
    ),
    Kind.BUNDLE_UNUSABLE: (
        "the bundle of public keys is unusable",
        "restart the service: it publishes it again",
    ),
    Kind.BUNDLE_OLD: (
        "the bundle offers keys that are destroyed",
        "restart the service: it publishes it again",
    ),
    Kind.KEYSTORE_MISSING: ("there is no keystore", "bring a replica of it; without it no clip opens"),
    Kind.KEYSTORE_OLD: (
        "the keystore is older than the last destruction",
        "somebody restored a copy: keys that were destroyed may live again; use a replica of the later epoch",
    ),
    Kind.EPOCH_KEY_MISSING: ("the keystore's epoch key is missing", "make its medium reachable"),
    Kind.EPOCH_LEFT: (
        "an old epoch was not destroyed",
        "restart the service: it destroys what is left of old epochs",
    ),
}
"""For each kind of finding: what is wrong, and what to do about it."""
