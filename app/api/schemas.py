"""What clients send, and the shapes of answers for /docs; the answers themselves are written by `app.wire`."""

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.api.bounds import few_fields, writable
from app.errors import PROBLEM_TYPES
from app.store.history import Point
from app.store.runs import IfBusy
from app.task import ImagePart, Task, TextPart

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
"""1-128 of A-Z a-z 0-9 . _ : -"""
UserId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,128}$")]
"""1-128 printable ASCII characters without spaces."""
RunId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,36}$")]
NO_NUL = r"^[^\x00]*$"
"""What Postgres keeps as text."""
IMAGE_URL = r"^(data:image/(png|jpeg|gif|webp);base64,|https?://)"
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=512)], Annotated[str, Field(max_length=512)]],
    BeforeValidator(few_fields),
    Field(max_length=16),
]
OnDisconnect = Literal["cancel", "continue"]


class Body(BaseModel):
    """A body's fields are known, and described under them."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return few_fields(value)


class Lenient(BaseModel):
    """Of another protocol than Waggle's own. Fields that are not described are ignored: clients send what they have."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class TextPartIn(Body):
    """A piece of text."""

    type: Literal["text"]
    text: str
    """What it says."""


class ImageUrl(Body):
    """Where an image is."""

    url: str = Field(pattern=IMAGE_URL)
    """A `data:image/png;base64,…` URI, of a PNG, JPEG, GIF or WebP image; with IMAGE_URLS=on, where one is: `https://…`."""


class ImagePartIn(Body):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl
    """Where it is."""


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
    metadata: Metadata = Field(default_factory=dict)
    """Up to 16 pairs of strings, on every span of the run."""
    timeout_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Seconds the run may take; the service's own deadline counts where it is shorter."""
    if_busy: IfBusy = "reject"
    """What to do when the session has a run going on: `reject` answers 409, `enqueue` waits its turn, `interrupt`
    cancels it and takes its place."""
    on_disconnect: OnDisconnect | None = None
    """Whether the run ends when nobody watches it any more (`cancel`, as `run` and `stream` do by default), or goes on
    (`continue`, as `runs` does)."""
    webhook_url: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """Where the run's end is told, signed as https://www.standardwebhooks.com says."""

    def to_task(self) -> Task:
        if isinstance(self.task, str):
            return self.task
        return tuple(
            TextPart(part.text) if isinstance(part, TextPartIn) else ImagePart(part.image_url.url) for part in self.task
        )


class AnswerIn(Body):
    """A person's answer to a run's question."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": "The red one."}]})

    input: Annotated[Any, AfterValidator(writable)]
    """Text, or what the question's `schema` asks for."""
    input_id: RunId | None = None
    """Which question is answered, as `input_request` and `input.required` have it; without it, the last one."""


class FeedbackIn(Body):
    """What a person says of a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 1, "label": "helpful", "comment": "Thanks!"}]})

    score: float = Field(ge=0, le=1, allow_inf_nan=False)
    """From 0, useless, to 1."""
    label: Annotated[str, Field(min_length=1, max_length=128, pattern=NO_NUL)] | None = None
    """A word for it."""
    comment: Annotated[str, Field(max_length=4096, pattern=NO_NUL)] | None = None
    """In the person's own words."""


VersionNumber = Annotated[int, Field(ge=0, lt=2**31)]
"""Of a saved state; 0 is before the first."""


class PointIn(Body):
    """A point in a session's conversation, by one of two names."""

    run_id: RunId | None = None
    """A completed run of it."""
    version: VersionNumber | None = None
    """A saved state."""

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        if self.run_id is not None and self.version is not None:
            raise PydanticCustomError("one_at_most", "Send run_id or version, not both.")
        return self

    def to_point(self) -> Point:
        return Point(self.run_id, self.version)


class ForkIn(PointIn):
    """A session to be made of another's conversation: of all of it, where neither a run nor a version is named."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"run_id": "01890a5d-ac96-774b-bcce-b302099a8057", "session_id": "paris-2"}, {}],
        }
    )

    run_id: RunId | None = None
    """The last of its completed runs that the fork has."""
    version: VersionNumber | None = None
    """The same by number, as `GET /sessions/{session_id}/versions` lists them; 0 is before the first run."""
    session_id: SessionId | None = None
    """The fork's id; one is made where it is missing."""


class RewindIn(PointIn):
    """Where a session is to go back to: `run_id` or `version`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"run_id": "01890a5d-ac96-774b-bcce-b302099a8057"}, {"version": 3}]}
    )

    run_id: RunId | None = None
    """The first of its completed runs that is taken back."""
    version: VersionNumber | None = None
    """The saved state to go back to, as `GET /sessions/{session_id}/versions` lists them; 0 is before the first run."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.run_id is None and self.version is None:
            raise PydanticCustomError("one", "Send run_id or version.")
        return self


Item = TypeVar("Item")


class Items(BaseModel, Generic[Item]):
    """A page of a list; each list's own is named, as the description's generic names are no names."""

    items: list[Item] = Field(description="Those of this page.")
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class Wrong(BaseModel):
    """What is wrong with a field."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    loc: list[str | int]
    """Where: `body`, `query`, `header` or `path`, and the way from there."""
    msg: str
    """What is wrong with it."""


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    type: str = Field(examples=[*PROBLEM_TYPES, "about:blank"])
    """What it is, to decide by; docs/errors.md explains each. There may be more in time."""
    title: str
    """The same for people."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, and what to do."""
    instance: str | None = None
    """The path that was asked for."""
    run_id: str | None = None
    """The run that it happened to."""
    trace_id: str | None = None
    """The trace of the run, or the request."""
    errors: list[Wrong] | None = None
    """Of 422, each field that is wrong."""
