"""Metrics, liveness and readiness over HTTP: what is down is a figure and never an error of the page."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.phone import free_port
from recorder import control
from recorder.config import Config, parse
from recorder.metrics import METRICS, answered, sample
from recorder.readiness import Facts, judge
from recorder.service import places
from recorder.service.observation import Observation, Observer
from recorder.service.watching import application, open_server
from storage.clock import SystemClock
from storage.errors import Unavailable
from tests.recorder.schemes import CONFIGURATION

UP = Facts({"signalling": True}, True, True, True, True, 10**12, 10**6)
SEEN = Observation(
    {"signalling": {"recording": False, "gate": "never-approved"}, "supervisor": {}},
    (sample("gate_open", 0), sample("calls_total", 3, "recorded"), sample("process_up", 0, "relay-0")),
    judge(UP),
)


@contextmanager
def serving(look: Callable[[], Observation]) -> Iterator[int]:
    port = free_port()
    server = open_server("127.0.0.1", port, look)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(port: int, path: str, method: str = "GET", accept: str = "") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Accept": accept})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers.get("Content-Type", ""), body


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_metrics_are_read_by_prometheus(accept: str) -> None:
    with serving(lambda: SEEN) as port:
        status, kind, body = get(port, "/metrics", accept=accept)
    assert status == 200
    assert ("openmetrics" in kind) == bool(accept)
    assert 'doelband_calls_total{outcome="recorded"} 3.0' in body
    if not accept:
        found = {it.name: it for it in text_string_to_metric_families(body)}
        assert found["doelband_process_up"].samples[0].value == 0
        assert found["doelband_calls"].type == "counter"


def test_healthz_asks_nobody() -> None:
    def fail() -> Observation:
        raise AssertionError

    with serving(fail) as port:
        assert get(port, "/healthz") == (200, "text/plain", "alive\n")


def test_readyz_says_what_is_missing_and_shows_the_gate() -> None:
    missing = judge(Facts({"signalling": True, "keys": False}, True, True, False, True, 10**12, 10**6))
    with serving(lambda: SEEN) as port:
        status, _, body = get(port, "/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)
    assert (json.loads(body)["gate_open"], json.loads(body)["gate"]) == (False, "never-approved")
    with serving(lambda: Observation(SEEN.statuses, SEEN.samples, missing)) as port:
        status, kind, body = get(port, "/readyz")
    assert (status, kind) == (503, "application/json")
    assert json.loads(body)["missing"][0]["code"] == "process-down:keys"


def test_a_look_that_fails_is_a_503_that_quotes_nothing() -> None:
    def fail() -> Observation:
        raise ValueError("0612345678")

    with serving(fail) as port:
        status, _, body = get(port, "/metrics")
    assert (status, body) == (503, "see the log\n")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/metrics", 405), ("GET", "/x", 404), ("HEAD", "/metrics", 200)]
)
def test_nothing_else_is_answered(method: str, path: str, status: int) -> None:
    with serving(lambda: SEEN) as port:
        assert get(port, path, method)[0] == status


def test_an_address_that_is_taken_is_named() -> None:
    with serving(lambda: SEEN) as port, pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        open_server("127.0.0.1", port, lambda: SEEN)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = parse(CONFIGURATION, "test.toml", tmp_path)
    made.storage.directory.mkdir()
    places.prepare_runtime(made)
    return made


async def test_where_nothing_runs_everything_is_down_and_nothing_is_an_error(config: Config) -> None:
    before = sorted(config.storage.directory.iterdir())
    seen = await Observer(config, SystemClock()).look()
    up = {labels[0]: value for name, labels, value in seen.samples if name == "process_up"}
    assert up == {"watch": 1} | dict.fromkeys(
        ("keys", "media", "capture", "relay-0", "purge", "signalling"), 0
    )
    assert sample("ready", 0) in seen.samples
    assert sorted(config.storage.directory.iterdir()) == before, "looking makes nothing"
    assert {"process-down:signalling", "catalogue-not-writable"} <= {it.code for it in seen.readiness.missing}


async def test_the_floor_of_the_disk_is_the_one_under_which_no_recording_begins(config: Config) -> None:
    more_than_there_is = shutil.disk_usage(config.storage.directory).total + 1
    storage = config.storage.model_copy(update={"reserve": more_than_there_is})
    for given, is_low in ((config, False), (config.model_copy(update={"storage": storage}), True)):
        seen = await Observer(given, SystemClock()).look()
        assert sample("disk_floor_bytes", given.storage.reserve) in seen.samples
        assert ("disk-low" in {it.code for it in seen.readiness.missing}) is is_low


async def test_a_process_that_hangs_is_down_and_holds_nobody_up(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.service.observation.PATIENCE_SECONDS", 0.1)

    async def hang(_: control.Message) -> control.Message:
        await asyncio.Event().wait()
        return {}

    hanging = await control.serve(places.purge(config), hang)
    running = await control.serve(
        places.capture_status(config), lambda _: answered([sample("capture_clips_open", 2)])
    )
    try:
        seen = await Observer(config, SystemClock()).look()
    finally:
        hanging.close()
        running.close()
    assert sample("process_up", 0, "purge") in seen.samples
    assert sample("process_up", 1, "capture") in seen.samples
    assert sample("capture_clips_open", 2) in seen.samples


def test_the_page_has_every_kind_of_figure() -> None:
    samples = tuple(sample(it.name, 1, *("x" for _ in it.labels)) for it in METRICS)
    answers: list[str] = []
    respond = application(lambda: Observation(SEEN.statuses, samples, SEEN.readiness))
    body = respond(
        {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics"}, lambda status, _: answers.append(status)
    )
    families = list(text_string_to_metric_families(b"".join(body).decode()))
    assert answers == ["200 OK"]
    assert len(families) == len(METRICS)
