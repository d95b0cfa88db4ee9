"""What clients send, and the shapes of answers for /docs; the answers themselves are written by `app.wire`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.task import ImagePart, Task, TextPart

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
"""1-128 of A-Z a-z 0-9 . _ : -"""
UserId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")]
"""1-128 printable ASCII characters without spaces."""
OnDisconnect = Literal["cancel", "continue"]


class Body(BaseModel):
    """A body's fields are known, and described under them."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class TextPartIn(Body):
    """A piece of text."""

    type: Literal["text"]
    text: str


class ImageUrl(Body):
    """Where an image is."""

    url: str = Field(pattern=r"^data:image/(png|jpeg);base64,")
    """A `data:image/png;base64,…` or `data:image/jpeg;base64,…` URI. Images are not fetched from elsewhere."""


class ImagePartIn(Body):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class RunIn(Body):
    """A run to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"task": "What is the weather in Paris?", "session_id": "paris-1", "user_id": "alice"}]
        }
    )

    task: (
        Annotated[str, Field(min_length=1)]
        | Annotated[
            list[Annotated[TextPartIn | ImagePartIn, Field(discriminator="type")]],
            Field(min_length=1, max_length=100),
        ]
    )
    """What the agent is asked: text, or a list of text and image parts."""
    session_id: SessionId | None = None
    """The conversation to go on with; a new one is made where it is missing or unknown."""
    user_id: UserId | None = None
    """The end user that the session belongs to."""
    metadata: dict[Annotated[str, Field(min_length=1, max_length=512)], Annotated[str, Field(max_length=512)]] = Field(
        default_factory=dict, max_length=16
    )
    """Up to 16 pairs of strings, on every span of the run."""
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Seconds the run may take; the service's own deadline counts where it is shorter."""
    if_busy: Literal["reject"] = "reject"
    """What to do when the session has a run going on: `reject` answers 409."""
    on_disconnect: OnDisconnect = "cancel"
    """Whether the run ends when nobody watches it any more, or goes on."""

    def to_task(self) -> Task:
        if isinstance(self.task, str):
            return self.task
        return tuple(
            TextPart(part.text) if isinstance(part, TextPartIn) else ImagePart(part.image_url.url) for part in self.task
        )


class FeedbackIn(Body):
    """What a person says of a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 1, "label": "helpful", "comment": "Thanks!"}]})

    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    """From 0, useless, to 1."""
    label: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """A word for it."""
    comment: Annotated[str, Field(max_length=4096)] | None = None
    """In the person's own words."""


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:waggle:problem:session-busy"])
    title: str
    status: int
    detail: str
    instance: str | None = None
    run_id: str | None = None
    trace_id: str | None = None
    errors: list[dict[str, Any]] | None = None
