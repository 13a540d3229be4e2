"""Alerts and dashboard: each asks for a metric that the server has, is tested by promtool, and is explained."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from kinema_server import metrics
from kinema_server.app import running_server
from kinema_server.settings import Settings
from tests.deploy.manifests import DASHBOARD, DEPLOY, KUBERNETES, ROOT, RULES, load
from tests.fakes import FAKE_BUNDLE, FakeEngine

GUIDE = (ROOT / "docs" / "operations.md").read_text()
TESTS = DEPLOY / "prometheus" / "alerts.test.yaml"
NAME = re.compile(r"\b(?:namespace:)?(?:kinema|process)_[\w:]+")


def rules() -> list[dict[str, Any]]:
    (manifest,) = load(RULES)
    (group,) = manifest["spec"]["groups"]
    return group["rules"]  # type: ignore[no-any-return]  # as it lies in the file


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


@pytest.fixture
async def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every series that a server with a certificate, in a container, has, and those that the rules record."""
    limit = tmp_path / "memory.max"
    limit.write_text("1073741824")
    monkeypatch.setattr(metrics, "_CGROUP_MEMORY_LIMIT", limit)
    async with running_server(Settings(port=0, grace_seconds=0), bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        server.metrics.calls.labels("ColorizeFrames", "OK")
        server.metrics.watch_certificate(lambda: datetime.now(UTC))
        return set(series(server.metrics.registry)) | {rule["record"] for rule in rules() if "record" in rule}


def series(registry: CollectorRegistry) -> Iterator[str]:
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name


def unknown(expression: str, names: set[str]) -> set[str]:
    return set(NAME.findall(expression)) - names


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    variables = [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    return found + variables


async def test_every_query_of_the_dashboard_asks_for_metrics_that_exist(names: set[str]) -> None:
    assert len(queries()) > 20
    for query in queries():
        assert NAME.search(query), query
        assert not unknown(query, names), query


async def test_a_query_for_a_metric_that_does_not_exist_is_found(names: set[str]) -> None:
    assert unknown("rate(kinema_frames_total[5m]) / kinema_wishes_total", names) == {"kinema_wishes_total"}


async def test_every_metric_of_kinema_is_on_the_dashboard(names: set[str]) -> None:
    text = " ".join(queries())
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in names if name.startswith("kinema_")}

    assert not {family for family in families if family not in text}


def test_no_panel_of_the_dashboard_lies_on_another_and_each_has_a_number_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)


async def test_every_rule_and_autoscaler_asks_for_metrics_that_exist(names: set[str]) -> None:
    for rule in rules():
        assert not unknown(rule["expr"], names), rule
    for component in ("hpa", "keda"):
        for path in (KUBERNETES / "components" / component).glob("*.yaml"):
            asked = set(re.findall(r"(?:name|query): (?:sum\()?(kinema_\w+)", path.read_text()))
            assert asked <= names


def test_every_alert_has_a_runbook_that_says_what_it_means_and_what_to_do() -> None:
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        section = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL)
        assert section is not None, f"docs/operations.md lacks {name}"
        assert len(section[1].split()) > 30
    assert set(re.findall(r"^### (Kinema\w+)", GUIDE, re.MULTILINE)) == set(ALERTS)


def test_every_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    tests = [test for group in yaml.safe_load(TESTS.read_text())["tests"] for test in group["alert_rule_test"]]

    for name in ALERTS:
        fires = {bool(test["exp_alerts"]) for test in tests if test["alertname"] == name}
        assert fires == {True, False}, name


def test_promtool_takes_the_rules_and_their_tests_pass(promtool: str, tmp_path: Path) -> None:
    (manifest,) = load(RULES)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(manifest["spec"]))
    shutil.copy(TESTS, tmp_path)

    for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", TESTS.name]):
        done = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_understands_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    expressions = [query for query in queries() if not query.startswith("label_values")]
    plain = [query.replace("$__rate_interval", "5m").replace("$namespace", ".*") for query in expressions]
    group = {"name": "dashboard", "rules": [{"record": f"query:number_{n}", "expr": e} for n, e in enumerate(plain)]}
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [group]}))

    checked = subprocess.run(
        [promtool, "check", "rules", "queries.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_process_metrics_are_there_on_linux() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)

    assert {"process_resident_memory_bytes", "process_start_time_seconds"} <= set(series(registry))
