"""A configuration is used as a whole, or refused with every mistake, its line, and what to write instead."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest

from recorder.config import Config, ConfigError, findings, load, parse
from recorder.decision import Action, CallFacts, Direction, Kind, decide
from recorder.rules import compile_rules
from recorder.scheme import scheme_hash

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SMALL = """\
[[listeners]]
address = "127.0.0.1"
port = 5060
side = "both"

[pbx]
address = "127.0.0.1"
port = 5080

[media]
address = "127.0.0.1"
ports = "20000-20999"

[numbering]
internal = ["200-299"]
outside_line = "9"

[private]
prefix = "*31"

[purposes.coaching]
kind = "quality"
description = "Coaching"
legal_basis = "GDPR art. 6(1)(f)"
retention = 30
frequency = "four calls a month"
frequency_justification = "the fewest that show a pattern"
announcement_exemption = "welcome message"
listeners = ["coach"]

[[lines]]
name = "service"
description = "Service"
numbers = ["+31201234567", "200-219"]
purposes = ["coaching"]

[[agents]]
id = "a-1"
extensions = ["201"]
lines = ["service"]

[[exclusions]]
name = "Company doctor"
reason = "secrecy"
numbers = ["250", "06-12345678"]

[storage]
directory = "storage"

[keys]
directory = "keys"
epoch_key_directory = "epoch"

[runtime]
directory = "/run/doelband"
"""
BASE = Path("/etc/doelband")


def small(*changes: tuple[str, str]) -> str:
    text = SMALL
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.toml", BASE)
    return str(caught.value).splitlines()


def test_the_example_loads_as_it_stands_and_raises_no_doubt() -> None:
    config = load(EXAMPLE)
    kinds = {name: it.kind for name, it in config.purposes.items()}
    assert kinds == {
        "coaching": "quality",
        "assessment": "quality",
        "process-improvement": "quality",
        "evidence": "evidence",
    }
    assert findings(EXAMPLE, given_away=Path("absent")) == ()


def test_the_example_explains_every_key_that_there_is() -> None:
    text = EXAMPLE.read_text()
    schema = Config.model_json_schema()
    for section in [schema, *schema["$defs"].values()]:
        for key in section["properties"]:
            assert key in text, f"{section['title']}.{key}"


def test_the_example_records_a_customer_and_never_the_company_doctor() -> None:
    rules = compile_rules(load(EXAMPLE).scheme())
    inside = frozenset({"201", "+31201234567"})
    for caller, kind in (("+31611111111", Kind.BUSINESS), ("0612345678", Kind.PRIVILEGED)):
        outside = frozenset({caller})
        facts = CallFacts(
            Direction.INBOUND, inside, outside, inside | outside, "201", answered=True, approved=True
        )
        assert decide(facts, rules).kind is kind
    assert decide(facts, rules).purposes.get("coaching") is None


def test_loading_touches_no_network_and_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, forbidden)
    file = tmp_path / "c.toml"
    file.write_text(SMALL)
    config = load(file)
    assert [it.name for it in tmp_path.iterdir()] == ["c.toml"]
    assert config.storage.directory == tmp_path / "storage"


def test_values_arrive_as_what_they_mean() -> None:
    config = parse(
        small(("30\n", '"4 weeks"\n'), ('ports = "20000-20999"', 'ports = "20000 - 20999"')), "c", BASE
    )
    assert config.purposes["coaching"].retention == timedelta(days=28)
    assert (config.media.port_low, config.media.port_high) == (20000, 20999)
    assert (config.media.horizon, config.media.workers) == (timedelta(seconds=2), 1)
    assert config.media.advertised_addresses()[4] == config.listeners[0].advertised_address == "127.0.0.1"
    assert config.listeners[0].name == "both-127.0.0.1-5060"
    assert config.storage.directory == BASE / "storage"
    assert config.runtime.directory == Path("/run/doelband")
    assert config.clock.offset_file is None


def test_the_scheme_holds_what_decides_and_nothing_else() -> None:
    scheme = parse(SMALL, "c", BASE).scheme()
    moved = parse(small(("port = 5060", "port = 5061"), ('"storage"', '"elsewhere"')), "c", BASE).scheme()
    assert scheme_hash(scheme) == scheme_hash(moved)
    assert scheme.purpose("coaching").retention_days == 30
    outside = frozenset({"906123456789"})
    facts = CallFacts(Direction.OUTBOUND, frozenset({"201"}), outside, outside, "90612345678", approved=True)
    assert decide(facts, compile_rules(scheme)).kind is Kind.PRIVILEGED


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file() -> None:
    text = small(
        ("port = 5060", 'port = "5060"'),
        ("[private]", "[privat]"),
        ('legal_basis = "GDPR art. 6(1)(f)"\n', ""),
        ('extensions = ["201"]', "extensions = [201]"),
    )
    said = refused(text)
    assert [it.split(": ")[:2] for it in said] == [
        ["c.toml", "private"],
        ["c.toml:3", "listeners[0].port"],
        ["c.toml:18", "privat"],
        ["c.toml:21", "purposes.coaching.legal_basis"],
        ["c.toml:38", "agents[a-1].extensions[0]"],
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("port = 5060", "prt = 5060"), 'c.toml:3: listeners[0].prt: unknown key; write "port"'),
        (("[storage]", "[storrage]"), "c.toml: storage: is missing; write a section [storage]"),
        (('kind = "quality"', 'kind = "both"'), "c.toml:22: purposes.coaching.kind: input should be"),
        (('kind = "quality"', "kind = 3"), "c.toml:22: purposes.coaching.kind: input should be"),
        (('description = "Coaching"', 'description = " "'), "c.toml:23: purposes.coaching.description: "),
        (
            ("[purposes.coaching]", "[purposes.Coaching]"),
            "c.toml:21: purposes.Coaching: this is not a name of small",
        ),
        (
            ('address = "127.0.0.1"', 'address = "localhost"'),
            "c.toml:2: listeners[0].address: this is not an IP address; ",
        ),
        (
            ('address = "127.0.0.1"', 'address = "127.0.0.256"'),
            "c.toml:2: listeners[0].address: this is not an IP address; ",
        ),
        (
            ('address = "127.0.0.1"', 'address = "fe80::1%eth0"'),
            "c.toml:2: listeners[0].address: a link-local address reaches nobody on another link; ",
        ),
        (
            ('address = "127.0.0.1"', 'address = "::ffff:127.0.0.1"'),
            "c.toml:2: listeners[0].address: this is an IPv4 address in an IPv6 one; ",
        ),
        (
            ('[media]\naddress = "127.0.0.1"', '[media]\naddress = "::1"'),
            "c.toml:11: media.address: this is not an IPv4 address; ",
        ),
        (
            ('[media]\naddress = "127.0.0.1"', '[media]\naddress6 = "127.0.0.1"'),
            "c.toml:11: media.address6: this is not an IPv6 address; ",
        ),
        (("port = 5060", "port = 65536"), "c.toml:3: listeners[0].port: "),
        (("port = 5060", "port = true"), "c.toml:3: listeners[0].port: this is not a whole number"),
        (("retention = 30", 'retention = "12 hours"'), "c.toml:25: purposes.coaching.retention: this is not"),
        (('kind = "quality"', 'kind = "quality"\nmode = "all"'), "c.toml:23: purposes.coaching.mode: input"),
        (('kind = "quality"', 'kind = "quality"\nsample = "0 %"'), "c.toml:23: purposes.coaching.sample: a"),
        (
            ('kind = "quality"', 'kind = "quality"\nsample = "100 %"'),
            "c.toml:23: purposes.coaching.sample: a",
        ),
        (('kind = "quality"', 'kind = "quality"\nsample = 5'), "c.toml:23: purposes.coaching.sample: a"),
        (("retention = 30", "retention = 0"), "c.toml:25: purposes.coaching.retention: a retention is"),
        (("retention = 30", 'retention = "1.5 days"'), "c.toml:25: purposes.coaching.retention: a retention"),
        (("retention = 30", 'retention = "9999999999999 days"'), "c.toml:25: purposes.coaching.retention: "),
        (("retention = 30", "retention = true"), "c.toml:25: purposes.coaching.retention: this is not"),
        (('"20000-20999"', '"20000"'), "c.toml:12: media.ports: this is not a range"),
        (('"20000-20999"', '"20000-20999"\nhorizon = "60 s"'), "c.toml:13: media.horizon: the horizon lies"),
        (('prefix = "*31"', 'prefix = ""'), "c.toml:19: private.prefix: "),
        (
            ('prefix = "*31"', 'prefix = "p"'),
            "c.toml:19: private.prefix: this is not 1 to 8 digits, * or #; ",
        ),
        (
            ('listeners = ["coach"]', "listeners = []"),
            "c.toml:29: purposes.coaching.listeners: is empty; write at least one; ",
        ),
        (
            ('listeners = ["coach"]', 'listeners = "c"'),
            "c.toml:29: purposes.coaching.listeners: this is not a list",
        ),
        (('id = "a-1"', 'id = "a 1"'), "c.toml:38: agents[a 1].id: this is not an id of letters"),
        (
            ('outside_line = "9"', 'outside_line = "x"'),
            "c.toml:16: numbering.outside_line: this is not at most 6",
        ),
        (
            ("[private]", 'country_code = "031"\n[private]'),
            "c.toml:18: numbering.country_code: this is not a",
        ),
        (('purposes = ["coaching"]', "purposes = []"), "c.toml:35: lines[service].purposes: "),
        (('directory = "storage"', 'directory = ""'), "c.toml:48: storage.directory: this is not a path"),
    ],
)
def test_a_malformed_value_is_refused(change: tuple[str, str], expected: str) -> None:
    said = refused(small(change))
    assert any(it.startswith(expected) and "write" in it for it in said), said


def test_a_file_without_lines_and_agents_is_used_and_records_nothing() -> None:
    start, end = SMALL.index("[purposes"), SMALL.index("[storage]")
    scheme = parse(SMALL[:start] + SMALL[end:], "c", BASE).scheme()
    facts = CallFacts(
        Direction.INBOUND, frozenset({"201"}), frozenset({"+31612345678"}), answered=True, approved=True
    )
    assert decide(facts, compile_rules(scheme)).recorded() == ()
    assert Action.RECORD not in {it.action for it in decide(facts, compile_rules(scheme)).purposes.values()}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[pbx\n", "c.toml:1: is not TOML: "),
        (b"\n\nport = \n", "c.toml:3: is not TOML: "),
        (b"a = 1\na = 2\n", "c.toml:2: is not TOML: this key or section is there already; write it once"),
        (b"[pbx]\n[pbx]\n", "c.toml:2: is not TOML: this key or section is there already; write it once"),
        (b"\xef\xbb\xbf[pbx]\n", "c.toml: begins with a byte order mark; save it without a byte order mark"),
        (b"name = '\xff'\n", "c.toml: is not UTF-8"),
        (None, "c.toml: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    file = tmp_path / "c.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(expected)
