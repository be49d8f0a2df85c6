"""The configuration in the words of the SIP engine, and what TLS needs, from the PEM files that it names.

The files are read again at every reload.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509

from recorder.config import Config, model
from recorder.config.listening import transports_of_pbx
from recorder.service import places
from sip_hooks.address import host
from sip_hooks.settings import EngineSettings, Limits, Listener, Trunk
from sip_hooks.streams import Encryption, bound
from sip_hooks.targets import UNKNOWN
from storage.errors import Unavailable

_OLDEST = ssl.TLSVersion.TLSv1_2


def settings(config: Config) -> EngineSettings:
    """The configuration in the words of the SIP engine."""
    return EngineSettings(
        listeners=listeners(config),
        pbx=UNKNOWN if config.pbx.is_name else (config.pbx.address, config.pbx.port),
        media_addresses=frozenset(
            {*config.media.addresses().values(), *config.media.advertised_addresses().values()}
        ),
        media_ports=(config.media.port_low, config.media.port_high),
        token_key=places.token_key(config).read_bytes(),
        pbx_transport=config.pbx.transport,
        pbx_is_verified=config.pbx.verify,
        registration=config.pbx.registration,
        trunk=_trunk(config),
        limits=Limits(**config.limits.model_dump()),
    )


def _trunk(config: Config) -> Trunk | None:
    if config.trunk is None:
        return None
    it = config.trunk
    return Trunk((it.address, it.port), it.transport, tuple(ip_network(source) for source in it.sources))


def check_listeners(config: Config) -> None:
    """Say at once which SIP address or certificate cannot be had. Raises Unavailable."""
    encryption(config)
    for it in listeners(config):
        try:
            bound(it, socket.SOCK_STREAM if it.is_stream else socket.SOCK_DGRAM).close()
        except OSError as error:
            raise Unavailable(
                f"listen for SIP on {host(it.address)}:{it.port}",
                f"{(error.strerror or str(error)).lower()}; stop the program that has it (ss -lntup) or "
                "change [[listeners]]",
            ) from error


def listeners(config: Config) -> tuple[Listener, ...]:
    """The listeners, in the words of the SIP engine."""
    return tuple(
        Listener(
            it.name,
            it.side,
            it.address,
            it.port,
            it.advertised_address,
            transport=it.transport,
            leads_to=it.leads_to,
            is_behind_nat=it.nat,
        )
        for it in config.listeners
    )


def encryption(config: Config) -> Encryption:
    """Read every certificate, key and CA. Raises Unavailable, which names the file."""
    encrypted = [it for it in config.listeners if it.transport == "tls"]
    is_tls = "tls" in transports_of_pbx(config)
    towards_pbx = [it for it in encrypted if is_tls and it.side in ("pbx", "both")]
    return Encryption(
        {it.name: _server(it) for it in encrypted},
        {it.name: _client(it, config) for it in towards_pbx},
        config.pbx.server_name or (config.pbx.address if config.pbx.is_name else ""),
    )


def _server(listener: model.Listener) -> ssl.SSLContext:
    assert listener.certificate is not None and listener.private_key is not None, "the configuration has both"
    first = _shown(listener, listener.certificate, listener.private_key)
    others: dict[str, ssl.SSLContext] = {}
    for it in listener.certificates:
        context = _shown(listener, it.certificate, it.private_key)
        others |= dict.fromkeys(_names(it.certificate), context)
    if others:
        first.sni_callback = partial(_choose, others)
    return first


def _choose(others: Mapping[str, ssl.SSLContext], one: ssl.SSLObject, name: str | None, _: object) -> None:
    """RFC 6066 §3: whoever asks for a name that no certificate holds is shown the first one."""
    wanted = (name or "").lower()
    context = others.get(wanted) or others.get("*." + wanted.partition(".")[2])
    if context is not None:
        one.context = context


def _names(certificate: Path) -> list[str]:
    """The host names in a certificate, in small letters."""
    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())[0].extensions
        names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        why = "it holds no host name to choose it by; have one issued with a subjectAltName"
        raise Unavailable(f"use the certificate {certificate}", why) from error
    return [it.lower() for it in names.get_values_for_type(x509.DNSName)]


def _shown(listener: model.Listener, certificate: Path, private_key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _OLDEST
    _show(context, certificate, private_key)
    if listener.client_ca is not None:
        _trust(context, listener.client_ca)
        is_required = listener.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
    return context


def _client(listener: model.Listener, config: Config) -> ssl.SSLContext:
    """Our own certificate is shown to a PBX that asks for one. A CA that is named is the only one trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _OLDEST
    assert listener.certificate is not None and listener.private_key is not None, "the configuration has both"
    _show(context, listener.certificate, listener.private_key)
    if not config.pbx.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.pbx.ca is not None:
        _trust(context, config.pbx.ca)
    else:
        context.load_default_certs()
    return context


def _show(context: ssl.SSLContext, certificate: Path, private_key: Path) -> None:
    _check_readable(certificate, private_key)
    try:
        # A key with a passphrase would ask for it on the terminal.
        context.load_cert_chain(certificate, private_key, password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        raise Unavailable(
            f"use the certificate {certificate} with the key {private_key}",
            f"they are no PEM files that belong together ({_reason(error)}); the key has no passphrase",
        ) from error


def _trust(context: ssl.SSLContext, ca: Path) -> None:
    _check_readable(ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise Unavailable(f"trust {ca}", f"it holds no certificate in PEM ({_reason(error)})") from error


def _check_readable(*files: Path) -> None:
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise Unavailable(f"read {file}", f"{why}; the service's user has to read it") from error


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
