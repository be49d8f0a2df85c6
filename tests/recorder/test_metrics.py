"""The table of metrics keeps the conventions and is documented; every name used elsewhere is in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from recorder.metrics import BY_NAME, METRICS, PREFIX, answered, counted, read, sample

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy/prometheus/doelband.rules.yml"
RULE_TESTS = ROOT / "tests/recorder/doelband.rules.test.yml"
DASHBOARD = ROOT / "deploy/grafana/doelband.json"
PERSONAL = {"agent", "person", "user", "number", "caller", "callee", "call", "clip", "line", "address"}
NAME = re.compile(rf"\b{PREFIX}[a-z_]+")


def documented() -> list[tuple[str, str, str, str]]:
    """Rows of the table in docs/metrics.md: name, kind, labels, meaning."""
    found = []
    for row in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith(f"| `{PREFIX}"):
            found.append((cells[0].strip("`"), cells[1], cells[2].replace("`", ""), cells[4]))
    return found


def test_every_metric_is_documented_as_it_is() -> None:
    table = [(it.full_name, it.kind, ", ".join(it.labels), it.text) for it in METRICS]
    assert documented() == table


def test_names_keep_the_conventions() -> None:
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent)(_|$)", metric.name)
        assert metric.text.endswith(".")


def test_no_label_says_who() -> None:
    assert not {label for metric in METRICS for label in metric.labels} & PERSONAL


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=["rules", "dashboard"])
def test_rules_and_dashboard_name_what_there_is(file: Path) -> None:
    named = set(NAME.findall(file.read_text()))
    assert named
    assert named - {it.full_name for it in METRICS} == set()


def test_purge_overdue_is_the_first_of_the_alarms() -> None:
    assert re.findall(r"- alert: (\w+)", RULES.read_text())[0] == "DoelbandPurgeOverdue"


def test_every_alarm_says_what_to_do() -> None:
    text = RULES.read_text()
    alerts = len(re.findall(r"- alert:", text))
    assert len(re.findall(r"^\s+summary:", text, re.MULTILINE)) == alerts
    assert len(re.findall(r"^\s+remedy:", text, re.MULTILINE)) == alerts


def test_every_alarm_is_tested() -> None:
    tested = set(re.findall(r"alertname: (\w+)", RULE_TESTS.read_text()))
    assert set(re.findall(r"- alert: (\w+)", RULES.read_text())) == tested


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", str(RULES.with_name("prometheus.yml"))),
        ("check", "rules", str(RULES)),
        ("test", "rules", str(RULE_TESTS)),
    ],
)
def test_prometheus_reads_configuration_and_rules_and_they_fire_as_they_should(
    arguments: tuple[str, ...],
) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: promtool)")
    run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_dashboard_asks_a_data_source_that_its_user_chooses() -> None:
    board = json.loads(DASHBOARD.read_text())
    targets = [target for panel in board["panels"] for target in panel.get("targets", [])]
    assert targets
    assert all(target["expr"] for target in targets)
    sources = {str(it["datasource"]["uid"]) for it in board["panels"] if "datasource" in it}
    assert sources == {"${datasource}"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize(("name", "labels"), [("gate_open", ("x",)), ("clips", ("sealed",)), ("clips", ())])
def test_a_figure_with_other_labels_is_refused(name: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="has the labels"):
        sample(name, 1, *labels)


def test_a_figure_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(KeyError):
        sample("calls_by_number_total", 1)


def test_what_one_process_answers_another_reads() -> None:
    told: list[Any] = [sample("gate_open", True), *counted("calls_total", {"recorded": 2, "failed": 0})]
    over_the_socket = json.loads(json.dumps(answered(told)))
    assert read(over_the_socket) == told


def test_what_a_later_version_counts_is_left_out() -> None:
    assert read(
        {"samples": [["novelty_total", [], 1], ["gate_open", ["extra"], 1], ["gate_open", [], 1]]}
    ) == [sample("gate_open", 1)]
