"""One attempt to deliver a webhook: signed as https://www.standardwebhooks.com says, sent, and its answer judged.

A receiver is a stranger's server, so it gets a deadline, an address that was checked, no redirects, and no patience for
its words. The connections are httpcore's, which httpx would wrap: it follows no redirect, keeps no cookie, knows no
proxy and reads no environment. Each attempt makes its own, so that each attempt's address is checked.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import anyio
import httpcore
import orjson
from anyio import to_thread
from standardwebhooks import Webhook

from app import VERSION
from app.events import Run, RunEnded
from app.runs.addresses import Network, Resolve, checked_backends
from app.runs.receivers import Receiver

CONNECT_S, DISCARD_S = 10, 2
"""Within an attempt: for connecting, and for what comes after the answer's head."""
MAX_ANSWER = 64 * 1024
"""Bytes read of an answer, so that a receiver which writes is not cut off; they are thrown away."""

NO_ANSWER = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt."""

    said: str
    """For the log: a status or a kind of failure, never the receiver's words."""
    delivered: bool = False
    hopeless: bool = False
    """Whether trying again is pointless."""
    retry_after_s: float = 0


class Courier:
    """Posts to receivers while it is entered, each within `attempt_s` seconds."""

    def __init__(
        self, secret: str, allowed: Sequence[Network], resolve: Resolve, now: Callable[[], datetime], attempt_s: float
    ) -> None:
        self._signer = Webhook(secret)
        self._now = now
        self._attempt_s = attempt_s
        self._agent = f"waggle/{VERSION}"
        self._backends = checked_backends(allowed, resolve)

    async def __aenter__(self) -> Self:
        tls = await to_thread.run_sync(httpcore.default_ssl_context)  # reads files for 40 ms
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                tls, max_connections=None, max_keepalive_connections=0, network_backend=backend
            )
            for scheme, backend in self._backends.items()
        }
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def post(self, run: Run, receiver: Receiver) -> Answer:
        """Tell it of the run's end. A receiver that takes it and then dawdles has taken it."""
        answer = Answer("no answer in time")
        body = payload(run)
        url = httpcore.URL(
            scheme=receiver.scheme, host=receiver.host, port=receiver.port, target=receiver.target.encode()
        )
        try:
            with anyio.move_on_after(self._attempt_s):
                async with self._pools[receiver.scheme].stream(
                    "POST",
                    url,
                    headers=[("host", receiver.authority), *self._headers(run.run_id, body)],
                    content=body,
                    extensions={"timeout": {"connect": CONNECT_S}},
                ) as response:
                    answer = self._judge(response)
                    await _discard(response)
        except NO_ANSWER as error:
            return answer if answer.delivered else Answer(type(error).__name__)
        return answer

    def _headers(self, run_id: str, body: bytes) -> list[tuple[str, str]]:
        now = self._now().astimezone(UTC)
        return [
            ("content-type", "application/json"),
            ("user-agent", self._agent),
            ("webhook-id", run_id),
            ("webhook-timestamp", str(int(now.timestamp()))),
            ("webhook-signature", self._signer.sign(run_id, now, body.decode())),
        ]

    def _judge(self, response: httpcore.Response) -> Answer:
        """2xx has it, 410 wants no more; anything else, a redirect too, may do better another time."""
        said = str(response.status)
        if 200 <= response.status < 300:
            return Answer(said, delivered=True)
        return Answer(said, hopeless=response.status == 410, retry_after_s=_retry_after(response, self._now()))


def payload(run: Run) -> bytes:
    """What is told of a run that ended; the same bytes at each attempt, since nothing of it changes any more."""
    data = {each.name: getattr(run, each.name) for each in fields(run) if each.name != "messages"}
    told = {"type": RunEnded(run).type, "timestamp": run.finished_at, "data": data}
    return orjson.dumps(told, option=orjson.OPT_UTC_Z)


async def _discard(response: httpcore.Response) -> None:
    size = 0
    with anyio.move_on_after(DISCARD_S), suppress(*NO_ANSWER):
        async for part in response.aiter_stream():
            size += len(part)
            if size >= MAX_ANSWER:
                return


def _retry_after(response: httpcore.Response, now: datetime) -> float:
    """In seconds, whether it is told as such or as a date (RFC 9110, 10.2.3); 0 where it is neither."""
    told = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    try:
        if told.isdecimal():
            return float(told)
        date = parsedate_to_datetime(told)
    except ValueError:
        return 0
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
