"""The scheme has one hash whatever its order, and only less is stricter."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from recorder.feature_codes import FeatureCodes
from recorder.numbering import Numbering
from recorder.scheme import (
    Agent,
    Exclusion,
    Line,
    Purpose,
    Scheme,
    canonical,
    is_stricter,
    parse,
    scheme_hash,
)
from recorder.scheme_text import render

COACHING = Purpose(
    "coaching",
    "quality",
    "Coaching",
    "GDPR 6(1)(f)",
    30,
    frequency="four a month",
    frequency_justification="the fewest",
    announcement_exemption="welcome message",
    listeners=("coach", "trainer"),
)
EVIDENCE = Purpose("evidence", "evidence", "Orders", "GDPR 6(1)(c)", 2555, announcement="hello.wav")
SERVICE = Line("service", "Service", ("+31201234567", "200-219"), ("coaching", "evidence"))
ORDERS = Line("orders", "Orders", ("220-229",), ("evidence",))
ANNE, BERT = Agent("a-1", ("201", "202"), ("orders", "service")), Agent("a-2", ("203",), ("service",))
DOCTOR = Exclusion("Company doctor", "secrecy", ("250",), ("dr.jansen",))
COUNCIL = Exclusion("Works council", "secrecy", ("260-264",))
SCHEME = Scheme(
    numbering=Numbering(internal=("200-299", "300"), outside=("0900*",)),
    private_prefix="*31",
    purposes=(COACHING, EVIDENCE),
    lines=(SERVICE, ORDERS),
    agents=(ANNE, BERT),
    exclusions=(DOCTOR, COUNCIL),
)
KNOWN_HASH = "59c1eae9985820712cfc5fc87d3febf8ff9963090664342ec4573f39c9ea228c"


def test_the_hash_is_the_same_on_every_machine_and_version() -> None:
    """A change of this value asks every works council for a new signature."""
    assert scheme_hash(SCHEME) == KNOWN_HASH


def test_order_is_not_part_of_the_scheme() -> None:
    shuffled = replace(
        SCHEME,
        numbering=replace(SCHEME.numbering, internal=("300", "200-299")),
        purposes=(EVIDENCE, replace(COACHING, listeners=("trainer", "coach"))),
        lines=(ORDERS, replace(SERVICE, numbers=SERVICE.numbers[::-1], purposes=SERVICE.purposes[::-1])),
        agents=(BERT, replace(ANNE, extensions=("202", "201"))),
        exclusions=(COUNCIL, DOCTOR),
    )
    assert scheme_hash(shuffled) == scheme_hash(SCHEME)
    assert is_stricter(SCHEME, shuffled)
    assert is_stricter(shuffled, SCHEME)


def test_the_canonical_form_is_canonical_json_and_reads_back() -> None:
    document = canonical(SCHEME)
    again = json.dumps(json.loads(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert again.encode() == document
    assert canonical(parse(document)) == document
    assert parse(document).exclusions == (DOCTOR, COUNCIL)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        canonical(SCHEME) + b" ",
        canonical(SCHEME).replace(b'"version":1', b'"more":1,"version":1'),
        canonical(SCHEME).replace(b'["coach","trainer"]', b'["trainer","coach"]'),
    ],
)
def test_what_is_not_a_canonical_scheme_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="signed again"):
        parse(document)


def variations() -> list[tuple[str, Scheme]]:
    """The scheme with every single field of it, at every depth, changed in turn."""
    found = [("prefix", replace(SCHEME, private_prefix="*32")), ("version", replace(SCHEME, version=2))]
    found.append(("rooms", replace(SCHEME, rooms=("850",))))
    found.append(("feature_codes", replace(SCHEME, feature_codes=FeatureCodes())))
    for field in fields(FeatureCodes):
        varied: dict[str, Any] = {field.name: ("#1",) if field.name != "key_seconds" else 2}
        found.append((field.name, replace(SCHEME, feature_codes=FeatureCodes(**varied))))
    for field in fields(Numbering):
        value = getattr(SCHEME.numbering, field.name)
        change: dict[str, Any] = {field.name: ("7*",) if isinstance(value, tuple) else "7"}
        found.append((field.name, replace(SCHEME, numbering=replace(SCHEME.numbering, **change))))
    parts: dict[str, Any] = {"purposes": COACHING, "lines": SERVICE, "agents": ANNE, "exclusions": DOCTOR}
    for name, part in parts.items():
        for field in fields(part):
            value = getattr(part, field.name)
            number = not value if isinstance(value, bool) else 31
            other = number if isinstance(value, int) else ("7",) if isinstance(value, tuple) else "7"
            change = {name: (replace(part, **{field.name: other}), *getattr(SCHEME, name)[1:])}
            found.append((f"{name}.{field.name}", replace(SCHEME, **change)))
    return found


@pytest.mark.parametrize(("field", "varied"), variations(), ids=lambda it: it if isinstance(it, str) else "")
def test_every_field_is_hashed_shown_and_needs_a_signature(field: str, varied: Scheme) -> None:
    assert scheme_hash(varied) != scheme_hash(SCHEME)
    assert render(varied).splitlines()[2:] != render(SCHEME).splitlines()[2:]
    offered = replace(SCHEME, purposes=(replace(COACHING, objection_key="9"), *SCHEME.purposes[1:]))
    assert not is_stricter(offered if field == "purposes.objection_key" else SCHEME, varied)


@pytest.mark.parametrize(
    "current",
    [
        SCHEME,
        replace(SCHEME, exclusions=(*SCHEME.exclusions, Exclusion("Counsellor", "secrecy", ("251",)))),
        replace(SCHEME, exclusions=(replace(DOCTOR, numbers=("250", "0612345678")), COUNCIL)),
        replace(SCHEME, exclusions=(replace(DOCTOR, aliases=("dr.jansen", "jansen")), COUNCIL)),
        replace(SCHEME, purposes=(replace(COACHING, retention_days=29), EVIDENCE)),
        replace(SCHEME, purposes=(EVIDENCE,)),
        replace(SCHEME, purposes=(replace(COACHING, mode="sample", sample=500), EVIDENCE)),
        replace(SCHEME, lines=(SERVICE,)),
        replace(SCHEME, lines=(replace(SERVICE, numbers=("200-219",)), ORDERS)),
        replace(SCHEME, lines=(replace(SERVICE, purposes=("coaching",)), ORDERS)),
        replace(SCHEME, agents=(ANNE,)),
        replace(SCHEME, agents=(replace(ANNE, extensions=("201",)), BERT)),
        replace(SCHEME, agents=(replace(ANNE, lines=("service",)), BERT)),
        replace(SCHEME, purposes=(), lines=(), agents=()),
    ],
)
def test_less_is_stricter_and_its_reverse_is_not(current: Scheme) -> None:
    assert is_stricter(SCHEME, current)
    assert current == SCHEME or not is_stricter(current, SCHEME)


def test_less_of_one_and_more_of_another_is_not_stricter() -> None:
    swapped = replace(SCHEME, agents=(ANNE,), purposes=(replace(COACHING, retention_days=31), EVIDENCE))
    assert not is_stricter(SCHEME, swapped)


@pytest.mark.parametrize(
    ("approved", "current"),
    [
        (("sample", 500), ("sample", 501)),
        (("sample", 500), ("always", 0)),
        (("sample", 500), ("on-demand", 0)),
        (("always", 0), ("on-demand", 0)),
        (("on-demand", 0), ("sample", 1)),
    ],
)
def test_more_calls_or_other_calls_need_a_new_signature(
    approved: tuple[Any, int], current: tuple[Any, int]
) -> None:
    one, other = (
        replace(SCHEME, purposes=(replace(COACHING, mode=mode, sample=sample), EVIDENCE))
        for mode, sample in (approved, current)
    )
    assert not is_stricter(one, other)
    assert scheme_hash(one) != scheme_hash(other)


def test_a_smaller_sample_is_stricter() -> None:
    half, quarter = (
        replace(SCHEME, purposes=(replace(COACHING, mode="sample", sample=sample),))
        for sample in (5000, 2500)
    )
    assert is_stricter(half, quarter) and not is_stricter(quarter, half)
    assert "25.00% of the calls" in render(quarter)


def test_a_purpose_is_found_by_its_name() -> None:
    assert SCHEME.purpose("coaching") is COACHING
    assert SCHEME.purpose("coaching").retention.days == 30
    with pytest.raises(KeyError):
        SCHEME.purpose("assessment")
