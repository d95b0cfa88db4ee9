"""What a team does between its agents' turns, made visible: its run, the choice of each speaker, what ended it.

AutoGen shows none of it. A team's `run_stream` is replaced on the instance; who chooses is a manager that AutoGen
makes out of reach, so the managers' classes are wrapped, once a process (AutoGen is pinned).
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from autogen_agentchat.base import TaskResult, Team
from autogen_agentchat.messages import HandoffMessage
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator import MagenticOneOrchestrator

from app.agents.ledger import LEDGER
from app.telemetry.steps import TeamSpan, step

_MARK = "_waggle_observed"


def observe_team(team: Team, name: str, participants: list[str]) -> None:
    """From now on each of its runs is a span, in which its agents' are."""
    for manager in _below(BaseGroupChatManager):
        if "select_speaker" in vars(manager):
            _wrap(manager, "select_speaker", _selecting)
    _wrap(BaseGroupChatManager, "_signal_termination", _terminating)
    _wrap(MagenticOneOrchestrator, "_orchestrate_step", _orchestrating)
    _wrap(team, "run_stream", functools.partial(_running, name, type(team).__name__, participants))


def _running(name: str, kind: str, participants: list[str], run_stream: Callable[..., Any]) -> Callable[..., Any]:
    async def running(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        span = TeamSpan(name, kind, participants)
        stop_reason: str | None = None
        stream = run_stream(*args, **options)
        try:
            while True:
                with span.current():
                    item = await anext(stream, None)
                if item is None:
                    break
                if isinstance(item, HandoffMessage):
                    span.handoff(item.source, item.target)
                elif isinstance(item, TaskResult):
                    stop_reason = item.stop_reason
                yield item
        except BaseException as error:
            await stream.aclose()
            span.fail(error)
            raise
        span.end(stop_reason)

    return running


def _selecting(select_speaker: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def selecting(manager: Any, thread: Any) -> Any:
        with step("select_speaker", _candidates(manager)) as span:
            selected = await select_speaker(manager, thread)
            span.set_attribute("waggle.speaker.selected", [selected] if isinstance(selected, str) else list(selected))
            return selected

    return selecting


def _orchestrating(orchestrate: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """MagenticOne's orchestrator chooses in the middle of a step, and tells the one it chose."""

    async def orchestrating(manager: Any, cancellation_token: Any) -> None:
        with step("select_speaker", _candidates(manager)) as span:
            names = {topic: name for name, topic in manager._participant_name_to_topic_type.items()}  # noqa: SLF001
            publish = manager.publish_message

            async def publishing(message: Any, topic_id: Any, **options: Any) -> None:
                if topic_id.type in names:
                    span.set_attribute("waggle.speaker.selected", [names[topic_id.type]])
                await publish(message, topic_id, **options)

            manager.publish_message = publishing
            try:
                await orchestrate(manager, cancellation_token)
            finally:
                del manager.publish_message

    return orchestrating


def _terminating(signal: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def terminating(manager: Any, message: Any) -> None:
        if (ledger := LEDGER.get()) is not None:
            ledger.termination = message.source
        await signal(manager, message)

    return terminating


def _candidates(manager: Any) -> dict[str, Any]:
    return {"waggle.speaker.candidates": list(manager._participant_names), "waggle.team": manager._name}  # noqa: SLF001


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def _wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace a method, of a class or of one instance, by the wrapped one; once."""
    method = getattr(owner, name)
    if not getattr(method, _MARK, False):
        wrapped = functools.wraps(method)(wrapper(method))
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)
