"""The API's client: calls, and the events of a run however often the network drops."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import anyio
import httpx
from httpx_sse import EventSource, SSEError

ENDS = {"run.completed", "run.failed", "run.cancelled"}
GONE = {502, 503, 504}
"""What a proxy answers, or the service itself, while the service is restarted."""
RETRY_S = 1.0
ATTEMPTS = 60
"""To come back to a run, one after the other."""


class Refused(Exception):
    """The service answers with a problem, in its own words."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        lines = [problem.get("detail") or f"The answer was {status}: no answer of Waggle's."]
        lines += [f"  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.get("errors") or ()]
        super().__init__("\n".join(lines))


class CannotAsk(Exception):
    """There is no service at that address, or it does not answer."""


async def call(client: httpx.AsyncClient, method: str, path: str, **options: Any) -> Any:
    """The answer's JSON, None where there is none. Raises Refused and CannotAsk."""
    try:
        response = await client.request(method, path, **options)
    except (httpx.TransportError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise _cannot(client, error) from error
    await _accepted(response)
    return response.json() if response.content else None


async def events(client: httpx.AsyncClient, agent: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """Run the agent; what happens, until the end, without a gap. Raises Refused and CannotAsk.

    A request that was cut off is sent again, whole: its Idempotency-Key joins the run that it began, and the
    `Last-Event-ID` goes on after what was seen.
    """
    headers = {"Idempotency-Key": str(uuid4()), "Accept": "text/event-stream"}
    begun, failures = False, 0
    while True:
        try:
            async with client.stream("POST", f"/agents/{agent}/stream", json=body, headers=headers) as response:
                if not (begun and response.status_code in GONE):
                    await _accepted(response)
                async for event in EventSource(response).aiter_sse():
                    begun, failures = True, 0
                    headers["Last-Event-ID"] = event.id
                    yield event.json()
                    if event.event in ENDS:
                        return
        except (httpx.TransportError, httpx.InvalidURL, SSEError) as error:
            if not begun or failures == ATTEMPTS:
                raise _cannot(client, error) from error
        failures += 1
        await anyio.sleep(RETRY_S)


async def _accepted(response: httpx.Response) -> None:
    if not response.is_success:
        try:
            problem = json.loads(await response.aread())
        except ValueError:
            problem = {}
        raise Refused(response.status_code, problem if isinstance(problem, dict) else {})


def _cannot(client: httpx.AsyncClient, error: Exception) -> CannotAsk:
    return CannotAsk(f"Nothing answers at {client.base_url} ({type(error).__name__}). Is the service running there?")
