"""Server-sent events: decides where a block begins and ends, and what its lines say.

Called by the readers of run events and workflow frames, and by whoever feeds them bytes. The same bytes give the
same blocks however they are split. It knows no event of the service and opens nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from attrs import frozen

from ..errors import ProtocolError
from ..settings import MAX_MESSAGE_SIZE

_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
"""The end of one line and an empty one after it; a carriage return and its line feed are never taken apart."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_LONGEST_BLANK = 4
"""Bytes of `_BLANK_LINE` at most."""


class SseDecoder:
    """Cuts the bytes of an event stream into blocks, each a text without the empty lines around it."""

    def __init__(self, most: int = MAX_MESSAGE_SIZE) -> None:
        self._most = most
        self._rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[str]:
        """The blocks that these bytes complete. ProtocolError when one grows beyond every measure."""
        rest = self._rest
        rest += data
        begin, blocks = 0, []
        for end in _BLANK_LINE.finditer(rest, self._searched):
            blocks.append(rest[begin : end.start()])
            begin = end.end()
        if begin:
            del rest[:begin]
        if len(rest) > self._most:
            self._rest = bytearray()
            raise ProtocolError(f"an event of more than {self._most} bytes")
        self._searched = max(0, len(rest) - _LONGEST_BLANK)
        return _texts(blocks)

    def end(self) -> list[str]:
        """What is left when the stream has ended: at most one block."""
        rest, self._rest, self._searched = self._rest, bytearray(), 0
        return _texts([rest])


def _texts(blocks: list[bytearray]) -> list[str]:
    # Decoded block by block: a character of several bytes is never split by the end of a block.
    texts = (block.decode("utf-8", "replace").strip("\ufeff \t\r\n") for block in blocks)
    return [text for text in texts if text]


def blocks_of(text: str) -> list[str]:
    """The blocks of a whole text."""
    decoder = SseDecoder(most=4 * len(text))
    return decoder.feed(text.encode("utf-8", "surrogatepass")) + decoder.end()


@frozen
class Fields:
    """What the lines of a block say; `id` is None when none says it."""

    event: str
    data: str
    id: str | None


def fields_of(block: str) -> Fields | None:
    """Read the lines of a block; None when all of them are comments (keep-alives)."""
    event, data, last_id, said = "", [], None, False
    for line in _LINE_END.split(block):
        if line.startswith(":"):
            continue
        said = True
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = value
    return Fields(event, "\n".join(data), last_id) if said else None


def json_or_text(text: str) -> Any:
    """The JSON value a text stands for, else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
