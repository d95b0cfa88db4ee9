"""`waggle doctor`: what is wrong, part by part, and what to do about it.

`installation`, `environment`, `wiring`, `parts` and `backends` look; `probe` runs a tiny agent and follows its spans
to the backends; `examination` has the order and the deadlines, `report` the words. It changes nothing: no migration,
no file, no row; the probe has a database of its own. What needs AutoGen, SQLAlchemy or OpenTelemetry is beside them.
"""
