# Generated from sogni_async/api/streams.py by tools/unasync.py. Do not edit.
"""`ChatStream`: an answer read while it arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

from sogni.core.chat import flows as chat
from sogni.core.chat.state import ChatState
from sogni.core.chat.tool_rounds import ToolRounds
from sogni.core.flow import Flow
from sogni.core.workflows.event_feed import EventFeed, next_event
from sogni.display import live_text_in_notebook, stream_html
from sogni.live import Live
from sogni.models.chat import ChatCompletionChunk, ChatCompletionResult, ChatCost
from sogni.models.tools import ToolCall
from sogni.settings import check_seconds
from sogni.transport.engine import Engine
from sogni.transport.waiting import Lock


class ChatStream(Live):
    """An answer that arrives in chunks; iterate over it, once.

    A context manager: leaving it early stops listening, while the service finishes and bills. Chunks
    that arrived before an error are delivered before it is raised. With `auto_execute_tools` the chunks of every
    round follow each other; between two rounds the tools run, and the properties are those of the round under way.
    """

    def __init__(
        self, engine: Engine, state: ChatState, rounds: ToolRounds | None = None, timeout: float | None = None
    ) -> None:
        self._engine = engine
        self._timeout = timeout
        self._only = state
        self._rounds = rounds
        self._taken: deque[ChatCompletionChunk] = deque()

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        return self

    def __next__(self) -> ChatCompletionChunk:
        """The next chunk. ChatError when the job failed, SogniTimeoutError when nothing comes for too long."""
        while not self._taken:
            chunks = self._host().run(self._chunks())
            if not chunks:
                raise StopIteration
            self._taken.extend(chunks)
        return self._taken.popleft()

    def _host(self) -> Engine:
        """The engine. ClientClosedError if nothing of an unfinished answer can arrive here any more."""
        if not self.finished:
            self._engine.own(self._state, "ask again")
        return self._engine

    def _chunks(self) -> Flow[list[ChatCompletionChunk]]:
        rounds, timeout = self._rounds, self._timeout
        return chat.next_chunks(self._only, timeout) if rounds is None else rounds.next_chunks(timeout)

    def _whole(self, timeout: float | None) -> Flow[ChatCompletionResult]:
        rounds = self._rounds
        return chat.whole_answer(self._only, timeout) if rounds is None else rounds.whole_answer(timeout)

    @property
    def _answer(self) -> ChatState | ToolRounds:
        """What the whole answer is of: one job, or all rounds."""
        return self._only if self._rounds is None else self._rounds

    @property
    def _state(self) -> ChatState:
        return self._only if self._rounds is None else self._rounds.state

    @property
    def job_id(self) -> str:
        """The id of the chat job."""
        return self._state.id

    @property
    def finished(self) -> bool:
        """Whether nothing more comes: the answer is whole, has failed, or was left."""
        rounds = self._rounds
        if rounds is None:
            return self._only.done
        return rounds.left or rounds.final_result is not None or self._state.failure is not None

    @property
    def content(self) -> str:
        """All text so far."""
        return self._state.text()

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls collected so far."""
        return self._state.tool_calls

    @property
    def worker_name(self) -> str | None:
        """The worker that answers."""
        return self._state.worker_name

    @property
    def cost(self) -> ChatCost | None:
        """What the answer cost, once it is known."""
        return self._state.cost

    @property
    def final_result(self) -> ChatCompletionResult | None:
        """The whole answer; None while it arrives and after a failure."""
        return self._state.final_result if self._rounds is None else self._rounds.final_result

    def result(self, timeout: float | None = None) -> ChatCompletionResult:
        """Wait for the whole answer. Raises `ChatError`, or `SogniTimeoutError` after `timeout` seconds."""
        return self._host().run(self._whole(check_seconds("timeout", timeout)))

    def close(self) -> None:
        """Stop listening; the service finishes and bills."""
        self._taken.clear()
        if self._rounds is not None:
            self._rounds.left = True
        if not self._state.done:
            self._engine.changed(lambda _, now: self._state.leave())

    def __enter__(self) -> ChatStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ipython_display_(self) -> None:
        self._engine.state.listen()
        live_text_in_notebook(self, self._engine.state.chats.listeners)

    def _repr_html_(self) -> str:
        return stream_html(self)

    def __repr__(self) -> str:
        return f"<ChatStream {self._state.id} {'done' if self._state.done else 'running'}>"


# `EventStream`: what happens to a run or a workflow, read while it happens.


T = TypeVar("T")


class EventStream(Live, Generic[T]):
    """An iterator over events; leave it early by `close`, or by using it in `with`.

    The connection is opened with the first event that is asked for, and again, where it broke off, whenever it is
    lost: every event comes once. Leaving, or dropping, the iterator closes the connection; what the service does
    goes on. Raises an `ApiError` when the service refuses, `SogniConnectionError` when it cannot be reached for a
    long time.
    """

    def __init__(self, engine: Engine, feed: EventFeed[T]) -> None:
        self._engine = engine
        self._feed = feed
        self._turn = Lock()
        self._state: Any = None
        """The state of the client when reading began: another one in another event loop or a forked process."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """The next event."""
        self._own()
        with self._turn:
            flow = next_event(self._feed)
            event = self._engine.run(flow)
        if event is None:
            raise StopIteration
        return event

    def _own(self) -> None:
        """Check that the connection belongs here. Events that arrived before its end can be taken anywhere."""
        if self._feed.over:
            return
        if self._state is None:
            self._state = self._engine.state
        self._engine.own(self._state, "open another stream with last_event_id, it goes on from there")

    @property
    def last_event_id(self) -> str | None:
        """The `last_event_id` with which another stream begins behind the last event that came; None before any."""
        return self._feed.position

    @property
    def closed(self) -> bool:
        """Whether no more is read; events that had arrived before the end can still be taken."""
        return self._feed.over

    def close(self) -> None:
        """Close the connection, also while somebody waits for an event; repeatable."""
        self._feed.ready.clear()
        self._feed.close()

    def __enter__(self) -> EventStream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<EventStream of {self._feed.reader.what}{' closed' if self.closed else ''}>"
