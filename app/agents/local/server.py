"""The embedded model's owner: its process runs from the first use on, and is started again when it died."""

import asyncio
import logging
import os
import secrets
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import httpx
from autogen_core.models import ChatCompletionClient

from app.agents.local.client import LocalChatCompletionClient, loopback
from app.agents.local.process import ModelProcess
from app.agents.local.shared import Shared, listens
from app.agents.local.weights import QWEN, LocalModelError
from app.siblings import Worker

logger = logging.getLogger(__name__)

RETRY_S = 5
"""Seconds for which a failed start answers everybody; else the calls that wait would each try, in turn."""
WARM_S = 60
"""Seconds that the first answer may take."""


class LocalModel:
    """A GGUF model behind AutoGen's client, in a process that costs nothing until it is used.

    Without `path` it is Qwen2.5-Coder-1.5B-Instruct from the `[local]` extra, joined once in `cache_dir`.
    Each of the `slots` writes one answer at a time, of at most `max_tokens` and half of `context_tokens`. The
    workers of one service share the process.
    """

    def __init__(
        self,
        *,
        cache_dir: Path,
        path: Path | None = None,
        threads: int | None = None,
        slots: int = 2,
        context_tokens: int = 4096,
        max_tokens: int = 512,
        start_timeout_s: float = 60,
        worker: Worker | None = None,
    ) -> None:
        self.name = QWEN.name if path is None else path.stem
        self._cache_dir = cache_dir
        self._path = path
        self._threads = threads or min(_cores(), 8)
        self._slots = slots
        self._context_tokens = context_tokens
        self._max_tokens = min(max_tokens, context_tokens // 2)
        self._start_timeout_s = start_timeout_s
        self._api_key = secrets.token_urlsafe(24) if worker is None else worker.secret
        self._shared = None if worker is None else Shared(worker.folder)
        self._lock = asyncio.Lock()
        self._process: ModelProcess | None = None
        self._failed: tuple[float, str] | None = None
        """When the last start failed, and why."""
        self._found = False
        self._closed = False

    def problem(self) -> str | None:
        """Why it cannot run, in a sentence for an operator; None when it can. A millisecond of look-ups."""
        if self._found:
            return None
        install = "run `make run`, or `pip install 'waggle[local]'`, or set a provider key or MODEL"
        if self._path is not None and not self._path.is_file():
            return "MODEL_PATH is not a file: point it at a GGUF file, or leave it empty."
        if find_spec("xllamacpp") is None:
            return f"The embedded model's runtime is not installed: {install}."
        if self._path is None and not QWEN.found(self._cache_dir):
            return f"The embedded model's weights are not installed: {install}."
        self._found = True
        return None

    def client(self, **create_args: Any) -> ChatCompletionClient:
        """A client for agents; `create_args` are what OpenAIChatCompletionClient takes (`temperature`, …)."""
        return LocalChatCompletionClient(
            name=self.name,
            api_key=self._api_key,
            base_url=self.base_url,
            context_tokens=self._context_tokens,
            **{"max_tokens": self._max_tokens} | create_args,
        )

    async def base_url(self) -> str:
        """Where it listens, started if need be. Raises LocalModelError when it cannot be, or is closed."""
        if url := self._url():
            return url
        async with self._lock:
            if url := self._url():
                return url
            if self._failed is not None and time.monotonic() < self._failed[0] + RETRY_S:
                raise LocalModelError(self._failed[1])
            lock = None
            if self._shared is not None:
                found = await self._shared.found()
                if isinstance(found, str):
                    return found
                lock = found
            try:
                return await self._start(lock)
            except LocalModelError as error:
                self._failed = time.monotonic(), str(error)
                raise
            finally:
                if lock is not None:  # the process has it, if there is one
                    os.close(lock)

    async def warm(self) -> None:
        """Start it and have it answer once, so that no user waits for that; what goes wrong is logged."""
        try:
            async with httpx.AsyncClient(**loopback(), timeout=WARM_S) as http:
                answer = await http.post(
                    f"{await self.base_url()}/chat/completions",
                    headers={"Authorization": f"Bearer {self._api_key}", "Connection": "close"},
                    json={
                        "model": self.name,
                        "messages": [{"role": "user", "content": "Hello"}],
                        "max_tokens": 1,
                    },
                )
                answer.raise_for_status()
        except (LocalModelError, httpx.HTTPError) as error:
            logger.warning("The embedded model could not be warmed up: %s", error)

    async def aclose(self) -> None:
        """End the process, whatever it does; it is not started again."""
        self._closed = True
        if self._process is not None:
            await self._process.kill()
        async with self._lock:  # a start was under way
            if self._process is not None:
                await self._process.kill()

    def _url(self) -> str | None:
        return self._process.url if self._process is not None else None

    async def _start(self, lock: int | None) -> str:
        path = await anyio.to_thread.run_sync(self._weights)
        if self._closed:
            raise LocalModelError("the embedded model is closed")
        began = time.monotonic()
        template = Path(__file__).with_name("qwen_tools.jinja") if self._path is None else None
        process = self._process = await ModelProcess.spawn(
            {
                "path": str(path),
                "name": self.name,
                "api_key": self._api_key,
                "slots": self._slots,
                "context_tokens": self._context_tokens,
                "threads": self._threads,
                "max_tokens": self._max_tokens,
                "chat_template": template and str(template),
            },
            lock,
        )
        try:
            with anyio.fail_after(self._start_timeout_s):
                url = await process.listening
        except TimeoutError:
            reason = f"the embedded model did not listen within {self._start_timeout_s:g} s"
        else:
            if url is not None:
                if lock is not None:
                    listens(lock, url)
                logger.info("The embedded model %s started in %.1f s", self.name, time.monotonic() - began)
                return url
            reason = _why_it_ended(process.log)
        finally:
            if process.url is None:
                await process.kill()
        logger.error("The embedded model did not start. Its last words:\n%s", process.log)
        raise LocalModelError(reason)

    def _weights(self) -> Path:
        if problem := self.problem():
            raise LocalModelError(problem)
        return self._path or QWEN.join(self._cache_dir)


def _why_it_ended(log: str) -> str:
    if "libgomp" in log:
        return "the embedded model's runtime needs the system library libgomp: install libgomp1"
    return "the embedded model's process ended while it started: its last words are in the log"


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
