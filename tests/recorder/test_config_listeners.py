"""Which transports a configuration may say, and which files and remarks go with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.config import findings, parse
from recorder.config.listening import transports_of_pbx
from tests.recorder.test_config import BASE, refused, small

LOCAL = 'side = "both"\n'
PEM = 'certificate = "sip.pem"\nprivate_key = "sip.key"\n'
TLS = f'transport = "tls"\n{PEM}'
BESIDE = '[[listeners]]\naddress = "127.0.0.1"\nport = {port}\nside = "phones"\n{more}\n[pbx]'


def beside(transport: str, port: int = 5060) -> tuple[str, str]:
    more = TLS if transport == "tls" else f'transport = "{transport}"\n'
    return "[pbx]", BESIDE.format(port=port, more=more)


BESIDE_BOTH = "[pbx]", BESIDE.format(port=5061, more=TLS).replace('"phones"', '"both"')


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_port_is_taken_once_by_udp_and_once_by_tcp_or_tls(transport: str) -> None:
    if transport == "udp":
        assert refused(small(beside("udp")))[0].startswith("c.toml:6: listeners[1]: same address and port")
        return
    config = parse(small(beside(transport)), "c.toml", BASE)
    assert config.listeners[1].name == f"phones-127.0.0.1-5060-{transport}"
    over_tcp = small(beside(transport), (LOCAL, f'{LOCAL}transport = "tcp"\n'))
    assert any("same address and port as listeners[0]" in it for it in refused(over_tcp))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(LOCAL, f'{LOCAL}transport = "sctp"\n')], "c.toml:5: listeners[0].transport: "),
        ([(LOCAL, f"{LOCAL}nat = true\n")], "c.toml:5: listeners[0].nat: only telephones are looked for"),
        ([(LOCAL, f'{LOCAL}certificate = "a"\n')], "c.toml:5: listeners[0].certificate: only TLS has it"),
        ([(LOCAL, f'{LOCAL}client_ca = "a"\n')], "c.toml:5: listeners[0].client_ca: only TLS has it"),
        (
            [(LOCAL, f'{LOCAL}certificates = [{{certificate = "a", private_key = "b"}}]\n')],
            "c.toml:5: listeners[0].certificates: only TLS has it",
        ),
        (
            [beside("tls", 5061), (f"{PEM}\n", 'certificate = "a"\n\n')],
            'c.toml:6: listeners[1]: transport = "tls" needs it; write private_key = ',
        ),
        (
            [("[media]", 'transport = "tls"\n\n[media]')],
            "c.toml:10: pbx.transport: no listener that faces the PBX speaks TLS; write",
        ),
        ([("[media]", 'ca = "a"\n\n[media]')], "c.toml:10: pbx.ca: only TLS has it; write"),
        ([("[media]", 'server_name = "a"\n\n[media]')], "c.toml:10: pbx.server_name: only TLS has it; write"),
        (
            [(LOCAL, LOCAL + TLS), ("[media]", 'transport = "tls"\nverify = false\nca = "a"\n\n[media]')],
            "c.toml:15: pbx.ca: is not asked with verify = false; take",
        ),
    ],
)
def test_a_transport_and_what_goes_with_it_are_said_together(
    changes: list[tuple[str, str]], expected: str
) -> None:
    (said,) = refused(small(*changes))
    assert said.startswith(expected), said


def test_a_phone_may_use_another_transport_than_the_pbx() -> None:
    config = parse(small(beside("tls", 5061)), "c.toml", BASE)
    assert [it.transport for it in config.listeners] == ["udp", "tls"]
    assert config.pbx.transport == "udp"


NAMED = ('[pbx]\naddress = "127.0.0.1"\nport = 5080\n', '[pbx]\naddress = "pbx.example"\n')


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([NAMED], ("udp",)),
        ([NAMED, (LOCAL, f'{LOCAL}transport = "tcp"\n')], ("tcp",)),
        ([NAMED, (LOCAL, LOCAL + TLS), ("[media]", 'ca = "a"\n\n[media]')], ("tls",)),
        ([beside("tls", 5061), NAMED], ("udp",)),
        ([BESIDE_BOTH, NAMED], ("udp", "tls")),
        ([BESIDE_BOTH, NAMED, ("[media]", "port = 5070\n\n[media]")], ("udp",)),
        ([BESIDE_BOTH], ("udp",)),
        (
            [BESIDE_BOTH, NAMED, ("[media]", 'transport = "tls"\n\n[media]')],
            ("tls",),
        ),
    ],
)
def test_a_pbx_with_a_name_alone_may_be_spoken_to_over_what_faces_it(
    changes: list[tuple[str, str]], expected: tuple[str, ...]
) -> None:
    assert transports_of_pbx(parse(small(*changes), "c.toml", BASE)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(LOCAL, LOCAL + TLS), ("[media]", 'transport = "tls"\nverify = false\n\n[media]')], "pbx.verify"),
        (
            [(LOCAL, f'{LOCAL}transport = "tcp"\n'), ("[media]", 'transport = "tcp"\n\n[media]')],
            "listeners[0]",
        ),
    ],
)
def test_what_is_weak_is_said(tmp_path: Path, changes: list[tuple[str, str]], expected: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(small(*changes), encoding="utf-8")
    assert any(f" {expected}: " in str(it) for it in findings(file)), [str(it) for it in findings(file)]
