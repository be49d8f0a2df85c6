"""What a CRM system may ask over HTTP: by token, of calls that may be shown, and what it is told."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.phone import free_port
from recorder import control
from recorder.config import ConfigError, parse
from recorder.service.crm import MOST_OCTETS, Crm, Message, application
from recorder.service.http import serving
from storage.errors import StorageError
from tests.recorder.schemes import CONFIGURATION

CALL = "0123456789abcdef0123456789abcdef"
TOKEN = "t" * 32
DOCUMENT = Path(__file__).parents[2] / "docs" / "crm.md"


class Site:
    """Signalling that knows one call, the CRM process's answers, and what was written into the audit log."""

    def __init__(self, directory: Path) -> None:
        self.socket, self.token = directory / "signalling.sock", directory / "crm.token"
        self.token.write_text(TOKEN + "\n")
        self.token.chmod(0o600)
        self.rows: list[tuple[str, ...]] = []
        self.asked: list[Message] = []
        self.state, self.answers = "recording", dict[str, Message]()
        self.is_full = False
        self.loop = asyncio.new_event_loop()
        self.port = free_port()
        self._crm = Crm(self.socket, frozenset({"coaching"}), self._audit)

    async def _audit(self, *row: str) -> None:
        if self.is_full:
            raise StorageError("write", "the disk is full")
        self.rows.append((*row, str(len(self.asked))))

    def answer(self, method: str, path: str, body: bytes) -> tuple[str, Message]:
        asked = asyncio.run_coroutine_threadsafe(self._crm.answer(method, path, body), self.loop)
        return asked.result(10)

    def _handle(self, message: Message) -> Message:
        if message["op"] != "calls":
            self.asked.append(message)
            told = self.answers.get(message["op"], {"ok": False})
            self.state = told.get("state", self.state)
            return told
        call = {"call": CALL, "state": self.state, "purposes": ["coaching"], "reasons": ["line-allows"]}
        return {"ok": True, "calls": [call] if self.state != "private" else []}

    def start(self) -> None:
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.signalling = asyncio.run_coroutine_threadsafe(
            control.serve(self.socket, self._handle), self.loop
        ).result(10)

    def stop(self) -> None:
        async def close() -> None:
            self.signalling.close()
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def ask(self, method: str, path: str, body: Any = None, token: str | None = TOKEN) -> tuple[int, Message]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        said: Message = json.loads(answer.read())
        connection.close()
        return answer.status, said

    def order(self, name: str, body: Any = None) -> tuple[int, Message]:
        return self.ask("POST", f"/calls/{CALL}/{name}", body)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.start()
    with serving("127.0.0.1", site.port, application(site.answer, site.token), "[crm]"):
        yield site
    site.stop()


def test_running_calls_are_listed_and_one_is_shown_with_its_reasons_in_words(site: Site) -> None:
    assert site.ask("GET", "/calls")[1]["calls"][0]["call"] == CALL
    status, shown = site.ask("GET", f"/calls/{CALL}")
    assert (status, shown["state"]) == (200, "recording")
    assert shown["explanation"] == ["the line allows it and nothing speaks against it"]


@pytest.mark.parametrize("token", [None, "", "t" * 31, "t" * 33, "ü" * 32])
def test_without_the_token_nothing_is_said_and_nothing_done(site: Site, token: str | None) -> None:
    for method, path in (("GET", "/calls"), ("POST", f"/calls/{CALL}/stop"), ("GET", "/elsewhere")):
        assert site.ask(method, path, token=token)[0] == 401
    assert site.asked == []


def test_another_token_counts_at_once_and_one_that_others_may_read_does_not(site: Site) -> None:
    site.token.write_text("u" * 32)
    assert site.ask("GET", "/calls")[0] == 401
    assert site.ask("GET", "/calls", token="u" * 32)[0] == 200
    site.token.chmod(0o640)
    status, said = site.ask("GET", "/calls", token="u" * 32)
    assert (status, said["error"]) == (503, "unavailable")
    assert "chmod 600" in said["explanation"]
    site.token.chmod(0o600)
    site.token.write_text("short")
    assert site.ask("GET", "/calls", token="short")[0] == 503


def test_who_asks_for_a_recording_is_written_down_before_it_begins(site: Site) -> None:
    site.answers["record"] = {"ok": True, "found": True, "recorded": ["coaching"], "refused": {}}
    status, said = site.order("record", {"purposes": ["coaching"], "person": "anna"})
    assert (status, said["state"], said["recorded"]) == (200, "recording", ["coaching"])
    assert site.asked == [{"op": "record", "call": CALL, "purposes": ["coaching"]}]
    assert site.rows == [("call.record", "anna", "coaching", CALL, "0")]


def test_without_the_audit_log_nothing_begins_and_what_protects_somebody_is_done(site: Site) -> None:
    site.is_full = True
    site.answers["stop"] = {"ok": True, "found": True, "stopped": ["coaching"], "state": "not recorded"}
    assert site.order("record")[0] == 503
    assert site.asked == []
    status, said = site.order("stop")
    assert (status, said["state"], said["is_logged"]) == (200, "not recorded", False)


def test_what_is_refused_is_a_409_with_its_reasons_and_the_state(site: Site) -> None:
    refused = {"coaching": ["outside-excluded"]}
    site.answers["record"] = {"ok": True, "found": True, "recorded": [], "refused": refused}
    status, said = site.order("record")
    assert (status, said["error"], said["reasons"]) == (409, "refused", refused)
    assert "recording" in said["explanation"]
    site.answers["record"] = {"ok": True, "found": True, "recorded": [], "refused": {}}
    assert site.order("record")[1]["reasons"] == ["nothing-on-demand"]
    site.answers["resume"] = {"ok": True, "found": True, "done": False, "refused": ["not-paused"]}
    assert site.order("resume")[1]["reasons"] == ["not-paused"]
    assert site.rows[-1][:3] == ("call.resume", "", "refused")


def test_a_pause_answers_with_the_state_that_was_reached(site: Site) -> None:
    site.answers["pause"] = {"ok": True, "found": True, "done": True, "refused": [], "state": "paused"}
    assert site.order("pause", {"person": "anna"})[1]["state"] == "paused"
    assert site.rows == [("call.pause", "anna", "done", CALL, "1")]


def test_a_call_that_was_made_private_is_shown_no_more_and_nobody_is_named(site: Site) -> None:
    site.answers["private"] = {"ok": True, "found": True, "done": True, "refused": [], "state": "private"}
    assert site.order("private") == (200, {"call": CALL, "state": "private", "is_logged": True})
    assert site.rows == []
    assert site.ask("GET", "/calls")[1]["calls"] == []
    assert site.order("stop")[0] == site.ask("GET", f"/calls/{CALL}")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/elsewhere", None, 404),
        ("GET", f"/calls/{'f' * 32}", None, 404),
        ("POST", f"/calls/{CALL}/shred", None, 404),
        ("POST", "/calls/../x/stop", None, 404),
        ("GET", f"/calls/{CALL}/stop", None, 405),
        ("POST", f"/calls/{CALL}", None, 405),
        ("DELETE", f"/calls/{CALL}", None, 405),
        ("POST", f"/calls/{CALL}/stop", "[1]", 400),
        ("POST", f"/calls/{CALL}/stop", "{", 400),
        ("POST", f"/calls/{CALL}/stop", {"purposes": "coaching"}, 400),
        ("POST", f"/calls/{CALL}/stop", {"person": "a\nb"}, 400),
        ("POST", f"/calls/{CALL}/stop", {"purposes": ["none"]}, 422),
        ("POST", f"/calls/{CALL}/stop", " " * (MOST_OCTETS + 1), 413),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_done(
    site: Site, method: str, path: str, body: Any, status: int
) -> None:
    found, said = site.ask(method, path, body)
    assert found == status
    assert said["error"] and said["explanation"]
    assert (site.asked, site.rows) == ([], [])


def test_without_signalling_everything_is_a_503(site: Site) -> None:
    site.loop.call_soon_threadsafe(site.signalling.close)
    site.socket.unlink(missing_ok=True)  # Python 3.13 does it
    for status, said in (site.ask("GET", "/calls"), site.order("stop")):
        assert (status, said["error"]) == (503, "unavailable")


def test_the_examples_of_the_document_work(site: Site) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing")
    site.answers["record"] = {"ok": True, "found": True, "recorded": ["coaching"], "refused": {}}
    site.answers["pause"] = {"ok": True, "found": True, "done": True, "refused": [], "state": "paused"}
    examples = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    said = []
    for text in examples:
        here = text.replace("/etc/doelband/crm.token", str(site.token)).replace(":9465", f":{site.port}")
        run = subprocess.run(["sh", "-c", here], capture_output=True, check=True, timeout=20)
        said.append(json.loads(run.stdout))
    assert [it.get("state") for it in said] == [None, "recording", "paused"]
    assert said[0]["calls"][0]["call"] == CALL


def test_it_answers_on_loopback_or_not_at_all() -> None:
    section = '[crm]\naddress = "{}"\ntoken_file = "crm.token"\n'
    assert parse(CONFIGURATION, "c.toml", Path("/")).crm is None
    found = parse(CONFIGURATION + section.format("::1"), "c.toml", Path("/etc")).crm
    assert found and (found.port, found.token_file) == (9465, Path("/etc/crm.token"))
    with pytest.raises(ConfigError) as refused:
        parse(CONFIGURATION + section.format("192.0.2.1"), "c.toml", Path("/"))
    assert "127.0.0.1" in str(refused.value)
