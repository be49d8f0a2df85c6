"""Networks of their own for a test, each on a wire to the one that the service is in. Needs root.

A network lives as long as the process that holds it, which ends with the test's own, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET; os.setns is of Python 3.12
_HOLD = "ip link set lo up && echo up && exec cat"
_PREFIX = "10.77"


class Network:
    """One of them. `pid`: of whoever holds it; `address`: its only one but loopback's."""

    def __init__(self, pid: int, address: str) -> None:
        self.pid = pid
        self.address = address
        self._inside = ThreadPoolExecutor(1, initializer=_enter, initargs=(pid,))

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What makes a command run in it."""
        return "nsenter", f"--net=/proc/{self.pid}/ns/net"

    def do(self, work: Callable[[], T]) -> T:
        """Do something in it: sockets and threads that are made there stay there."""
        return self._inside.submit(work).result()

    def configure(self, *lines: str) -> None:
        """Give ip(8) these orders."""
        command = [*self.wrapper, "ip", "-batch", "-"]
        subprocess.run(command, input="\n".join(lines), text=True, check=True)

    def close(self) -> None:
        self._inside.shutdown()


def missing() -> str:
    """Why there can be none here; empty when there can."""
    if any(shutil.which(it) is None for it in ("ip", "unshare", "nsenter")):
        return "ip, unshare or nsenter is not installed (Debian: iproute2, util-linux)"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this user may not make networks (root may)"


@contextlib.contextmanager
def star(names: Sequence[str]) -> Iterator[list[Network]]:
    """A network for the service, and one for each of `names` on a wire of its own to it, which reaches the
    others through it alone. The service's has one address more than its wires, for itself.
    """
    with contextlib.ExitStack() as stack:
        centre = stack.enter_context(_network(f"{_PREFIX}.0.1"))
        centre.configure(f"address add {centre.address}/32 dev lo")
        found = [centre]
        for number, name in enumerate(names, 1):
            here, there = f"{_PREFIX}.{number}.1", f"{_PREFIX}.{number}.2"
            outer = stack.enter_context(_network(there))
            centre.configure(
                f"link add {name} type veth peer name wire netns {outer.pid}",
                f"address add {here}/24 dev {name}",
                f"link set {name} up",
            )
            outer.configure(
                f"address add {there}/24 dev wire", "link set wire up", f"route add default via {here}"
            )
            found.append(outer)
        yield found


@contextlib.contextmanager
def _network(address: str) -> Iterator[Network]:
    command = ["unshare", "--net", "sh", "-c", _HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n", "a network could not be made"
        network = Network(holder.pid, address)
        try:
            yield network
        finally:
            network.close()
            holder.stdin.close()


def _enter(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open("rb") as file:
        if libc.setns(file.fileno(), _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
