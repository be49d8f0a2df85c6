"""The watch process: metrics, liveness and readiness over HTTP, for Prometheus and for orchestrators.

    /metrics   every figure of recorder.metrics, as Prometheus or OpenMetrics text
    /healthz   200 while this process lives
    /readyz    200 when calls would be handled and recorded as configured, else 503; what is missing as JSON

It needs no other process: whoever is down is a figure. It holds no key and no number.
"""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.config import Config
from recorder.metrics import METRICS, Sample
from recorder.notify import Notifier, keep_telling
from recorder.service import http
from recorder.service.observation import Observation, Observer
from sip_hooks.address import host
from storage.clock import SystemClock

log = structlog.get_logger()

FRESH_SECONDS = 1.0
"""Whoever asks again within this gets the same look."""
ANSWER_SECONDS = 15.0
Answer = tuple[str, str, bytes]
"""HTTP status, content type, body."""


class Watch:
    """The latest look at the installation, for threads that wait for it. `loop` does the looking."""

    def __init__(self, observer: Observer, loop: asyncio.AbstractEventLoop) -> None:
        self._observer = observer
        self._loop = loop
        self._turn = asyncio.Lock()
        self._latest: Observation | None = None
        self._at = float("-inf")

    def look(self) -> Observation:
        """From another thread: a look that is at most a second old."""
        return asyncio.run_coroutine_threadsafe(self._look(), self._loop).result(ANSWER_SECONDS)

    async def _look(self) -> Observation:
        async with self._turn:
            if self._latest is None or time.monotonic() - self._at > FRESH_SECONDS:
                self._latest = await self._observer.look()
                self._at = time.monotonic()
            return self._latest


class Exposition(Collector):
    """Samples as prometheus_client wants them."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    def collect(self) -> Iterable[Metric]:
        for metric in METRICS:
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(metric.full_name, metric.text, labels=metric.labels)
            for name, labels, value in self._samples:
                if name == metric.name:
                    made.add_metric(labels, value)
            if made.samples:
                yield made


def page(path: str, accept: str, look: Callable[[], Observation]) -> Answer:
    """What one request gets."""
    if path == "/healthz":
        return "200 OK", "text/plain", b"alive\n"
    if path == "/readyz":
        return _readiness(look())
    if path == "/metrics":
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Exposition(look().samples))
        encode, kind = choose_encoder(accept)
        return "200 OK", kind, encode(registry)
    return "404 Not Found", "text/plain", b"/metrics, /healthz, /readyz\n"


def _readiness(seen: Observation) -> Answer:
    verdict, signalling = seen.readiness, seen.statuses["signalling"]
    body = {
        "ready": verdict.is_ready,
        "missing": [asdict(it) for it in verdict.missing],
        "warnings": [asdict(it) for it in verdict.warnings],
        "gate_open": bool(signalling.get("recording")),
        "gate": signalling.get("gate", "unknown"),
    }
    status = "200 OK" if verdict.is_ready else "503 Service Unavailable"
    return status, "application/json", json.dumps(body, indent=2).encode() + b"\n"


def application(look: Callable[[], Observation]) -> Callable[[dict[str, Any], Any], list[bytes]]:
    """The WSGI application. A look that fails is a 503, and logged."""

    def respond(
        environ: Mapping[str, Any], start: Callable[[str, list[tuple[str, str]]], object]
    ) -> list[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in ("GET", "HEAD"):
            start("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return []
        try:
            status, kind, body = page(environ["PATH_INFO"], environ.get("HTTP_ACCEPT", ""), look)
        except Exception as error:
            log.error("the installation could not be looked at", error=type(error).__name__)
            status, kind, body = "503 Service Unavailable", "text/plain", b"see the log\n"
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body] if method == "GET" else []

    return respond


def open_server(address: str, port: int, look: Callable[[], Observation]) -> WSGIServer:
    """Listen. Raises Unavailable."""
    return http.open_server(address, port, application(look), "[watch]")


async def run(config: Config, place: tuple[str, int], notifier: Notifier) -> None:
    """The whole process, until SIGTERM or SIGINT. `place`: address and TCP port to answer at."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    observer = Observer(config, SystemClock(config.clock.offset_file))
    watch = Watch(observer, loop)
    server = open_server(*place, watch.look)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"{host(place[0])}:{place[1]}"
    log.info("metrics are served", address=address)
    status = f"metrics at {address}"
    notifier.ready(status)
    telling = asyncio.create_task(keep_telling(notifier, lambda: status))
    await stop.wait()
    telling.cancel()
    notifier.stopping()
    await asyncio.to_thread(server.shutdown)
    server.server_close()
    await observer.close()
