"""`waggle doctor` as a user calls it."""

import textwrap
from pathlib import Path
from typing import Literal

import anyio
import pytest
from pydantic import BaseModel, ConfigDict

from tests.doctor.command import SECRETS, doctor
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.trees import orphans, tree

TREE = """\
POST /agents/{name}/run
  invoke_agent doctor
    chat gpt-4o-mini
    execute_tool add
    chat gpt-4o-mini"""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Check(Strict):
    name: str
    status: Literal["ok", "warn", "fail", "skip"]
    found: str
    advice: str


class SpanOut(Strict):
    depth: int
    name: str
    span_id: str
    parent_id: str | None
    kind: Literal["internal", "server", "client", "producer", "consumer"]
    scope: str
    duration_ms: float | None
    failed: bool


class Trace(Strict):
    trace_id: str
    run_id: str
    spans: list[SpanOut]


class Document(Strict):
    """What `--json` prints."""

    status: Literal["ok", "warn", "fail"]
    checks: list[Check]
    trace: Trace | None


@pytest.fixture
def healthy(openai: OpenAIWire, collector: Collector, honeyhive: HoneyHive) -> dict[str, str]:
    """A model, a collector and a HoneyHive that answer, each with a key that it checks."""
    openai.key = SECRETS["model"]
    honeyhive.api_key = SECRETS["honeyhive"]
    return {
        "MODEL": "openai:gpt-4o-mini",
        "MODEL_BASE_URL": f"{openai.url}/v1",
        "OPENAI_API_KEY": SECRETS["model"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{SECRETS['otlp']}",
        "HH_API_URL": honeyhive.url,
        "HH_API_KEY": SECRETS["honeyhive"],
    }


def without_state(shown: str) -> str:
    """The lines of a tree but those of the conversation's state, which is loaded and saved around the agent."""
    return "\n".join(line for line in shown.splitlines() if "_state " not in line)


async def test_a_healthy_service_is_well_and_its_spans_arrive(
    healthy: dict[str, str], collector: Collector, honeyhive: HoneyHive, tmp_path: Path
) -> None:
    """Every check is ok, the tree is printed, the collector and HoneyHive have it whole, and nothing is left behind."""
    said = await doctor(tmp_path, healthy)
    assert said.status == 0, said.out
    assert "FAIL" not in said.out
    assert "warn" not in said.out
    assert said.out.endswith("Everything is well.\n")
    for span in collector.spans():
        assert f"  {span.name}  (" in said.out
        assert span.attributes["user.id"] == span.attributes["session.id"] == "waggle-doctor"
    assert without_state(tree(collector.spans())) == TREE
    assert not orphans(collector.spans())
    assert without_state(tree(honeyhive.kept())) == TREE
    assert not (tmp_path / "data").exists()


async def test_json_is_one_object_of_a_fixed_shape(
    healthy: dict[str, str], collector: Collector, tmp_path: Path
) -> None:
    """The same checks by name, and the run's spans."""
    said = await doctor(tmp_path, healthy, "--json")
    document = Document.model_validate_json(said.out)
    assert (said.status, document.status) == (0, "ok")
    statuses = {check.name: check.status for check in document.checks}
    assert len(statuses) == len(document.checks)
    assert statuses == dict.fromkeys(statuses, "ok") | {"embedded-model": "skip"}
    assert {"model", "otlp", "honeyhive", "run", "spans", "otlp-delivery", "honeyhive-delivery"} <= set(statuses)
    assert document.trace is not None
    assert {span.span_id for span in document.trace.spans} == {span.span_id for span in collector.spans()}
    assert {span.trace_id for span in collector.spans()} == {document.trace.trace_id}


async def test_offline_asks_no_model(openai: OpenAIWire, healthy: dict[str, str], tmp_path: Path) -> None:
    """A script answers; the tree is the same but for the model's name."""
    said = await doctor(tmp_path, healthy, "--offline", "--json")
    assert said.status == 0, said.out
    assert said.check("model")["status"] == "skip"
    assert [span["name"].partition(" ")[0] for span in said.document["trace"]["spans"]].count("chat") == 2
    assert openai.requests == []


async def test_nothing_configured_is_well_too(tmp_path: Path) -> None:
    """Backends that are not switched on are skipped."""
    said = await doctor(tmp_path, {"MODEL": "openai:gpt-4o-mini", "OPENAI_API_KEY": "sk"}, "--offline", "--json")
    assert said.status == 0, said.out
    assert said.check("otlp")["status"] == said.check("honeyhive")["status"] == "skip"


@pytest.mark.parametrize("words", [["--colour"], ["--timeout", "soon"], ["--timeout", "0"]])
async def test_words_that_do_not_fit_are_usage(words: list[str], tmp_path: Path) -> None:
    """Exit status 2."""
    said = await doctor(tmp_path, {}, *words)
    assert said.status == 2
    assert said.err.startswith("Usage: waggle doctor")


async def test_what_agents_print_is_not_in_the_report(healthy: dict[str, str], tmp_path: Path) -> None:
    """With --json, stdout is one object whatever users' files print."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "loud.py").write_text(
        "from app.agents.catalog import assistant\nprint('LOUD')\ndef build(context):\n    return assistant(context)\n"
    )
    said = await doctor(tmp_path, healthy, "--offline", "--json")
    assert "loud" in said.check("agents")["found"]
    assert "LOUD" in said.err


async def test_an_agent_that_blocks_for_ever_ends_nothing_but_its_check(tmp_path: Path) -> None:
    """The deadline is kept; what did not get its turn says so."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "stuck.py").write_text("import time\ndef build(context):\n    time.sleep(1000)\n")
    with anyio.fail_after(40):
        said = await doctor(tmp_path, {}, "--offline", "--json", "--timeout", "4")
    assert said.status == 1
    assert said.failed == {"agents"}
    assert "did not end" in said.check("agents")["found"]
    assert "--timeout" in said.check("run")["found"]


async def test_a_process_that_blocks_is_ended_with_what_is_known(tmp_path: Path) -> None:
    """Nothing runs in the event loop any more, and yet it ends, and says which check blocks."""
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(
        textwrap.dedent("""\
            import shutil, time
            shutil.disk_usage = lambda path: time.sleep(1000)
        """)
    )
    with anyio.fail_after(40):
        said = await doctor(tmp_path, {}, "--offline", "--json", "--timeout", "1", planted=planted)
    assert said.status == 1
    assert said.check("deadline")["found"].startswith("data-dir ")
    assert said.check("settings")["status"] == "ok"


async def test_a_package_that_never_ends_to_be_imported_is_left_in_time(tmp_path: Path) -> None:
    """The imports have a deadline of their own, `--timeout` or not."""
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sqlalchemy.py").write_text("import time\ntime.sleep(1000)\n")
    (planted / "sitecustomize.py").write_text("import app.doctor.command as command\ncommand.IMPORTS_S = 1\n")
    with anyio.fail_after(40):
        said = await doctor(tmp_path, {}, "--json", planted=planted)
    assert said.failed == {"deadline"}
    assert said.check("deadline")["found"].startswith("importing the service ")
    assert said.check("packages")["status"] == "ok"


async def test_credentials_and_limits_are_no_hindrance(tmp_path: Path) -> None:
    """The probe is nobody's caller: once it was refused for want of a key."""
    variables = {"MODEL": "replay:none", "API_KEYS": "acme:sk-acme-0123456789", "RATE_LIMIT": "1/day"}
    said = await doctor(tmp_path, variables | {"ALLOWED_HOSTS": "a.example"}, "--offline", "--json")
    assert said.check("credentials")["found"] == "1 API keys let in"
    assert said.check("run")["status"] == "ok", said.out
