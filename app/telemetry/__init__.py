"""Spans: the provider and its destinations, a run's identity on every span, the shapes of our own spans.

Knows OpenTelemetry, HoneyHive and OpenInference; nothing else does. For agents' own code there is `span`:
`with span("look up", city=city):` in an async tool is a span under the tool's.
"""

from app.telemetry.steps import span

__all__ = ["span"]
