"""A fake of xllamacpp, as much of it as `app/agents/local/child.py` uses; found through PYTHONPATH.

The model's file says what becomes of the server: `hang`, `abort`, `libgomp` (missing), or anything else: it
answers each chat with what it was configured with. Who runs it is added to the file `{model}.pids`, if there is one.
"""

import json
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from anyio.from_thread import start_blocking_portal

from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text


class CommonParams(SimpleNamespace):
    """What llama.cpp may be told."""

    def __init__(self) -> None:
        super().__init__(model=SimpleNamespace(path=""), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())


class Server:
    """A server that listens once it is made, and runs in a thread."""

    def __init__(self, params: CommonParams) -> None:
        self._params = params
        print("llama.cpp says hello", flush=True)  # noqa: T201
        pids = Path(f"{params.model.path}.pids")
        if pids.exists():
            with pids.open("a") as file:
                file.write(f"{os.getpid()}\n")
        match Path(params.model.path).read_text():
            case "hang":
                threading.Event().wait()
            case "abort":
                os.write(2, b"not a GGUF file\n")
                os.abort()
            case "libgomp":
                raise ImportError("libgomp.so.1: cannot open shared object file: No such file or directory")
        wire = OpenAIWire(self._reply, key=params.api_keys[0])
        self._running = ExitStack()
        portal = self._running.enter_context(start_blocking_portal())
        self._running.enter_context(portal.wrap_async_context_manager(wire))
        self.listening_address = wire.url

    def _reply(self, _: Request) -> Reply:
        told: dict[str, Any] = {
            name: sorted(value) if isinstance(value, set) else value
            for name, value in vars(self._params).items()
            if not isinstance(value, SimpleNamespace)
        }
        told["cpuparams"] = vars(self._params.cpuparams)
        told["cpuparams_batch"] = vars(self._params.cpuparams_batch)
        environment = os.environ.get("OMP_WAIT_POLICY")
        return Text(json.dumps({"pid": os.getpid(), "OMP_WAIT_POLICY": environment, "params": told}))
