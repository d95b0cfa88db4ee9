"""Paints: its answer is a picture."""

from collections.abc import Sequence

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, MultiModalMessage
from autogen_core import CancellationToken, Image
from PIL import Image as Pictures
from PIL import ImageDraw


class Painter(BaseChatAgent):
    """Paints honeycombs, whatever it is asked for."""

    @property
    def produced_message_types(self) -> tuple[type[BaseChatMessage], ...]:
        return (MultiModalMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        del messages, cancellation_token
        content = ["A honeycomb, as you wished:", Image.from_pil(honeycomb())]
        return Response(chat_message=MultiModalMessage(content=content, source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        pass


def honeycomb() -> Pictures.Image:
    picture = Pictures.new("RGB", (320, 180), "#fff6e0")
    draw = ImageDraw.Draw(picture)
    for row in range(7):
        for column in range(8):
            centre = (column * 48 + (row % 2) * 24, row * 42)
            draw.regular_polygon((centre, 22), 6, rotation=30, fill="#e8a317", outline="#8a5a00", width=2)
    return picture


def build() -> Painter:
    """Paints honeycombs, whatever it is asked for."""
    return Painter("painter", "Paints.")
