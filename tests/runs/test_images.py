"""Images of tasks: what is fetched, from where, how much of it; and what passes for an image."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from app.errors import InvalidInput
from app.runs.addresses import Resolve, resolve
from app.runs.images import MAX_IMAGES, MAX_PIXELS, Images
from app.settings import Settings
from app.task import ImagePart, Task, TextPart
from app.telemetry.metrics import Metrics
from tests.runs.test_webhooks import certified, named
from tests.servers.otlp import Answer, dead_url
from tests.servers.pictures import bomb, data_uri, picture
from tests.servers.receiver import Receiver

PNG = picture()
NOT_FETCHED = "Could not be fetched: it must be at a public https address that answers at once, with an image."


def images(*, resolve: Resolve = resolve, fetch_s: float = 10, **settings: Any) -> Images:
    usual: dict[str, Any] = {"image_urls": "on", "image_allow": "127.0.0.1"}
    return Images(Settings(_env_file=None, **(usual | settings)), Metrics(), resolve=resolve, fetch_s=fetch_s)


async def uris(taker: Images, *urls: str) -> list[str]:
    taken = await taker.taken_in(tuple(ImagePart(url) for url in urls))
    assert not isinstance(taken, str)
    return [part.url for part in taken if isinstance(part, ImagePart)]


async def refused(taker: Images, *urls: str, says: str) -> None:
    """Each of the images is, with these words."""
    with pytest.raises(InvalidInput) as caught:
        await taker.taken_in(tuple(ImagePart(url) for url in urls))
    expected = [{"loc": ["body", "task", index], "msg": says} for index in range(len(urls))]
    assert caught.value.errors == expected


def moved(to: str, status: int = 302) -> Answer:
    return Answer(status, headers={"Location": to})


@asynccontextmanager
async def answering(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that writes as it likes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_it_is_what_its_bytes_say(kind: str) -> None:
    """Not what a header, a name or the URI says; and it comes into the task as it is."""
    content = picture(kind)
    uri = data_uri(content, f"image/{kind.lower()}")
    async with Receiver(Answer(200, content, "text/html")) as server:
        assert await uris(images(), f"{server.url}/a.exe", data_uri(content, "image/png")) == [uri, uri]
        [request] = server.requests
    assert (request.method, request.path, request.headers["accept-encoding"]) == ("GET", "/a.exe", "identity")
    assert request.headers["host"] == f"127.0.0.1:{server.port}"


async def test_text_is_left_as_it_is_and_in_its_place() -> None:
    """Between images, and alone."""
    assert await images().taken_in("hi") == "hi"
    task: Task = (TextPart("one"), ImagePart(data_uri(PNG)), TextPart("two"))
    assert await images().taken_in(task) == task


async def test_redirects_are_followed_three_times(caplog: pytest.LogCaptureFixture) -> None:
    """Relative ones too; the fourth is one too many."""
    async with Receiver(moved("/b#part"), moved("c", 307), moved("/d", 301), Answer(200, PNG)) as server:
        assert await uris(images(), f"{server.url}/a") == [data_uri(PNG)]
        assert [request.path for request in server.requests] == ["/a", "/b", "/c", "/d"]
    async with Receiver(*[moved("/again")] * 5) as server:
        await refused(images(), f"{server.url}/a", says=NOT_FETCHED)
        assert len(server.requests) == 4


BEYOND = {
    "private": "http://10.0.0.1/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "other loopback": "http://127.0.0.2/",
    "mapped": "http://[::ffff:127.0.0.2]/",
    "number": "http://2130706434/",
    "localhost": "https://localhost/",
    "public in the clear": "http://1.1.1.1/",
    "file": "file:///etc/passwd",
    "data": data_uri(PNG),
    "credentials": "https://me:secret@images.example/",
    "nonsense": "https://[",
    "nothing": "",
}


@pytest.mark.parametrize("url", BEYOND.values(), ids=BEYOND)
async def test_a_redirect_leads_nowhere_else(url: str) -> None:
    """Its target is held to the rules of the first, and no word tells one refusal from another."""
    async with Receiver(moved(url)) as server:
        await refused(images(fetch_s=2), f"{server.url}/a", says=NOT_FETCHED)


async def test_nobody_is_told_what_can_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    """Refused, private, unknown, silent, an error or no URL: one answer. The log has the reasons, and no path."""
    caplog.set_level(logging.INFO)
    async with Receiver(Answer(500, PNG), Answer(204), "close", "hang") as server:
        here = [f"{server.url}/secret"] * 4
        elsewhere = [dead_url(), "https://10.0.0.1/", "https://no-such-host.invalid/", "https://[nonsense", "http://:0"]
        await refused(images(fetch_s=0.3), *here, *elsewhere, says=NOT_FETCHED)
    answers = [getattr(record, "fields", {}) for record in caplog.records if record.msg == "Image not fetched"]
    assert len(answers) == 9
    assert {"500", "204", "no answer in time", "not a URL that may be fetched", "RemoteProtocolError"} <= {
        answer["answer"] for answer in answers
    }
    assert "secret" not in str(answers)


async def test_a_name_that_changes_between_two_looks_gains_nothing() -> None:
    """DNS rebinding: what was looked at is what is connected to, at a redirect back to the same name too."""
    looks = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return looks.pop(0)

    async with Receiver(moved("/b"), Answer(200, PNG)) as server:
        url = f"http://rebinding.example:{server.port}/a"
        await refused(images(resolve=rebinding), url, says=NOT_FETCHED)
        assert (looks, [request.path for request in server.requests]) == ([], ["/a"])


async def test_tls_is_with_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is the name's; another's is a failure."""
    tls, trusted = certified(tmp_path, "images.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    resolver = named(images_example=["127.0.0.1"], other_example=["127.0.0.1"])
    async with Receiver(Answer(200, PNG), tls=tls) as server:
        url = f"https://images.example:{server.port}/"
        assert await uris(images(resolve=resolver), url) == [data_uri(PNG)]
        await refused(images(resolve=resolver), url.replace("images.", "other."), says=NOT_FETCHED)
        assert server.names == ["images.example", "other.example"]


async def test_the_time_is_for_all_of_it() -> None:
    """A head, then a byte at a time for ever."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"\x89")
            await writer.drain()
            await anyio.sleep(0.01)

    async with answering(drip) as url:
        await refused(images(fetch_s=0.2), url, url, says=NOT_FETCHED)


async def test_what_has_no_end_is_left() -> None:
    """Also where it says that it has one; images share the room."""
    too_large = "With the task's other images, it is larger than 4096 bytes."

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"\x89" * 4096)
            await writer.drain()

    async with answering(flood) as url:
        await refused(images(max_body_bytes=4096), url, says=too_large)
    half = picture("GIF") + b"\0" * 2500
    async with Receiver(Answer(200, half), Answer(200, half)) as server:
        with pytest.raises(InvalidInput) as caught:
            await uris(images(max_body_bytes=4096), server.url, server.url)
        assert [error["msg"] for error in caught.value.errors or ()] == [too_large]


def scans(number: int) -> bytes:
    """A JPEG that says so many times that it goes on."""
    whole = picture("JPEG")
    return whole[:-2] + b"\xff\xda\0\2" * number + whole[-2:]


BAD = {
    "not base64": ("data:image/png;base64,no", "Is not base64."),
    "half base64": (data_uri(PNG)[:-3], "Is not base64."),
    "nothing": ("data:image/png;base64,", "Is not a PNG, JPEG, GIF or WebP image."),
    "text": (data_uri(b"<svg/>"), "Is not a PNG, JPEG, GIF or WebP image."),
    "a format that starts programs": (
        data_uri(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n"),
        "Is not a PNG, JPEG, GIF or WebP image.",
    ),
    "another that Pillow reads": (data_uri(picture("BMP")), "Is not a PNG, JPEG, GIF or WebP image."),
    "a PNG's beginning": (data_uri(PNG[:40]), "Is broken: it cannot be decoded."),
    "a JPEG's beginning": (data_uri(picture("JPEG")[:-40]), "Is broken: it cannot be decoded."),
    "a GIF's beginning": (data_uri(picture("GIF")[:15]), "Is broken: it cannot be decoded."),
    "a WebP's beginning": (data_uri(picture("WEBP")[:20]), "Is broken: it cannot be decoded."),
    "bomb": (data_uri(bomb()), "Has 20000 x 20000 pixels, which are too many."),
    "scans": (data_uri(scans(65)), "Has more than 64 scans."),
}


@pytest.mark.parametrize(("uri", "says"), BAD.values(), ids=BAD)
async def test_what_is_no_image_is_refused(uri: str, says: str) -> None:
    """Before anything runs, and in words."""
    await refused(images(), uri, says=says)


async def test_a_bomb_from_elsewhere_is_one_too() -> None:
    """Fetched, and not decoded."""
    async with Receiver(Answer(200, bomb(), "image/png")) as server:
        await refused(images(), server.url, says="Has 20000 x 20000 pixels, which are too many.")


async def test_the_images_of_a_task_share_the_pixels() -> None:
    """Many small bombs are a large one."""
    side = int((MAX_PIXELS / 2) ** 0.5) + 1
    half = data_uri(bomb(side, side))
    assert len(await uris(images(), half)) == 1
    with pytest.raises(InvalidInput) as caught:
        await uris(images(), half, half)
    assert [error["loc"] for error in caught.value.errors or ()] == [["body", "task", 1]]


async def test_so_many_images_and_no_more() -> None:
    """The whole task is what is wrong."""
    uri = data_uri(PNG)
    assert len(await uris(images(), *[uri] * MAX_IMAGES)) == MAX_IMAGES
    with pytest.raises(InvalidInput) as caught:
        await uris(images(), *[uri] * (MAX_IMAGES + 1))
    assert caught.value.errors == [{"loc": ["body", "task"], "msg": "Has 21 images; 20 are allowed."}]


async def test_switched_off_nothing_is_fetched() -> None:
    """As it is by default; the answer says how to switch it on."""
    off = Images(Settings(_env_file=None), Metrics())
    async with Receiver() as server:
        says = "Images are not fetched here: send it as a data: URI, or set IMAGE_URLS=on."
        await refused(off, server.url, "https://images.example/a.png", says=says)
        assert server.requests == []
    assert base64.b64decode((await uris(off, data_uri(PNG)))[0].partition(",")[2]) == PNG


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
async def test_damaged_images_are_taken_or_refused(kind: str) -> None:
    """Whatever Pillow's readers stumble over."""
    whole, taker = picture(kind, 16, 16), images()
    for index in range(len(whole)):
        for value in (0x00, 0xFF, whole[index] ^ 0x10):
            damaged = whole[:index] + bytes([value]) + whole[index + 1 :]
            try:
                await uris(taker, data_uri(damaged))
            except InvalidInput:
                continue
