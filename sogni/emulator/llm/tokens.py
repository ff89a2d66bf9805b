"""How many tokens a text, a message or an image is, and where a text may be cut.

Called by the generation of answers, the check of requests and the bills: the same text always counts the same.
The words are the emulator's own; no model's vocabulary is used.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .pictures import size_of

PER_MESSAGE = 4
PER_REQUEST = 3
PATCH = 28
UNREADABLE_IMAGE = 256
_TOKEN = re.compile(r" ?[^\W\d_]{1,8}| ?\d{1,3}| ?[^\w\s]|\s+|\w")


def split(text: str) -> list[str]:
    """Cut a text into tokens, which joined are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    return len(split(text))


def of_image(url: str) -> int:
    """An image costs a token per patch of 28 by 28 pixels."""
    size = size_of(url)
    return UNREADABLE_IMAGE if size is None else math.ceil(size[0] / PATCH) * math.ceil(size[1] / PATCH)


def of_request(messages: Iterable[Mapping[str, Any]], tools: Iterable[Any] = ()) -> int:
    """Count what a model reads: every message, its images, and the tools on offer."""
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


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
