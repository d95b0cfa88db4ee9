"""Pictures, good and bad, as bytes and as data URIs."""

import base64
import struct
import zlib
from io import BytesIO

from PIL import Image


def picture(kind: str = "PNG", width: int = 3, height: int = 2, mode: str = "RGB") -> bytes:
    written = BytesIO()
    Image.new(mode, (width, height)).save(written, kind)
    return written.getvalue()


def bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A PNG of 400 million pixels: some 50 KB."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    row = b"\0" * (1 + (width + 7) // 8)
    pressed = zlib.compress(row * height)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pressed) + chunk(b"IEND", b"")


def data_uri(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def image_part(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}}
