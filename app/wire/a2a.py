"""A2A (https://a2a-protocol.org/latest/specification): a task is a run, and its context the run's session.

What is said is the task's artifacts, one a message, streamed in pieces; what is thought and done is told by messages of
its status, as data. Protocol 1.0, and 0.3 by the SDK's own conversions; its server is not used (docs/decisions/0023).
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from a2a.compat.v0_3 import conversions
from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]

from app.events import (
    InputRequest,
    InputRequired,
    MessageAdded,
    Placed,
    Run,
    RunEnded,
    RunEvent,
    RunStarted,
    RunStatus,
    TextDelta,
    ThoughtDelta,
)
from app.messages import Image, Structured, Text
from app.wire import jsonrpc
from app.wire.a2a_parts import parts_of, struct, value

STATES = {
    RunStatus.QUEUED: TaskState.TASK_STATE_SUBMITTED,
    RunStatus.RUNNING: TaskState.TASK_STATE_WORKING,
    RunStatus.INPUT_REQUIRED: TaskState.TASK_STATE_INPUT_REQUIRED,
    RunStatus.COMPLETED: TaskState.TASK_STATE_COMPLETED,
    RunStatus.FAILED: TaskState.TASK_STATE_FAILED,
    RunStatus.CANCELLED: TaskState.TASK_STATE_CANCELED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What of a request its answer depends on."""

    request_id: str | int | None
    version: Literal["1.0", "0.3"]
    history: int | None = None
    """How many messages of the task's history; None: all."""
    past_questions: bool = False
    """Whether the stream goes on when the run waits for a person."""

    def update(self, response: StreamResponse) -> dict[str, Any]:
        """One event of a stream."""
        if self.version == "1.0":
            return jsonrpc.answer(self.request_id, MessageToDict(response))
        compat = conversions.to_compat_stream_response(response, self.request_id)
        return jsonrpc.answer(self.request_id, _dumped(compat.result))

    def task(self, run: Run, *, wrapped: bool = False) -> dict[str, Any]:
        """The whole task; `wrapped` as the answer to a message has it."""
        task = task_of(run, self.history)
        if self.version == "0.3":
            return jsonrpc.answer(self.request_id, _dumped(conversions.to_compat_task(task)))
        found = MessageToDict(task)
        return jsonrpc.answer(self.request_id, {"task": found} if wrapped else found)


async def frames(run: Run, events: AsyncIterator[list[Placed]], reply: Reply) -> AsyncGenerator[bytes, None]:
    """The task, and what becomes of it: until it ends, or waits for its next message."""
    told = _Told(run)
    yield jsonrpc.frame(reply.update(StreamResponse(task=task_of(run, reply.history))))
    async for batch in events:
        updates = [reply.update(update) for _, event in batch for update in told.updates(event)]
        if updates:
            yield b"".join(map(jsonrpc.frame, updates))
        if isinstance(batch[-1][1], InputRequired) and not reply.past_questions:
            return


def task_of(run: Run, history: int | None = None) -> Task:
    """The task that a run is, as it stands; its artifacts once it has ended, or waits."""
    task = Task(id=run.run_id, context_id=run.session_id, status=_status_of(run), metadata=_about(run))
    for message in run.messages:
        if message.source == "user":
            task.history.append(_message(run, Role.ROLE_USER, parts_of(message), message.id))
        elif isinstance(message, Text | Structured | Image):
            task.artifacts.append(_artifact(message.id, message.source, parts_of(message)))
    if history is not None:
        del task.history[: max(0, len(task.history) - history)]
    return task


class _Told:
    """A stream as far as it was told."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begun: set[str] = set()

    def updates(self, event: RunEvent) -> Iterator[StreamResponse]:
        match event:
            case TextDelta():
                append = event.message_id in self._begun
                self._begun.add(event.message_id)
                yield self._artifact(event.message_id, event.source, [Part(text=event.delta)], append=append)
            case ThoughtDelta():
                pass  # told once it is whole
            case MessageAdded(message) if message.source == "user":
                pass
            case MessageAdded(Text() as message) if message.id in self._begun:
                yield self._artifact(message.id, message.source, [Part(text="")], append=True, last=True)
            case MessageAdded(Text() | Structured() | Image() as message):
                yield self._artifact(message.id, message.source, parts_of(message), last=True)
            case MessageAdded(message):
                told = _message(self._run, Role.ROLE_AGENT, parts_of(message), message.id)
                yield self._status(TaskStatus(state=TaskState.TASK_STATE_WORKING, message=told))
            case InputRequired(request):
                state = TaskState.TASK_STATE_INPUT_REQUIRED
                yield self._status(TaskStatus(state=state, message=_question(self._run, request)))
            case RunEnded(ended):
                yield self._status(_status_of(ended), _about(ended))
            case RunStarted() if self._run.status is RunStatus.RUNNING:
                pass  # as the task said
            case _:
                yield self._status(TaskStatus(state=TaskState.TASK_STATE_WORKING))

    def _status(self, status: TaskStatus, about: Struct | None = None) -> StreamResponse:
        run = self._run
        event = TaskStatusUpdateEvent(task_id=run.run_id, context_id=run.session_id, status=status, metadata=about)
        return StreamResponse(status_update=event)

    def _artifact(
        self, id_: str, source: str, parts: list[Part], *, append: bool = False, last: bool = False
    ) -> StreamResponse:
        event = TaskArtifactUpdateEvent(
            task_id=self._run.run_id,
            context_id=self._run.session_id,
            artifact=_artifact(id_, source, parts),
            append=append,
            last_chunk=last,
        )
        return StreamResponse(artifact_update=event)


def _status_of(run: Run) -> TaskStatus:
    status = TaskStatus(state=STATES[run.status])
    if run.finished_at is not None:
        status.timestamp.FromDatetime(run.finished_at)
    if run.input_request is not None:
        status.message.CopyFrom(_question(run, run.input_request))
    elif run.status is RunStatus.FAILED and run.error is not None:
        parts = [
            Part(text=str(run.error["detail"])),
            Part(data=value(run.error), metadata=struct({"type": "problem"})),
        ]
        status.message.CopyFrom(_message(run, Role.ROLE_AGENT, parts, f"{run.run_id}-problem"))
    elif run.status is RunStatus.CANCELLED and run.stop_reason is not None:
        parts = [Part(text=run.stop_reason)]
        status.message.CopyFrom(_message(run, Role.ROLE_AGENT, parts, f"{run.run_id}-cancelled"))
    return status


def _question(run: Run, request: InputRequest) -> Message:
    """In words; where an answer has a schema, that is data beside them."""
    parts = [Part(text=request.prompt)]
    if request.schema is not None:
        parts.append(Part(data=value(request.schema), metadata=struct({"type": "schema"})))
    return _message(run, Role.ROLE_AGENT, parts, request.input_id)


def _message(run: Run, role: Role, parts: list[Part], id_: str) -> Message:
    return Message(message_id=id_, context_id=run.session_id, task_id=run.run_id, role=role, parts=parts)


def _artifact(id_: str, source: str, parts: list[Part]) -> Artifact:
    return Artifact(artifact_id=id_, name=source, parts=parts)


def _about(run: Run) -> Struct:
    usage = {"input_tokens": run.usage.input_tokens, "output_tokens": run.usage.output_tokens}
    return struct({"trace_id": run.trace_id, "usage": usage} if run.finished_at else {"trace_id": run.trace_id})


def _dumped(model: Any) -> Any:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
