"""What a person said of a run, in the run's own trace, long after its spans have ended.

A span under the root, with the GenAI conventions' `gen_ai.evaluation.result` event and HoneyHive's feedback fields:
it goes where the run's spans went, by the same batches.
"""

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from app.telemetry.identity import Identity, with_identity
from app.telemetry.llm import TRACER

NAME = "user_feedback"


def tell_feedback(
    identity: Identity, trace_id: str, root_span_id: str, score: float, label: str | None, comment: str | None
) -> None:
    """`trace_id` and `root_span_id` in hex; `score` from 0 to 1."""
    root = SpanContext(int(trace_id, 16), int(root_span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
    context = trace.set_span_in_context(NonRecordingSpan(root), with_identity(identity))
    evaluation: dict[str, str | float] = {"gen_ai.evaluation.name": NAME, "gen_ai.evaluation.score.value": score}
    feedback: dict[str, str | float] = {"honeyhive_feedback.score": score}
    if label is not None:
        evaluation["gen_ai.evaluation.score.label"] = label
        feedback["honeyhive_feedback.label"] = label
    if comment is not None:
        evaluation["gen_ai.evaluation.explanation"] = comment
        feedback["honeyhive_feedback.comment"] = comment
    span = trace.get_tracer(TRACER).start_span(
        NAME, context, attributes={"openinference.span.kind": "EVALUATOR", "honeyhive_event_type": "chain"}
    )
    span.set_attributes(evaluation | feedback)
    span.add_event("gen_ai.evaluation.result", evaluation)
    span.end()
