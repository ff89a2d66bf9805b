"""Decoding of server-sent events, and the readers of the event streams of runs and workflows.

A reader turns blocks into events, drops repetitions, and notices the end. It also builds the request that continues
the stream after the last event.
"""

# Run events: chat §12.4. Workflow frames: workflows §3, §6.

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from attrs import frozen

from sogni.core.checks import event_id, json_or_text, path_segment, text
from sogni.core.http import HttpCall
from sogni.errors import ProtocolError
from sogni.models.converter import read
from sogni.models.runs import RUN_ENDS, ChatRunEvent
from sogni.models.workflows import WORKFLOW_ENDS, WorkflowSseEvent
from sogni.settings import MAX_MESSAGE_SIZE

_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
"""The end of a line and an empty line. Atomic groups keep a carriage return and its line feed together."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_MAX_BLANK_LINE = 4
"""Maximum length of a match of `_BLANK_LINE` in bytes."""


class SseDecoder:
    """Splits the bytes of an event stream into blocks; the result does not depend on how the bytes were split.

    Blocks are strings without surrounding whitespace.
    """

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE) -> None:
        self._max_size = max_size
        self._rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the blocks that these bytes complete. Raises `ProtocolError` if a block is too long."""
        rest = self._rest
        rest += data
        begin, blocks = 0, []
        for end in _BLANK_LINE.finditer(rest, self._searched):
            blocks.append(rest[begin : end.start()])
            begin = end.end()
        if begin:
            del rest[:begin]
        if len(rest) > self._max_size:
            self._rest = bytearray()
            raise ProtocolError(f"an event must have at most {self._max_size} bytes, got {len(rest)}")
        self._searched = max(0, len(rest) - _MAX_BLANK_LINE)
        return _decoded(blocks)

    def end(self) -> list[str]:
        """Return the rest at the end of the stream, at most one block."""
        rest, self._rest, self._searched = self._rest, bytearray(), 0
        return _decoded([rest])


def _decoded(blocks: list[bytearray]) -> list[str]:
    # By block, because the end of a block never splits a character.
    decoded = (block.decode("utf-8", "replace").strip("\ufeff \t\r\n") for block in blocks)
    return [block for block in decoded if block]


def blocks_of(text: str) -> list[str]:
    """Return the blocks of a complete stream."""
    decoder = SseDecoder(max_size=4 * len(text))
    return decoder.feed(text.encode("utf-8", "surrogatepass")) + decoder.end()


@frozen
class Fields:
    """The fields of a block; `id` is None if the block has none."""

    event: str
    data: str
    id: str | None


def fields_of(block: str) -> Fields | None:
    """Return the fields of a block; None if it consists of comments (keep-alives)."""
    event, data, last_id, only_comments = "", [], None, True
    for line in _LINE_END.split(block):
        if line.startswith(":"):
            continue
        only_comments = False
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = value
    return None if only_comments else Fields(event, "\n".join(data), last_id)


# Readers


T = TypeVar("T")

STREAM_HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
"""Uncompressed, because a compressed event might wait in a buffer for the next one."""
_MAX_KNOWN = 10_000
"""How many ids of events are remembered to recognize repetitions."""
_MAX_DIGITS = 18
_RUN_END = re.compile(r"run_(completed|partial_failure|failed|cancell?ed)")
_WORKFLOW_ENDS = frozenset({"completed", "failed", "cancelled"})
"""Statuses that end a stream. After `partial_failure`, the service ends it."""


class EventReader(ABC, Generic[T]):
    """The state of an event stream.

    `position` is the id of the last event, `status` the last status of the run or workflow. `finished` is true after
    the final event.
    """

    what: str
    """Name of the stream in messages."""
    keeps_credentials = False

    def __init__(self, position: str | None) -> None:
        self.position = position
        self.status: str | None = None
        self.finished = False
        self._known: OrderedDict[str, set[int]] = OrderedDict({position: set()} if position else {})
        """Ids that have been read, each with the hashes of its blocks on the current connection."""
        self._start = -math.inf if (number := _number(position)) is None else number

    @property
    @abstractmethod
    def may_finish(self) -> bool:
        """Whether a stream that ends now is complete."""

    def begin_connection(self) -> None:
        """Treat all events with a known id as repetitions from now on."""
        for blocks in self._known.values():
            blocks.clear()

    @abstractmethod
    def call(self) -> HttpCall:
        """Return the request that continues after the last event."""

    def read(self, block: str) -> T | None:
        """Return the event in a block; None if there is none, or if it is a repetition."""
        fields = fields_of(block)
        return None if fields is None else self._event(block, fields)

    def read_rest(self, block: str) -> T | None:
        """Return the event in the rest of a stream; None if the block was cut off, because it will be repeated."""
        fields = fields_of(block)
        if fields is None or not fields.data.strip() or _is_cut(fields.data):
            return None
        return self._event(block, fields)

    @abstractmethod
    def _event(self, block: str, fields: Fields) -> T | None: ...

    def _is_new(self, event: str | None, block: str) -> bool:
        """Whether an event has not been read before; its id is remembered.

        Within a connection, different blocks with the same id are different events.
        """
        if not event:
            return True
        number, content = _number(event), hash(block)
        if number is not None and number <= self._start:
            return False
        if (blocks := self._known.get(event)) is not None:
            different = bool(blocks) and content not in blocks
            if different:
                blocks.add(content)
            return different
        self.position = event
        self._known[event] = {content}
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return True


def _number(event: str | None) -> int | None:
    return int(event) if event and len(event) <= _MAX_DIGITS and event.isascii() and event.isdecimal() else None


def _is_cut(data: str) -> bool:
    return data.lstrip()[:1] in tuple('{["') and isinstance(json_or_text(data), str)


class SequencedEvent(Protocol):
    """An event of a run."""

    @property
    def sequence(self) -> int | None:
        """Number of the event."""

    @property
    def type(self) -> str:
        """Type of the event."""


E = TypeVar("E", bound=SequencedEvent)


class SequencedReader(EventReader[E]):
    """Reads the events of a run, which are identified by their `sequence`."""

    def __init__(self, kind: type[E], path: str, what: str, last_event_id: Any = None) -> None:
        super().__init__(event_id("last_event_id", last_event_id))
        self._kind = kind
        self._path = path
        self.what: str = what

    @property
    def may_finish(self) -> bool:
        """Whether the run has ended, by its last status."""
        return self.status in RUN_ENDS

    def call(self) -> HttpCall:
        """Return the request that continues after the last event."""
        last = {} if self.position is None else {"Last-Event-ID": self.position}
        return HttpCall(method="GET", path=self._path, headers={**STREAM_HEADERS, **last}, repeatable=True)

    def _event(self, block: str, fields: Fields) -> E | None:
        data = json_or_text(fields.data)
        if not isinstance(data, Mapping):
            return None
        if fields.event.strip() == "run_status":
            self.status = _status(data)
            return None
        event = read(self._kind, data, self.what)
        by_id = event.sequence is None
        if not self._is_new(fields.id if by_id else str(event.sequence), block if by_id else ""):
            return None
        self.status = _status_of(event) or self.status
        self.finished: bool = _RUN_END.fullmatch(event.type) is not None
        return event


class RunEventReader(SequencedReader[ChatRunEvent]):
    """Reads the events of a chat run."""

    keeps_credentials = True

    def __init__(self, run_id: Any, last_event_id: Any = None) -> None:
        path = f"/v1/chat/runs/{path_segment('run_id', run_id)}/events/stream"
        super().__init__(ChatRunEvent, path, f"the events of chat run {run_id}", last_event_id)


def _status_of(event: SequencedEvent) -> str | None:
    """Return the status of a run that the type of an event implies."""
    if event.type in ("run_waiting_for_user", "run_waiting", "run_awaiting_cost_confirmation"):
        return "waiting_for_user"
    end = _RUN_END.fullmatch(event.type)
    if end is None:
        return None
    return "cancelled" if end[1] == "canceled" else end[1]


class WorkflowFrameReader(EventReader[WorkflowSseEvent]):
    """Reads the frames of a workflow, which are identified by their `id`."""

    def __init__(self, workflow_id: Any, after: Any = None, last_event_id: Any = None) -> None:
        self._after = event_id("after", after)
        last = event_id("last_event_id", last_event_id)
        super().__init__(self._after if last is None else last)
        self._last_event_id = last
        self._path = f"/v1/creative-agent/workflows/{path_segment('workflow_id', workflow_id)}/events/stream"
        self.what: str = f"the events of workflow {workflow_id}"
        self._progressed = False

    @property
    def may_finish(self) -> bool:
        """Whether the workflow has ended, by its last status."""
        return self.status in WORKFLOW_ENDS

    def call(self) -> HttpCall:
        """Return the request that continues after the last frame."""
        # `last_event_id` is sent in the header and in the query, `after` in the query only: workflows §6.
        last = self.position if self._progressed else self._last_event_id
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
    """Parse the frames in a part of the event stream of a workflow.

    A keep-alive, a block of comments, is a frame with the event ``"message"`` and no data.

    Args:
        chunk: Complete frames.

    Returns:
        The frames, in order.

    Raises:
        ValidationError: `chunk` is not a string.

    Example:
        >>> from sogni import parse_creative_workflow_sse_chunk
        >>> text = 'id: 12\\nevent: workflow_status\\ndata: {"status":"running"}\\n\\n'
        >>> [frame] = parse_creative_workflow_sse_chunk(text)
        >>> frame.id, frame.event, frame.data
        ('12', 'workflow_status', {'status': 'running'})
    """
    # Keep-alives: workflows §6.1.
    blocks = blocks_of(text("chunk", chunk))
    return [_frame(block, fields_of(block) or Fields("", "", None)) for block in blocks]
