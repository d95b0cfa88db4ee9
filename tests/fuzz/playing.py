"""A service that lasts for all cases of a fuzzer, in an event loop of its own: hypothesis is not asynchronous."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.servers.openai_wire import OpenAIWire
from tests.service import Service, serving


@contextmanager
def playing(folder: Path) -> Iterator[tuple[BlockingPortal, Service, OpenAIWire]]:
    """The way into the loop, the service, and its provider."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        openai = stack.enter_context(portal.wrap_async_context_manager(OpenAIWire()))
        served = serving(
            data_dir=folder,
            model="openai:gpt-4o-mini",
            model_base_url=f"{openai.url}/v1",
            model_max_retries=0,
            openai_api_key="sk-test",
        )
        yield portal, stack.enter_context(portal.wrap_async_context_manager(served)), openai
