"""Certificates, keys and listeners are looked at before anything starts, and an error names the file."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recorder.config import Config, parse
from recorder.service.listening import check_listeners, encryption
from sip_hooks.streams import Encryption
from storage.errors import Unavailable
from tests.fakes.certificates import Authority
from tests.recorder.test_config import BASE, small

NAME = "both-127.0.0.1-5060-tls"


def config(folder: Path, listener: str = "", pbx: str = 'server_name = "pbx.example"') -> Config:
    """TLS on both sides, with the files of `folder`."""
    authority = Authority(folder / "ca")
    for host in ("proxy.example", "pbx.example"):
        authority.issue(host)
    text = small(
        (
            'side = "both"\n',
            'side = "both"\ntransport = "tls"\ncertificate = "ca/proxy.example.pem"\n'
            f'private_key = "ca/proxy.example.key"\n{listener}\n',
        ),
        ("[media]", f'transport = "tls"\n{pbx}\n\n[media]'),
    )
    return parse(text, "c.toml", folder)


def shake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> str | None:
    """Two contexts greet each other in memory; returns the version of TLS. Raises ssl.SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    for end in ends * 4:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    ends[1].write(b"")
    return ends[0].version()


def test_a_pbx_whose_name_may_say_tls_is_verified_by_that_name(tmp_path: Path) -> None:
    Authority(tmp_path / "ca").issue("proxy.example")
    text = small(
        (
            'side = "both"\n',
            'side = "both"\ntransport = "tls"\ncertificate = "ca/proxy.example.pem"\n'
            'private_key = "ca/proxy.example.key"\n',
        ),
        ('[pbx]\naddress = "127.0.0.1"\nport = 5080\n', '[pbx]\naddress = "pbx.example"\nca = "ca/ca.pem"\n'),
    )
    made = encryption(parse(text, "c.toml", tmp_path))
    assert made.pbx_name == "pbx.example"
    assert [it.verify_mode for it in made.clients.values()] == [ssl.CERT_REQUIRED]


def test_each_listener_shows_its_certificate_and_the_pbx_is_verified(tmp_path: Path) -> None:
    made = encryption(config(tmp_path, pbx='ca = "ca/ca.pem"\nserver_name = "pbx.example"'))
    pbx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pbx.load_cert_chain(tmp_path / "ca/pbx.example.pem", tmp_path / "ca/pbx.example.key")
    assert shake(made.clients[NAME], pbx, made.pbx_name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(made.clients[NAME], pbx, "other.example")


def test_by_default_a_pbx_with_a_certificate_of_its_own_making_is_not_trusted(tmp_path: Path) -> None:
    pbx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strict, lax = tmp_path / "strict", tmp_path / "lax"
    made = encryption(config(strict))
    pbx.load_cert_chain(strict / "ca/pbx.example.pem", strict / "ca/pbx.example.key")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(made.clients[NAME], pbx, "pbx.example")
    assert shake(encryption(config(lax, pbx="verify = false")).clients[NAME], pbx, "anybody")


@pytest.mark.parametrize(("word", "is_let_in"), [("required", False), ("optional", True)])
def test_phones_show_a_certificate_if_they_must(tmp_path: Path, word: str, is_let_in: bool) -> None:
    listener = f'client_ca = "ca/ca.pem"\nclient_certificate = "{word}"'
    server = encryption(config(tmp_path, listener)).servers[NAME]
    phone = ssl.create_default_context(cafile=tmp_path / "ca/ca.pem")
    phone.maximum_version = ssl.TLSVersion.TLSv1_2  # a 1.3 client learns only later that it is refused
    if is_let_in:
        assert shake(phone, server, "proxy.example")
    else:
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN"):
            shake(phone, server, "proxy.example")
    phone.load_cert_chain(tmp_path / "ca/pbx.example.pem", tmp_path / "ca/pbx.example.key")
    assert shake(phone, server, "proxy.example") == "TLSv1.2"


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    made = encryption(config(tmp_path))
    for context in (*made.servers.values(), *made.clients.values()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        (
            "proxy.example.pem",
            None,
            r"read .*proxy\.example\.pem: no such file or directory; the service's user",
        ),
        ("proxy.example.key", "pbx.example.key", r"use the certificate .*proxy\.example\.pem with the key "),
        ("proxy.example.key", "ca.pem", r"use the certificate .*; the key has no passphrase"),
        ("ca.pem", "pbx.example.key", r"trust .*ca\.pem: it holds no certificate in PEM"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_before_the_start(
    tmp_path: Path, file: str, content: str | None, expected: str
) -> None:
    made = config(tmp_path, pbx='ca = "ca/ca.pem"')
    broken = tmp_path / "ca" / file
    if content is None:
        broken.unlink()
    else:
        broken.write_bytes((tmp_path / "ca" / content).read_bytes())
    with pytest.raises(Unavailable, match=expected):
        check_listeners(made)


def test_without_tls_no_file_is_read() -> None:
    assert encryption(parse(small(), "c.toml", BASE)) == Encryption()


def test_a_tcp_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = small(('side = "both"\n', 'side = "both"\ntransport = "tcp"\n'), ("5060", str(port)))
        made = parse(text.replace("[media]", 'transport = "tcp"\n\n[media]'), "c.toml", BASE)
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}.*address already in use"):
            check_listeners(made)


MORE = """
[[listeners.certificates]]
certificate = "ca/pbx.example.pem"
private_key = "ca/pbx.example.key"
"""


@pytest.mark.parametrize(
    ("name", "is_shown"),
    [("proxy.example", True), ("pbx.example", True), ("PBX.example", True), ("other.example", False)],
)
def test_whoever_asks_for_a_name_is_shown_its_certificate(tmp_path: Path, name: str, is_shown: bool) -> None:
    server = encryption(config(tmp_path, MORE)).servers[NAME]
    phone = ssl.create_default_context(cafile=tmp_path / "ca/ca.pem")
    if is_shown:
        assert shake(phone, server, name) == "TLSv1.3"
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(phone, server, name)


def test_whoever_asks_for_another_name_has_to_show_a_certificate_too(tmp_path: Path) -> None:
    server = encryption(config(tmp_path, f'client_ca = "ca/ca.pem"\n{MORE}')).servers[NAME]
    phone = ssl.create_default_context(cafile=tmp_path / "ca/ca.pem")
    phone.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN"):
        shake(phone, server, "pbx.example")


def test_a_renewed_certificate_of_any_name_counts_from_the_next_reading(tmp_path: Path) -> None:
    made = config(tmp_path, MORE)
    renewed = Authority(tmp_path / "new")
    issued = renewed.issue("pbx.example")
    (tmp_path / "ca/pbx.example.pem").write_bytes(issued.certificate.read_bytes())
    (tmp_path / "ca/pbx.example.key").write_bytes(issued.private_key.read_bytes())
    phone = ssl.create_default_context(cafile=renewed.certificate)
    assert shake(phone, encryption(made).servers[NAME], "pbx.example")


def test_a_certificate_by_which_nobody_can_ask_is_named_before_the_start(tmp_path: Path) -> None:
    made, key = config(tmp_path, MORE), ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pbx.example")])
    builder = x509.CertificateBuilder(nobody, nobody, key.public_key(), 1)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    signed = builder.not_valid_before(day).not_valid_after(day + timedelta(days=1)).sign(key, hashes.SHA256())
    (tmp_path / "ca/pbx.example.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (tmp_path / "ca/pbx.example.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(Unavailable, match=r"pbx\.example\.pem: it holds no host name"):
        encryption(made)
