"""The images of a task, made whole before its run is admitted: fetched where they are elsewhere, and looked at.

From then on each is a `data:` URI inside the task. A run in the background, on another replica, or begun anew sees the
very same image, and nothing is ever fetched on its behalf.
"""

import asyncio
import binascii
import logging
from base64 import b64encode
from typing import Any

import anyio
from anyio import to_thread

from app.errors import InvalidInput
from app.runs.addresses import Resolve, resolve
from app.runs.fetching import Fetcher, FetchFailed, Room, TooLarge
from app.runs.pictures import NoPicture, looked_at
from app.runs.receivers import origin_of
from app.settings import Settings
from app.task import ImagePart, Task, TextPart
from app.telemetry.logs import fields
from app.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_IMAGES = 20
MAX_PIXELS = 50_000_000
"""Both of a task. Decoded, so many pixels are 150 to 200 MB."""
FETCH_S = 10.0
"""For all images of a task."""
FETCHED_AT_ONCE = 32
DECODED_AT_ONCE = 2
"""In this process, whoever asks."""
_ACCEPT = "image/png, image/jpeg, image/gif, image/webp"


class Images:
    """Takes the images of tasks in."""

    def __init__(
        self, settings: Settings, metrics: Metrics, *, resolve: Resolve = resolve, fetch_s: float = FETCH_S
    ) -> None:
        self._on = settings.image_urls == "on"
        self._max_bytes = settings.max_body_bytes
        self._fetch_s = fetch_s
        self._metrics = metrics
        self._fetcher = Fetcher(settings.image_allow, resolve, _ACCEPT)
        self._fetching = asyncio.Semaphore(FETCHED_AT_ONCE)
        self._decoding = anyio.CapacityLimiter(DECODED_AT_ONCE)

    async def taken_in(self, task: Task) -> Task:
        """The task, whose images are all data URIs that can be decoded. Raises InvalidInput, which lists each else."""
        if isinstance(task, str):
            return task
        urls = {index: part.url for index, part in enumerate(task) if isinstance(part, ImagePart)}
        if len(urls) > MAX_IMAGES:
            raise _invalid({None: f"Has {len(urls)} images; {MAX_IMAGES} are allowed."})
        if not urls:
            return task
        files = await self._files(urls)
        found = await to_thread.run_sync(_looked_at, files, limiter=self._decoding)
        return tuple(part if isinstance(part, TextPart) else ImagePart(found[index]) for index, part in enumerate(task))

    async def _files(self, urls: dict[int, str]) -> dict[int, bytes]:
        """What is in, or at, each of the URLs."""
        files: dict[int, bytes] = {}
        wrong: dict[int | None, str] = {}
        room = Room(self._max_bytes)

        async def fetch(index: int, url: str) -> None:
            try:
                files[index] = await self._fetched(url, room)
            except TooLarge:
                wrong[index] = f"With the task's other images, it is larger than {self._max_bytes} bytes."
            except FetchFailed:
                wrong[index] = (
                    "Could not be fetched: it must be at a public https address that answers at once, with an image."
                )

        async with anyio.create_task_group() as group:
            for index, url in urls.items():
                if url.startswith("data:"):
                    try:
                        files[index] = _decoded(url)
                    except ValueError:
                        wrong[index] = "Is not base64."
                elif self._on:
                    group.start_soon(fetch, index, url)
                else:
                    wrong[index] = "Images are not fetched here: send it as a data: URI, or set IMAGE_URLS=on."
        if wrong:
            raise _invalid(wrong)
        return files

    async def _fetched(self, url: str, room: Room) -> bytes:
        """Raises FetchFailed: the log has the reason, the caller has not."""
        try:
            try:
                async with asyncio.timeout(self._fetch_s), self._fetching:
                    content = await self._fetcher.fetch(url, room)
            except TimeoutError:
                raise FetchFailed("no answer in time") from None
        except FetchFailed as error:
            self._metrics.image("failed")
            logger.info("Image not fetched", extra=fields(origin=origin_of(url), answer=str(error)))
            raise
        self._metrics.image("fetched")
        return content


def _looked_at(files: dict[int, bytes]) -> dict[int, str]:
    """Each as a data URI of the type that it really is. Raises InvalidInput."""
    found: dict[int, str] = {}
    wrong: dict[int | None, str] = {}
    left = MAX_PIXELS
    for index, content in sorted(files.items()):
        try:
            media_type, pixels = looked_at(content, left)
        except NoPicture as error:
            wrong[index] = str(error)
        else:
            left -= pixels
            found[index] = f"data:{media_type};base64,{b64encode(content).decode()}"
    if wrong:
        raise _invalid(wrong)
    return found


def _decoded(uri: str) -> bytes:
    return binascii.a2b_base64(uri.partition(",")[2], strict_mode=True)


def _invalid(wrong: dict[int | None, str]) -> InvalidInput:
    """By the part of the task, None for all of it."""
    listed: list[dict[str, Any]] = [
        {"loc": ["body", "task"] + ([] if index is None else [index]), "msg": message}
        for index, message in sorted(wrong.items(), key=lambda item: item[0] or 0)
    ]
    return InvalidInput("The images of the task cannot be taken. See `errors`.", errors=listed)
