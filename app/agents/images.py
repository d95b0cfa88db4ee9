"""A task's images, read within bounds before AutoGen holds them.

`Image.from_uri` would take whatever Pillow knows, though the URI says PNG or JPEG: for EPS that is to run Ghostscript.
And it unpacks as many pixels as the file says it has, of which a few kilobytes can hold gigabytes.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from io import BytesIO

from autogen_core import Image
from PIL import Image as Pillow

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 40_000_000
"""Of all images of a task together: 120 MB in memory, and more than a provider looks at."""


BOMBS = (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning)
"""What Pillow says of many more; the warning, where warnings are errors."""
BROKEN = (ValueError, OSError, SyntaxError, EOFError)
"""What its readers raise, by chance of what is wrong."""


class ImageUnreadable(ValueError):
    """An image of the task is none, or one too many; `index` is which, the message says why."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


def images_of(urls: Sequence[str]) -> list[Image]:
    """The images that `data:` URIs hold. Takes its time: not for the event loop. Raises ImageUnreadable."""
    return list(_images(urls))


def _images(urls: Sequence[str]) -> Iterator[Image]:
    left = MAX_PIXELS
    for index, url in enumerate(urls):
        try:
            picture = Pillow.open(BytesIO(b64decode(url.partition(",")[2])), formats=FORMATS)  # reads its head alone
            left -= picture.width * picture.height
            image = Image.from_pil(picture) if left >= 0 else None
        except BOMBS:
            image = None
        except BROKEN:
            raise ImageUnreadable(index, "Not a PNG or JPEG data URI.") from None
        if image is None:
            raise ImageUnreadable(index, f"The images have more than {MAX_PIXELS // 1_000_000} million pixels.")
        yield image
