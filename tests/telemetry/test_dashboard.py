"""The Grafana dashboard and the documentation, held against what a service really exports."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from app.telemetry.span_metrics import MAX_LENGTH, MAX_VALUES
from tests.api.test_runs import scripted
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import HttpError, Reply, Request, Text, ToolCall, ToolCalls
from tests.service import Service, serving
from tests.telemetry.test_metrics import Scrape, scrape_with

ROOT = Path(__file__).parents[2]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/waggle.json").read_text())
METRIC = re.compile(r"\b((?:waggle|gen_ai|http)_\w+)\{([^}]*)\}")
GROUPED = re.compile(r"by \(([^)]*)\)")
OF_PROMETHEUS = {"instance", "le"}


PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


CLUMSY = '''
from autogen_agentchat.agents import AssistantAgent

def drop() -> str:
    """Fail."""
    raise ValueError("It fell.")

def build(context):
    return AssistantAgent("clumsy", context.model(), tools=[drop])
'''


def clumsily(request: Request) -> Reply:
    return Text("I am sorry.") if request.asked.results else ToolCalls((ToolCall("drop", {}),))


async def exported(openai: OpenAIWire, settings: dict[str, Any]) -> Scrape:
    """What is there after agents, tools and teams ran, well and badly."""
    settings["agents_dir"] = settings["data_dir"] / "agents"
    settings["agents_dir"].mkdir()
    (settings["agents_dir"] / "clumsy.py").write_text(CLUMSY)
    async with serving(**settings, model_max_retries=0) as service:
        openai.replies = clumsily
        await service.run("clumsy", "hi")
        for reply in (scripted, lambda _: HttpError(400)):
            openai.replies = reply
            for agent in ("assistant", "weather", "research"):
                await service.stream(agent, "hi")
        openai.replies = scripted
        return await scrape_with(service, "waggle_event_loop_lag_seconds_count")


@pytest.fixture
async def scraped(
    openai: OpenAIWire, with_openai: dict[str, Any], collector: Collector, honeyhive: HoneyHive
) -> dict[str, set[str]]:
    """The labels of each series' name."""
    backends = {"otel_exporter_otlp_endpoint": collector.url, "otel_metrics_exporter": "none"}
    honey = {"hh_api_url": honeyhive.url, "hh_api_key": honeyhive.api_key}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for sample in (await exported(openai, with_openai | backends | honey)).samples:
        found[sample.name] |= set(sample.labels)
    return dict(found)


async def test_every_query_finds_its_metric_and_its_labels(scraped: dict[str, set[str]]) -> None:
    """No panel asks for a name, matches a label or groups by one that /metrics does not have."""
    asked = set()
    for panel in PANELS:
        for target in panel["targets"]:
            expression = target["expr"]
            selectors = METRIC.findall(expression)
            assert selectors, expression
            grouped = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")}
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= grouped, f"{target['legendFormat']!r} of {expression!r} is always empty"
            for name, matchers in selectors:
                assert name in scraped, f"{panel['title']!r} asks for {name!r}"
                labels = {matcher.partition("=")[0].strip(" !") for matcher in matchers.split(", ")} | grouped
                assert labels - OF_PROMETHEUS <= scraped[name], expression
                asked.add(re.sub(r"_(bucket|sum|count|total)$", "", name))
    known = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in scraped} - {"target_info"}
    assert asked == known, "a metric that no panel shows"


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_panel_can_be_drawn(panel: dict[str, Any]) -> None:
    """It says what it shows, has a unit, lies within the grid, and asks the data source that was chosen."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    others = [other["gridPos"] for other in DASHBOARD["panels"] if other["id"] != panel["id"]]
    assert not [
        other
        for other in others
        if other["x"] < place["x"] + place["w"]
        and place["x"] < other["x"] + other["w"]
        and other["y"] < place["y"] + place["h"]
        and place["y"] < other["y"] + other["h"]
    ]


STATS = [panel for panel in PANELS if panel["type"] == "stat"]


@pytest.mark.parametrize("panel", STATS, ids=[panel["title"] for panel in STATS])
def test_a_figure_is_red_only_if_it_is_bad(panel: dict[str, Any]) -> None:
    """Where a panel names no colour Grafana takes its own thresholds, by which the 80th run was an alarm."""
    defaults = panel["fieldConfig"]["defaults"]
    match defaults["color"]["mode"]:
        case "fixed":
            assert defaults["color"]["fixedColor"] == "text"
        case mode:
            assert mode == "thresholds"
            assert defaults["thresholds"]["steps"]


async def test_a_service_that_has_done_nothing_has_figures(service: Service) -> None:
    """No figure is "No data" before the first run: what is not there yet is 0, or a dash."""
    there = {sample.name for sample in (await scrape_with(service, "waggle_event_loop_lag_seconds_count")).samples}
    for panel in STATS:
        (target,) = panel["targets"]
        names = {name for name, _ in METRIC.findall(target["expr"])}
        zero = target["expr"].endswith(" or vector(0)")
        assert zero or "noValue" in panel["fieldConfig"]["defaults"] or names <= there, panel["title"]


async def test_every_metric_is_documented(scraped: dict[str, set[str]]) -> None:
    """docs/metrics.md names each metric that there is, with its labels, and no other; and says the bounds."""
    text = (ROOT / "docs/metrics.md").read_text()
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `([\w.]+)` \(([^\n]*)\|$", text, re.MULTILINE)}
    plain = {name.replace(".", "_"): name for name in rows}
    short = {"operation", "provider", "model"}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, labels in scraped.items():
        base = re.sub(r"(_seconds)?(_bucket|_sum|_count|_total)?$", "", name)
        found[base] |= labels - {"le"}
    assert set(plain) == set(found)
    for base, labels in found.items():
        told = rows[plain[base]]
        words = set(re.findall(r"`([\w.]+)`", told)) | ({"gen_ai.operation.name"} if "operation" in told else set())
        if short <= set(re.findall(r"\w+", told)):
            words |= {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"}
        if base != "target_info":
            assert labels <= {word.replace(".", "_") for word in words}, base
    assert f"the first {MAX_VALUES} values" in text
    assert f"{MAX_LENGTH}\ncharacters" in text
