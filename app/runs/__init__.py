"""The order of things in a run, the task that owns it, and the log that everybody else watches."""
