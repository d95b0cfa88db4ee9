"""What `curl -N` makes of the stream: cut off, and called again with the last id that it printed."""

import re
import shutil
import subprocess
from typing import Any

import anyio
import pytest

from tests.servers.openai_wire import OpenAIWire
from tests.servers.proxy import breaking
from tests.servers.replies import Text
from tests.service import Service

CUT_OFF = 18
"""Curl's status for a transfer that ended before its end."""
STREAM = "/agents/assistant/stream"


async def curl(*arguments: str) -> tuple[int, str]:
    """The exit status, and what was printed."""
    if (path := shutil.which("curl")) is None:
        pytest.skip("curl is not installed")
    done = await anyio.run_process([path, "-sN", "--noproxy", "*", *arguments], check=False, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode()


def ids(printed: str) -> list[str]:
    """Of the events that came whole."""
    return re.findall(r"^id: (.*)$", printed[: printed.rfind("\n\n") + 1], re.MULTILINE)


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(["{url}" + STREAM + "?task=count"], id="get"),
        pytest.param(
            ["{url}" + STREAM, "-H", "Content-Type: application/json", "-d", '{{"task": "count"}}'], id="post"
        ),
        pytest.param(["{url}/runs/{run_id}/stream"], id="run"),
    ],
)
async def test_curl_goes_on_where_it_was(again: list[str], service: Service, openai: OpenAIWire) -> None:
    """On the URL that started the run and on the run's own, as often as it is cut off; after the end it is a 204."""
    openai.replies = [Text("one two three four five six seven eight nine ten", interval_s=0.02)]
    async with breaking([service.url], [1500]) as proxy:
        status, printed = await curl(f"{proxy.url}{STREAM}?task=count")
        assert status == CUT_OFF
    seen = ids(printed)
    assert seen
    where: dict[str, Any] = {"url": service.url, "run_id": seen[0].partition(":")[0]}
    arguments = [argument.format(**where) for argument in again]
    status, printed = await curl(*arguments, "-H", f"Last-Event-ID: {seen[-1]}")
    assert (status, printed.count("event: run.completed")) == (0, 1)
    seen += ids(printed)
    assert seen == [f"{where['run_id']}:1-{number}" for number in range(1, len(seen) + 1)]
    ended = await curl(*arguments, "-H", f"Last-Event-ID: {seen[-1]}", "-w", "%{http_code}")
    assert ended == (0, "204")
    assert len(openai.requests) == 1
