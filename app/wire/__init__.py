"""Protocols: one module each, with `frames(events)` and `response(finished)`. No HTTP, no AutoGen, no SQL."""
