"""A folder of agents like a user's, with the one that `waggle doctor` runs."""

from pathlib import Path

FOLDER = Path(__file__).parent
AGENT = "doctor"
TASK = "What is 19 plus 23? Use the tool."
SCRIPT = [{"tool_calls": [{"name": "add", "arguments": {"a": 19, "b": 23}}]}, "19 plus 23 is 42."]
"""What a replayed model answers."""
