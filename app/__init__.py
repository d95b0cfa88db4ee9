"""Waggle: AutoGen agents behind HTTP. `app.main` wires it; the layers are drawn in docs/architecture.md."""

VERSION = "0.1.0"
"""As pyproject.toml has it: in a container the project is copied, not installed, and has no metadata."""
