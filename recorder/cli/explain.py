"""`doelband explain`: what decides about a call, in words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from recorder import control
from recorder.cli.ctl_calls import in_sentences, running
from recorder.cli.installation import Installation, work
from recorder.cli.options import DEFAULT, ConfigPath, some_text, whole_id
from recorder.cli.output import Json, facts, rows, say, show
from recorder.decision import Reason
from recorder.explanation import SOMEBODY, Case, excluded_by, imagine, is_emergency, is_room, roles
from recorder.leg import wanted
from recorder.numbering import is_number
from recorder.scheme import Exclusion, Scheme
from recorder.service import gatekeeper, places
from recorder.words import in_words
from storage.errors import NotFound
from storage.model import CallOutcome

_CALL = re.compile(r"[0-9a-f]{32}|(?=[0-9a-f]*[a-f])[0-9a-f]{8,31}", re.IGNORECASE)
"""A call's identifier or its beginning; eight digits or more without a letter are a number."""


def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NUMBER|CALL",
            callback=some_text,
            help="A number or alias; or a call's identifier, or how it begins.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER", callback=some_text, help="Whom the number calls; else everybody it may."
        ),
    ] = None,
    config: ConfigPath = DEFAULT,
    as_json: Json = False,
) -> None:
    """Say which rules decide about a call, and why.

    For a NUMBER: what would happen with calls from it and to it, by the file as it stands and the works
    council's signature; "if drawn" where only a sample is recorded, "after the announcement" where the other
    party has to hear one. For a CALL, running or ended: what was
    decided. A number that is asked about is written down nowhere.
    """
    if to is None and _CALL.fullmatch(what):
        value = work(config, lambda installation: _call(installation, what.lower()))
        said = value if "became" in value else in_sentences(value)
        words = {name: it for name, it in said.items() if name not in ("explanation", "by_purpose")}
        show(value, as_json, facts("Call", words | {"reasons": value["explanation"]}))
        return
    value = work(config, lambda installation: _number(installation, what, to))
    if as_json:
        show(value, True, "")
        return
    for party in value["parties"]:
        say(f"{party['number']}: {', '.join(party['is'])}.")
    lines = [
        (it["direction"], it["from"], it["to"], it["purpose"] or "-", _whether(it), it["explanation"])
        for it in value["calls"]
    ]
    columns = ("direction", "from", "to", "purpose", "recorded", "why")
    say(rows("Calls", columns, lines, "No line is listed, so nothing is recorded."))


async def _number(installation: Installation, number: str, to: str | None) -> dict[str, Any]:
    scheme = installation.config.scheme()
    gate = await gatekeeper.look(installation.config, installation.catalogue)
    sampled = {it.name for it in scheme.purposes if it.mode == "sample"}
    cases = imagine(scheme, gate.policy.rules, gate.approved, number, to)
    return {
        "parties": [
            {"number": it, "is": _is(scheme, it), "excluded_by": _entries(scheme, it)}
            for it in (number, to)
            if it is not None
        ],
        "recording_allowed": gate.approved,
        "calls": [row for case in cases for row in _rows(case, sampled)],
    }


def _is(scheme: Scheme, number: str) -> list[str]:
    """What a number is to the scheme."""
    agents, lines, is_ours = roles(scheme, number)
    said = [f'never recorded: "{it.name}" ({it.reason}) lists {by}' for it, by in excluded_by(scheme, number)]
    said += [f"extension of agent {it.id}, on {', '.join(it.lines)}" for it in agents]
    said += [f"number of line {it.name}" for it in lines]
    if is_ours and not agents and not lines:
        said.append("one of our internal numbers")
    if codes := scheme.feature_codes:
        said += [f"feature code ({kind}): {does}" for kind, does in codes.said_of(number)]
    if is_room(scheme, number):
        said.append("a conference room in which everybody may be recorded")
    if not said and is_emergency(scheme, number):
        said.append("an emergency number")
    return said or ["not listed: somebody outside" if is_number(number) else "not listed, and not a number"]


def _entries(scheme: Scheme, number: str) -> list[dict[str, str]]:
    found: Iterable[tuple[Exclusion, str]] = excluded_by(scheme, number)
    return [{"name": it.name, "reason": it.reason, "pattern": pattern} for it, pattern in found]


def _rows(case: Case, sampled: Collection[str]) -> list[dict[str, Any]]:
    """A row for each purpose; one for all where the call is kept out as a whole."""
    ours = " at ".join(_shown(it) for it in reversed(case.ours))
    sides = (ours, _shown(case.theirs))
    caller, callee = sides if case.direction.value == "outbound" else reversed(sides)
    verdict = case.verdict
    by_purpose = [(name, it.reasons) for name, it in verdict.purposes.items()]
    return [
        {
            "direction": case.direction.value,
            "from": caller,
            "to": callee,
            "purpose": purpose,
            "recorded": purpose in wanted(verdict),
            "announced": Reason.NOT_TOLD_YET in reasons,
            "by_lot": purpose in sampled,
            "reasons": [it.value for it in reasons],
            "explanation": [in_words(it.value) for it in reasons],
        }
        for purpose, reasons in by_purpose or [("", case.speaks)]
    ]


def _whether(row: Mapping[str, Any]) -> str:
    if not row["recorded"]:
        return "no"
    conditions = ["if drawn"] * row["by_lot"] + ["after the announcement"] * row["announced"]
    return ", ".join(conditions) or "yes"


def _shown(number: str) -> str:
    return "somebody outside" if number == SOMEBODY else number


async def _call(installation: Installation, given: str) -> dict[str, Any]:
    """A running call, else one of the ledger. Raises NotFound."""
    shown = {it["call"]: it for it in await _running(installation)}
    ended = {it.call: it for it in await installation.catalogue.calls.beginning_with(given)}
    call = whole_id("call", given, [*shown, *ended])
    if call in shown:
        return {**shown[call], "explanation": [in_words(it) for it in shown[call]["reasons"]]}
    if call in ended:
        return _ended(ended[call])
    raise NotFound(f"find call {given}", "`doelband calls` shows those there are; of others nothing is kept")


def _ended(outcome: CallOutcome) -> dict[str, Any]:
    became = {
        name: {"outcome": it.outcome.value, "explanation": [in_words(code) for code in it.reasons]}
        for name, it in outcome.became.items()
    }
    words = [in_words(it) for it in outcome.reasons]
    rest = {"outcome": outcome.outcome.value, "became": became, "explanation": words}
    return {**asdict(outcome), "purposes": list(outcome.purposes), "reasons": list(outcome.reasons), **rest}


async def _running(installation: Installation) -> list[dict[str, Any]]:
    try:
        return await running(places.signalling(installation.config))
    except control.NotRunning:
        return []
