"""The scheme as people read it: before the works council signs it, and at any time after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from recorder.agent_keys import AgentKeys
from recorder.feature_codes import DIALLED, PRESSED, FeatureCodes
from recorder.scheme import SAMPLE_SCALE, Agent, Exclusion, Line, Purpose, Scheme, scheme_hash


def render(scheme: Scheme) -> str:
    """Plain text, complete: whatever changes the hash changes this text."""
    sections = (
        _heading(f"Scheme {scheme_hash(scheme)}"),
        _general(scheme),
        _agent_keys(scheme.agent_keys),
        _feature_codes(scheme.feature_codes),
        *(_purpose(it) for it in sorted(scheme.purposes, key=lambda it: it.name)),
        *(_line(it) for it in sorted(scheme.lines, key=lambda it: it.name)),
        *(_agent(it) for it in sorted(scheme.agents, key=lambda it: it.id)),
        *(_exclusion(it) for it in sorted(scheme.exclusions, key=lambda it: it.name)),
    )
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _heading(text: str) -> Iterator[str]:
    yield text
    yield "=" * len(text)


def _general(scheme: Scheme) -> Iterator[str]:
    numbering = scheme.numbering
    yield f"Private calls begin with {scheme.private_prefix}: never recorded, no number kept."
    yield f"Emergency numbers: {_list(numbering.emergency)}: never recorded."
    yield f"Internal numbers: {_list(numbering.internal)}: calls among them are never recorded."
    yield f"Other numbers outside: {_list(numbering.outside)}"
    yield f"Conference rooms in which everybody may be recorded: {_list(scheme.rooms)}"
    yield (
        f"Numbers are read with country code {numbering.country_code}, national prefix"
        f' "{numbering.national_prefix}", international prefix "{numbering.international_prefix}",'
        f' outside line "{numbering.outside_line}". Format {scheme.version}.'
    )


def _agent_keys(keys: AgentKeys) -> Iterator[str]:
    yield "What an agent may press during a call"
    yield f"  the call is private: what was recorded is destroyed  {keys.private or '-'}"
    yield f"  the recording pauses, for at most {keys.pause_seconds} s             {keys.pause or '-'}"
    yield f"  it goes on                                           {keys.resume or '-'}"
    yield f"  it is recorded for the purposes on demand            {keys.record or '-'}"


def _feature_codes(codes: FeatureCodes | None) -> Iterator[str]:
    """Whoever answers one is unknown; and so is who speaks after one was pressed during a call."""
    if codes is None:
        yield "Feature codes of the PBX are not listed: nothing is recorded after a key that an agent presses"
        return
    yield "Feature codes of the PBX: it is not certain who speaks with whoever uses one"
    for kind, does in (*DIALLED.items(), *PRESSED.items()):
        yield f"  {does:<62}  {_list(getattr(codes, kind))}"
    yield f"  keys of one code lie at most {codes.key_seconds} s apart"


def _purpose(purpose: Purpose) -> Iterator[str]:
    yield f"Purpose {purpose.name} ({purpose.kind})"
    yield f"  what for        {purpose.description}"
    yield f"  legal basis     {purpose.legal_basis}"
    yield f"  recorded        {_mode(purpose)}"
    yield f"  kept            at most {purpose.retention_days} days"
    yield f"  frequency       {purpose.frequency or '-'}"
    yield f"  why so often    {purpose.frequency_justification or '-'}"
    yield f"  announcement    {_announcement(purpose)}"
    yield f"  told otherwise  {purpose.announcement_exemption or '-'}"
    yield f"  may be granted  {_list(purpose.listeners)}"


def _announcement(purpose: Purpose) -> str:
    objects = f"; who presses {purpose.objection_key} is not recorded" if purpose.objection_key else ""
    if not (purpose.announcement or purpose.announcement_sha256) and purpose.announcement_to_agent:
        return f"-{objects}"
    who = "both parties hear it" if purpose.announcement_to_agent else "the other party hears it"
    return f"{purpose.announcement} (SHA-256 {purpose.announcement_sha256 or '-'}); {who}{objects}"


def _mode(purpose: Purpose) -> str:
    if purpose.mode == "sample":
        return f"{purpose.sample / SAMPLE_SCALE:.2%} of the calls, drawn by lot"
    words = {"always": "every call", "on-demand": "calls for which somebody asks while they run"}
    sample = f" ({purpose.sample})" if purpose.sample else ""
    return words.get(purpose.mode, purpose.mode) + sample


def _line(line: Line) -> Iterator[str]:
    yield f"Line {line.name}: {line.description}"
    yield f"  numbers   {_list(line.numbers)}"
    yield f"  purposes  {_list(line.purposes)}"


def _agent(agent: Agent) -> Iterator[str]:
    yield f"Agent {agent.id}: extensions {_list(agent.extensions)}; lines {_list(agent.lines)}"


def _exclusion(exclusion: Exclusion) -> Iterator[str]:
    yield f"Never recorded: {exclusion.name}: {exclusion.reason}"
    yield f"  numbers  {_list(exclusion.numbers)}"
    yield f"  aliases  {_list(exclusion.aliases)}"


def _list(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts)) or "none"
