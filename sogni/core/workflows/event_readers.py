"""Server-sent events: decides where a block begins and ends, and what its lines say.

Called by the readers of run events and workflow frames, and by whoever feeds them bytes. The same bytes give the
same blocks however they are split. It knows no event of the service and opens nothing.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from attrs import frozen

from sogni.core.checks import event_id, json_or_text, path_segment, text
from sogni.core.http import HttpCall
from sogni.errors import ProtocolError
from sogni.models.converter import read
from sogni.models.runs import RUN_ENDS, ChatRunEvent
from sogni.models.workflows import WORKFLOW_ENDS, WorkflowSseEvent
from sogni.settings import MAX_MESSAGE_SIZE

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


# The two event streams of the service: decides what a block means, which are repetitions, and when it is over.
#
# Fed block by block by `flows.event_feed`, which opens a stream again with `call` where it broke off. Run events:
# chat §12.4; workflow frames: workflows §6. It opens nothing.


T = TypeVar("T")

STREAM_HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
"""Compressed, an event might wait in a buffer for the next one."""
_MOST_REMEMBERED = 10_000
"""Ids of events that are known, so that repetitions are noticed."""
_LONGEST_NUMBER = 18
_RUN_END = re.compile(r"run_(completed|partial_failure|failed|cancell?ed)")
_WORKFLOW_ENDS = frozenset({"completed", "failed", "cancelled"})
"""What ends the iteration; `partial_failure` only lets the service end it (workflows §3)."""


class EventReader(ABC, Generic[T]):
    """What was read of one stream.

    `finished`: the last event was the end. `may_finish`: it may be, so that a stream which ends now has ended.
    `status` is the last one told.
    """

    what: str
    keeps_credentials = False

    def __init__(self, position: str | None) -> None:
        self.position = position
        self.status: str | None = None
        self.finished = False
        self._known: OrderedDict[str, set[int]] = OrderedDict({position: set()} if position else {})
        """Ids that were read, each with the hashes of the blocks that had it on this connection."""
        self._read_before = -math.inf if (number := _number(position)) is None else number

    @property
    @abstractmethod
    def may_finish(self) -> bool:
        """Whether nothing more is to be expected."""

    def begins(self) -> None:
        """A connection begins; what has a known id now is a repetition."""
        for blocks in self._known.values():
            blocks.clear()

    @abstractmethod
    def call(self) -> HttpCall:
        """The request for what comes after the last event that was read."""

    def read(self, block: str) -> T | None:
        """The event in a block; None for what is none, and for one that is known."""
        fields = fields_of(block)
        return None if fields is None else self._event(block, fields)

    def read_rest(self, block: str) -> T | None:
        """The event in what a stream ended with, unless it was cut off in the middle: then it comes again."""
        fields = fields_of(block)
        if fields is None or not fields.data.strip() or _is_cut(fields.data):
            return None
        return self._event(block, fields)

    @abstractmethod
    def _event(self, block: str, fields: Fields) -> T | None: ...

    def _is_new(self, event: str | None, block: str) -> bool:
        """Whether an event was not read before; from now on it was.

        On one connection several blocks may have one id, as long as they do not say the same.
        """
        if not event:
            return True
        number, words = _number(event), hash(block)
        if number is not None and number <= self._read_before:
            return False
        if (blocks := self._known.get(event)) is not None:
            another = bool(blocks) and words not in blocks
            if another:
                blocks.add(words)
            return another
        self.position = event
        self._known[event] = {words}
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return True


def _number(event: str | None) -> int | None:
    return int(event) if event and len(event) <= _LONGEST_NUMBER and event.isascii() and event.isdecimal() else None


def _is_cut(data: str) -> bool:
    return data.lstrip()[:1] in tuple('{["') and isinstance(json_or_text(data), str)


class RunEventReader(EventReader[ChatRunEvent]):
    """Reads the events of a durable chat run; known by their `sequence`."""

    keeps_credentials = True

    def __init__(self, run_id: Any, last_event_id: Any = None) -> None:
        super().__init__(event_id("last_event_id", last_event_id))
        self._path = f"/v1/chat/runs/{path_segment('run_id', run_id)}/events/stream"
        self.what: str = f"the events of chat run {run_id}"

    @property
    def may_finish(self) -> bool:
        """Whether the run has ended, by its last snapshot."""
        return self.status in RUN_ENDS

    def call(self) -> HttpCall:
        """Ask for the events after the last one (chat §12.4)."""
        resumed = {} if self.position is None else {"Last-Event-ID": self.position}
        return HttpCall(method="GET", path=self._path, headers={**STREAM_HEADERS, **resumed}, repeatable=True)

    def _event(self, block: str, fields: Fields) -> ChatRunEvent | None:
        data = json_or_text(fields.data)
        if not isinstance(data, Mapping):
            return None
        if fields.event.strip() == "run_status":
            self.status = _status(data)
            return None
        event = read(ChatRunEvent, data, self.what)
        by_id = event.sequence is None
        if not self._is_new(fields.id if by_id else str(event.sequence), block if by_id else ""):
            return None
        ending = _RUN_END.fullmatch(event.type)
        self.status = _told(event) or self.status
        self.finished: bool = ending is not None
        return event


def _told(event: ChatRunEvent) -> str | None:
    """The status an event tells of, by its type (chat §12.4)."""
    if event.type in ("run_waiting_for_user", "run_awaiting_cost_confirmation"):
        return "waiting_for_user"
    ending = _RUN_END.fullmatch(event.type)
    if ending is None:
        return None
    return "cancelled" if ending[1] == "canceled" else ending[1]


class WorkflowFrameReader(EventReader[WorkflowSseEvent]):
    """Reads the frames of a workflow; known by their `id`."""

    def __init__(self, workflow_id: Any, after: Any = None, last_event_id: Any = None) -> None:
        self._after = event_id("after", after)
        last = event_id("last_event_id", last_event_id)
        super().__init__(self._after if last is None else last)
        self._begun_with = last
        self._path = f"/v1/creative-agent/workflows/{path_segment('workflow_id', workflow_id)}/events/stream"
        self.what: str = f"the events of workflow {workflow_id}"
        self._progressed = False

    @property
    def may_finish(self) -> bool:
        """Whether the last status is an end, `partial_failure` included."""
        return self.status in WORKFLOW_ENDS

    def call(self) -> HttpCall:
        """Ask for the frames after the last one: in the query, and once there was one in the header, too (§6)."""
        last = self.position if self._progressed else self._begun_with
        after = self.position if self._progressed or self._after is None else self._after
        headers = STREAM_HEADERS if last is None else {**STREAM_HEADERS, "Last-Event-ID": last}
        query = () if after is None else (("after", after),)
        return HttpCall(method="GET", path=self._path, headers=headers, query=query, repeatable=True)

    def _event(self, block: str, fields: Fields) -> WorkflowSseEvent | None:
        if not self._is_new(fields.id, block):
            return None
        self._progressed = self._progressed or bool(fields.id)
        frame = _frame(block, fields)
        self.status: str | None = frame.status or self.status
        self.finished: bool = frame.status in _WORKFLOW_ENDS
        return frame


def _status(data: Mapping[str, Any]) -> str | None:
    status = data.get("status")
    return status if isinstance(status, str) else None


def _frame(block: str, fields: Fields) -> WorkflowSseEvent:
    data = json_or_text(fields.data) if fields.data else None
    return WorkflowSseEvent(event=fields.event or "message", data=data, raw=block, id=fields.id)


def parse_creative_workflow_sse_chunk(chunk: str) -> list[WorkflowSseEvent]:
    """Read the frames in a text of an event stream (workflows §6.1).

    A block of comments (a keep-alive) is a frame, too, with the event `message` and no data.

    >>> from sogni import parse_creative_workflow_sse_chunk
    >>> text = 'id: 12\\nevent: workflow_status\\ndata: {"status":"running"}\\n\\n'
    >>> [frame] = parse_creative_workflow_sse_chunk(text)
    >>> frame.id, frame.event, frame.data
    ('12', 'workflow_status', {'status': 'running'})
    """
    blocks = blocks_of(text("chunk", chunk))
    return [_frame(block, fields_of(block) or Fields("", "", None)) for block in blocks]
