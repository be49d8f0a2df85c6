"""`doelband …` without the second that Python takes to load: one process has loaded all, and each command
is a child of it with arguments, environment, input and outputs of its own, as a shell would give it.

`python -m tests.commands SOCKET` is that process. It ends with whoever started it.
"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

PACKAGES = ("recorder", "portal", "purge", "storage", "sip_hooks")


@dataclass(frozen=True, slots=True)
class Left:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)


def doelband(*arguments: str, answers: str = "", environment: Mapping[str, str] | None = None) -> Left:
    """Run `doelband …`. `answers`: its standard input. `environment`: beside that of this process."""
    wanted = {
        "arguments": arguments,
        "answers": answers,
        "environment": {**os.environ, **(environment or {})},
        "directory": str(Path.cwd()),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(_loaded())
        connection.sendall(json.dumps(wanted).encode())
        connection.shutdown(socket.SHUT_WR)
        left = json.loads(_read(connection) or b'{"status": -1, "out": "", "err": "it died"}')
    return Left(**left)


@cache
def _loaded() -> str:
    """The socket of the process that has loaded everything."""
    directory = tempfile.mkdtemp(prefix="doelband-commands-")
    path = f"{directory}/socket"
    command = [sys.executable, "-m", "tests.commands", path]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin and process.stdout
    process.stdout.readline()
    atexit.register(process.wait)
    atexit.register(process.stdin.close)
    return path


def _read(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def _serve(path: str) -> None:
    """Take commands until standard input ends."""
    warnings.simplefilter("ignore")
    for package in map(import_module, PACKAGES):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__") and ".migrations" not in found.name:
                import_module(found.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(64)
        sys.stdout.write("loaded\n")
        sys.stdout.flush()
        while sys.stdin not in (ready := select.select([listener, sys.stdin], [], [])[0]):
            assert ready
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)
    Path(path).unlink()
    Path(path).parent.rmdir()


def _answer(connection: socket.socket) -> NoReturn:
    """Be one command, and tell what it left."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    wanted = json.loads(_read(connection))
    os.chdir(wanted["directory"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(wanted["answers"].encode())
        given.seek(0)
        for at, file in enumerate((given, out, err)):
            os.dup2(file.fileno(), at)
        status = _run(wanted["arguments"])
        texts = [os.pread(it.fileno(), 1 << 24, 0).decode(errors="replace") for it in (out, err)]
    connection.sendall(json.dumps({"status": status, "out": texts[0], "err": texts[1]}).encode())
    os._exit(0)


def _run(arguments: list[str]) -> int:
    """Run it as the interpreter would, and return its exit status."""
    from recorder.cli import main

    sys.argv = ["doelband", *arguments]
    status = 0
    try:
        main()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    _serve(sys.argv[1])
