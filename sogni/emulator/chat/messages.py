"""Chat messages: checks, token counts, images, and the conversation as the model reads it.

Images are data URIs, as the service requires; nothing is fetched from the network. The same string always
has the same number of tokens; no model's vocabulary is used.
"""
# Protocol notes: chat §9.

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field
from PIL import Image, UnidentifiedImageError

from sogni.emulator.fields import is_web_url

_HEAD = 32 * 1024
"""Characters of base64, in whole groups of four."""


def content_of(url: str) -> bytes | None:
    """Return the bytes of a base64 data URI."""
    head, comma, data = url.strip().partition(",")
    if not comma or not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        return None
    packed = "".join(data.split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        return None


def size_of(url: str) -> tuple[int, int] | None:
    """Return width and height from the head of an image, or from all of it if the head is not enough."""
    head, _, data = url.strip()[: _HEAD + 100].partition(",")
    found = _size(content_of(f"{head},{data[:_HEAD]}"))
    return found if found is not None or len(url) <= _HEAD else _size(content_of(url))


def _size(content: bytes | None) -> tuple[int, int] | None:
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


# Tokens


PER_MESSAGE = 4
PER_REQUEST = 3
PATCH = 28
UNREADABLE_IMAGE = 256
_TOKEN = re.compile(r" ?[^\W\d_]{1,8}| ?\d{1,3}| ?[^\w\s]|\s+|\w")


def split(text: str) -> list[str]:
    """Split a string into tokens; joined, they are the string again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return len(split(text))


def of_image(url: str) -> int:
    """Return the tokens of an image: one per patch of 28 by 28 pixels."""
    size = size_of(url)
    return UNREADABLE_IMAGE if size is None else math.ceil(size[0] / PATCH) * math.ceil(size[1] / PATCH)


def of_request(messages: Iterable[Mapping[str, Any]], tools: Iterable[Any] = ()) -> int:
    """Count the tokens a model reads: messages, their images, and the available tools."""
    total = PER_REQUEST + sum(PER_MESSAGE + _of_message(message) for message in messages)
    return total + sum(count(_compact(tool)) for tool in tools)


def _of_message(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    total = count(content) if isinstance(content, str) else 0
    for part in content if isinstance(content, list) else ():
        if part.get("type") == "text":
            total += count(part["text"])
        elif part.get("type") == "image_url":
            total += of_image(part["image_url"]["url"])
    for call in message.get("tool_calls") or ():
        total += count(_compact(call["function"]))
    return total


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# Conversations


MAX_IMAGES = 20
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_SIDE = 1024
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

Message = Mapping[str, Any]


def text_of(message: Message) -> str:
    """Return the text of a message, or of its parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if part.get("type") == "text")


def images_of(message: Message) -> list[str]:
    """Return the URLs of a message's images."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url" and part.get("image_url")]


@define
class Conversation:
    """The messages of one request."""

    messages: Sequence[Message]
    _user: list[Message] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._user = [message for message in self.messages if message.get("role") == "user"]

    @property
    def question(self) -> str:
        """Return the last message of the user."""
        return text_of(self._user[-1]).strip() if self._user else ""

    @property
    def images(self) -> list[str]:
        """Return the images of the last question, or the newest ones before it."""
        for message in reversed(self._user):
            if urls := images_of(message):
                return urls
        return []

    @property
    def new_images(self) -> list[str]:
        """Return the images of the last question."""
        return images_of(self._user[-1]) if self._user else []

    @property
    def tool_results(self) -> list[Message]:
        """Return the tool results since the last question, oldest first."""
        return [message for message in self.since_question if message.get("role") == "tool"]

    @property
    def since_question(self) -> Sequence[Message]:
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at].get("role") == "user":
                return self.messages[at + 1 :]
        return self.messages

    @property
    def rounds(self) -> list[Message]:
        """Return the messages with tool calls since the last question, oldest first."""
        return [message for message in self.since_question if message.get("tool_calls")]


def message_problems(messages: Sequence[Message], inline: bool) -> Iterator[str]:
    """Yield what is wrong with messages of the right shape."""
    called: set[str] = set()
    for at, message in enumerate(messages):
        where, content, calls = f"$.messages[{at}]", message.get("content"), message.get("tool_calls") or []
        if content is None and (message["role"] != "assistant" or not calls):
            yield f"{where}.content may only be null in an assistant message with tool_calls"
        for number, part in enumerate(content if isinstance(content, list) else ()):
            if part.get(part["type"]) is None:
                yield f"{where}.content[{number}].{part['type']} is required"
        called |= {call["id"] for call in calls}
        answered = message.get("tool_call_id")
        if message["role"] == "tool" and answered not in called:
            yield f"{where}.tool_call_id must be the id of an earlier tool call, got {answered!r}"
    urls = [url for message in messages for url in images_of(message)]
    if len(urls) > MAX_IMAGES:
        yield f"$.messages have {len(urls)} images; at most {MAX_IMAGES} are allowed"
        return
    for url in urls:
        content = content_of(url)
        if content is None:
            if inline or not is_web_url(url):
                yield "$.messages have an image that is not a base64 data URI"
        elif (problem := _image_problem(url, content)) is not None:
            yield f"$.messages have an image {problem}"


def _image_problem(url: str, content: bytes) -> str | None:
    """Return what is wrong with an image, if anything."""
    # Protocol notes: chat §9.2.
    if len(content) > MAX_IMAGE_BYTES:
        return f"of more than {MAX_IMAGE_BYTES} bytes"
    if not content.startswith(_SIGNATURES):
        return "that is neither PNG nor JPEG"
    size = size_of(url)
    if size is None:
        return "that is unreadable"
    return f"of {size[0]} x {size[1]} pixels; the longest side may have {MAX_SIDE}" if max(size) > MAX_SIDE else None
