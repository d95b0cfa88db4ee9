"""Agents of one's own, in Python: the forms of a recipe, what it owns, and whose models it calls."""

from pathlib import Path
from typing import Any

import anyio
import autogen_ext.models.openai  # noqa: F401 a second's work, done before any deadline begins
import pytest

from tests.agents.folder import NOTES, Folder, folder, reasons, until
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, HttpError, Text, Usage
from tests.service import flat, serving

__all__ = ["folder"]

IMPORTS = """
    import asyncio
    from contextlib import asynccontextmanager, contextmanager
    from autogen_agentchat.agents import AssistantAgent

    def greeter(model):
        return AssistantAgent("greeter", model_client=model, model_client_stream=True)
"""

FORMS = {
    "function": """
        def build(context):
            '''Greets.

            At length.
            '''
            return greeter(context.model())
    """,
    "no_argument": """
        from autogen_ext.models.openai import OpenAIChatCompletionClient

        CLIENT = OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="sk-own", base_url=$url)

        def build():
            '''Greets.'''
            return greeter(CLIENT)
    """,
    "async_function": """
        DESCRIPTION = "Greets."

        async def build(context):
            '''Something else.'''
            await asyncio.sleep(0)
            return greeter(context.model())
    """,
    "context_manager": """
        @asynccontextmanager
        async def build(context):
            '''Greets.'''
            await asyncio.sleep(0)
            yield greeter(context.model())
    """,
    "async_no_argument": """
        from autogen_ext.models.replay import ReplayChatCompletionClient

        async def build():
            '''Greets.'''
            return greeter(ReplayChatCompletionClient(["You said: hi"]))
    """,
    "object": """
        class Recipe:
            '''Greets.'''

            def __call__(self, context):
                return greeter(context.model())

        build = Recipe()
    """,
}


@pytest.mark.parametrize("form", FORMS)
async def test_each_form_of_a_recipe(
    form: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """A function or an async one, with or without the context, or an async context manager."""
    folder.add(f"{form}.py", IMPORTS.rstrip() + "\n" + _indented(FORMS[form]), url=f"{openai.url}/v1")
    async with serving(**with_openai) as service:
        card = await service.get(f"/agents/{form}")
        assert (card["status"], card["kind"], card["description"]) == ("ready", "agent", "Greets."), card
        assert (await service.run(form, "hi"))["output"] == "You said: hi"
        events = await service.stream(form, "hi")
    assert "".join(event.data["delta"] for event in events if event.type == "text.delta") == "You said: hi"


def _indented(text: str) -> str:
    """To the level of IMPORTS."""
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())


async def test_a_recipe_knows_its_run(folder: Folder, with_openai: dict[str, Any]) -> None:
    """`context` says whose run it is: for tools and prompts. The try-out at the start is nobody's."""
    folder.add(
        "reports.py",
        """
        from autogen_agentchat.agents import AssistantAgent

        def build(context):
            about = (context.user_id, context.session_id, dict(context.metadata))

            async def report() -> str:
                '''Whose run it is.'''
                return repr(about)

            return AssistantAgent("reports", model_client=context.model(), tools=[report])
        """,
    )
    async with serving(**with_openai) as service:
        run = await service.run("reports", "Whose?", session_id="s1", user_id="ann", metadata={"plan": "pro"})
        assert run["output"] == "('ann', 's1', {'plan': 'pro'})"
        run = await service.run("reports", "Whose?", session_id="s2")
        assert run["output"] == "(None, 's2', {})"


OWNER = (
    IMPORTS
    + """
    from tests.agents.folder import NOTES

    @asynccontextmanager
    async def database():
        NOTES.append("opened")
        try:
            yield
        except BaseException as error:
            NOTES.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(0)
            NOTES.append("closed")
    """
)
OWNERS = {
    "entered": """
    async def build(context):
        await context.enter(database())
        return greeter(context.model())
    """,
    "context_manager": """
    @asynccontextmanager
    async def build(context):
        async with database():
            yield greeter(context.model())
    """,
}


@pytest.mark.parametrize("owner", OWNERS)
async def test_what_a_recipe_opens_is_closed(
    owner: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """After the try-out, and after a run, however it ended; a run that fails tells the resource so."""
    folder.add("owner.py", OWNER + OWNERS[owner])

    def noted() -> list[str]:
        notes = NOTES.copy()
        NOTES.clear()
        return notes

    async with serving(**with_openai, disconnect_grace_s=0) as service:
        assert noted() == ["opened", "closed"]
        await service.run("owner", "hi")
        assert noted() == ["opened", "closed"]
        openai.replies = [HttpError(401)]
        await service.run("owner", "hi", status=502)
        assert noted() == ["opened", "ProviderFailure", "closed"]
        openai.replies = [Drip()]
        async with service.streaming("owner", "hi") as events:
            started = await anext(events)
            await openai.until_streaming()
            response = await service.client.post(f"/runs/{started.data['run_id']}/cancel")
            assert response.json()["status"] == "cancelled"
        assert noted() == ["opened", "CancelledError", "closed"]


async def test_what_is_opened_before_a_recipe_fails_is_closed(folder: Folder, with_openai: dict[str, Any]) -> None:
    """A recipe that opens one thing and fails at the next leaves nothing open."""
    build = """
    async def build(context):
        await context.enter(database())
        raise ValueError
    """
    folder.add("owner.py", OWNER + build)
    async with serving(**with_openai) as service:
        assert "owner" in await reasons(service)
    assert NOTES == ["opened", "ValueError", "closed"]


async def test_a_resource_that_does_not_close(
    folder: Folder, with_openai: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps no run from its end."""
    monkeypatch.setattr("app.agents.spec.CLOSE_TIMEOUT_S", 0.1)
    folder.add(
        "owner.py",
        IMPORTS
        + """
    @asynccontextmanager
    async def database():
        yield
        await asyncio.Event().wait()

    async def build(context):
        if context.session_id:
            await context.enter(database())
        return greeter(context.model())
    """,
    )
    async with serving(**with_openai) as service:
        with anyio.fail_after(10):
            run = await service.run("owner", "hi")
        assert (run["status"], run["output"]) == ("completed", "You said: hi")


async def test_a_recipe_that_hangs(
    folder: Folder, with_openai: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a deadline it is invalid; the others are served, and the service stops as ever."""
    monkeypatch.setattr("app.agents.registry.BUILD_TIMEOUT_S", 3)
    monkeypatch.setattr("app.agents.registry.CLOSE_TIMEOUT_S", 0.5)
    folder.add("hangs.py", IMPORTS + "\n    async def build():\n        await asyncio.Event().wait()\n")
    folder.add("hangs_at_import.py", "import threading\nthreading.Event().wait()\n")
    folder.add(
        "hangs_at_both_ends.py",
        IMPORTS
        + """
    @asynccontextmanager
    async def build():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()
        yield
    """,
    )
    async with serving(**with_openai) as service:
        assert await reasons(service) == dict.fromkeys(
            ["hangs", "hangs_at_import", "hangs_at_both_ends"], "it took too long to build"
        )
        assert (await service.run("assistant", "hi"))["output"] == "You said: hi"


async def test_a_recipe_that_fails_later(folder: Folder, with_openai: dict[str, Any]) -> None:
    """One that could be built at the start, and cannot for a run: 503, in no other words than GET /agents has."""
    folder.add(
        "moody.py",
        IMPORTS
        + """
    def build(context):
        if context.user_id == "ann":
            raise RuntimeError("sk-planted-secret")
        if context.user_id == "bob":
            raise SystemExit
        return greeter(context.model())
    """,
    )
    async with serving(**with_openai) as service:
        problem = await service.run("moody", "hi", user_id="ann", status=503)
        assert problem["type"] == "urn:waggle:problem:agent-invalid"
        assert problem["detail"] == (
            "Agent 'moody' could not be built: RuntimeError (line 11); the service's log has the whole."
        )
        problem = await service.run("moody", "hi", user_id="bob", status=503)
        assert "it ends the program" in problem["detail"]
        assert (await service.run("moody", "hi", user_id="cid"))["status"] == "completed"


async def test_an_agents_own_model(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """MODEL is that of `context.model()`; it may name others besides, and MODEL's provider is not asked for them."""
    build = "\n    def build(context):\n        return greeter(context.model({}))\n"
    folder.add("constant.py", IMPORTS + '\n    MODEL = "openai:gpt-4o"\n' + build.format(""))
    folder.add("argument.py", IMPORTS + '\n    MODEL = "openai:gpt-4o"\n' + build.format('"openai:gpt-4.1"'))
    folder.add("keyless.py", IMPORTS + '\n    MODEL = "anthropic:claude-haiku-4-5"\n' + build.format(""))
    async with serving(**with_openai) as service:
        for name, model in (("constant", "gpt-4o"), ("argument", "gpt-4.1")):
            assert (await service.get(f"/agents/{name}"))["model"] == f"openai:{model}"
            await service.run(name, "hi")
            assert openai.requests[-1].asked.model == model
        assert (await service.get("/agents/keyless"))["model"] == "anthropic:claude-haiku-4-5"
        problem = await service.run("keyless", "hi", status=503)
        assert problem["type"] == "urn:waggle:problem:model-unavailable"
        assert "ANTHROPIC_API_KEY" in problem["detail"]


async def test_agents_without_any_model(folder: Folder, tmp_path: Path) -> None:
    """With no key each agent is described all the same, tools included, and a run says what to set."""
    folder.add("greeter.py", IMPORTS + "\n    def build(context):\n        return greeter(context.model())\n")
    async with serving(model="openai:gpt-4o-mini", data_dir=tmp_path, agents_dir=folder.path) as service:
        assert await reasons(service) == {}
        for name in ("greeter", "weather"):
            assert (await service.get(f"/agents/{name}"))["model"] == "openai:gpt-4o-mini"
        problem = await service.run("greeter", "hi", status=503)
        assert "OPENAI_API_KEY" in problem["detail"]


OWN_CLIENT = (
    IMPORTS
    + """
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    class Mine(OpenAIChatCompletionClient):
        '''Of a user's own making.'''

    CLIENT = $kind(model="gpt-4o-mini", api_key="sk-own", base_url=$url, $options)

    def build(context):
        return greeter(CLIENT)
    """
)


@pytest.mark.parametrize("kind", ["OpenAIChatCompletionClient", "Mine"])
async def test_a_client_of_the_users_own(
    kind: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """AutoGen's stock client, as its documentation shows it: usage is told, streamed or not, and its calls traced."""
    source = OWN_CLIENT.replace("$kind", kind).replace("$options", "")
    folder.add("own.py", source, url=f"{openai.url}/v1")
    async with serving(**with_openai) as service:
        assert (await service.get("/agents/own"))["model"].endswith(":gpt-4o-mini")
        run = await service.run("own", "hi")
        assert openai.requests[-1].headers["authorization"] == "Bearer sk-own"
        assert openai.requests[-1].json["stream_options"] == {"include_usage": True}
        assert (run["usage"]["input_tokens"], run["usage"]["output_tokens"]) == (11, 7)
        (chat,) = [span for span in flat(await service.trace(run)) if span["name"].startswith("chat ")]
        assert chat["attributes"]["gen_ai.usage.input_tokens"] == 11
        await service.run("own", "hi again")
        openai.replies = [HttpError(401, "sk-own is wrong")]
        problem = await service.run("own", "hi", status=502)
        assert "sk-own" not in str(problem)


@pytest.mark.parametrize("where", ["module", "build"])
async def test_a_client_of_the_users_own_is_closed(
    where: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """At the service's end, and not before: runs may share it."""
    made = 'OpenAIChatCompletionClient(model="gpt-4o-mini", api_key="sk-own", base_url=$url)'
    source = OWN_CLIENT.replace("$kind(model", "OpenAIChatCompletionClient(model").replace("$options", "")
    if where == "build":
        source = source.replace("(CLIENT)", f"({made})")
    folder.add("own.py", source, url=f"{openai.url}/v1")
    connections = openai._server.server_state.connections
    async with serving(**with_openai) as service:
        for _ in range(2):
            assert (await service.run("own", "hi"))["status"] == "completed"
        if where == "module":
            assert len(connections) == 1
    await until(lambda: not connections)


async def test_a_user_who_wants_no_usage(folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]) -> None:
    """A server that does not know `stream_options` may be told none: whoever sets them is left alone."""
    source = OWN_CLIENT.replace("$kind", "OpenAIChatCompletionClient")
    folder.add("own.py", source.replace("$options", 'stream_options={"include_usage": False}'), url=f"{openai.url}/v1")
    async with serving(**with_openai) as service:
        run = await service.run("own", "hi")
    assert openai.requests[-1].json["stream_options"] == {"include_usage": False}
    assert run["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_usd": None}


async def test_a_file_takes_the_place_of_a_catalog_agent(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """The name decides: one's own `assistant`, and a broken `weather` that is not replaced by the catalog's."""
    folder.add(
        "assistant.py",
        IMPORTS + "\n    def build(context):\n        '''Mine.'''\n        return greeter(context.model())\n",
    )
    folder.add("weather.py", "build = None")
    openai.replies = [Text("Mine.", usage=Usage(1, 1))]
    async with serving(**with_openai) as service:
        assert (await service.get("/agents/assistant"))["description"] == "Mine."
        run = await service.run("assistant", "hi")
        assert [message["source"] for message in run["messages"]] == ["user", "greeter"]
        assert set(await reasons(service)) == {"weather"}
        await service.run("weather", "hi", status=503)
        assert len((await service.get("/agents"))["items"]) == 5


async def test_agents_are_built_anew_for_each_run(folder: Folder, with_openai: dict[str, Any]) -> None:
    """Two sessions' runs share a model client and nothing else: neither remembers the other."""
    folder.add("greeter.py", IMPORTS + "\n    def build(context):\n        return greeter(context.model())\n")
    async with serving(**with_openai) as service:
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(lambda n: service.run("greeter", f"I am {n}", session_id=f"s{n}"), number)
        for number in range(5):
            said = (await service.get(f"/sessions/s{number}/messages"))["items"]
            assert [message["content"] for message in said] == [f"I am {number}", f"You said: I am {number}"]
