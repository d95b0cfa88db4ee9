"""The client. It is made of `_async.py`, by `write_sync.py`."""

import json
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from time import sleep
from typing import Any, Self, Unpack, cast

import httpx
from httpx_sse import EventSource

from waggle_client._calls import CONNECT_S, QUIET_S, STREAM, Attempts, Call, Watch, begin, get, path, post, streams
from waggle_client.errors import problem_of
from waggle_client.types import (
    Agent,
    Event,
    Feedback,
    Message,
    Run,
    RunOptions,
    Session,
    Task,
    Trace,
    Version,
)


class Events:
    """A run's events, to its end, each once, over as many connections as it takes.

    Closing it, or leaving its block, leaves the run unwatched: what then becomes of it, `on_disconnect` says.
    """

    def __init__(self, events: Generator[Event, None], watch: Watch) -> None:
        self._events, self._watch = events, watch

    @property
    def run_id(self) -> str | None:
        """None until the first event has come."""
        return self._watch.run_id

    @property
    def last_event_id(self) -> str | None:
        """The last event's id: `runs.stream(run_id, after=…)` goes on after it, in another process too."""
        return self._watch.last_event_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._events.close()


class Link:
    """Sends calls, as often as it takes."""

    def __init__(self, http: httpx.Client, url: str, headers: dict[str, str], timeout: float, most: int) -> None:
        self.http = http
        self._url, self._headers, self._most = url, headers, most
        self._timeout = httpx.Timeout(timeout, connect=CONNECT_S)
        self._streaming = httpx.Timeout(timeout, connect=CONNECT_S, read=QUIET_S)

    def send(self, call: Call) -> httpx.Response:
        """The answer, once it is a good one. Raises WaggleError."""
        attempts = Attempts(self._most)
        while True:
            try:
                response = self.http.send(self._request(call, self._timeout))
            except httpx.TransportError as error:
                waited_enough = isinstance(error, httpx.ReadTimeout)
                pause_s = attempts.lost(error, repeatable=call.repeatable and not waited_enough)
            else:
                if response.is_success:
                    return response
                pause_s = attempts.refused(problem_of(response), repeatable=call.repeatable)
            sleep(pause_s)

    def ask(self, call: Call) -> Any:
        """The answer's JSON."""
        response = self.send(call)
        try:
            return response.json()
        except ValueError:
            raise problem_of(response) from None

    def pages(self, *parts: str) -> Generator[Any, None]:
        """The items of a list, page by page as they are wanted."""
        cursor = None
        while True:
            page = self.ask(get(*parts, limit=100, cursor=cursor))
            for item in page["items"]:
                yield item
            if (cursor := page["next_cursor"]) is None:
                return

    def stream(self, first: Call, run_id: str | None = None, after: str | None = None) -> Events:
        watch = Watch(first, Attempts(self._most), run_id, after)
        return Events(self._events(watch), watch)

    def _events(self, watch: Watch) -> Generator[Event, None]:
        while not watch.ended:
            try:
                response = self.http.send(self._request(watch.call, self._streaming, **STREAM), stream=True)
                try:
                    if response.status_code == 204:
                        return
                    if streams(response):
                        with nullcontext(EventSource(response).iter_sse()) as frames:
                            for frame in frames:
                                if (event := watch.saw(frame)) is not None:
                                    yield event
                        pause_s = watch.attempts.got_on()
                    else:
                        response.read()
                        pause_s = watch.refused(response)
                finally:
                    response.close()
            except httpx.TransportError as error:
                pause_s = watch.lost(error)
            if not watch.ended:
                sleep(pause_s)

    def _request(self, call: Call, timeout: httpx.Timeout, **headers: str) -> httpx.Request:
        return self.http.build_request(
            call.method,
            self._url + call.path,
            json=call.json,
            params=call.params or None,
            headers={**self._headers, **call.headers, **headers},
            timeout=timeout,
        )


class Runs:
    """Runs that were begun."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def get(self, run_id: str) -> Run:
        """The run as it stands; its messages once it has ended."""
        return cast("Run", self._link.ask(get("runs", run_id)))

    def stream(self, run_id: str, *, after: str | None = None) -> Events:
        """Its events from the start, or after the event of that id, which is none of what it brings."""
        return self._link.stream(get("runs", run_id, "stream"), run_id, after)

    def cancel(self, run_id: str) -> Run:
        """Stop it; answered when it has really stopped."""
        return cast("Run", self._link.ask(post("runs", run_id, "cancel", repeatable=True)))

    def input(self, run_id: str, answer: Any, *, input_id: str | None = None) -> Run:
        """Answer the question that it waits with. With the question's `input_id`, it is sent again when it is lost."""
        call = post("runs", run_id, "input", repeatable=input_id is not None, input=answer, input_id=input_id)
        return cast("Run", self._link.ask(call))

    def feedback(
        self, run_id: str, score: float, *, label: str | None = None, comment: str | None = None
    ) -> None:
        """Say how good it was, from 0 to 1."""
        self._link.send(post("runs", run_id, "feedback", score=score, label=label, comment=comment))

    def feedbacks(self, run_id: str) -> Iterator[Feedback]:
        """What was said of it, the latest first."""
        return self._link.pages("runs", run_id, "feedback")

    def trace(self, run_id: str) -> Trace:
        """Its spans."""
        return cast("Trace", self._link.ask(get("runs", run_id, "trace")))


class Sessions:
    """The caller's conversations. Lists are read page by page, as far as they are iterated."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def list(self) -> Iterator[Session]:
        """The latest first."""
        return self._link.pages("sessions")

    def get(self, session_id: str) -> Session:
        return cast("Session", self._link.ask(get("sessions", session_id)))

    def messages(self, session_id: str) -> Iterator[Message]:
        """What was said in its completed runs, oldest first."""
        return self._link.pages("sessions", session_id, "messages")

    def runs(self, session_id: str) -> Iterator[Run]:
        """The latest first, without their messages."""
        return self._link.pages("sessions", session_id, "runs")

    def versions(self, session_id: str) -> Iterator[Version]:
        """The saved states that are kept, newest first."""
        return self._link.pages("sessions", session_id, "versions")

    def fork(
        self, session_id: str, *, run_id: str | None = None, version: int | None = None, to: str | None = None
    ) -> Session:
        """A new session, of the id `to`, that has the conversation up to that run or version, or all of it."""
        call = post("sessions", session_id, "fork", run_id=run_id, version=version, session_id=to)
        return cast("Session", self._link.ask(call))

    def rewind(self, session_id: str, *, run_id: str | None = None, version: int | None = None) -> Session:
        """Take the conversation back to before that run, or to that version."""
        return cast(
            "Session", self._link.ask(post("sessions", session_id, "rewind", run_id=run_id, version=version))
        )

    def delete(self, session_id: str) -> None:
        """Remove it with its runs."""
        self._link.send(Call(method="DELETE", path=path("sessions", session_id)))


class Waggle:
    """The service at that address, for one caller: whom the token stands for, or of a tenant's users `user_id`.

    `timeout` is how long to wait for an answer, in seconds; let it be more than a run may take. What got no answer, or
    429 or 503 with a Retry-After, is tried again `max_retries` times in a row. Give an `http_client` of your own for
    proxies, certificates and limits: it stays yours to close.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        user_id: str | None = None,
        timeout: float = 150,
        max_retries: int = 5,
        http_client: httpx.Client | None = None,
    ) -> None:
        self._settings = {"base_url": base_url, "token": token, "timeout": timeout, "max_retries": max_retries}
        self._own = http_client is None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if user_id is not None:
            headers["X-User-ID"] = user_id
        http = http_client or httpx.Client()
        self._link = Link(http, base_url.rstrip("/"), headers, timeout, max_retries)
        self.runs = Runs(self._link)
        self.sessions = Sessions(self._link)

    def for_user(self, user_id: str) -> "Waggle":
        """The same for another of the tenant's users, over the same connections."""
        settings: dict[str, Any] = {**self._settings, "user_id": user_id}
        return Waggle(**settings, http_client=self._link.http)

    def agents(self) -> Iterator[Agent]:
        """Those that are served, and those whose files are broken."""
        return self._link.pages("agents")

    def agent(self, name: str) -> Agent:
        return cast("Agent", self._link.ask(get("agents", name)))

    def run(self, agent: str, task: Task, **options: Unpack[RunOptions]) -> Run:
        """Run the agent to its end, or until it waits for a person. Raises RunFailed."""
        return cast("Run", self._link.ask(begin(agent, "run", task, options)))

    def start(self, agent: str, task: Task, **options: Unpack[RunOptions]) -> Run:
        """Run the agent in the background: the run as it stands."""
        return cast("Run", self._link.ask(begin(agent, "runs", task, options)))

    def stream(self, agent: str, task: Task, **options: Unpack[RunOptions]) -> Events:
        """Run the agent, and watch it. It begins with the first event that is asked for."""
        return self._link.stream(begin(agent, "stream", task, options))

    def export(self) -> list[dict[str, Any]]:
        """Everything that is kept of the caller."""
        response = self._link.send(get("export"))
        return [json.loads(line) for line in response.content.splitlines()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._own:
            self._link.http.close()
