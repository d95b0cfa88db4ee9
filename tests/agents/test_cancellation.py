"""The token that stops a run."""

import asyncio
from typing import Any

import anyio
import pytest
from autogen_core import CancellationToken

from app.agents.cancellation import RunToken
from tests.agents.folder import NOTES, Folder, folder, until
from tests.agents.waiting import opened
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Drip, ToolCall, ToolCalls
from tests.service import serving

__all__ = ["folder"]


async def test_it_forgets_what_is_finished() -> None:
    """Over a long stream, whose every chunk is linked, it holds what is pending and nothing else."""
    token = RunToken()
    loop = asyncio.get_running_loop()
    for _ in range(10_000):
        chunk: asyncio.Future[str] = loop.create_future()
        assert token.link_future(chunk) is chunk
        assert len(token._pending) == 1
        chunk.set_result("token")
        await asyncio.sleep(0)  # a future tells its end in the loop's next turn
        assert len(token._pending) == 0
    assert len(token._callbacks) == 0


async def test_it_forgets_what_failed_or_was_cancelled() -> None:
    """However a call ended, it is over."""
    token = RunToken()
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[str] = loop.create_future()
    gone: asyncio.Future[str] = loop.create_future()
    finished: asyncio.Future[str] = loop.create_future()
    finished.set_result("before")
    for future in (failed, gone, finished):
        token.link_future(future)
    failed.set_exception(ValueError("it happens"))
    gone.cancel()
    await asyncio.sleep(0)
    assert len(token._pending) == 0
    assert isinstance(failed.exception(), ValueError)


async def test_it_cancels_what_is_pending() -> None:
    """Every pending future, and none that has its result; callbacks are called; once is enough."""
    token = RunToken()
    loop = asyncio.get_running_loop()
    pending: list[asyncio.Future[str]] = [token.link_future(loop.create_future()) for _ in range(3)]
    finished: asyncio.Future[str] = token.link_future(loop.create_future())
    finished.set_result("mine")
    called: list[str] = []
    token.add_callback(lambda: called.append("once"))
    assert not token.is_cancelled()
    token.cancel()
    token.cancel()
    assert token.is_cancelled()
    assert all(future.cancelled() for future in pending)
    assert finished.result() == "mine"
    assert called == ["once"]


async def test_what_comes_too_late_is_cancelled() -> None:
    """A call that begins after the end of its run does not begin."""
    token = RunToken()
    token.cancel()
    late: asyncio.Future[str] = token.link_future(asyncio.get_running_loop().create_future())
    assert late.cancelled()
    called: list[str] = []
    token.add_callback(lambda: called.append("at once"))
    assert called == ["at once"]


async def test_what_is_no_future() -> None:
    """AutoGen's MCP workbench links a coroutine and awaits it: neither linking nor cancelling harms it."""

    async def call() -> str:
        return "answer"

    token = RunToken()
    first, second = call(), call()
    assert token.link_future(first) is first
    token.cancel()
    assert token.link_future(second) is second
    assert [await first, await second] == ["answer", "answer"]


async def test_it_is_autogens() -> None:
    """AutoGen takes it wherever it takes its own, and what waits for one of its futures ends."""
    token: CancellationToken = RunToken()
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        with pytest.raises(asyncio.CancelledError):
            await token.link_future(future)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        token.cancel()


TEAMS = """
    import asyncio
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
    from autogen_agentchat.tools import AgentTool, TeamTool
    from tests.agents.folder import NOTES

    async def wait_for_ever() -> str:
        '''Never answers.'''
        NOTES.append("called")
        try:
            await asyncio.Event().wait()
        finally:
            NOTES.append("left")
        return "never"

    def build(context):
        model = context.model()

        def agent(name, *tools):
            return AssistantAgent(name, model, tools=list(tools), model_client_stream=True)

        return {made}
"""
ANN = 'agent("ann", wait_for_ever)'
MADE = {
    "agent": ANN,
    "team": f'RoundRobinGroupChat([{ANN}, agent("bob")], max_turns=2)',
    "team_in_team": f"RoundRobinGroupChat([RoundRobinGroupChat([{ANN}], max_turns=1)], max_turns=1)",
    "agent_tool": f'agent("boss", AgentTool({ANN}))',
    "team_tool": f'agent("boss", TeamTool(RoundRobinGroupChat([{ANN}], max_turns=1), "ann", "A."))',
}


@pytest.mark.parametrize("made", MADE)
async def test_a_run_cancelled_in_a_tool(
    made: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """A tool in flight is cancelled with its run, at once and in a team too, and no task stays behind."""
    folder.add("waiting.py", TEAMS.replace("{made}", MADE[made]))
    openai.replies = lambda request: ToolCalls(
        (ToolCall(request.asked.tools[0].name, {"task": "Wait."} if request.asked.tools[0].name == "ann" else {}),)
    )
    async with serving(**with_openai) as service:
        async with service.streaming("waiting", "Wait.") as events:
            started = await anext(events)
            await until(lambda: NOTES)
            during = asyncio.all_tasks()
            began = anyio.current_time()
            response = await service.client.post(f"/runs/{started.data['run_id']}/cancel")
            assert response.json()["status"] == "cancelled"
            assert anyio.current_time() - began < 3
        assert NOTES == ["called", "left"]
        await until(lambda: not [task for task in during if "autogen" in repr(task) and not task.done()])


@pytest.mark.parametrize("made", ["team", "team_in_team", "agent_tool", "team_tool"])
async def test_a_team_cancelled_in_an_answer(
    made: str, folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """The model stops writing, and nobody of the team is asked any more."""
    folder.add("waiting.py", TEAMS.replace("{made}", MADE[made]))
    asks = [ToolCalls((ToolCall("ann", {"task": "Talk."}),))] if made.endswith("tool") else []
    openai.replies = [*asks, Drip()]
    async with serving(**with_openai) as service:
        async with service.streaming("waiting", "Talk.") as events:
            started = await anext(events)
            async for event in events:
                if event.type == "text.delta":
                    break
            with anyio.fail_after(3):
                await service.client.post(f"/runs/{started.data['run_id']}/cancel")
                await openai.until_idle()
        assert (openai.abandoned, len(openai.requests)) == (1, len(asks) + 1)


async def test_a_team_cancelled_before_a_message_is_dealt_with(
    folder: Folder, openai: OpenAIWire, with_openai: dict[str, Any]
) -> None:
    """AutoGen waits for each of its messages: the task that it made for one begins, and ends, also now."""
    folder.add("waiting.py", TEAMS.replace("{made}", MADE["team_tool"]))
    openai.replies = [ToolCalls((ToolCall("ann", {"task": "Talk."}),)), Drip()]
    loop, before = asyncio.get_running_loop(), asyncio.all_tasks()
    async with opened(with_openai, "waiting") as conversation:
        await conversation.prepare("Talk.")

        def made(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
            if openai.streams == 2 and getattr(coroutine, "__name__", "") == "_process_publish":
                loop.set_task_factory(None)
                loop.call_soon(conversation.cancel)  # comes just before the task's first step
            return asyncio.Task(coroutine, loop=loop, **more)

        loop.set_task_factory(made)
        with anyio.fail_after(10), pytest.raises(asyncio.CancelledError):
            async for _ in conversation.run():
                pass
    await until(lambda: asyncio.all_tasks() <= before)
