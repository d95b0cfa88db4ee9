"""The root of a run's trace: the span of the request that started it, which lasts as long as the run does."""

from typing import Any

import orjson
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from app.events import Run, RunStatus
from app.messages import ToolResult
from app.telemetry.identity import Identity
from app.telemetry.provider import adopt_current_span


class RootSpan:
    """Made inside the request; told what was asked, and how it ended."""

    def __init__(self, identity: Identity, task: str) -> None:
        adopt_current_span(identity)
        self._span = trace.get_current_span()
        self._span.set_attributes({"input.value": task, "input.mime_type": "text/plain", "honeyhive_inputs.task": task})

    @property
    def span_id(self) -> str | None:
        """16 hex digits; None where nothing is traced."""
        context = self._span.get_span_context()
        return f"{context.span_id:016x}" if context.is_valid else None

    def end(self, run: Run, *, model_calls: int, first_token_s: float | None, termination: str | None) -> None:
        """The run's outcome. The span itself ends with the request."""
        if not self._span.is_recording():
            return
        answer = run.output if isinstance(run.output, str) else orjson.dumps(run.output).decode()
        metrics: dict[str, float | None] = {
            "input_tokens": run.usage.input_tokens,
            "output_tokens": run.usage.output_tokens,
            "total_tokens": run.usage.input_tokens + run.usage.output_tokens,
            "cost_usd": run.usage.cost_usd,
            "model_calls": model_calls,
            "tool_calls": sum(isinstance(message, ToolResult) for message in run.messages),
            "duration_s": (run.finished_at - run.created_at).total_seconds() if run.finished_at else None,
            "time_to_first_token_s": first_token_s,
        }
        attributes: dict[str, Any] = {"waggle.run.status": run.status.value}
        if run.stop_reason is not None:
            attributes["waggle.run.stop_reason"] = run.stop_reason
        if termination is not None:
            attributes["waggle.run.termination"] = termination
        if run.output is not None:
            attributes |= {"output.value": answer, "honeyhive_outputs.answer": answer}
        for name, value in metrics.items():
            if value is not None:
                attributes |= {f"waggle.run.{name}": value, f"honeyhive_metrics.{name}": value}
        if run.status is not RunStatus.COMPLETED:
            kind = run.status.value if run.error is None else str(run.error["type"]).rpartition(":")[2]
            attributes |= {"error.type": kind, "waggle.run.error": kind}
            self._span.set_status(Status(StatusCode.ERROR, kind))
        self._span.set_attributes(attributes)
