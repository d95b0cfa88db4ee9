"""Images as they came, instead of as pixels.

AutoGen 0.7.5 decodes an image when it is made, and encodes it as PNG each time it is looked at: for a model call, a
message, a saved state. A photograph of 3 MB becomes 28 MB, and stops the event loop for two seconds at each of these.
"""

import base64
import re
from functools import cached_property
from io import BytesIO

from autogen_core import Image
from PIL import Image as Pixels

_MARK = "_waggle_keeps"
_TAKEN = re.compile(r"iVBORw0KGgo|/9j/|R0lGOD[dl]h|UklGR.{6}XRUJQ")
"""How PNG, JPEG, GIF and WebP begin, in base64."""


class Kept(Image):
    """Its bytes, in base64. They are decoded for whoever asks for `image`, as a user's tool may."""

    def __init__(self, encoded: str) -> None:
        self._encoded = encoded

    @cached_property
    def image(self) -> Pixels.Image:  # type: ignore[override]  # an attribute in AutoGen, which nothing sets later
        return Pixels.open(BytesIO(base64.b64decode(self._encoded))).convert("RGB")

    def to_base64(self) -> str:
        return self._encoded

    @classmethod
    def of(cls, uri: str) -> "Kept":
        """The image of a data URI."""
        return cls(uri.partition(",")[2])


def keep_images() -> None:
    """Have AutoGen make those of saved states, checkpoints and tools' results this way too; it has no hook for it.

    What models do not take as it is still becomes a PNG.
    """
    if getattr(Image, _MARK, False):
        return
    decoded = Image.from_base64

    def from_base64(_: type[Image], base64_str: str) -> Image:
        return Kept(base64_str) if _TAKEN.match(base64_str) else decoded(base64_str)

    setattr(Image, "from_base64", classmethod(from_base64))  # noqa: B010 mypy knows better what it was
    setattr(Image, _MARK, True)
