"""The torture messages of RFC 4475 on real sockets: UDP, TCP and TLS, each against the running service.

Each is forwarded byte for byte, refused with the status it is owed, or dropped; then an OPTIONS is answered.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.end_to_end.installation import Recorder
from tests.fakes.certificates import Authority
from tests.fakes.ports import free_tcp_port

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "rfc4475"
FILES = {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.dat"))}
pytestmark = pytest.mark.skipif(
    not FILES, reason="the RFC 4475 messages (../shared/corpora/rfc4475) are not here"
)

Handling = int | Literal["forwarded", "dropped"]
FORWARDED: Literal["forwarded"] = "forwarded"
DROPPED: Literal["dropped"] = "dropped"

HANDLING: dict[str, tuple[str, Handling]] = {
    "wsinv": ("3.1.1.1", FORWARDED),
    "intmeth": ("3.1.1.2", FORWARDED),
    "esc01": ("3.1.1.3", FORWARDED),
    "escnull": ("3.1.1.4", FORWARDED),
    "esc02": ("3.1.1.5", FORWARDED),
    "lwsdisp": ("3.1.1.6", FORWARDED),
    "longreq": ("3.1.1.7", FORWARDED),
    "dblreq": ("3.1.1.8", FORWARDED),
    "semiuri": ("3.1.1.9", FORWARDED),
    "transports": ("3.1.1.10", FORWARDED),
    "mpart01": ("3.1.1.11", FORWARDED),
    "unreason": ("3.1.1.12", DROPPED),  # a response to nothing that was asked, as all responses here
    "noreason": ("3.1.1.13", DROPPED),
    "badinv01": ("3.1.2.1", 400),
    "clerr": ("3.1.2.2", 400),
    "ncl": ("3.1.2.3", 400),
    "scalar02": ("3.1.2.4", 400),
    "scalarlg": ("3.1.2.5", DROPPED),
    "quotbal": (
        "3.1.2.6",
        FORWARDED,
    ),  # To is for the ends to judge; such a party is unknown, so not recorded
    "ltgtruri": ("3.1.2.7", 400),
    "lwsruri": ("3.1.2.8", 400),
    "lwsstart": ("3.1.2.9", 400),
    "trws": ("3.1.2.10", 400),
    "escruri": ("3.1.2.11", 400),
    "baddate": ("3.1.2.12", FORWARDED),
    "regbadct": ("3.1.2.13", 400),
    "badaspec": ("3.1.2.14", FORWARDED),
    "baddn": ("3.1.2.15", FORWARDED),
    "badvers": ("3.1.2.16", 505),
    "mismatch01": ("3.1.2.17", 400),
    "mismatch02": ("3.1.2.18", 400),
    "bigcode": ("3.1.2.19", DROPPED),
    "badbranch": ("3.2.1", FORWARDED),
    "insuf": ("3.3.1", 400),
    "unkscm": ("3.3.2", 416),
    "novelsc": ("3.3.3", 416),
    "unksm2": ("3.3.4", FORWARDED),
    "bext01": ("3.3.5", 420),
    "invut": ("3.3.6", FORWARDED),
    "regaut01": ("3.3.7", FORWARDED),
    "multi01": ("3.3.8", 400),
    "mcl01": ("3.3.9", 400),
    "bcast": ("3.3.10", DROPPED),
    "zeromf": ("3.3.11", 483),
    "cparam01": ("3.3.12", FORWARDED),
    "cparam02": ("3.3.13", FORWARDED),
    "regescrt": ("3.3.14", FORWARDED),
    "sdp01": ("3.3.15", FORWARDED),
    "inv2543": ("3.4.1", FORWARDED),
}
# RFC 3261 §18.3: on a stream Content-Length is needed, and what is too long waits for more that never comes.
ON_STREAMS: dict[str, Handling] = {"inv2543": 400, "clerr": DROPPED}

ANSWERED_SECONDS = 0.1
PATIENCE_SECONDS = 10.0
MULTIPART_HOP = b"127.0.0.1:5080"  # the Route of mpart01; another port here, since somebody may have that one
LISTENERS = """\
side = "both"

[[listeners]]
address = "127.0.0.1"
port = {tcp}
side = "phones"
transport = "tcp"

[[listeners]]
address = "127.0.0.1"
port = {tls}
side = "phones"
transport = "tls"
certificate = "{folder}/proxy.example.pem"
private_key = "{folder}/proxy.example.key"
"""


@dataclass(frozen=True, slots=True)
class Site:
    """The service, and the sockets at which it finds its PBX and the next hop of one message."""

    recorder: Recorder
    authority: Authority
    ports: dict[str, int]
    hops: dict[str, socket.socket]

    def connect(self, transport: str) -> socket.socket:
        """A phone's socket, connected."""
        address = "127.0.0.1", self.ports[transport]
        if transport == "udp":
            phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            phone.bind(("127.0.0.1", 0))
            phone.connect(address)
        else:
            phone = socket.create_connection(address, PATIENCE_SECONDS)
        if transport == "tls":
            context = ssl.create_default_context(cafile=self.authority.certificate)
            phone = context.wrap_socket(phone, server_hostname="proxy.example")
        phone.settimeout(PATIENCE_SECONDS)
        return phone


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    authority = Authority(tmp_path_factory.mktemp("tls") / "ca")
    folder = authority.issue("proxy.example").certificate.parent
    tcp, tls = free_tcp_port(), free_tcp_port()
    more = {'side = "both"\n': LISTENERS.format(tcp=tcp, tls=tls, folder=folder)}
    recorder = Recorder(tmp_path_factory.mktemp("torture"), more)
    recorder.set_up()
    with contextlib.ExitStack() as stack:
        hops = {}
        for name, address in (("pbx", ("127.0.0.1", recorder.pbx_port)), ("mpart01", ("127.0.0.1", 0))):
            hops[name] = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            hops[name].bind(address)
        stack.callback(recorder.stop)
        recorder.start()
        yield Site(recorder, authority, {"udp": recorder.address[1], "tcp": tcp, "tls": tls}, hops)


def field(data: bytes, name: bytes) -> bytes:
    """A header's value, its long or compact name in any case."""
    found = re.search(rb"(?im)^(?:%b)\s*:\s*([^\r]*)" % name, data.partition(b"\r\n\r\n")[0])
    return found[1].strip() if found else b""


def call_id(data: bytes) -> bytes:
    return field(data, b"call-id|i")


def forwarded(hop: socket.socket, wanted: bytes) -> bytes:
    """What arrives at the next hop of this call; what is repeated of others is passed over."""
    hop.settimeout(PATIENCE_SECONDS)
    while True:
        data = hop.recv(65536)
        if call_id(data) == call_id(wanted):
            return data


def has_arrived(hop: socket.socket, wanted: bytes) -> bool:
    """Whether something of this call has."""
    hop.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            if call_id(hop.recv(65536)) == call_id(wanted):
                return True
    return False


def lines(data: bytes) -> list[bytes]:
    """The lines of the head, without what a proxy must change or add; the Via on top, of which we write into
    one, is one line.
    """
    head = data.partition(b"\r\n\r\n")[0]
    if folded := re.search(rb"(?m)^Via\s*:[^\r]*(?:\r\n[ \t][^\r]*)+", head):
        head = head.replace(folded[0], folded[0].replace(b"\r\n", b"  "))
    head = re.sub(rb";received=[0-9.]+", b"", re.sub(rb"(;rport)=\d+", rb"\1", head))
    kept = head.split(b"\r\n")
    ours = (b"max-forwards", b"record-route: <sip:127.0.0.1", b"route: <sip:127.0.0.1")
    kept = [it for it in kept if not it.lower().startswith(ours) and b"branch=z9hG4bKdb" not in it]
    is_register = data.startswith(b"REGISTER ")
    return [it for it in kept if not (is_register and re.match(rb"(?i)(contact|m)\s*:|  ;expires", it))]


def expected_body(name: str, transport: str) -> bytes:
    """The body as it came. On a stream the second request of dblreq is a message of its own."""
    body = FILES[name].partition(b"\r\n\r\n")[2]
    return b"" if name == "dblreq" and transport != "udp" else body


def check_alive(site: Site) -> None:
    """OPTIONS is answered within 100 ms; a busy machine may have three tries."""
    port = site.ports["udp"]
    with site.connect("udp") as phone:
        taken = []
        for number in range(3):
            started = time.monotonic()
            phone.send(
                b"OPTIONS sip:127.0.0.1:%d SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKo%d\r\n"
                b"From: <sip:a@b>;tag=o\r\nTo: <sip:127.0.0.1>\r\nCall-ID: o%d\r\nCSeq: 1 OPTIONS\r\n\r\n"
                % (port, phone.getsockname()[1], number, number)
            )
            assert phone.recv(65536).startswith(b"SIP/2.0 200 ")
            taken.append(time.monotonic() - started)
            if taken[-1] <= ANSWERED_SECONDS:
                return
    raise AssertionError(f"OPTIONS took {taken}")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("name", HANDLING)
def test_a_torture_message_is_handled_as_it_is_owed(site: Site, name: str, transport: str) -> None:
    raw = FILES[name]
    section, wanted = HANDLING[name]
    if transport != "udp":
        wanted = ON_STREAMS.get(name, wanted)
    # Else it would be the repetition of the one over another transport.
    raw = raw.replace(call_id(raw), call_id(raw)[:-1] + transport[:1].encode(), 1)
    hop = site.hops.get(name, site.hops["pbx"])
    if name == "mpart01":
        raw = raw.replace(MULTIPART_HOP, b"127.0.0.1:%d" % hop.getsockname()[1], 1)
    with site.connect(transport) as phone:
        phone.sendall(raw)
        if wanted == FORWARDED:
            passed = forwarded(hop, raw)
            assert lines(passed) == lines(raw), section
            assert passed.partition(b"\r\n\r\n")[2] == expected_body(name, transport), section
        elif isinstance(wanted, int):
            assert phone.recv(65536).startswith(b"SIP/2.0 %d " % wanted), section
        check_alive(site)
        if wanted != FORWARDED:
            assert not has_arrived(hop, raw), section
        if wanted == DROPPED:
            phone.settimeout(0.05)
            with pytest.raises(TimeoutError):
                phone.recv(65536)


def test_the_table_has_all_forty_nine() -> None:
    """The archive holds one file more than the RFC has messages."""
    assert len(HANDLING) == 49
    assert set(FILES) - set(HANDLING) == {"test"}
