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

from sogni.emulator.fields import Fields, type_name

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


ROLES = ("system", "developer", "user", "assistant", "tool")
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
    return [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]


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


def check_messages(request: Fields, *, vision_only_inline: bool = True) -> list[dict[str, object]]:
    """Read ``messages``; problems are added to the findings."""
    given = request.raw("messages")
    if not isinstance(given, list) or not given:
        received_value = "an empty list" if given == [] else type_name(given)
        request.refuse("messages", f"must be a list with at least one message, got {received_value}")
        return []
    checked = []
    for at, message in enumerate(given):
        read = request.object("messages", message, f"[{at}]")
        if read is not None:
            _check_message(read)
            checked.append(message)
    _check_tool_turns(request, checked)
    if not request.findings:
        _check_images(request, checked, vision_only_inline)
    return checked


def _check_message(message: Fields) -> None:
    role = message.text("role", required=True, allowed=ROLES)
    content = message.raw("content")
    calls = message.raw("tool_calls")
    if isinstance(content, list):
        for at, part in enumerate(content):
            _check_part(message, part, at)
    elif content is None:
        if role != "assistant" or not calls:
            message.refuse("content", "may only be null in an assistant message with tool_calls")
    elif not isinstance(content, str):
        message.refuse("content", f"must be a string, a list of parts or null, got {type_name(content)}")
    if calls is not None:
        _check_calls(message, calls)
    if role == "tool":
        message.text("tool_call_id", required=True)


def _check_part(message: Fields, part: object, at: int) -> None:
    read = message.object("content", part, f"[{at}]")
    kind = None if read is None else read.text("type", required=True, allowed=("text", "image_url"))
    if read is None or kind is None:
        return
    if kind == "text":
        read.text("text", required=True)
        return
    image = read.object("image_url", read.raw("image_url"))
    if image is not None:
        image.text("url", required=True)
        image.text("detail", allowed=("auto", "low", "high"))


def _check_calls(message: Fields, calls: object) -> None:
    if not isinstance(calls, list):
        message.refuse("tool_calls", f"must be a list, got {type_name(calls)}")
        return
    for at, call in enumerate(calls):
        read = message.object("tool_calls", call, f"[{at}]")
        if read is None:
            continue
        read.text("id", required=True)
        function = read.object("function", read.raw("function"))
        if function is not None:
            function.text("name", required=True)
            function.text("arguments", required=True)


def _check_tool_turns(request: Fields, messages: Sequence[Message]) -> None:
    """Check that every tool message answers an earlier call."""
    called: set[str] = set()
    for at, message in enumerate(messages):
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                called.add(call["id"])
        answered = message.get("tool_call_id")
        if message.get("role") == "tool" and isinstance(answered, str) and answered not in called:
            request.refuse("messages", f"[{at}] answers the tool call {answered!r}, which does not exist")


def _check_images(request: Fields, messages: Sequence[Message], inline: bool) -> None:
    urls = list(_images(messages))
    if len(urls) > MAX_IMAGES:
        request.refuse("messages", f"have {len(urls)} images; at most {MAX_IMAGES} are allowed")
        return
    for url in urls:
        content = content_of(url)
        if content is None:
            if inline or not url.strip().lower().startswith(("http://", "https://")):
                request.refuse("messages", "have an image that is not a base64 data URI")
        elif (problem := _image_problem(url, content)) is not None:
            request.refuse("messages", f"have an image {problem}")


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


def _images(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        yield from images_of(message)
