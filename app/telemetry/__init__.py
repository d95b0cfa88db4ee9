"""Spans: the provider and its destinations, a run's identity on every span, the shapes of our own spans.

Knows OpenTelemetry, HoneyHive and OpenInference; nothing else does.
"""
