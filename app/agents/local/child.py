"""The embedded model's own process, a script that imports nothing of the service: one llama.cpp server.

A process of its own, because loading a model holds the GIL for seconds. The first line of stdin configures
it, in JSON; the first line of stdout is its address. Then stdin is its life line: when the owner ends, in
whatever way, stdin reaches EOF and the process leaves. It holds no state, so it may as well be killed.
"""

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        # Terminals and systemd signal the whole group; whether answers may be finished is the owner's to say.
        signal.signal(stop, signal.SIG_IGN)
    address = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not the address
    server = _serve(json.loads(sys.stdin.buffer.readline()))
    print(server.listening_address, file=address, flush=True)
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # an orderly end would wait for the answers being written


def _serve(config: dict[str, Any]) -> Any:
    """The running server. The reasons are measurements with Qwen2.5-Coder-1.5B on two cores."""
    # libgomp reads it when it is loaded. Busy waiting on a busy machine: 3.6 tokens/s instead of 19.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    llama: Any = import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = config["path"]
    params.model_alias = {config["name"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.ui = False
    params.offline = True
    params.n_parallel = config["slots"]
    params.n_ctx = config["context_tokens"] * config["slots"]
    params.n_predict = config["max_tokens"]  # a hard stop for every request
    params.n_batch = 256  # so much of a cancelled prompt is still read: seconds, with the default 26
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config["threads"]
    params.no_extra_bufts = True  # no repacked copy of the weights: 600 MB less
    params.cache_ram_mib = 128  # of prompts; the default grows to 8 GiB
    params.prefill_assistant = False  # a conversation that ends with the assistant (a hand-off) is answered
    if config["chat_template"] is not None:  # else the model file's own
        params.chat_template = Path(config["chat_template"]).read_text(encoding="utf-8")
    return llama.Server(params)


if __name__ == "__main__":
    main()
