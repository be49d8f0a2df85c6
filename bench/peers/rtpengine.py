"""Debian's rtpengine without its kernel module, ordered by its NG protocol: a cookie and JSON over UDP."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import pcap
from bench.load import Ports
from bench.peers import Peer, Running, Site
from bench.processes import BenchError, pinned

LOW_PORT, HIGH_PORT = 40000, 51999
_PATIENCE_SECONDS = 10.0
_SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 8 0\r\na=sendrecv\r\n"
)


class _Control:
    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(0.2)
        self._cookie = 0

    def ask(self, **question: object) -> dict[str, str]:
        """One question and its answer; asked again until there is one."""
        self._cookie += 1
        data = f"{self._cookie} {json.dumps(question)}".encode()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                self._socket.send(data)
                cookie, _, body = self._socket.recv(65536).partition(b" ")
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                time.sleep(0.05)
                continue
            if cookie == str(self._cookie).encode():
                answer: dict[str, str] = json.loads(body)
                return answer
        raise BenchError("rtpengine does not answer")

    def open(self, name: str, ends: Ports) -> Ports:
        """Offer and answer; the ports that it shows to both sides."""
        call = {"call-id": name, "from-tag": "a", "flags": ["strict source"], "ICE": "remove"}
        offered = self.ask(command="offer", sdp=_SDP.format(port=ends[0]), **call)
        answered = self.ask(command="answer", sdp=_SDP.format(port=ends[1]), **{**call, "to-tag": "b"})
        return _port(answered), _port(offered)

    def record(self, name: str) -> None:
        """Record a call from here on."""
        answer = self.ask(command="start recording", **{"call-id": name})
        if answer.get("result") != "ok":
            raise BenchError(f"rtpengine does not record: {answer.get('error-reason', answer)}")

    def delete(self, name: str) -> dict[str, str]:
        """A call is over, its recording too."""
        return self.ask(command="delete", **{"call-id": name, "delete-delay": 0})

    def close(self) -> None:
        self._socket.close()


def rtpengine(*options: str, is_recording: bool = False) -> Peer:
    """One thread in user space, as many as it has cores; further `options` of its command line. Where it is
    recording it writes one pcap file a call.
    """

    @contextmanager
    def start(site: Site) -> Iterator[Running]:
        control_port, spool = _free_port(), site.directory / "recorded"
        spool.mkdir()
        names = [f"call-{number}" for number in range(site.calls)]
        command = [
            *("rtpengine", "--foreground", "--log-stderr", "--log-level=2", "--table=-1", "--num-threads=1"),
            *("--config-file=none", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{control_port}"),
            *(f"--port-min={LOW_PORT}", f"--port-max={HIGH_PORT}", *options),
            *(("--recording-method=pcap", f"--recording-dir={spool}") if is_recording else ()),
        ]
        with pinned(site.core, command, log=site.directory / "rtpengine.log") as process:
            control = _Control(control_port)
            try:
                ports = [control.open(name, site.ends) for name in names]
                for name in names if is_recording else ():
                    control.record(name)
                yield Running(
                    (process.pid,),
                    ports,
                    lambda: [control.delete(name) for name in names],
                    lambda: pcap.packets(spool),
                )
            finally:
                control.close()

    return start


def _port(answer: dict[str, str]) -> int:
    match = re.search(r"^m=audio (\d+)", answer.get("sdp", ""), re.MULTILINE)
    if match is None:
        raise BenchError(f"rtpengine refused: {answer.get('error-reason', answer)}")
    return int(match[1])


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
