"""What is said, as A2A's parts, and the other way: text, data, and files that are images."""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from a2a.types import Part
from google.protobuf.json_format import MessageToDict, ParseDict  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct, Value  # type: ignore[import-untyped]

from app import task as asked
from app.messages import Image, Message, Structured, Text, Thought


def parts_of(message: Message) -> list[Part]:
    match message:
        case Text():
            return [Part(text=message.content)]
        case Thought():
            return [Part(text=message.content, metadata=struct({"type": "thought", "source": message.source}))]
        case Structured():
            return [Part(data=value(message.content), media_type="application/json")]
        case Image():
            return [_shown(part) for part in message.content]
        case _:
            told = {k: v for k, v in orjson.loads(orjson.dumps(message)).items() if k not in ("id", "created_at")}
            return [Part(data=value(told), metadata=struct({"type": message.type}))]


def asked_by(parts: Iterable[Part]) -> asked.Task:
    """What the agent is asked; raises ValueError for a part that it cannot be."""
    found = tuple(map(_asked, parts))
    return found[0].text if len(found) == 1 and isinstance(found[0], asked.TextPart) else found


def answer_of(parts: Iterable[Part]) -> Any:
    """What a person answers: data where there is some, else text."""
    listed = list(parts)
    data = next((MessageToDict(part.data) for part in listed if part.WhichOneof("content") == "data"), None)
    return data if data is not None else "\n".join(part.text for part in listed)


def struct(content: Mapping[str, Any]) -> Struct:
    return ParseDict(content, Struct())


def value(content: Any) -> Value:
    return ParseDict(content, Value())


def _shown(part: Mapping[str, Any]) -> Part:
    if part["type"] == "text":
        return Part(text=part["text"])
    kind, _, data = str(part["image_url"]["url"]).removeprefix("data:").partition(";base64,")
    return Part(raw=b64decode(data), media_type=kind)


def _asked(part: Part) -> asked.TextPart | asked.ImagePart:
    match part.WhichOneof("content"):
        case "text":
            return asked.TextPart(part.text)
        case "data":
            return asked.TextPart(orjson.dumps(MessageToDict(part.data)).decode())
        case "raw" if part.media_type.startswith("image/"):
            return asked.ImagePart(f"data:{part.media_type};base64,{b64encode(part.raw).decode()}")
        case "url" if part.media_type.startswith("image/"):
            return asked.ImagePart(part.url)
        case _:
            raise ValueError("a part is text, data, or an image with its media type")
