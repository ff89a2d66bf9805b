"""The two event streams of the service: decides what a block means, which are repetitions, and when it is over.

Fed block by block by `flows.event_feed`, which opens a stream again with `call` where it broke off. Run events:
chat §12.4; workflow frames: workflows §6. It opens nothing.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from ..models.converter import read
from ..models.runs import RUN_ENDS, ChatRunEvent
from ..models.workflows import WORKFLOW_ENDS, WorkflowSseEvent
from .field_checks import text
from .http import HttpCall
from .resource_ids import event_id, path_segment
from .sse import Fields, blocks_of, fields_of, json_or_text

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
        self.what = f"the events of chat run {run_id}"

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
        self.finished = ending is not None
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
        self.what = f"the events of workflow {workflow_id}"
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
        self.status = frame.status or self.status
        self.finished = frame.status in _WORKFLOW_ENDS
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
