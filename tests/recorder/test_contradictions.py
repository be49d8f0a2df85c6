"""What a configuration must not say although each of its values is well formed; and doubts."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.config import findings, parse
from tests.recorder.test_config import BASE, SMALL, refused, small


def check(change: tuple[str, str], *expected: str) -> None:
    """One change, exactly these problems (by how each begins), each with a remedy."""
    said = refused(small(change))
    assert len(said) == len(expected), said
    for problem, beginning in zip(said, expected, strict=True):
        assert problem.startswith(beginning), problem
        assert any(word in problem for word in ("write ", "list each", "name an")), problem


LISTENER = '[[listeners]]\naddress = "127.0.0.1"\nport = 5060\nside = "pbx"\n\n[pbx]'
LINE = (
    '[[lines]]\nname = "service"\ndescription = "x"\nnumbers = ["222"]\npurposes = ["coaching"]\n\n[[agents]]'
)
AGENT = '[[agents]]\nid = "a-2"\nextensions = ["201"]\nlines = ["service"]\n\n[[exclusions]]'
LOCAL = 'address = "127.0.0.1"\n'
SIX = '[[listeners]]\naddress = "::"\nport = 5060\nside = "phones"\nadvertised = "::1"\n'


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("[pbx]", LISTENER), "c.toml:6: listeners[1]: same address and port"),
        (('side = "both"', 'side = "pbx"'), "c.toml:1: listeners: none faces the phones"),
        (('side = "both"', 'side = "phones"'), "c.toml:1: listeners: none faces the pbx"),
        ((LOCAL, 'address = "0.0.0.0"\n'), "c.toml:1: listeners[0]: neighbours cannot reach"),
        (("port = 5080", "port = 5060"), "c.toml:6: pbx: this is our own"),
        (("port = 5060", "port = 20000"), "c.toml:12: media.ports: contains the SIP port 20000"),
        (("port = 5080", "port = 20999"), "c.toml:12: media.ports: contains the SIP port 20999"),
        ((f"[media]\n{LOCAL}", '[media]\naddress = "0.0.0.0"\n'), "c.toml:11: media.address: nobody"),
        ((f"[media]\n{LOCAL}", '[media]\naddress6 = "::"\n'), "c.toml:11: media.address6: nobody"),
        ((f"[media]\n{LOCAL}", "[media]\n"), "c.toml:10: media: has no address"),
        (
            (f"[media]\n{LOCAL}", f'[media]\n{LOCAL}advertised6 = "2001:db8::1"\n'),
            "c.toml:12: media.advertised6: stands for no",
        ),
        ((LOCAL, f'{LOCAL}advertised = "::1"\n'), "c.toml:3: listeners[0].advertised: is not of the IP"),
        ((f"[pbx]\n{LOCAL}", '[pbx]\naddress = "::1"\n'), "c.toml:7: pbx.address: no listener that"),
        (("[pbx]", SIX + SIX + "[pbx]"), "c.toml:11: listeners[2]: same address and port"),
        (("20000-20999", "20001-20999"), "c.toml:12: media.ports: RTP has the even"),
        (("20000-20999", "20000-20998"), "c.toml:12: media.ports: RTP has the even"),
        (("20000-20999", "20000-20001"), "c.toml:12: media.ports: a call needs 4"),
        (("20000-20999", "20998-20001"), "c.toml:12: media.ports: a call needs 4"),
        (("20000-20999", "1000-2001"), "c.toml:12: media.ports: ports below 1024"),
        (('"200-219"', '"219-200"'), 'c.toml:34: lines[service].numbers[1]: "219-200" runs'),
        (('"250"', '"25O"'), 'c.toml:45: exclusions[Company doctor].numbers[0]: "25O" is a name'),
        (('"250"', '"60-264"'), 'c.toml:45: exclusions[Company doctor].numbers[0]: "60-264": both ends'),
        (('"+31201234567"', '"main"'), 'c.toml:34: lines[service].numbers[0]: "main" is a name'),
        (('"201"', '"201/202"'), 'c.toml:39: agents[a-1].extensions[0]: "201/202": write two'),
        (('"200-299"', '"20-299"'), 'c.toml:15: numbering.internal[0]: "20-299": both ends'),
        (("[private]", 'outside = ["0900/0906"]\n[private]'), "c.toml:18: numbering.outside[0]: "),
        (("[private]", 'emergency = ["112,144"]\n[private]'), "c.toml:18: numbering.emergency[0]: "),
        (
            ('numbers = ["250", "06-12345678"]', 'aliases = ["dr.jansen", "260/261"]'),
            'c.toml:45: exclusions[Company doctor].aliases[1]: "260/261": write two',
        ),
        (('"250"', '"doc*"'), "c.toml:45: exclusions[Company doctor].numbers[0]: "),
        (('extensions = ["201"]', 'extensions = ["201-203"]'), "c.toml:39: agents[a-1].extensions[0]: an"),
        (("[[agents]]", LINE), 'c.toml:37: lines[service]: "service" is there already'),
        (("[[exclusions]]", AGENT), "c.toml:44: agents[a-2].extensions: 201 belongs to a-1"),
        (("[[exclusions]]", AGENT.replace("a-2", "a-1").replace("201", "205")), "c.toml:42: agents[a-1]: "),
        (
            ('purposes = ["coaching"]', 'purposes = ["coching"]'),
            "c.toml:35: lines[service].purposes[0]: no purpose",
        ),
        (('lines = ["service"]', 'lines = ["servce"]'), 'c.toml:40: agents[a-1].lines[0]: no line "servce"'),
        (('frequency = "four calls a month"\n', ""), "c.toml:21: purposes.coaching: a quality purpose needs"),
        (
            ('frequency_justification = "the fewest that show a pattern"\n', ""),
            "c.toml:21: purposes.coaching: a frequency needs its grounds",
        ),
        (
            ('kind = "quality"', 'kind = "quality"\nmode = "sample"'),
            "c.toml:21: purposes.coaching: a sample needs its size; write sample",
        ),
        (
            ('kind = "quality"', 'kind = "quality"\nsample = "5 %"'),
            "c.toml:23: purposes.coaching.sample: only a sample has a size",
        ),
        (
            ("announcement_exemption", 'announcement = "a.wav"\nannouncement_exemption'),
            "c.toml:21: purposes.coaching: has both",
        ),
        (
            ('numbers = ["250", "06-12345678"]\n', ""),
            "c.toml:42: exclusions[Company doctor]: excludes nobody",
        ),
        (('prefix = "*31"', 'prefix = "1"'), "c.toml:19: private.prefix: collides with the emergency"),
        (('prefix = "*31"', 'prefix = "1123"'), "c.toml:19: private.prefix: collides with the emergency"),
        (('prefix = "*31"', 'prefix = "07"'), "c.toml:19: private.prefix: collides with numbers that begin"),
        (('prefix = "*31"', 'prefix = "9"'), "c.toml:19: private.prefix: collides with numbers that begin"),
        (('"keys"', '"storage"'), "c.toml:51: keys.directory: must lie apart from storage"),
        (('"epoch"', '"keys/epoch"'), "c.toml:52: keys.epoch_key_directory: must lie apart from keys"),
        (('"epoch"', '"../doelband/keys"'), "c.toml:52: keys.epoch_key_directory: must lie apart"),
        (('"/run/doelband"', '"storage/run"'), "c.toml:48: storage.directory: must lie apart from runtime"),
    ],
)
def test_a_contradiction_is_refused(change: tuple[str, str], expected: str) -> None:
    check(change, expected)


EVERYWHERE = 'address = "0.0.0.0"\nadvertised = "192.0.2.10"\n'


@pytest.mark.parametrize(
    "change",
    [
        (LOCAL, EVERYWHERE),
        (f"[media]\n{LOCAL}", f"[media]\n{EVERYWHERE}"),
        ("20000-20999", "20000-20003"),
        ("20000-20999", "1024-2047"),
        ("[pbx]", LISTENER.replace("5060", "5061")),
        ("[pbx]", LISTENER.replace("127.0.0.1", "127.0.0.2")),
        ('numbers = ["250", "06-12345678"]', 'aliases = ["dr.jansen"]'),
        ('numbers = ["250", "06-12345678"]', 'aliases = ["*31doctor"]'),
    ],
)
def test_what_is_just_allowed_is_used(change: tuple[str, str]) -> None:
    assert parse(small(change), "c", BASE)


def test_an_address_that_means_all_addresses_overlaps_each_of_them() -> None:
    check(("[pbx]", LISTENER.replace(LOCAL, EVERYWHERE)), "c.toml:6: listeners[1]: same address")


def test_media_may_use_the_port_of_a_listener_on_another_address() -> None:
    elsewhere = (f"[media]\n{LOCAL}", '[media]\naddress = "127.0.0.2"\n')
    assert parse(small(("port = 5060", "port = 20000"), elsewhere), "c", BASE)


def test_a_longer_prefix_that_begins_with_the_private_one_collides() -> None:
    said = refused(small(('prefix = "*31"', 'prefix = "8"'), ('outside_line = "9"', 'outside_line = "88"')))
    assert [it.split("; ")[0] for it in said] == [
        "c.toml:19: private.prefix: collides with numbers that begin with 88"
    ]


def test_a_name_that_is_like_no_other_is_answered_with_all_that_there_are() -> None:
    said = refused(small(('purposes = ["coaching"]', 'purposes = ["x"]')))
    assert [it.split("; ")[1] for it in said] == ["write one of: coaching"]


def test_the_private_prefix_begins_no_other_number() -> None:
    check(
        ('prefix = "*31"', 'prefix = "2"'),
        'c.toml:19: private.prefix: "200-299" begins with it',
        'c.toml:19: private.prefix: "200-219" begins with it',
        'c.toml:19: private.prefix: "201" begins with it',
        'c.toml:19: private.prefix: "250" begins with it',
    )


def test_a_purpose_of_the_name_hold_is_refused() -> None:
    said = refused(SMALL.replace("purposes.coaching", "purposes.hold").replace('["coaching"]', '["hold"]'))
    assert said == [
        "c.toml:21: purposes.hold: clips under a hold have a key of that name; write another name"
    ]


CODES = "\n[feature_codes]\n"
"""A PBX that has none: of one of which nobody has said so there is something to say."""


def doubted(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    file = tmp_path / "c.toml"
    file.write_text(small(*changes) + CODES)
    ports = tmp_path / "ports"
    ports.write_text("32768\t60999\n")
    return [str(it).removeprefix(f"{tmp_path}/") for it in findings(file, ports)]


ORDERS = LINE.replace("service", "orders").replace('["222"]', '["+31201234567"]')


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ('announcement_exemption = "welcome message"\n', ""),
            ["c.toml:21: purposes.coaching: nobody tells"],
        ),
        (
            ("announcement_exemption = ", "announcement = "),
            ["c.toml:28: purposes.coaching.announcement: nobody says which content it has"],
        ),
        (('numbers = ["250"', 'numbers = ["201"'), ["c.toml:39: agents[a-1].extensions: 201 is excluded"]),
        (
            ("[[agents]]", ORDERS),
            [
                "c.toml:37: lines[orders]: no agent is on this line",
                "c.toml:40: lines[orders].numbers: +31201234567 is on line service too",
            ],
        ),
        (
            ("20000-20999", "32000-32769"),
            ["c.toml:12: media.ports: any program may be given a port from 32768"],
        ),
        (("20000-20999", "60998-61999"), ["c.toml:12: media.ports: any program"]),
        (("20000-20999", "32000-32767"), []),
        (("20000-20999", "61000-61999"), []),
        (
            ('"250"', '"020-1234567"'),
            ['c.toml:45: exclusions[Company doctor].numbers[0]: "020-1234567" excludes +31201234567 of line'],
        ),
        (('"250"', '"210-219"'), []),
        (
            ('"250"', '"200-229"'),
            [
                "c.toml:39: agents[a-1].extensions: 201 is excluded",
                'c.toml:45: exclusions[Company doctor].numbers[0]: "200-229" excludes 200-219 of line',
            ],
        ),
        (
            ("[pbx]", SIX + "[pbx]"),
            [
                "c.toml:12: pbx.address: phones over IPv6 and a PBX over IPv4",
                "c.toml:15: media: calls with a party on IPv6 are not",
            ],
        ),
        (
            (f"[media]\n{LOCAL}", '[media]\naddress6 = "::1"\n'),
            ["c.toml:10: media: calls with a party on IPv4"],
        ),
        (("[storage]", '[clock]\noffset_file = "o"\n\n[storage]'), ["c.toml:48: clock.offset_file: moves"]),
        (('purposes = ["coaching"]', 'purposes = ["coaching"]'), []),
    ],
)
def test_what_is_probably_not_meant_is_said(
    tmp_path: Path, change: tuple[str, str], expected: list[str]
) -> None:
    said = doubted(tmp_path, change)
    assert [it.startswith(beginning) for it, beginning in zip(said, expected, strict=True)] == [True] * len(
        said
    )


def test_a_purpose_that_no_line_has_is_said(tmp_path: Path) -> None:
    other = SMALL[SMALL.index("[purposes") : SMALL.index("[[lines]]")].replace("coaching]", "spare]")
    said = doubted(tmp_path, ("[[lines]]", f"{other}[[lines]]"))
    assert [it.split(": ")[1] for it in said] == ["purposes.spare"]


@pytest.mark.parametrize("content", [None, "", "many", "1 2 3"])
def test_without_the_systems_ports_nothing_is_said_of_them(tmp_path: Path, content: str | None) -> None:
    file, ports = tmp_path / "c.toml", tmp_path / "ports"
    file.write_text(small(("20000-20999", "32000-60999")) + CODES)
    if content is not None:
        ports.write_text(content)
    assert findings(file, ports) == ()


@pytest.mark.parametrize(("length", "is_possible"), [(87, True), (88, False)])
def test_a_socket_has_a_path_of_107_bytes(length: int, is_possible: bool) -> None:
    change = ("/run/doelband", "/" + "é" * 2 + "r" * (length - 5))
    if is_possible:
        assert parse(small(change), "c", BASE)
    else:
        check(change, "c.toml:55: runtime.directory: a socket in it has a path of 108 bytes")
