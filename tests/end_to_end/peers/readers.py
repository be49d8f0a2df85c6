"""Kamailio and libre (the stack of baresip) as readers of messages: who calls whom, in their eyes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from ctypes.util import find_library
from pathlib import Path

from demo.phone import free_port
from tests.end_to_end.peers import kamailio

Reading = Mapping[str, bytes]

_OF_REQUESTS = {"request-uri": "$(ru{s.encode.hexa})"}
_OF_RESPONSES = {"status": "$(rs{s.encode.hexa})"}
_COLUMNS = {
    "of": "$(mb{s.md5})",
    "from": "$(fu{s.encode.hexa})",
    "to": "$(tu{s.encode.hexa})",
    "call-id": "$(ci{s.encode.hexa})",
    "p-asserted-identity": "$(ai{s.encode.hexa})",
    "p-preferred-identity": "$(pu{s.encode.hexa})",
    "remote-party-id": "$(re{s.encode.hexa})",
    "diversion": "$(di{s.encode.hexa})",
    "contact": "$(ct{nameaddr.uri}{s.encode.hexa})",
    "history-info": "$(hdr(History-Info){nameaddr.uri}{s.encode.hexa})",
}
_AT_ONCE = 64 * 1024  # bytes; less than its socket holds
_PATIENCE_SECONDS = 30.0
_FENCE_SECONDS = 2.0
_FENCE = (
    "OPTIONS sip:fence@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKf{0}\r\n"
    "Max-Forwards: 9\r\nFrom: <sip:f@127.0.0.1>;tag=f\r\nTo: <sip:f@127.0.0.1>\r\n"
    "Call-ID: f{0}\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


def missing() -> str:
    """Why they cannot be used here; empty when they can."""
    if find_library("re") is None:
        return "libre is not installed (Debian: baresip-core)"
    return kamailio.missing()


class KamailioReader:
    """A Kamailio with one worker, its files in `folder`; see `reading_by_kamailio`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "reader.log"
        self._address = "127.0.0.1", free_port()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._fences = 0
        self._seen = 0
        self._found: dict[str, Reading] = {}
        text = Path(__file__).with_name("reader.cfg").read_text(encoding="utf-8")
        for name, value in (
            ("PORT", self._address[1]),
            ("MODULES", kamailio.modules()),
            ("REQUEST", _written(_COLUMNS | _OF_REQUESTS)),
            ("RESPONSE", _written(_COLUMNS | _OF_RESPONSES)),
        ):
            text = text.replace(f"@{name}@", str(value))
        (folder / "reader.cfg").write_text(text, encoding="utf-8")
        command = ["kamailio", "-DD", "-E", "-f", str(folder / "reader.cfg"), "-Y", str(folder)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, "-m", "32", "-M", "8"], stdout=log, stderr=log)
        self._fence()  # it listens

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(_PATIENCE_SECONDS)

    def read(self, messages: Sequence[bytes]) -> list[Reading | None]:
        """What it reads in each; None: it takes it for no message."""
        pending = 0
        for message in messages:
            if pending + len(message) > _AT_ONCE:
                self._fence()
                pending = 0
            self._socket.sendto(message, self._address)
            pending += len(message) + 512
        self._fence()
        found, self._found = self._found, {}
        return [found.get(_digest(it)) for it in messages]

    def _fence(self) -> None:
        """Return when it has read all that was sent: it reads in order, so what is sent last is read last."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._fences += 1
            fence = _FENCE.format(self._fences).encode()
            self._socket.sendto(fence, self._address)
            again = time.monotonic() + _FENCE_SECONDS
            while time.monotonic() < again:
                self._learn()
                if self._found.pop(_digest(fence), None) is not None:
                    return
                time.sleep(0.005)
        raise TimeoutError(self._log.read_text(errors="replace")[-2000:])

    def _learn(self) -> None:
        with self._log.open("rb") as log:
            log.seek(self._seen)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._seen += len(whole)
        for line in whole.splitlines():
            _, read, values = line.partition(b" READ ")
            if read and values.endswith(b" END"):
                pairs = dict(it.split("=", 1) for it in values[:-4].decode("ascii").split(" "))
                self._found[pairs.pop("of")] = {name: bytes.fromhex(it) for name, it in pairs.items()}


@contextlib.contextmanager
def reading_by_kamailio(folder: Path) -> Iterator[KamailioReader]:
    """A Kamailio that reads."""
    reader = KamailioReader(folder)
    with contextlib.closing(reader):
        yield reader


def by_libre(messages: Sequence[bytes]) -> list[Reading | None]:
    """What libre reads in each; None: it refuses the message. RuntimeError: it died of one."""
    program = Path(__file__).with_name("libre.py")
    given = b"".join(len(it).to_bytes(4) + it for it in messages)
    done = subprocess.run([sys.executable, str(program)], input=given, capture_output=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(messages):
        raise RuntimeError(f"libre ended with {done.returncode}: {done.stderr[-1000:].decode()}")
    return [_decoded(json.loads(line)) for line in lines]


def _decoded(found: dict[str, object] | None) -> Reading | None:
    if found is None:
        return None
    return {name: bytes.fromhex(it) for name, it in found.items() if isinstance(it, str)}


def _written(columns: Mapping[str, str]) -> str:
    return "".join(f" {name}={value}" for name, value in columns.items())


def _digest(message: bytes) -> str:
    return hashlib.md5(message, usedforsecurity=False).hexdigest()
