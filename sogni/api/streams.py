# Generated from sogni_async/api/streams.py by tools/unasync.py. Do not edit.
"""Streams: the chunks of an answer, and the events of a run or a workflow."""

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
from sogni.keywords import suggest_keywords
from sogni.live import Live
from sogni.models.chat import ChatCompletionChunk, ChatCompletionResult, ChatCost
from sogni.models.tools import ToolCall
from sogni.settings import check_seconds
from sogni.transport.engine import Engine
from sogni.transport.waiting import Lock


@suggest_keywords
class ChatStream(Live):
    """An answer that arrives in chunks. It can be iterated once.

    It is a context manager. Leaving it early stops the chunks, but the service finishes the answer and charges for it.
    Chunks that arrived before an error are delivered before it is raised. With `auto_execute_tools`, the chunks of all
    rounds follow each other. The tools run between two rounds, and the properties are those of the current round.

    Iterating raises `ChatError` if the request failed, and `SogniTimeoutError` if no chunk arrives in time.

    Example:
        >>> stream = client.chat.completions.create(
        ...     messages=[{"role": "user", "content": "What is 6 times 7?"}], stream=True
        ... )
        >>> "".join([chunk.content for chunk in stream])
        'You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.'
    """

    def __init__(
        self, engine: Engine, state: ChatState, rounds: ToolRounds | None = None, timeout: float | None = None
    ) -> None:
        self._engine = engine
        self._timeout = timeout
        self._job = state
        self._rounds = rounds
        self._received: deque[ChatCompletionChunk] = deque()

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        return self

    def __next__(self) -> ChatCompletionChunk:
        """Return the next chunk."""
        while not self._received:
            chunks = self._host().run(self._chunks())
            if not chunks:
                raise StopIteration
            self._received.extend(chunks)
        return self._received.popleft()

    def _host(self) -> Engine:
        """Return the engine. Raises `ClientClosedError` if the rest of the answer cannot arrive in this process."""
        if not self.finished:
            self._engine.check_owner(self._state, "send the request again")
        return self._engine

    def _chunks(self) -> Flow[list[ChatCompletionChunk]]:
        rounds, timeout = self._rounds, self._timeout
        return chat.next_chunks(self._job, timeout) if rounds is None else rounds.next_chunks(timeout)

    def _complete(self, timeout: float | None) -> Flow[ChatCompletionResult]:
        rounds = self._rounds
        return chat.complete_answer(self._job, timeout) if rounds is None else rounds.complete_answer(timeout)

    @property
    def _answer(self) -> ChatState | ToolRounds:
        """The source of the complete answer: one job, or all rounds."""
        return self._job if self._rounds is None else self._rounds

    @property
    def _state(self) -> ChatState:
        return self._job if self._rounds is None else self._rounds.state

    @property
    def job_id(self) -> str:
        """ID of the request."""
        return self._state.id

    @property
    def finished(self) -> bool:
        """True once no more chunks will arrive: the answer is complete or has failed, or the stream is closed."""
        rounds = self._rounds
        if rounds is None:
            return self._job.done
        return rounds.abandoned or rounds.final_result is not None or self._state.failure is not None

    @property
    def content(self) -> str:
        """The text received so far."""
        return self._state.text()

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls received so far."""
        return self._state.tool_calls

    @property
    def worker_name(self) -> str | None:
        """Name of the worker that answers; None until it is known."""
        return self._state.worker_name

    @property
    def cost(self) -> ChatCost | None:
        """Cost of the answer; None until it is known."""
        return self._state.cost

    @property
    def final_result(self) -> ChatCompletionResult | None:
        """The complete answer; None until it has arrived, and after an error."""
        return self._state.final_result if self._rounds is None else self._rounds.final_result

    def result(self, timeout: float | None = None) -> ChatCompletionResult:
        """Wait for the complete answer. Chunks can still be iterated afterwards.

        Args:
            timeout: Seconds to wait; None for no limit.

        Returns:
            The complete answer.

        Raises:
            ChatError: The request failed.
            SogniTimeoutError: The answer did not arrive in time.

        Example:
            >>> stream = client.chat.completions.create(
            ...     messages=[{"role": "user", "content": "What is 6 times 7?"}], stream=True
            ... )
            >>> stream.result(timeout=30).content
            'You said: “What is 6 times 7?”. I am the Sogni emulator, not a language model.'
        """
        return self._host().run(self._complete(check_seconds("timeout", timeout)))

    def close(self) -> None:
        """Stop receiving chunks. The service finishes the answer and charges for it.

        Example:
            >>> question = {"role": "user", "content": "What is 6 times 7?"}
            >>> stream = client.chat.completions.create(messages=[question], stream=True)
            >>> stream.close()
        """
        self._received.clear()
        if self._rounds is not None:
            self._rounds.abandoned = True
        if not self._state.done:
            self._engine.changed(lambda _, now: self._state.leave())

    def __enter__(self) -> ChatStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ipython_display_(self) -> None:
        from sogni.display import show_stream_in_notebook

        self._engine.state.listen()
        show_stream_in_notebook(self, self._engine.state.chats.listeners)

    def _repr_html_(self) -> str:
        from sogni.display import stream_html

        return stream_html(self)

    def __repr__(self) -> str:
        return f"<ChatStream {self._state.id} {'done' if self._state.done else 'running'}>"


T = TypeVar("T")


@suggest_keywords
class EventStream(Live, Generic[T]):
    """The events of a run or a workflow, as an iterator. Use `close` or `with` to leave it early.

    The connection is opened when the first event is requested. Lost connections are re-established, and every event is
    delivered once. Closing or dropping the iterator closes the connection, but does not affect the run.

    Iterating raises an `ApiError` if the service refuses the stream, and `SogniConnectionError` if the service cannot
    be reached for a long time.

    Example:
        >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
        >>> with client.chat.runs.stream_events(run.run_id) as events:
        ...     types = [event.type for event in events]
        >>> types[-1]
        'run_completed'
    """

    def __init__(self, engine: Engine, feed: EventFeed[T]) -> None:
        self._engine = engine
        self._feed = feed
        self._lock = Lock()
        self._state: Any = None
        """State of the client when iteration began. Another event loop or a forked process has a different one."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Return the next event."""
        self._check_owner()
        with self._lock:
            flow = next_event(self._feed)
            event = self._engine.run(flow)
        if event is None:
            raise StopIteration
        return event

    def _check_owner(self) -> None:
        """Check that the connection is usable here. Events that have already arrived can be delivered anywhere."""
        if self._feed.closed:
            return
        if self._state is None:
            self._state = self._engine.state
        self._engine.check_owner(self._state, "open another stream with last_event_id to continue from there")

    @property
    def last_event_id(self) -> str | None:
        """The `last_event_id` that makes another stream start after the last delivered event; None before the first."""
        return self._feed.position

    @property
    def closed(self) -> bool:
        """True once no more events will be received. Those that have already arrived can still be iterated."""
        return self._feed.closed

    def close(self) -> None:
        """Close the connection, even while another thread or task waits for an event. May be called repeatedly.

        Example:
            >>> run = client.chat.runs.create(messages=[{"role": "user", "content": "Say one word"}])
            >>> events = client.chat.runs.stream_events(run.run_id)
            >>> events.close()
        """
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
