"""A task's images: what is one, how large they may be together, and that neither can hurt."""

import struct
import zlib
from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
from PIL import Image as Pillow

from app.agents.images import ImageUnreadable, images_of
from tests.api.test_problems import problem_of
from tests.service import Service


def uri(content: bytes) -> str:
    return f"data:image/png;base64,{b64encode(content).decode()}"


def encoded(kind: str, size: tuple[int, int] = (2, 3)) -> bytes:
    file = BytesIO()
    Pillow.new("RGB", size).save(file, kind)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be so large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    written = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


UNREADABLE = {
    "nothing": b"",
    "no image": b"\0\0\0",
    "cut in its head": encoded("PNG")[:20],
    "cut in its pixels": encoded("PNG", (200, 200))[:90],
    "no size": bomb(0, 0),
    "too large to be held": bomb(30_000, 30_000),
    "too large to be meant": bomb(12_000, 9_000),
    "larger than a task's may be": bomb(7_000, 7_000),
    "PostScript, which a program would be run for": encoded("EPS"),
    "another kind": encoded("GIF"),
}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_no_image_of_ours_is_the_callers_mistake(content: bytes, service: Service) -> None:
    """422, which says where: never a failure of the service, a program that is run, or memory that is taken."""
    task: list[dict[str, Any]] = [{"type": "text", "text": "What is it?"}]
    task += [{"type": "image_url", "image_url": {"url": uri(part)}} for part in (encoded("PNG"), content)]
    answer = await service.client.post("/agents/assistant/run", json={"task": task})
    problem = problem_of(answer, 422, "invalid-input")
    assert problem["errors"][0]["loc"] == ["body", "task", 2]


def test_png_and_jpeg_are_read() -> None:
    """Whichever of the two the URI says."""
    assert [image.image.size for image in images_of([uri(encoded("PNG")), uri(encoded("JPEG"))])] == [(2, 3)] * 2


def test_the_images_of_a_task_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small ones take as much as a large one."""
    monkeypatch.setattr("app.agents.images.MAX_PIXELS", 20)
    assert len(images_of([uri(encoded("PNG"))] * 3)) == 3
    with pytest.raises(ImageUnreadable) as refused:
        images_of([uri(encoded("PNG"))] * 4)
    assert refused.value.index == 3
