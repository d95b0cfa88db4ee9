"""A run as OpenAI's `Response`, and what is said and done in it as the items of one."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import orjson
from openai.types import responses as openai
from openai.types.responses.response import Conversation, Response
from openai.types.responses.response_error import ResponseError
from openai.types.responses.response_output_item import ImageGenerationCall, McpCall
from openai.types.responses.response_reasoning_item import Content
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from app.events import Run, RunStatus
from app.messages import Image, Message, Thought, ToolCall, ToolResult
from app.wire.speech import words_of

PREFIX = "resp_"
STATUS: dict[RunStatus, Any] = {
    RunStatus.QUEUED: "queued",
    RunStatus.RUNNING: "in_progress",
    RunStatus.INPUT_REQUIRED: "completed",
    RunStatus.COMPLETED: "completed",
    RunStatus.FAILED: "failed",
    RunStatus.CANCELLED: "cancelled",
}
"""A response that asks is complete to OpenAI; what is said to it next is the answer."""
Item = openai.ResponseOutputMessage | openai.ResponseReasoningItem | McpCall | ImageGenerationCall
Kind = Literal["text", "thought"]


def response_of(run: Run, items: Sequence[Item], previous: str | None, status: RunStatus | None = None) -> Response:
    """The run as it stands, or as it stood with that status."""
    read, written = run.usage.input_tokens, run.usage.output_tokens
    status = status or run.status
    return Response(
        id=PREFIX + run.run_id,
        object="response",
        created_at=run.created_at.timestamp(),
        completed_at=run.finished_at.timestamp() if run.finished_at else None,
        status=STATUS[status],
        model=run.agent,
        output=list(items),
        error=_error(run),
        incomplete_details=None,
        instructions=None,
        previous_response_id=previous,
        conversation=Conversation(id=run.session_id),
        metadata=run.metadata,
        parallel_tool_calls=True,
        temperature=None,
        top_p=None,
        tools=[],
        tool_choice="auto",
        user=run.user_id,
        usage=openai.ResponseUsage(
            input_tokens=read,
            input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
            output_tokens=written,
            output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
            total_tokens=read + written,
        ),
    )


def items_of(run: Run) -> list[Item]:
    """What was said and done in a run, of its record."""
    results = {message.call_id: message for message in run.messages if isinstance(message, ToolResult)}
    items = [item for message in run.messages for item in _items(message, run.agent, results)]
    if run.input_request is not None:
        items.append(said("text", run.input_request.input_id, run.input_request.prompt))
    return items


def said(kind: Kind, message_id: str, text: str | None) -> Item:
    """A message, or a thought; None where it begins."""
    item_id, done = item_id_of(kind, message_id), text is not None
    if kind == "text":
        return openai.ResponseOutputMessage(
            id=item_id,
            type="message",
            role="assistant",
            status="completed" if done else "in_progress",
            content=[text_of(text)] if text is not None else [],
        )
    content = [Content(type="reasoning_text", text=text)] if text is not None else []
    return openai.ResponseReasoningItem(id=item_id, type="reasoning", summary=[], content=content)


def item_id_of(kind: Kind, message_id: str) -> str:
    return f"{'msg' if kind == 'text' else 'rs'}_{message_id}"


def text_of(text: str) -> openai.ResponseOutputText:
    return openai.ResponseOutputText(type="output_text", text=text, annotations=[], logprobs=[])


def called(call: ToolCall, agent: str) -> McpCall:
    """A tool that is being called here."""
    arguments = call.arguments if isinstance(call.arguments, str) else orjson.dumps(call.arguments).decode()
    return McpCall(
        id=f"mcp_{call.call_id}",
        type="mcp_call",
        server_label=agent,
        name=call.name,
        arguments=arguments,
        status="in_progress",
    )


def answered(item: McpCall, result: ToolResult) -> McpCall:
    """What it came to."""
    return item.model_copy(
        update={"output": result.content, "status": "failed" if result.is_error else "completed", "error": None}
    )


def parts_of(message: Image) -> Iterator[tuple[str, str | ImageGenerationCall]]:
    """What an agent shows, in order, each with an id: texts, and images as OpenAI's own are."""
    for number, part in enumerate(message.content):
        part_id = f"{message.id}-{number}"
        match part:
            case {"type": "text", "text": str(text)}:
                yield part_id, text
            case {"image_url": {"url": str(url)}}:
                yield part_id, _image(part_id, url)
            case _:
                pass


def _image(part_id: str, url: str) -> ImageGenerationCall:
    kind, _, data = url.removeprefix("data:image/").partition(";base64,")
    fields: dict[str, Any] = {"output_format": kind, "result": data}
    return ImageGenerationCall(id=f"ig_{part_id}", type="image_generation_call", status="completed", **fields)


def _items(message: Message, agent: str, results: dict[str, ToolResult]) -> list[Item]:
    match message:
        case Thought():
            return [said("thought", message.id, message.content)]
        case ToolCall():
            call, result = called(message, agent), results.get(message.call_id)
            return [call if result is None else answered(call, result)]
        case Image() if message.source != "user":
            return [
                said("text", part_id, part) if isinstance(part, str) else part for part_id, part in parts_of(message)
            ]
        case _:
            return [] if (words := words_of(message)) is None else [said("text", message.id, words)]


def _error(run: Run) -> ResponseError | None:
    if run.error is None:
        return None
    code: Any = "rate_limit_exceeded" if run.error["status"] == 429 else "server_error"
    return ResponseError(code=code, message=run.error["detail"])
