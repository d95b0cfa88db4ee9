"""OpenAI's chat completions: https://developers.openai.com/api/reference/resources/chat. An agent is a model.

Its texts are the answer's content, one paragraph a message; thoughts are `reasoning_content`, as DeepSeek and vLLM have
it. Tools are called here, not by the client: that, and who hands over to whom, is in the extension `waggle`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Literal

import orjson
from openai.types import CompletionUsage, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from app.events import InputRequired, MessageAdded, Placed, Run, RunEnded, RunStatus, Usage
from app.messages import Thought
from app.wire.openai_error import error
from app.wire.speech import Speech, words_of

DONE = b"data: [DONE]\n\n"
PARAGRAPH = "\n\n"


async def frames(run: Run, events: AsyncIterator[list[Placed]], *, include_usage: bool) -> AsyncGenerator[bytes, None]:
    """The chunks of a streamed answer, as many in one piece of bytes as there were events at once."""
    told, asks = _Told(run), False
    yield told.chunk(ChoiceDelta(role="assistant", content=""))
    async for batch in events:
        frame = b"".join([frame for _, event in batch for frame in told.frames(event)])
        if frame:
            yield frame
        match batch[-1][1]:
            case RunEnded(ended) if ended.status is RunStatus.COMPLETED:
                yield told.end(ended.usage if include_usage else None)
            case RunEnded(ended):
                yield b"data: %b\n\n" % error(why(ended))
            case InputRequired(request):
                yield told.chunk(ChoiceDelta(content=told.paragraph(request.prompt)))
            case _:
                pass
        asks = isinstance(batch[-1][1], InputRequired)
    if asks:
        yield told.end(None)


def response(finished: Run) -> bytes:
    """The whole answer."""
    said = [words for m in finished.messages if not isinstance(m, Thought) and (words := words_of(m))]
    thoughts = [m.content for m in finished.messages if isinstance(m, Thought)]
    if finished.input_request is not None:
        said.append(finished.input_request.prompt)
    message = ChatCompletionMessage(role="assistant", content=PARAGRAPH.join(said))
    if thoughts:
        setattr(message, "reasoning_content", PARAGRAPH.join(thoughts))  # noqa: B010 OpenAI's type lets others add
    completion = ChatCompletion(
        id=_id_of(finished),
        object="chat.completion",
        created=_created(finished),
        model=finished.agent,
        choices=[Choice(index=0, message=message, finish_reason="stop", logprobs=None)],
        usage=_usage(finished.usage),
    )
    return orjson.dumps(completion.model_dump(exclude_unset=True) | {"waggle": _about(finished)})


def models(agents: Mapping[str, int]) -> bytes:
    """The list of models: agents' names, and since when they are served."""
    return orjson.dumps({"object": "list", "data": [_model(*each) for each in agents.items()]})


def model(agent: str, since: int) -> bytes:
    return orjson.dumps(_model(agent, since))


class _Told:
    """A stream as far as it was told."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._speech = Speech()
        self._spoke = {"text": False, "thought": False}

    def frames(self, event: Any) -> list[bytes]:
        found = [
            self.chunk(
                ChoiceDelta(content=self._joined("text", piece.words, first=piece.first))
                if piece.kind == "text"
                else ChoiceDelta.construct(reasoning_content=self._joined("thought", piece.words, first=piece.first)),
            )
            for piece in self._speech.pieces(event)
        ]
        if isinstance(event, MessageAdded) and words_of(event.message) is None and event.message.source != "user":
            found.append(self.chunk(ChoiceDelta(), message=event.message))
        return found

    def paragraph(self, words: str) -> str:
        return self._joined("text", words, first=True)

    def end(self, usage: Usage | None) -> bytes:
        last = self.chunk(ChoiceDelta(), finish_reason="stop")
        if usage is not None:
            last += self._frame(self._chunk([], usage=_usage(usage)))
        return last + DONE

    def chunk(self, delta: ChoiceDelta, finish_reason: Literal["stop"] | None = None, **about: Any) -> bytes:
        choice = ChunkChoice(index=0, delta=delta, finish_reason=finish_reason)
        return self._frame(self._chunk([choice]), **about)

    def _chunk(self, choices: list[ChunkChoice], **more: Any) -> ChatCompletionChunk:
        run = self._run
        return ChatCompletionChunk(
            id=_id_of(run),
            object="chat.completion.chunk",
            created=_created(run),
            model=run.agent,
            choices=choices,
            **more,
        )

    def _frame(self, chunk: ChatCompletionChunk, **about: Any) -> bytes:
        content = chunk.model_dump(exclude_unset=True)
        if about:
            content["waggle"] = about
        return b"data: %b\n\n" % orjson.dumps(content, option=orjson.OPT_UTC_Z)

    def _joined(self, kind: str, words: str, *, first: bool) -> str:
        between = PARAGRAPH if first and self._spoke[kind] else ""
        self._spoke[kind] = True
        return between + words


def why(ended: Run) -> Mapping[str, Any]:
    """The problem of a run that did not complete."""
    return ended.error or {
        "type": "urn:waggle:problem:cancelled",
        "title": "Cancelled",
        "status": 409,
        "detail": ended.stop_reason or "The run was cancelled.",
        "run_id": ended.run_id,
        "trace_id": ended.trace_id,
    }


def _id_of(run: Run) -> str:
    return f"chatcmpl-{run.run_id}"


def _created(run: Run) -> int:
    return int(run.created_at.timestamp())


def _about(run: Run) -> dict[str, Any]:
    return {"run_id": run.run_id, "session_id": run.session_id, "trace_id": run.trace_id, "status": run.status}


def _usage(usage: Usage) -> CompletionUsage:
    read, written = usage.input_tokens, usage.output_tokens
    return CompletionUsage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def _model(agent: str, since: int) -> dict[str, Any]:
    return Model(id=agent, object="model", created=since, owned_by="waggle").model_dump()
