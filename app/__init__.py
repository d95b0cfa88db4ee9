"""Waggle: AutoGen agents behind HTTP. `app.main` wires it; the layers are drawn in docs/architecture.md."""
