"""The conversation a model is given, as the responder reads it, and whether it is one.

Called by the check of requests and by everything that answers. It never changes a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from ..fields import Fields, type_name
from .pictures import content_of, size_of

ROLES = ("system", "developer", "user", "assistant", "tool")
MAX_IMAGES = 20
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_SIDE = 1024
MAX_READ = 6000
"""Characters of a text that the responder looks at."""
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_THINK = re.compile(r"<think>.*?(?:</think>\s*|\Z)", re.DOTALL)

Message = Mapping[str, Any]


def text_of(message: Message) -> str:
    """Return what a message says: its text, or the text of its parts."""
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


def as_read(message: Message) -> Message:
    """Return a message of a user or the instructions as the responder reads it: of a long text only the beginning and
    the end. Its rules try every place of a text against every other."""
    content = message.get("content")
    if message.get("role") not in ("user", "system", "developer"):
        return message
    if isinstance(content, str):
        return {**message, "content": _abridged(content)}
    parts = content if isinstance(content, list) else []
    read = [{**part, "text": _abridged(part["text"])} if part.get("type") == "text" else part for part in parts]
    return {**message, "content": read}


def _abridged(text: str) -> str:
    half = MAX_READ // 2
    return text if len(text) <= MAX_READ else f"{text[:half]} … {text[-half:]}"


def without_thoughts(text: str) -> str:
    """Take the reasoning out of an answer, also one that was cut off (chat §2.4)."""
    return _THINK.sub("", text)


@define
class Conversation:
    """The messages of one request."""

    messages: Sequence[Message]
    _user: list[Message] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._user = [message for message in self.messages if message.get("role") == "user"]

    @property
    def question(self) -> str:
        """The last thing the user said."""
        return text_of(self._user[-1]).strip() if self._user else ""

    @property
    def earlier(self) -> list[str]:
        """What the user said before, oldest first."""
        return [text_of(message).strip() for message in self._user[:-1]]

    @property
    def answers(self) -> list[str]:
        """What the assistant said, oldest first, without its reasoning."""
        said = [text_of(message) for message in self.messages if message.get("role") == "assistant"]
        return [without_thoughts(text).strip() for text in said if text]

    @property
    def instructions(self) -> str:
        said = [text_of(message) for message in self.messages if message.get("role") in ("system", "developer")]
        return "\n".join(said).strip()

    @property
    def images(self) -> list[str]:
        """The images of the last question, or the newest ones before it."""
        for message in reversed(self._user):
            if urls := images_of(message):
                return urls
        return []

    @property
    def new_images(self) -> list[str]:
        """The images that came with the last question."""
        return images_of(self._user[-1]) if self._user else []

    @property
    def tool_results(self) -> list[Message]:
        """The results of tools since the last question, oldest first."""
        return [message for message in self.since_question if message.get("role") == "tool"]

    @property
    def since_question(self) -> Sequence[Message]:
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at].get("role") == "user":
                return self.messages[at + 1 :]
        return self.messages

    @property
    def calls_made(self) -> list[Mapping[str, Any]]:
        """The tool calls since the last question, oldest first."""
        return [call for message in self.since_question for call in message.get("tool_calls") or ()]


def check_messages(request: Fields, *, vision_only_inline: bool = True) -> list[dict[str, Any]]:
    """Read ``messages``; what is wrong with them is refused in the findings."""
    given = request.raw("messages")
    if not isinstance(given, list) or not given:
        told = "an empty one" if given == [] else type_name(given)
        request.refuse("messages", f"must be a list with at least one message, not {told}")
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
            message.refuse("content", "may be null only in an assistant's turn with tool_calls")
    elif not isinstance(content, str):
        message.refuse("content", f"must be a text, a list of parts or null, not {type_name(content)}")
    if calls is not None:
        _check_calls(message, calls)
    if role == "tool":
        message.text("tool_call_id", required=True)


def _check_part(message: Fields, part: Any, at: int) -> None:
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


def _check_calls(message: Fields, calls: Any) -> None:
    if not isinstance(calls, list):
        message.refuse("tool_calls", f"must be a list, not {type_name(calls)}")
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
    """Every tool turn answers a call that was made before it."""
    asked: set[str] = set()
    for at, message in enumerate(messages):
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                asked.add(call["id"])
        answered = message.get("tool_call_id")
        if message.get("role") == "tool" and isinstance(answered, str) and answered not in asked:
            request.refuse("messages", f"[{at}] answers the tool call {answered!r}, which nobody made")


def _check_images(request: Fields, messages: Sequence[Message], inline: bool) -> None:
    urls = list(_images(messages))
    if len(urls) > MAX_IMAGES:
        request.refuse("messages", f"have {len(urls)} images; at most {MAX_IMAGES} are allowed")
        return
    for url in urls:
        content = content_of(url)
        if content is None:
            if inline or not url.strip().lower().startswith(("http://", "https://")):
                request.refuse("messages", "have an image that is no base64 data URI")
        elif (problem := _image_problem(url, content)) is not None:
            request.refuse("messages", f"have an image {problem}")


def _image_problem(url: str, content: bytes) -> str | None:
    """What is wrong with an image (chat §9.2)."""
    if len(content) > MAX_IMAGE_BYTES:
        return f"of more than {MAX_IMAGE_BYTES} bytes"
    if not content.startswith(_SIGNATURES):
        return "that is neither PNG nor JPEG"
    size = size_of(url)
    if size is None:
        return "that cannot be read"
    return f"of {size[0]} x {size[1]} pixels; the longest side may have {MAX_SIDE}" if max(size) > MAX_SIDE else None


def _images(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        yield from images_of(message)
