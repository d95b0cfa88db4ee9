"""HTTP: one module per resource. Knows FastAPI; decides nothing that `app.runs` could decide."""
