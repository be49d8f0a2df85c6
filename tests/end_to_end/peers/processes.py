"""Waiting for another program: until it listens, and until it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

PATIENCE_SECONDS = 15.0


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Return when something holds that another program brings about. TimeoutError: it did not in time."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def listening(
    port: int, process: asyncio.subprocess.Process, host: str = "127.0.0.1", transport: str = "udp"
) -> None:
    """Return when somebody has taken the port. RuntimeError: the program that should has ended."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    await until(lambda: process.returncode is not None or not _is_free(host, port, kind))
    if process.returncode is not None:
        raise RuntimeError(f"ended with {process.returncode} before it listened on port {port}")


async def stop(process: asyncio.subprocess.Process) -> None:
    """End the program if it still runs, politely first."""
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True
