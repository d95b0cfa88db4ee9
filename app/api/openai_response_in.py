"""What OpenAI's clients send to have a response."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from app.api.schemas import IMAGE_URL, Lenient, Metadata, SessionId, UserId


class TextIn(Lenient):
    """A piece of text, of the user or of an earlier answer."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class RefusalIn(Lenient):
    """That a model would not answer."""

    type: Literal["refusal"]
    refusal: str


class ImageIn(Lenient):
    """An image, by its data or its address."""

    type: Literal["input_image"]
    image_url: str = Field(pattern=IMAGE_URL)


class MessageIn(Lenient):
    """Something that was said."""

    role: Literal["user", "assistant", "system", "developer"]
    content: (
        str
        | Annotated[
            list[Annotated[TextIn | RefusalIn | ImageIn, Field(discriminator="type")]],
            Field(min_length=1, max_length=100),
        ]
    )


class OtherIn(Lenient):
    """What else a conversation has: reasoning, calls of tools and what they came to. It is left out."""

    type: str


def _kind(item: Any) -> str:
    return "message" if "role" in item or getattr(item, "role", None) else "other"


ItemIn = Annotated[Annotated[MessageIn, Tag("message")] | Annotated[OtherIn, Tag("other")], Discriminator(_kind)]


class FormatIn(Lenient):
    """Text as it comes."""

    type: Literal["text"]


class TextConfigIn(Lenient):
    """An agent's output schema is its own."""

    format: FormatIn | None = None


class ConversationIn(Lenient):
    """A session."""

    id: SessionId


class ResponseIn(Lenient):
    """A response to be made. Sampling parameters and `tools` are the agent's own business: they are ignored."""

    model: str
    """The agent's name."""
    input: Annotated[str, Field(min_length=1)] | Annotated[list[ItemIn], Field(min_length=1, max_length=10_000)]
    """What the user says; or the whole conversation, the user's last message at its end."""
    instructions: str | None = None
    """Told to the agent before a conversation that begins with this."""
    previous_response_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")] | None = None
    """The response to go on after. Where others went on after it already, this is another branch."""
    conversation: SessionId | ConversationIn | None = None
    """The session to go on with."""
    background: bool | None = False
    """Whether to answer at once, and let the run go on whoever watches it."""
    stream: bool | None = False
    user: UserId | None = None
    """The end user, as X-User-ID."""
    metadata: Metadata | None = None
    """Up to 16 pairs of strings, on every span of the run."""
    text: TextConfigIn | None = None
    tool_choice: Literal["auto", "none"] | None = None
    """The agent alone decides which of its tools it calls."""
