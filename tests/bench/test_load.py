"""What the benchmark's load generator says of a server that loses and doubles tokens."""

import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent.parent / "bench"


@pytest.fixture(scope="module")
def tools() -> Any:
    """The built programs; bench/ is scripts, not a package."""
    spec = spec_from_file_location("compiled", BENCH / "compiled.py")
    assert spec is not None
    assert spec.loader is not None
    compiled = module_from_spec(spec)
    spec.loader.exec_module(compiled)
    try:
        return compiled.build()
    except compiled.NoCompiler as missing:
        pytest.skip(str(missing))


def chunked(*pieces: bytes) -> bytes:
    """An event stream in pieces of so many bytes."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that gives each request this answer, some bytes at a time; its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (line := self.rfile.readline()) not in {b"\r\n", b""}:
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.rfile.read(length)
            for start in range(0, len(answer), 7):
                self.wfile.write(answer[start : start + 7])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def loaded(tools: Any, port: int, **options: Any) -> Any:
    given = {"port": port, "path": "/", "body": "{}", "tokens": 4, "timeout_s": 20} | options
    command = [tools.load, *(f"{name}={value}" for name, value in given.items())]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603


def frame(*numbers: int, event: str = "text.delta") -> bytes:
    """One frame with these tokens, joined."""
    text = "".join(f"#{number}:1000;" for number in numbers)
    return f'event: {event}\ndata: {{"delta": "{text}"}}\n\n'.encode()


CASES = {
    "all": ((frame(0), frame(1), frame(2), frame(3)), 0, 0),
    "joined": ((frame(0, 1, 2, 3),), 0, 0),
    "one piece": ((frame(0) + frame(1) + frame(2, 3),), 0, 0),
    "split within a token": ((frame(0, 1, 2, 3)[:40], frame(0, 1, 2, 3)[40:]), 0, 0),
    "lines as CRLF": ((frame(0, 1, 2, 3).replace(b"\n", b"\r\n"),), 0, 0),
    "lost": ((frame(0), frame(3)), 2, 0),
    "lost at the end": ((frame(0, 1, 2),), 1, 0),
    "doubled": ((frame(0, 1), frame(1, 2, 3), frame(3)), 0, 2),
    "lost and doubled": ((frame(0, 0), frame(2, 3)), 1, 1),
    "said again by another event": ((frame(0, 1, 2, 3), frame(0, 1, 2, 3, event="message")), 0, 0),
}


@pytest.mark.parametrize(("frames", "lost", "doubled"), CASES.values(), ids=CASES)
def test_counts(tools: Any, frames: tuple[bytes, ...], lost: int, doubled: int) -> None:
    """Each token that did not come, and each that came again, whatever the pieces."""
    with answering(chunked(*frames)) as port:
        seen = loaded(tools, port, frames="text.delta")
    assert (seen["lost"], seen["doubled"]) == (lost, doubled)
    assert (seen["ok"], seen["failed"]) == ((0, 1) if lost else (1, 0))


def test_a_stream_that_is_cut(tools: Any) -> None:
    """A failure, and what it owed is lost."""
    whole = chunked(frame(0, 1))
    with answering(whole[: -len(b"0\r\n\r\n")]) as port:
        seen = loaded(tools, port)
    assert (seen["failed"], seen["lost"]) == (1, 2)


def test_the_wrong_status(tools: Any) -> None:
    """A refusal is no answer."""
    with answering(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}") as port:
        seen = loaded(tools, port, tokens=0)
    assert (seen["failed"], seen["wrong_status"]) == (1, 503)


@contextmanager
def upstream(tools: Any) -> Iterator[int]:
    with subprocess.Popen([tools.upstream], stdout=subprocess.PIPE, text=True) as running:  # noqa: S603
        assert running.stdout is not None
        yield int(running.stdout.readline())
        running.terminate()


@pytest.mark.parametrize("rate", [0, 200])
def test_streams_of_the_upstream(tools: Any, rate: int) -> None:
    """At once and paced, all tokens arrive once."""
    body = json.dumps({"stream": True, "messages": [{"role": "user", "content": f"bench:40:{rate}:0"}]})
    options = {"path": "/v1/chat/completions", "body": body, "clients": 20, "requests": 60, "tokens": 40}
    with upstream(tools) as port:
        seen = loaded(tools, port, **options)
    assert (seen["ok"], seen["lost"], seen["doubled"], seen["tokens"]) == (60, 0, 0, 2400)
