"""What a process logs: its form, what belongs together, and what may never be there."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import anyio
import pytest
from anyio import to_thread

from app.settings import Settings
from app.telemetry.identity import Identity, carrying
from app.telemetry.logs import Lines, configure, fields
from tests.process import ROOT, ServiceProcess, started
from tests.servers.honeyhive import HoneyHive
from tests.servers.openai_wire import OpenAIWire
from tests.servers.otlp import Collector
from tests.servers.replies import HttpError, Reply, Request, Text, ToolCall, ToolCalls
from tests.service import events_of

IDENTITY = Identity("run-1", "session-1", "assistant", "tenant-1", "user-1")


def environment(openai: OpenAIWire, **more: str) -> dict[str, str]:
    model = {"MODEL": "openai:gpt-4o-mini", "MODEL_BASE_URL": f"{openai.url}/v1", "OPENAI_API_KEY": "sk-planted-openai"}
    return {**model, "MODEL_MAX_RETRIES": "0", "LOG_FORMAT": "json", **more}


def lines(service: ServiceProcess) -> list[dict[str, Any]]:
    """Each line that the process printed, on stdout and stderr, is one object."""
    told = [json.loads(line) for line in service.output.splitlines()]
    for each in told:
        assert {"time", "level", "logger", "message"} <= each.keys()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"])
    return told


def with_message(told: list[dict[str, Any]], message: str) -> list[dict[str, Any]]:
    return [each for each in told if each["message"] == message]


async def test_a_line_for_each_request_and_each_run(openai: OpenAIWire, tmp_path: Path) -> None:
    """Method, route, status, time and ids of the one; agent, outcome, time, tokens and ids of the other."""
    async with started(tmp_path, environment(openai)) as service, service.client() as client:
        answer = await client.post(
            "/agents/assistant/run", json={"task": "hi"}, headers={"X-Request-ID": "req-1", "X-User-ID": "ann"}
        )
        run = answer.json()
        openai.replies = lambda _: HttpError(400)
        failed = (await client.post("/agents/research/run", json={"task": "hi"})).json()
        await client.get("/no/such/path")
        for probe in ("/livez", "/readyz", "/metrics"):
            await client.get(probe)
        await service.end()
    told = lines(service)
    first, second = with_message(told, "Run ended")
    assert (
        first.items()
        >= {
            "level": "info",
            "run_id": run["run_id"],
            "trace_id": run["trace_id"],
            "agent": "assistant",
            "status": "completed",
            "input_tokens": 11,
            "output_tokens": 7,
        }.items()
    )
    assert "error" not in first
    assert 0 < first["duration_ms"] < 30_000
    ids = {"run_id": failed["run_id"], "trace_id": failed["trace_id"]}
    assert second.items() >= {"status": "failed", "error": "provider-failed", **ids}.items()
    ran, refused, lost = with_message(told, "Request")
    route = {"method": "POST", "route": "/agents/{name}/run"}
    assert ran.items() >= {**route, "status": 200, "request_id": "req-1", "trace_id": run["trace_id"]}.items()
    assert refused.items() >= {**route, "status": 502, "trace_id": failed["trace_id"]}.items()
    assert (lost["status"], "route" in lost) == (404, False)
    assert ran["duration_ms"] >= first["duration_ms"]
    assert not [each for each in told if each["logger"] == "uvicorn.access"]


async def test_a_stream_is_one_line_too_and_who_leaves_has_one(openai: OpenAIWire, tmp_path: Path) -> None:
    """At its end, with the time that it lasted."""
    async with started(tmp_path, environment(openai, LOG_FORMAT="console")) as service, service.client() as client:
        parameters = {"task": "hi"}
        async with client.stream("GET", "/agents/assistant/stream", params=parameters) as response:
            events = [event async for event in events_of(response)]
        await service.end()
    line = (
        r"^\S+Z info    app\.api\.middleware: Request trace_id=(\w{32}) method=GET route=/agents/{name}/stream status=2"
    )
    found = re.search(line, service.output, re.MULTILINE)
    assert found, service.output
    assert found[1] == events[0].data["trace_id"]
    ended = r"app\.runs\.execution: Run ended run_id=(\S+) trace_id=(\w{32}) agent=assistant status=completed"
    run = re.search(ended, service.output)
    assert run
    assert (run[1], run[2]) == (events[0].data["run_id"], found[1])


LEAKY = '''
import asyncio
import logging
import warnings

from autogen_agentchat.agents import AssistantAgent

async def leak(words: str) -> str:
    """Say it wherever somebody might listen, and fail."""
    async def forgotten() -> None:
        raise ValueError(words)
    task = asyncio.ensure_future(forgotten())
    await asyncio.wait([task])
    del task
    warnings.warn(words, UserWarning)
    logging.getLogger("some.library").warning("It got %s", words)
    logging.getLogger("some.library").debug(words)
    logging.error(words)
    asyncio.get_running_loop().call_soon(int, words)
    await asyncio.sleep(0)
    raise RuntimeError(words) from KeyError(words)

def build(context):
    return AssistantAgent("leaky", context.model(), tools=[leak], model_client_stream=True)
'''
BROKEN = '''
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.messages import TextMessage

class Broken(BaseChatAgent):
    """Fails of what it is asked."""

    produced_message_types = (TextMessage,)

    async def on_messages(self, messages, cancellation_token):
        raise ValueError(f"What is {messages[-1].content}?")

    async def on_reset(self, cancellation_token):
        """Nothing to forget."""

def build(context):
    return Broken("broken", "Fails.")
'''


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_line_has_content_or_keys(
    form: str, openai: OpenAIWire, collector: Collector, honeyhive: HoneyHive, tmp_path: Path
) -> None:
    """At debug level, of runs that complete and fail, streamed and not, with all backends and a leaky tool."""
    word = "planted-words"

    def replies(request: Request) -> Reply:
        if "refuse" in request.asked.text:
            return HttpError(401, f"{word} in the provider's own words, and sk-planted-openai")
        if any(tool.name == "leak" for tool in request.asked.tools) and not request.asked.results:
            return ToolCalls((ToolCall("leak", {"words": f"{word} as an argument"}),))
        return Text(f"{word} in an answer")

    openai.replies = replies
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "leaky.py").write_text(LEAKY)
    (tmp_path / "agents" / "broken.py").write_text(BROKEN)
    honeyhive.refuse(400)
    variables = environment(
        openai,
        LOG_FORMAT=form,
        LOG_LEVEL="debug",
        HH_API_KEY="planted-honeyhive-key",
        HH_API_URL=honeyhive.url,
        HH_OTLP_PROTOCOL="http/json",  # whose failures its SDK tells itself
        OTEL_BSP_SCHEDULE_DELAY="100",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20planted-otlp-token",
    )
    collector.refuse(400)
    async with started(tmp_path, variables) as service, service.client() as client:
        headers = {"Authorization": "Bearer planted-bearer", "X-Other": "planted-header", "Cookie": "planted=cookie"}
        for agent, status in {"assistant": 200, "research": 200, "leaky": 200, "broken": 500}.items():
            body = {"task": f"{word} in a task", "metadata": {"note": "planted-metadata"}, "user_id": "planted-user"}
            answer = await client.post(f"/agents/{agent}/run", json=body, headers=headers)
            assert answer.status_code == status, answer.text
        refused = await client.post("/agents/assistant/run", json={"task": f"refuse {word}"}, headers=headers)
        assert refused.status_code == 502
        await to_thread.run_sync(honeyhive.wait_for, lambda _: bool(honeyhive.requests))
        query = f"/agents/assistant/stream?task={quote_plus(f'{word} in a query')}"
        assert (await client.get(query, headers=headers)).status_code == 200
        assert (await client.get(f"/no/{word}?task={word}")).status_code == 404
        assert (await client.post("/agents/assistant/run", content=f'{{"task": "{word}')).status_code >= 400
        assert (await client.post(f"/agents/{word}/run", json={"task": word})).status_code == 404
        await service.end()
    assert word not in service.output
    assert "planted" not in service.output, [line for line in service.output.splitlines() if "planted" in line]
    for said in ("Task exception was never retrieved", "UserWarning", "builtins.ValueError", "Run ended", "Request"):
        assert said in service.output, f"{said!r} is to be told, without what it is about"
    if form == "json":
        told = lines(service)
        assert [each for each in told if each["logger"].startswith("honeyhive")], "through the one formatter"
        assert [each for each in told if each["logger"] == "some.library"]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the logging of this process writes, configured as an operator's is."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, warnings.showwarning
    levels = {name: logging.getLogger(name).level for name in ("app", "agents", "uvicorn", "autogen_core")}
    yield io.StringIO()
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    root.handlers[:], warnings.showwarning = before[0], before[2]
    root.setLevel(before[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def configured(stream: io.StringIO, **settings: Any) -> None:
    configure(Settings(**{"_env_file": None, **settings}))
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)


HOSTILE = "a\nb\r\n2026-11-23T00:00:00.000Z info    app: forged\x1b[2J\u2028\x85\x00\ud800 status=200"


@pytest.mark.parametrize("form", ["json", "console"])
def test_nothing_that_is_logged_ends_a_line(form: str, logged: io.StringIO) -> None:
    """Line ends of every kind, a terminal's commands and half characters are escaped, in messages and in fields."""
    configured(logged, log_format=form)
    logger = logging.getLogger("app.hostile")
    logger.warning("It got %s", HOSTILE)
    logger.warning("It got %(what)s", {"what": HOSTILE})
    logger.warning(HOSTILE.replace("\n", " "))
    logger.warning("Told", extra=fields(what=HOSTILE, nothing=None))
    text = logged.getvalue()
    text.encode()
    told = text.split("\n")[:-1]
    assert len(told) == 4
    assert len(text.splitlines()) == 4
    assert "\x1b" not in text
    if form == "json":
        assert json.loads(told[3])["what"] == HOSTILE
        assert "nothing" not in told[3]


def test_a_line_has_an_end(logged: io.StringIO) -> None:
    """However long what is told is."""
    configured(logged, log_format="json")
    logging.getLogger("app.hostile").warning("It got %s", "x" * 4_000_000, extra=fields(what="y" * 4_000_000))
    assert len(logged.getvalue()) < 20_000


FORGED = "2026-11-23T00:00:00.000Z info    app: forged"
INJECTED = [f"\r\n{FORGED}", f"\n{FORGED}", "\x1b[2J\x1b]0;pwned\x07", "\x00", "\x85\u2028", "x" * 20_000, "\ud800"]


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_request_writes_a_line_of_its_own(form: str, openai: OpenAIWire, tmp_path: Path) -> None:
    """In each header that is read and each field, in names in paths, and from a model as the name of a tool."""
    openai.replies = lambda request: (
        Text("done") if "tool" in str(request.json["messages"]) else ToolCalls((ToolCall("tool\r\n\x1b[2J", {}),))
    )
    names = ("X-Request-ID", "X-User-ID", "X-Session-ID", "Idempotency-Key", "Last-Event-ID", "traceparent", "Host")
    statuses = set()
    async with started(tmp_path, environment(openai, LOG_FORMAT=form, LOG_LEVEL="debug")) as service:
        for text in INJECTED:
            raw = text.encode("utf-8", "surrogatepass")
            for name in names:
                host, _, port = service.url.removeprefix("http://").partition(":")
                async with await anyio.connect_tcp(host, int(port)) as connection:
                    head = f"POST /agents/assistant/run HTTP/1.1\r\n{name}: ".encode() + raw
                    body = b'{"task":"hi"}'
                    more = b"\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                    await connection.send(head + more % len(body) + body)
                    answer = b"".join([piece async for piece in connection])
                    statuses.add(int(answer.split(b" ", 2)[1]))
            async with service.client() as client:
                path = quote_plus(raw)
                for route in ("/agents/{}", "/runs/{}", "/sessions/{}", "/agents/{}/run", "/{}", "/sessions?cursor={}"):
                    statuses.add((await client.get(route.format(path))).status_code)
                for field in ("task", "session_id", "user_id", "webhook_url", "if_busy"):
                    fields_ = {"task": "hi", field: text, "metadata": {text[:500]: text[:500]}}
                    content = json.dumps(fields_)
                    headers = {"Content-Type": "application/json"}
                    sent = await client.post("/agents/assistant/run", content=content, headers=headers)
                    statuses.add(sent.status_code)
        await service.end()
    assert max(statuses) < 500, statuses
    assert "\x1b" not in service.output
    told = service.output.splitlines()
    assert told == service.output.split("\n")[:-1]
    assert max(map(len, told)) < 10_000
    for line in told:
        assert json.loads(line)["message"] if form == "json" else re.match(r"20\S+Z \w+ +[\w.]+: | \| ", line), line
    assert "\n" + FORGED not in service.output


def test_an_exception_follows_its_line_and_cannot_forge_one(logged: io.StringIO) -> None:
    """At the start, before any request, its text is told, each line marked."""
    configured(logged)
    try:
        Path("no such thing\n2026-11-23T00:00:00.000Z info    app: forged").read_bytes()
    except OSError:
        logging.getLogger("app.start").exception("It did not start")
    first, *rest = logged.getvalue().splitlines()
    assert first.endswith("error   app.start: It did not start")
    assert rest[0] == " | Traceback (most recent call last):"
    assert all(line.startswith(" | ") for line in rest)
    assert any(line.startswith(" | FileNotFoundError: ") for line in rest)


def test_a_line_of_an_agents_file_is_quoted_without_its_key(logged: io.StringIO, tmp_path: Path) -> None:
    """A recipe may have one in the call that fails, and a traceback quotes that."""
    file = tmp_path / "agent.py"
    file.write_text('int("x", api_key="sk-proj-in-the-file-0123456789")\n')
    configured(logged)
    try:
        exec(compile(file.read_text(), file, "exec"))  # noqa: S102 as a recipe's file is run
    except TypeError:
        logging.getLogger("app.agents.registry").exception("It could not be built")
    told = logged.getvalue()
    assert 'int("x", api_key="[redacted]")' in told
    assert "in-the-file" not in told


def _fail() -> None:
    try:
        raise KeyError("secret")  # noqa: TRY301 what it is about
    except KeyError as cause:
        raise ExceptionGroup("secret", [ValueError("secret"), OSError("secret")]) from cause


def test_inside_a_run_a_line_names_it_and_an_exception_is_not_quoted(logged: io.StringIO) -> None:
    """Whoever logs it, also in a group and as a cause: types and places."""
    configured(logged, log_format="json")
    try:
        _fail()
    except ExceptionGroup:
        with carrying(IDENTITY):
            logging.getLogger("app.inside").exception("It failed")
            logging.getLogger("library").warning("It says secret")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    told = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert "secret" not in logged.getvalue()
    assert [each.get("run_id") for each in told] == ["run-1", "run-1", None]
    for each in (told[0], told[2]):
        kinds = [
            "builtins.ExceptionGroup",
            "with builtins.ValueError",
            "with builtins.OSError",
            "from builtins.KeyError",
        ]
        assert [line for line in each["exception"].splitlines() if not line.startswith("  ")] == kinds
        assert re.search(r"test_logs\.py:\d+ in test_inside_a_run", each["exception"])
    assert re.fullmatch(r"test_logs:\d+ said something inside a run", told[1]["message"])


def test_libraries_are_heard_from_warning_on(logged: io.StringIO) -> None:
    """LOG_LEVEL is for the service's own lines; a library that sets a level of its own is not let in by it."""
    configured(logged, log_level="debug")
    library = logging.getLogger("some.chatty.library")
    library.setLevel(logging.DEBUG)
    try:
        library.debug("whole prompts")
        library.info("whole prompts")
        library.warning("It is told")
    finally:
        library.setLevel(logging.NOTSET)
    logging.getLogger("app.anything").debug("It is told too")
    logging.getLogger("agents.mine").info("And this")
    assert [line.partition(": ")[2] for line in logged.getvalue().splitlines()] == [
        "It is told",
        "It is told too",
        "And this",
    ]


def test_a_mistake_in_a_call_is_no_leak(logged: io.StringIO) -> None:
    """Arguments that do not fit their template cost the arguments, not the line."""
    configured(logged)
    logging.getLogger("app.mistaken").warning("%d of %s", "secret")  # noqa: PLE1206 the mistake
    assert logged.getvalue().endswith("app.mistaken: %d of %s\n")


SECRETS = {
    "openai_api_key": "sk-abcdef",
    "hh_api_key": "hh_abcdef",
    "otel_exporter_otlp_headers": "authorization=Bearer%20otlp-abcdef,x-key=key-abcdef",
    "database_url": "postgresql://waggle:p%40ss-abcdef@localhost/waggle",
}


@pytest.mark.parametrize(
    "secret", ["sk-abcdef", "hh_abcdef", "otlp-abcdef", "key-abcdef", "p@ss-abcdef", "p%40ss-abcdef"]
)
def test_the_settings_secrets_are_masked(secret: str, logged: io.StringIO) -> None:
    """Whatever quotes one, as it was written, or as it is sent."""
    configured(logged, **SECRETS)
    logging.getLogger("app.careless").warning("It is %s!", secret)
    assert logged.getvalue().endswith("It is ***!\n")


def test_a_short_secret_masks_no_words() -> None:
    """A key of five letters would be found in any line."""
    record = logging.LogRecord("app", logging.INFO, __file__, 1, "nothing here", None, None)
    assert Lines("console", []).format(record).endswith("app: nothing here")


async def test_json_is_told_from_the_first_line_on(tmp_path: Path) -> None:
    """Also where there is no model, and a file of the agents does not load."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "bad.py").write_text("1 / 0\n")
    async with started(tmp_path, {"MODEL": "openai:gpt-4o-mini", "LOG_FORMAT": "json"}) as service:
        with anyio.fail_after(30):
            assert await service.end() == 0
    told = lines(service)
    assert any("OPENAI_API_KEY" in each["message"] for each in told)
    assert any("ZeroDivisionError" in each.get("exception", "") for each in told)


FOREIGN = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

class Theirs(trace.TracerProvider):
    def get_tracer(self, *args, **kwargs):
        return trace.NoOpTracer()

trace.set_tracer_provider({provider})
"""


@pytest.mark.parametrize(
    ("provider", "level", "said"),
    [
        (
            "Theirs()",
            "warning",
            "sitecustomize.Theirs was set as the tracer provider before this service's: it takes every",
        ),
        ("TracerProvider(sampler=TraceIdRatioBased(0))", "warning", "its sampler drops 100% of the traces"),
        ("TracerProvider()", "info", "which joins it"),
        (None, "", ""),
    ],
)
async def test_a_provider_that_was_there_first_is_told(
    provider: str | None, level: str, said: str, openai: OpenAIWire, tmp_path: Path
) -> None:
    """Spans that it takes or drops are missing without a sign, else."""
    planted = tmp_path / "planted"
    planted.mkdir()
    if provider is not None:
        (planted / "sitecustomize.py").write_text(FOREIGN.replace("{provider}", provider))
    async with started(tmp_path, environment(openai, PYTHONPATH=f"{planted}:{ROOT}")) as service:
        await service.end()
    told = [each for each in lines(service) if "tracer provider" in each["message"]]
    assert [each["level"] for each in told] == ([level] if level else [])
    assert all(said in each["message"] for each in told)
