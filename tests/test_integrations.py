"""docs/integrations.md and its files in deploy/: every snippet is read, and names only what Watchmark answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml  # type: ignore[import-untyped]

from tests.public_contract import metrics
from tests.web.conftest import Household, serving
from webhook.domain.states import DeliveryState, WebhookState

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
METRIC = re.compile(r"\bwatchmark_\w+")
SELECTOR = re.compile(r'(watchmark_\w+)\{(\w+)=~?"([^"]+)"\}')
GROUPING = re.compile(r"\bby \(([\w, ]+)\)")
NAMED_IN_TEXT = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
STATES: Mapping[str, set[str]] = {
    "watchmark_deliveries": {state.value for state in DeliveryState},
    "watchmark_webhooks": {state.value for state in WebhookState},
}
OF_A_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML as Home Assistant reads it, with its secrets."""


Loader.add_constructor("!secret", lambda loader, node: f"secret {node.value}")


def snippets(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(DOCS) if found == language]


def snippet(key: str) -> Any:
    """The YAML snippet that has this key at its top, or begins with it."""
    for text in snippets("yaml"):
        read = yaml.load(text, Loader)  # noqa: S506 - a safe loader with one more tag
        if key in read or (isinstance(read, list) and key in read[0]):
            return read
    raise AssertionError(f"no snippet has {key}")


# --- the summary


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with serving(tmp_path_factory.mktemp("integrations")) as opened:
        yield opened


@pytest.fixture(scope="module")
def summary(home: Household) -> dict[str, Any]:
    home.hear("anna", "The Lantern Room")
    return dict(home.api(scopes=["read"]).get("/api/v1/summary").json())


def test_the_documented_summary_has_the_fields_of_the_real_one(summary: dict[str, Any]) -> None:
    (text,) = snippets("json")
    shown = json.loads(text)

    assert list(shown) == list(summary)
    assert {name: type(value) for name, value in shown.items() if summary[name] is not None} == {
        name: type(value) for name, value in summary.items() if value is not None
    }
    named = re.findall(r"^\| ((?:`\w+` ?)+)\|", DOCS, re.MULTILINE)
    assert {name for line in named for name in re.findall(r"\w+", line)} | {
        "watched_7_days",
        "watched_30_days",
    } == set(summary)


def test_the_widget_of_homepage_maps_fields_of_the_summary(summary: dict[str, Any]) -> None:
    widget = snippet("Media")[0]["Media"][0]["Watchmark"]["widget"]

    assert widget["url"].endswith("/api/v1/summary")
    assert widget["headers"] == {"Authorization": "Bearer TOKEN"}
    assert {one["field"] for one in widget["mappings"]} <= set(summary)


def test_the_sensors_of_home_assistant_have_values(summary: dict[str, Any]) -> None:
    (resource,) = snippet("rest")["rest"]
    sensors = [*resource["sensor"], *resource["binary_sensor"]]
    strict = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - no HTML

    values = {
        one["unique_id"]: strict.from_string(one["value_template"]).render(value_json=summary)
        for one in sensors
    }

    assert resource["headers"] == {"Authorization": "secret watchmark_token"}
    assert values["watchmark_problem"] in {"True", "False"}
    assert values["watchmark_needs_you"] == str(summary["needs_you"])
    assert len(values) == len(sensors)


# --- the blueprint of Home Assistant


class Input(str):
    """What somebody chooses for a blueprint, by its name."""

    __slots__ = ()


Loader.add_constructor("!input", lambda loader, node: Input(node.value))


def blueprint() -> dict[str, Any]:
    text = (ROOT / "deploy" / "home-assistant" / "needs-you.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader))  # noqa: S506 - as above


def chosen(part: Any) -> Iterator[str]:
    """The inputs that stand anywhere in a part of a blueprint."""
    if isinstance(part, Input):
        yield part
    elif isinstance(part, dict | list):
        for one in part.values() if isinstance(part, dict) else part:
            yield from chosen(one)


def test_a_blueprint_asks_for_what_it_uses_and_its_sensor_is_there() -> None:
    read = blueprint()
    asked = read["blueprint"]["input"]
    sensors = {
        f"sensor.{one['name'].lower().replace(' ', '_')}" for one in snippet("rest")["rest"][0]["sensor"]
    }

    assert read["blueprint"]["domain"] == "automation"
    assert {*chosen(read)} == set(asked)
    assert asked["needs_you"]["default"] in sensors
    assert all("name" in one and "selector" in one for one in asked.values())
    assert [name for name, one in asked.items() if "default" not in one] == ["address"]


@pytest.mark.parametrize(
    ("state", "message"),
    [("1", "One thing needs you."), ("3", "3 things need you."), ("unavailable", "0 things need you.")],
)
def test_a_blueprint_says_how_much_needs_you_and_where(state: str, message: str) -> None:
    read = blueprint()
    said: dict[str, str | int] = {}
    strict = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - no HTML
    strict.filters["int"] = lambda text, other: int(text) if text.isdigit() else other
    given = {"needs_you": "sensor.watchmark_needs_you", "address": "https://watchmark.example/"}
    states = {given["needs_you"]: state}
    for name, value in read["variables"].items():
        text = (
            given[value]
            if isinstance(value, Input)
            else strict.from_string(value).render(said, states=states.get)
        )
        said[name] = int(text) if text.isdigit() else text
    (action,) = read["blueprint"]["input"]["notify"]["default"]

    assert (said["message"], said["link"]) == (message, "https://watchmark.example/needs-you")
    assert strict.from_string(action["data"]["message"]).render(said).startswith(message)


def test_a_blueprint_takes_its_notification_back_when_nothing_needs_anybody() -> None:
    read = blueprint()
    needs, solved = read["triggers"]
    (choice,) = read["actions"]
    made, taken = (read["blueprint"]["input"][name]["default"][0] for name in ("notify", "solved"))

    assert (needs["id"], needs["above"], solved["below"]) == ("needs", 0, 1)
    assert choice["choose"][0]["conditions"] == [{"condition": "trigger", "id": "needs"}]
    assert (choice["choose"][0]["sequence"], choice["default"]) == ("notify", "solved")
    assert made["data"]["notification_id"] == taken["data"]["notification_id"]


# --- metrics


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where each expression stands, itself, and the texts that are filled with its labels."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus-rules.yaml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield (
                panel["title"],
                target["expr"],
                re.sub(r"\{\{(\w+)\}\}", r"{{ $labels.\1 }}", target["legendFormat"]),
            )


def dashboard() -> dict[str, Any]:
    return dict(json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text()))


@pytest.fixture(scope="module")
def known(home: Household) -> Mapping[str, tuple[str, ...]]:
    """The labels of each metric."""
    return {name: labels for name, _, labels in metrics(home.service)}


@pytest.mark.parametrize(
    ("place", "expression", "said"),
    [pytest.param(*one, id=f"{one[0]} {number}") for number, one in enumerate(expressions())],
)
def test_an_expression_names_metrics_labels_and_states_that_there_are(
    known: Mapping[str, tuple[str, ...]], place: str, expression: str, said: str
) -> None:
    names = {OF_A_HISTOGRAM.sub("", name) for name in METRIC.findall(expression)}
    labels: set[str] = {label for name in names for label in known.get(name, ())}
    grouped: set[str] = {
        name.strip() for found in GROUPING.findall(expression) for name in found.split(",")
    } - {"le"}

    assert names <= set(known)
    assert names or expression.startswith("up{")
    assert grouped <= labels
    assert {*NAMED_IN_TEXT.findall(said)} <= (grouped or labels)
    for name, label, value in SELECTOR.findall(expression):
        assert label in known[name]
        assert label != "state" or set(value.split("|")) <= STATES[name]
    assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}"))


def test_every_alert_says_what_it_means_and_how_much_it_matters() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus-rules.yaml").read_text())["groups"][0]["rules"]

    assert len({rule["alert"] for rule in rules}) == len(rules)
    assert {rule["labels"]["severity"] for rule in rules} == {"critical", "warning", "info"}
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules)


def test_every_metric_is_on_the_dashboard_or_in_an_alert(known: Mapping[str, tuple[str, ...]]) -> None:
    used = {OF_A_HISTOGRAM.sub("", name) for _, text, _ in expressions() for name in METRIC.findall(text)}

    assert set(known) - used == {"watchmark_attempts", "watchmark_oldest_seconds"}


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    panels = dashboard()["panels"]
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_the_scrape_configuration_asks_for_the_metrics_with_a_token() -> None:
    (scrape,) = snippet("scrape_configs")["scrape_configs"]

    assert (scrape["job_name"], scrape["metrics_path"]) == ("watchmark", "/metrics")
    assert scrape["authorization"] == {"credentials": "TOKEN"}
    assert all((ROOT / "deploy" / name).is_file() for name in snippet("scrape_configs")["rule_files"])
