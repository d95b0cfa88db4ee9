"""What a team does between its agents' turns, made visible: its run, the choice of each speaker, what ended it.

AutoGen shows none of it. A team's `run_stream` is replaced on the instance; who chooses is a manager that AutoGen
makes out of reach, so the managers' classes are wrapped, once a process (AutoGen is pinned).
"""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from typing import Any

from autogen_agentchat.base import TaskResult, Team
from autogen_agentchat.messages import HandoffMessage
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._events import GroupChatRequestPublish
from autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator import MagenticOneOrchestrator

from app.agents.ledger import LEDGER
from app.telemetry.steps import Choice, TeamSpan, current_choice, current_team, tool_call_of

_MARK = "_waggle_observed"


def observe_team(team: Team, name: str, participants: list[str]) -> None:
    """From now on each of its runs is a span, in which its agents' are."""
    for manager in _below(BaseGroupChatManager):
        if "select_speaker" in vars(manager):
            wrap(manager, "select_speaker", _selecting)
    wrap(BaseGroupChatManager, "_signal_termination", _terminating)
    wrap(MagenticOneOrchestrator, "_orchestrate_step", _orchestrating)
    wrap(MagenticOneOrchestrator, "publish_message", _publishing)
    for after in ("_prepare_final_answer", "_update_task_ledger", "_reenter_outer_loop"):
        wrap(MagenticOneOrchestrator, after, _past_choice)
    wrap(team, "run_stream", functools.partial(_running, name, type(team).__name__, participants))


def _running(name: str, kind: str, participants: list[str], run_stream: Callable[..., Any]) -> Callable[..., Any]:
    async def running(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        outermost = current_team() is None and tool_call_of(None) is None  # else its end is not the run's
        span = TeamSpan(name, kind, participants)
        stop_reason: str | None = None
        stream = run_stream(*args, **options)
        try:
            while True:
                with span.current():
                    item = await anext(stream, None)
                if item is None:
                    break
                if isinstance(item, HandoffMessage) and item.source in participants:  # not one of an inner team's
                    span.handoff(item.source, item.target)
                elif isinstance(item, TaskResult):
                    stop_reason = item.stop_reason
                yield item
        except BaseException as error:
            await stream.aclose()
            span.fail(error)
            raise
        if outermost and (ledger := LEDGER.get()) is not None:
            ledger.termination = span.termination
        span.end(stop_reason)

    return running


def _selecting(select_speaker: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def selecting(manager: Any, thread: Any) -> Any:
        choice = Choice(_candidates(manager))
        with choice.going_on():
            selected = await select_speaker(manager, thread)
            choice.made([selected] if isinstance(selected, str) else selected)
            return selected

    return selecting


def _orchestrating(orchestrate: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """MagenticOne's orchestrator chooses in the middle of a step: asks its ledger, and tells the one it chose."""

    async def orchestrating(manager: Any, cancellation_token: Any) -> None:
        with Choice(_candidates(manager)).going_on():
            await orchestrate(manager, cancellation_token)

    return orchestrating


def _publishing(publish: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def publishing(manager: Any, message: Any, topic_id: Any, **options: Any) -> None:
        if isinstance(message, GroupChatRequestPublish) and (choice := current_choice()) is not None:
            topics = manager._participant_name_to_topic_type  # noqa: SLF001
            choice.made([name for name, topic in topics.items() if topic == topic_id.type])
        await publish(manager, message, topic_id, **options)

    return publishing


def _past_choice(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Instead of choosing, it ends the conversation, or plans anew and begins another step."""

    async def past_choice(*args: Any, **options: Any) -> None:
        choice = current_choice()
        with choice.over() if choice is not None else nullcontext():
            await method(*args, **options)

    return past_choice


def _terminating(signal: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def terminating(manager: Any, message: Any) -> None:
        if (team := current_team()) is not None:
            team.termination = message.source
        await signal(manager, message)

    return terminating


def _candidates(manager: Any) -> dict[str, Any]:
    return {"waggle.speaker.candidates": list(manager._participant_names), "waggle.team": manager._name}  # noqa: SLF001


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


def wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace a method, of a class or of one instance, by the wrapped one; once."""
    method = getattr(owner, name)
    if not getattr(method, _MARK, False):
        wrapped = functools.wraps(method)(wrapper(method))
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)
