"""Misconfigurations, planted one by one: the doctor names the part that fails and says what to do."""

import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.doctor.command import SECRETS, doctor
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Answer, Collector, Request, dead_url
from tests.servers.replies import HttpError


@dataclass
class World:
    """Where things are planted."""

    folder: Path
    openai: OpenAIWire
    collector: Collector
    honeyhive: HoneyHive

    def plant(self, name: str, text: str) -> Path:
        """A file below the folder; its own folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path.parent

    def model(self, **variables: str) -> dict[str, str]:
        known = {
            "MODEL": "openai:gpt-4o-mini",
            "MODEL_BASE_URL": f"{self.openai.url}/v1",
            "OPENAI_API_KEY": SECRETS["model"],
        }
        return known | variables

    def to_collector(self, **variables: str) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url, **variables}

    def to_honeyhive(self, **variables: str) -> dict[str, str]:
        return {"HH_API_URL": self.honeyhive.url, "HH_API_KEY": SECRETS["honeyhive"], **variables}


@pytest.fixture
def world(tmp_path: Path, openai: OpenAIWire, collector: Collector, honeyhive: HoneyHive) -> World:
    """Servers that answer, and an empty folder."""
    honeyhive.api_key = SECRETS["honeyhive"]
    return World(tmp_path, openai, collector, honeyhive)


@dataclass(frozen=True)
class Case:
    """What is planted, and what is to be said of it."""

    id: str
    plant: Callable[[World], Mapping[str, str]]
    check: str
    found: str
    advice: str
    status: str = "fail"
    failed: frozenset[str] = field(default=frozenset())
    """Every check that fails; only `check` by default."""
    words: tuple[str, ...] = ("--offline",)


def refusing(world: World) -> dict[str, str]:
    world.collector.refuse(401)
    return world.to_collector(OTEL_EXPORTER_OTLP_HEADERS=f"k={SECRETS['otlp']}")


def with_key(world: World, key: str) -> dict[str, str]:
    world.openai.key = key
    return world.model()


def hanging(world: World) -> dict[str, str]:
    world.honeyhive.hang()
    return world.to_honeyhive()


def answering(world: World, status: int) -> dict[str, str]:
    world.openai.replies = lambda _: HttpError(status)
    return world.model(MODEL="openai:gpt-9")


def agent(world: World, text: str) -> dict[str, str]:
    world.plant("agents/broken.py", text)
    return {}


def no_issuer(_: World) -> dict[str, str]:
    return {"JWT_ISSUER": dead_url(), "JWT_AUDIENCE": "waggle"}


def in_the_way(world: World) -> dict[str, str]:
    world.plant("file", "")
    return {"DATA_DIR": str(world.folder / "file" / "data")}


def no_database(world: World) -> dict[str, str]:
    world.plant("data/waggle.db", "This is no database, and long enough to be looked at. " * 20)
    return {}


CASES = [
    Case(
        "no key for the model",
        lambda _: {"MODEL": "openai:gpt-4o-mini"},
        "model",
        "no model to call",
        "OPENAI_API_KEY",
        words=(),
    ),
    Case(
        "the model's key is refused",
        lambda world: with_key(world, "sk-another"),
        "model",
        "refuses the key",
        "OPENAI_API_KEY",
        words=(),
    ),
    Case("the model is unknown", lambda world: answering(world, 404), "model", "does not know", "MODEL=", words=()),
    Case(
        "nobody serves the model",
        lambda world: world.model(MODEL_BASE_URL=f"{dead_url()}/v1"),
        "model",
        "nothing answers",
        "MODEL_BASE_URL",
        words=(),
    ),
    Case("the provider fails", lambda world: answering(world, 500), "model", "unavailable", "status page", words=()),
    Case("a setting is wrong", lambda _: {"PORT": "high"}, "settings", "PORT: ", "PORT"),
    Case(
        "a variable is misspelt",
        lambda _: {"HH_APIKEY": SECRETS["honeyhive"], "OTEL_EXPORTER_OTLP_ENDPOIN": "http://127.0.0.1:4318"},
        "variables",
        "HH_APIKEY is not read; OTEL_EXPORTER_OTLP_ENDPOIN is not read",
        "rename HH_APIKEY to HH_API_KEY",
        status="warn",
    ),
    Case(
        "the SDK is switched off",
        lambda world: world.to_collector(OTEL_SDK_DISABLED="true"),
        "otel-variables",
        "OTEL_SDK_DISABLED",
        "Unset OTEL_SDK_DISABLED",
    ),
    Case(
        "gRPC is asked for at gRPC's port",
        lambda _: {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"},
        "otel-variables",
        "grpc is ignored",
        "4318",
        failed=frozenset({"otel-variables", "otlp"}),
    ),
    Case(
        "nobody collects",
        lambda _: {"OTEL_EXPORTER_OTLP_ENDPOINT": dead_url()},
        "otlp",
        "nobody listening",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    Case(
        "the collector's path is another",
        lambda world: {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{world.collector.url}/otlp"},
        "otlp",
        "nothing at that path (404)",
        "/v1/traces",
    ),
    Case(
        "the path is given twice",
        lambda world: {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{world.collector.url}/v1/traces"},
        "otel-variables",
        "once more",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        failed=frozenset({"otel-variables", "otlp"}),
    ),
    Case(
        "the collector refuses the credentials",
        refusing,
        "otlp",
        "refuses the credentials (401)",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ),
    Case(
        "the collector has no TLS",
        lambda world: {"OTEL_EXPORTER_OTLP_ENDPOINT": world.collector.url.replace("http:", "https:")},
        "otlp",
        "fails at TLS",
        "write http://",
    ),
    Case(
        "the endpoint has no scheme",
        lambda _: {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"},
        "otlp",
        "not an address",
        "http://host:4318",
    ),
    Case(
        "HoneyHive refuses the key",
        lambda world: world.to_honeyhive(HH_API_KEY="hh-another"),
        "honeyhive",
        "refuses the credentials (401)",
        "HH_API_KEY",
    ),
    Case(
        "HoneyHive hangs",
        hanging,
        "honeyhive",
        "does not answer",
        "unset HH_API_KEY",
    ),
    Case(
        "tracing is believed to be off",
        lambda world: world.to_honeyhive(HH_DISABLE_TRACING="true", HH_PROJECT="mine"),
        "honeyhive-variables",
        "HH_DISABLE_TRACING is ignored",
        "Unset HH_DISABLE_TRACING",
        status="warn",
    ),
    Case(
        "AutoGen's own switch is set",
        lambda _: {"AUTOGEN_DISABLE_RUNTIME_TRACING": "true", "AUTOGEN_RUNTIME_SPANS": "true"},
        "autogen-tracing",
        "overruled",
        "AUTOGEN_RUNTIME_SPANS",
        status="warn",
    ),
    Case(
        "a key of nobody",
        lambda _: {"API_KEYS": "sk-only"},
        "credentials",
        "API_KEYS: entry 1",
        "authentication.md",
    ),
    Case("no issuer", no_issuer, "credentials", "cannot be had", "JWT_ISSUER"),
    Case("the data cannot be written", in_the_way, "data-dir", "is a file, not a folder", "DATA_DIR"),
    Case("the file is no database", no_database, "database", "not a database", "DATA_DIR"),
    Case(
        "nobody serves the database",
        lambda _: {"DATABASE_URL": f"postgresql://waggle:{SECRETS['sql']}@{dead_url().removeprefix('http://')}/waggle"},
        "database",
        "nobody listens",
        "DATABASE_URL",
    ),
    Case(
        "the database is of another kind",
        lambda _: {"DATABASE_URL": f"mysql://waggle:{SECRETS['sql']}@127.0.0.1/waggle"},
        "database",
        "mysql is not supported",
        "postgresql://",
        failed=frozenset({"database"}),
    ),
    Case(
        "an agent's file is broken",
        lambda world: agent(world, "import no_such_module\n"),
        "agents",
        "broken: there is no module 'no_such_module' (line 1)",
        "'broken'",
    ),
    Case(
        "an agent is another's",
        lambda world: agent(world, "def build(context):\n    return 42\n"),
        "agents",
        "neither an AutoGen agent nor a team",
        "'broken'",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_it_is_found_and_said_what_to_do(case: Case, world: World) -> None:
    """The check's name, what was found, the advice, and the exit status; nothing else fails."""
    said = await doctor(world.folder, case.plant(world), *case.words, "--json")
    check = said.check(case.check)
    assert check["status"] == case.status, check
    assert case.found in check["found"]
    assert case.advice in check["advice"]
    assert said.failed == (case.failed or ({case.check} if case.status == "fail" else set())), said.out
    assert said.status == (1 if said.failed else 0)


async def test_a_port_that_speaks_grpc_is_told(world: World) -> None:
    """It answers an HTTP request with a frame of HTTP/2, and closes."""
    async with speaking_grpc() as url:
        said = await doctor(world.folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": url}, "--offline", "--json")
    assert said.failed == {"otlp"}
    assert "does not speak HTTP" in said.check("otlp")["found"]
    assert "4318" in said.check("otlp")["advice"]


@asynccontextmanager
async def speaking_grpc() -> AsyncIterator[str]:
    async def answer(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # SETTINGS, empty

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 this is no Django
        yield f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


class Choosy(Collector):
    """Takes an empty batch, and no full one; or is a web page."""

    page = False

    def answer(self, request: Request) -> Answer:
        if self.page:
            return Answer(200, b"<html>", "text/html; charset=utf-8")
        return Answer(413) if request.content else super().answer(request)


async def test_spans_that_are_not_accepted_are_told(world: World) -> None:
    """The backend is reached, and takes none of the probe's spans."""
    with Choosy() as choosy:
        said = await doctor(world.folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": choosy.url}, "--offline", "--json")
    assert said.check("otlp")["status"] == "ok"
    assert said.failed == {"otlp-delivery"}
    assert said.check("otlp-delivery")["found"].startswith("0 of ")
    assert said.check("otlp-delivery")["found"].endswith("413")


async def test_a_web_page_is_no_collector(world: World) -> None:
    """It would swallow every span with status 200."""
    with Choosy() as choosy:
        choosy.page = True
        said = await doctor(world.folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": choosy.url}, "--offline", "--json")
    assert said.failed == {"otlp"}
    assert "web page" in said.check("otlp")["found"]


LATE = """
from autogen_agentchat.agents import AssistantAgent

def build(context):
    return AssistantAgent("late", context.model())
"""
FOREIGN = """\
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    class Theirs(trace.TracerProvider):
        def get_tracer(self, *args, **kwargs):
            return trace.NoOpTracer()

    trace.set_tracer_provider({provider})
"""


@pytest.mark.parametrize(
    ("provider", "status", "found", "failed"),
    [
        pytest.param("Theirs()", "fail", "none reaches Waggle's backends", {"tracer-provider", "spans"}, id="alien"),
        pytest.param(
            "TracerProvider(sampler=ALWAYS_OFF)", "fail", "drops 100%", {"tracer-provider", "spans"}, id="sampling"
        ),
        pytest.param("TracerProvider()", "warn", "was installed first", set(), id="joined"),
    ],
)
async def test_a_provider_that_was_there_first_is_told(
    provider: str, status: str, found: str, failed: set[str], world: World
) -> None:
    """Waggle's backends join an SDK's; another one takes every span, and so do samplers."""
    planted = world.plant("planted/sitecustomize.py", FOREIGN.replace("{provider}", provider))
    said = await doctor(world.folder, world.to_collector(), "--offline", "--json", planted=planted)
    assert (said.check("tracer-provider")["status"], said.failed) == (status, failed)
    assert found in said.check("tracer-provider")["found"]
    assert "sitecustomize" in said.check("tracer-provider")["advice"]
    assert bool(world.collector.spans()) is not bool(failed)


async def test_a_provider_that_an_agents_file_sets_changes_nothing(world: World) -> None:
    """Waggle's is there before the files are read: what the doctor finds must be what the service does."""
    file = textwrap.dedent(FOREIGN).replace("{provider}", "TracerProvider(sampler=ALWAYS_OFF)")
    world.plant("agents/late.py", file + LATE)
    said = await doctor(world.folder, world.to_collector() | {"AGENTS_DIR": "agents"}, "--offline", "--json")
    assert not said.failed
    assert "late" in said.check("agents")["found"]
    assert world.collector.spans()


DOUBLING = """\
    from autogen_agentchat.agents import BaseChatAgent
    from opentelemetry import trace
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
    from wrapt import wrap_function_wrapper

    async def traced(wrapped, agent, args, kwargs):
        tracer = trace.get_tracer("openinference.instrumentation.autogen_agentchat")
        with tracer.start_as_current_span(f"{agent.name}.run", attributes={"openinference.span.kind": "AGENT"}):
            async for item in wrapped(*args, **kwargs):
                yield item

    class Doubling(BaseInstrumentor):
        def instrumentation_dependencies(self):
            return ()

        def _instrument(self, **kwargs):
            wrap_function_wrapper(BaseChatAgent, "run_stream", traced)

        def _uninstrument(self, **kwargs):
            pass
"""


@pytest.mark.parametrize("active", [True, False])
async def test_an_instrumentor_that_doubles_autogens_spans_is_told(active: bool, world: World) -> None:
    """Installed it is a warning; active, it fails, and the probe's spans show what it does."""
    planted = world.plant("planted/doubling.py", DOUBLING)
    if active:
        world.plant("planted/sitecustomize.py", "from doubling import Doubling\nDoubling().instrument()\n")
    package = "openinference-instrumentation-autogen-agentchat"
    about = f"planted/{package.replace('-', '_')}-0.1.0.dist-info"
    world.plant(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    world.plant(f"{about}/entry_points.txt", "[opentelemetry_instrumentor]\nautogen-agentchat = doubling:Doubling\n")
    said = await doctor(world.folder, {}, "--offline", "--json", planted=planted)
    assert package in said.check("instrumentors")["found"]
    assert f"pip uninstall {package}" in said.check("instrumentors")["advice"]
    assert said.check("instrumentors")["status"] == ("fail" if active else "warn")
    assert said.failed == ({"instrumentors", "spans"} if active else set())
    assert ("invoke_agent spans are doubled" in said.check("spans")["found"]) is active


async def test_a_second_instrumentor_of_fastapi_is_told(world: World) -> None:
    """As opentelemetry-instrument puts it in: a span for every chunk of every stream, which belongs to nobody."""
    text = """\
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        FastAPIInstrumentor().instrument()
    """
    said = await doctor(world.folder, {}, "--offline", "--json", planted=world.plant("planted/sitecustomize.py", text))
    assert said.failed == {"spans"}
    assert "opentelemetry-instrumentation-fastapi was active" in said.check("instrumentors")["found"]
    assert "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS" in said.check("spans")["advice"]


async def test_a_version_that_autogen_fails_with_is_told(world: World) -> None:
    """What is installed counts, not what was asked for."""
    about = world.plant("planted/anthropic-1.2.0.dist-info/METADATA", "Name: anthropic\nVersion: 1.2.0\n")
    said = await doctor(world.folder, {}, "--offline", "--json", planted=about.parent)
    assert said.failed == {"packages"}
    assert "anthropic 1.2.0" in said.check("packages")["found"]
    assert "pip install 'anthropic<1'" in said.check("packages")["advice"]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        pytest.param("sitecustomize.py", "import sys\nsys.modules['fastapi'] = None\n", "'fastapi'", id="missing"),
        pytest.param(
            "sqlalchemy/__init__.py",
            "raise RuntimeError('built for another Python')\n",
            "RuntimeError in {planted}/sqlalchemy/__init__.py, line 1",
            id="broken",
        ),
    ],
)
@pytest.mark.parametrize("words", [("--json",), ()])
async def test_a_package_that_cannot_be_imported_is_told(
    name: str, text: str, found: str, words: tuple[str, ...], world: World
) -> None:
    """Where the service could not even start, the doctor says so, without a traceback."""
    planted = world.folder / "planted"
    world.plant(f"planted/{name}", text)
    said = await doctor(world.folder, {}, *words, planted=planted)
    assert said.status == 1
    if words:
        assert said.failed == {"imports"}
        assert said.check("imports")["found"].endswith(found.format(planted=planted))
        assert "make install" in said.check("imports")["advice"]
        assert said.document["trace"] is None
    else:
        assert found.format(planted=planted) in said.out
        assert said.out.endswith("1 FAIL, 0 warn\n")


async def test_a_database_of_a_newer_version_is_told(world: World) -> None:
    """Its migrations are not known here: it is left alone."""
    data = world.folder / "data"
    data.mkdir()
    await anyio.to_thread.run_sync(newer, data / "waggle.db")
    before = (data / "waggle.db").read_bytes()
    said = await doctor(world.folder, {}, "--offline", "--json")
    assert said.failed == {"database"}
    assert "at migration 9999" in said.check("database")["found"]
    assert (data / "waggle.db").read_bytes() == before


def newer(path: Path) -> None:
    import sqlite3  # noqa: PLC0415

    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.commit()
    connection.close()
