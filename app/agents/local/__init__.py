"""A real model with no key: llama.cpp in a process of its own, spoken to by AutoGen's OpenAI client."""

from app.agents.local.server import LocalModel
from app.agents.local.weights import LocalModelError

__all__ = ["LocalModel", "LocalModelError"]
