"""What an image is, by its bytes alone: no name, header or declared type is believed.

Pillow would try dozens of formats, some of which start other programs: the four that models take are opened by their
own readers. The size is known before anything is decoded.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError, DecompressionBombWarning
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_SCANS = 64
"""Of a progressive JPEG, each of which goes through all of it; photographs have about 10."""
KINDS = "PNG, JPEG, GIF or WebP"

_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    RuntimeError,
    DecompressionBombError,
    DecompressionBombWarning,
)
"""What Pillow's readers raise at bytes that are not what they begin like."""


class NoPicture(Exception):
    """The message is for the caller."""


@dataclass(frozen=True, slots=True)
class _Kind:
    media_type: str
    is_it: Callable[[bytes], bool]
    reader: Callable[[Any], ImageFile]


_KINDS = (
    _Kind("image/png", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), PngImageFile),
    _Kind("image/jpeg", lambda data: data.startswith(b"\xff\xd8\xff"), JpegImageFile),
    _Kind("image/gif", lambda data: data.startswith((b"GIF87a", b"GIF89a")), GifImageFile),
    _Kind("image/webp", lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", WebPImageFile),
)


def looked_at(data: bytes, max_pixels: int) -> tuple[str, int]:
    """An image's media type, and how many pixels it has. Decodes it: call it in a thread. Raises NoPicture."""
    kind = next((kind for kind in _KINDS if kind.is_it(data)), None)
    if kind is None:
        raise NoPicture(f"Is not a {KINDS} image.")
    if kind.reader is JpegImageFile and data.count(b"\xff\xda") > MAX_SCANS:
        raise NoPicture(f"Has more than {MAX_SCANS} scans.")
    try:
        with kind.reader(BytesIO(data)) as image:
            pixels = image.width * image.height
            if pixels <= max_pixels:
                image.load()
    except _BROKEN:
        raise NoPicture("Is broken: it cannot be decoded.") from None
    if pixels > max_pixels:
        raise NoPicture(f"Has {image.width} x {image.height} pixels, which are too many.")
    return kind.media_type, pixels
