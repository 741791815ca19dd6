"""The alerts fire when they should, and only then; dashboard and docs name metrics there are."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devicewatch.registry import DeviceRegistry, SqliteJournal
from devicewatch.registry.metrics import MetricsServer
from tests.support.live import PATIENCE
from tests.support.needs import needs

DOCS: Final = Path(__file__).parents[2] / "docs"
MONITORING: Final = DOCS / "monitoring"
ALERTS: Final = MONITORING / "alerts.yml"

PROMTOOL: Final = shutil.which("promtool")
LENGTH: Final = 60
"""Minutes for which the series of a test go on."""

Series = Mapping[str, str | None]

AT: Final = 'job="devicewatch", instance="lab"'


def named(name: str, labels: str = "") -> str:
    return f"{name}{{{AT}{labels and ', '}{labels}}}"


def event(reason: str) -> str:
    return named("devicewatch_events_total", f'event="removed", reason="{reason}"')


def request(outcome: str, kind: str = "REGISTER") -> str:
    return named("devicewatch_requests_total", f'request="{kind}", outcome="{outcome}"')


def histogram(name: str, slow: float, labels: str = "") -> Series:
    """One that grows by 100 a minute, of which so many take a second."""

    def bucket(le: str) -> str:
        return named(f"{name}_bucket", labels + (labels and ", ") + f'le="{le}"')

    quick = f"0+{100 - slow}x{LENGTH}"
    return {
        bucket("0.001"): quick,
        bucket("0.1"): quick,
        bucket("1.0"): f"0+100x{LENGTH}",
        bucket("+Inf"): f"0+100x{LENGTH}",
    }


def always(value: float) -> str:
    return f"{value}+0x{LENGTH}"


def growing(a_minute: float) -> str:
    return f"0+{a_minute}x{LENGTH}"


COMMITS, REQUESTS = (
    "devicewatch_journal_commit_duration_seconds",
    "devicewatch_request_duration_seconds",
)
CAMERAS, OTHERS = (
    named("devicewatch_devices", f'device_type="{type_}"') for type_ in ("camera", "other")
)
INFO: Final = 'request="INFO"'

HEALTHY: Final[Series] = {
    named("up"): always(1),
    named("devicewatch_loop_responding"): always(1),
    named("devicewatch_stall_seconds_total"): growing(0.5),
    event("expired"): growing(0.1),
    event("replaced"): growing(0.5),
    CAMERAS: always(20),
    OTHERS: always(0),
    named("devicewatch_devices_limit"): always(100),
    named("devicewatch_journal_failures_total"): always(0),
    named("devicewatch_refused_total"): growing(0.1),
    request("ok"): growing(600),
    request("unknown", "CHECK_ALIVE"): growing(60),
    request("INVALID"): growing(1),
    request("FORBIDDEN"): growing(0.1),
    named("devicewatch_watchers"): always(3),
    named("devicewatch_epoch_info", 'epoch="a"'): always(1),
    named("devicewatch_start_time_seconds"): always(1_700_000_000),
    named("process_open_fds"): always(50),
    named("process_max_fds"): always(1_024),
    **histogram(COMMITS, slow=0.5),
    **histogram(REQUESTS, slow=0.5, labels=INFO),
}

FIRING: Final[dict[str, Series]] = {
    "DevicewatchDown": {named("up"): always(0)},
    "DevicewatchLoopStuck": {named("devicewatch_loop_responding"): always(0)},
    "DevicewatchStalling": {named("devicewatch_stall_seconds_total"): growing(6)},
    "DevicewatchDevicesExpiringEnMasse": {event("expired"): f"0+0x40 10+0x{LENGTH - 41}"},
    "DevicewatchDevicesFlapping": {event("replaced"): growing(2)},
    "DevicewatchNoDevices": {CAMERAS: always(0)},
    "DevicewatchNearlyFull": {CAMERAS: always(80), OTHERS: always(11)},
    "DevicewatchJournalFailing": {named("devicewatch_journal_failures_total"): growing(1)},
    "DevicewatchJournalSlow": histogram(COMMITS, slow=2),
    "DevicewatchRequestsSlow": histogram(REQUESTS, slow=2, labels=INFO),
    "DevicewatchRefused": {named("devicewatch_refused_total"): growing(2)},
    "DevicewatchRequestsRefused": {request("INVALID"): growing(5)},
    "DevicewatchNoWatchers": {named("devicewatch_watchers"): always(0)},
    "DevicewatchForgot": {
        named("devicewatch_epoch_info", 'epoch="a"'): f"1+0x37 _x{LENGTH - 38}",
        named("devicewatch_epoch_info", 'epoch="b"'): f"_x39 1+0x{LENGTH - 39}",
    },
    "DevicewatchRestarting": {named("devicewatch_start_time_seconds"): growing(60)},
    "DevicewatchFewDescriptors": {named("process_open_fds"): always(900)},
}
"""What is wrong in each case, in a registry that is healthy otherwise."""


def promtool(*arguments: str | Path) -> str:
    needs("promtool (apt-get install prometheus)", PROMTOOL)
    result = subprocess.run(
        [str(PROMTOOL), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    return result.stdout


# --- alerts ---------------------------------------------------------------------------------------


def test_prometheus_takes_the_files() -> None:
    assert f"{len(FIRING)} rules found" in promtool("check", "rules", ALERTS)
    promtool("check", "config", MONITORING / "prometheus.yml")


def test_each_alert_fires_when_it_should_and_no_other_does(tmp_path: Path) -> None:
    """JSON is YAML."""

    def case(name: str, series: Series, *expected: str) -> dict[str, Any]:
        return {
            "name": name,
            "interval": "1m",
            "input_series": [
                {"series": key, "values": values}
                for key, values in {**HEALTHY, **series}.items()
                if values is not None
            ],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": "45m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in expected
                    ],
                }
            ],
        }

    tests = [case("healthy", {}), *(case(name, it, name) for name, it in FIRING.items())]
    file = tmp_path / "alerts_test.yml"
    file.write_text(
        json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})
    )
    promtool("test", "rules", file)


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    text = ALERTS.read_text()
    assert re.findall(r"- alert: (\w+)", text) == list(FIRING)
    for rule in text.split("- alert: ")[1:]:
        for part in ("severity: ", "summary: ", "description: "):
            assert rule.count(part) == 1, rule


# --- names ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a registry that has a journal exports, by name."""
    journal = SqliteJournal(tmp_path_factory.mktemp("journal") / "journal")
    with (
        DeviceRegistry(addr="127.0.0.1", port="0", events_port="0", journal=journal) as registry,
        MetricsServer(registry, 0) as server,
        urllib.request.urlopen(server.url, timeout=PATIENCE) as response,
    ):
        text = response.read().decode()
    if PROMTOOL is not None:  # it finds fault with names and types that are not as usual
        subprocess.run([PROMTOOL, "check", "metrics"], input=text, text=True, check=True)
    return {family.name: family for family in text_string_to_metric_families(text)}


def exported(families: dict[str, Any]) -> set[str]:
    return {sample.name for family in families.values() for sample in family.samples} | {"up"}


def names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:(?:devicewatch|process)_\w+|up\b(?={))", expression))


def expressions(dashboard: Any) -> list[str]:
    panels = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    annotations = [it["expr"] for it in dashboard["annotations"]["list"] if "expr" in it]
    variables = [it["definition"] for it in dashboard["templating"]["list"] if "definition" in it]
    return [*panels, *annotations, *variables]


def test_alerts_and_dashboard_name_metrics_that_there_are(
    families: dict[str, Any], dashboard: Any
) -> None:
    text = re.sub(r"^ *#.*$", "", ALERTS.read_text(), flags=re.MULTILINE)
    in_alerts = names(text)
    assert len(in_alerts) > 10
    assert in_alerts <= exported(families)
    on_dashboard = set().union(*map(names, expressions(dashboard)))
    assert on_dashboard <= exported(families)


def test_the_dashboard_shows_all_of_ours(families: dict[str, Any], dashboard: Any) -> None:
    shown = set().union(*map(names, expressions(dashboard)))
    missing = {
        name
        for name, family in families.items()
        if name.startswith("devicewatch_")
        and not shown & {sample.name for sample in family.samples}
    }
    assert missing == {"devicewatch_epoch_info"}, "a name, which only an alert looks at"


def test_the_docs_list_what_there_is(families: dict[str, Any]) -> None:
    page = (DOCS / "metrics.md").read_text()
    rows = re.findall(r"^\| `(devicewatch_\w+)` \| (\w+) \|([^|]*)\| [^|]+ \|$", page, re.MULTILINE)
    documented = {
        name.removesuffix("_total"): (kind, set(re.findall(r"\w+", labels)))
        for name, kind, labels in rows
    }
    there = {
        name: (
            family.type,
            {label for sample in family.samples for label in sample.labels if label != "le"},
        )
        for name, family in families.items()
        if name.startswith("devicewatch_")
    }
    assert documented == there
    assert len(rows) == len(there)


# --- the dashboard --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads((MONITORING / "grafana-dashboard.json").read_text())


def test_its_panels_have_numbers_and_places_of_their_own(dashboard: Any) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)


def test_its_panels_say_what_they_show_and_where_it_is_from(dashboard: Any) -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert dashboard["id"] is None, "Grafana gives it one"
    for panel in dashboard["panels"]:
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["datasource"] == source
        assert panel["type"] == "heatmap" or panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
        for target in panel["targets"]:
            assert target["expr"]
            assert target["legendFormat"]
            assert target["datasource"] == source
    used = set(re.findall(r"\$\{?(\w+)", "".join(expressions(dashboard))))
    assert {name for name in used if not name.startswith("__")} <= variables.keys()


def test_prometheus_understands_its_queries(dashboard: Any, tmp_path: Path) -> None:
    """As rules, with what Grafana puts in for its variables."""
    rules = []
    for number, expression in enumerate(expressions(dashboard)):
        if expression.startswith("label_values"):
            continue
        for name, value in (("__rate_interval", "1m"), ("__interval", "1m"), ("__range", "6h")):
            expression = expression.replace(f"${name}", value)  # noqa: PLW2901
        rules.append({"record": f"query:{number}", "expr": expression})
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)
