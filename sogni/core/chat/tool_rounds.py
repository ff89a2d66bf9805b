"""Completions that execute tools: run the model's tool calls and send their results, round after round.

Each round is a separate job. Failed calls are reported to the model; only the limits raise an error.
"""

# Tool rounds: chat §10.

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import evolve

from sogni.core.attribution import check_override
from sogni.core.chat.flows import begin_completion, complete, complete_answer, forget_on_timeout, next_chunks
from sogni.core.chat.images import prepared
from sogni.core.chat.requests import FIELDS, check_names
from sogni.core.chat.state import ChatState
from sogni.core.checks import integer, invalid_value, optional
from sogni.core.flow import Flow, State, change, until
from sogni.core.time_limit import limited
from sogni.core.tools.flows import ToolOptions, available_media, execute_calls
from sogni.core.tools.functions import tools_given
from sogni.core.tools.results import media_in, tool_messages, wants_tools
from sogni.errors import ChatError, ToolLimitError, ValidationError
from sogni.models.chat import ChatCompletionChunk, ChatCompletionResult, ToolFields
from sogni.models.tools import ToolRound

T = TypeVar("T")

DEFAULT_ROUNDS = 5


class ToolRounds:
    """The rounds of one completion; `state` is the job of the current round."""

    def __init__(self, model: str, options: Mapping[str, Any], tooling: Mapping[str, Any]) -> None:
        definitions, functions = tools_given(options.get("tools"))
        self._model = model
        self._options = {**options, "tools": definitions}
        # 0 means the default too: chat §10.
        self._max_rounds = optional(integer, "max_tool_rounds", tooling.get("max_tool_rounds"), low=0) or DEFAULT_ROUNDS
        self._execution = ToolOptions(
            token_type=options.get("token_type"),
            attribution=check_override(options.get("attribution")),
            on_tool_call=tooling.get("on_tool_call"),
            on_tool_progress=tooling.get("on_tool_progress"),
            functions=functions,
            available=available_media(tooling.get("media_context")),
        )
        self._messages: list[Any] = []
        self._stopped: tuple[type[ChatError], str] | None = None
        self.history: list[ToolRound] = []
        self.final_result: ChatCompletionResult | None = None
        self.when_done: Callable[[ChatCompletionResult], None] | None = None
        """Called once, under the state lock, with the answer of the last round."""
        self.state: ChatState
        self._unread: deque[ChatState] = deque()
        """The jobs with unread chunks, in order."""
        self.abandoned = False
        """Whether the caller has stopped reading."""
        self._executing = False
        """Whether a reader executes the tools of a round; others wait for it."""

    def begin(self, messages: Sequence[Any]) -> Flow[ToolRounds]:
        """Send the first request; raises like `begin_completion`."""
        self._messages = yield from prepared(messages)
        self._execution = evolve(self._execution, available=media_in(self._messages, self._execution.available))
        yield from self._send()
        return self

    def next_chunks(self, timeout: float | None = None) -> Flow[list[ChatCompletionChunk]]:
        """Return all chunks that have arrived, of any round; tools run between rounds. Empty at the end."""
        while (state := (yield from self._next_unread(timeout))) is not None:
            chunks = yield from self._with_history(next_chunks(state, timeout))
            if chunks or self.abandoned:
                return chunks
            answer = state.final_result
            assert answer is not None  # a failure was raised
            yield from self._continue_after(state, answer)
            yield from change(partial(self._remove_unread, state))
        return []

    def complete_answer(self, timeout: float | None) -> Flow[ChatCompletionResult]:
        """Return the answer of the last round; `timeout` applies to each answer."""
        while self.final_result is None:
            state = yield from self._current(timeout)
            answer = yield from self._with_history(complete_answer(state, timeout))
            if self.abandoned:
                return self._final(answer)
            yield from self._continue_after(state, answer)
        return self.final_result

    def _next_unread(self, timeout: float | None) -> Flow[ChatState | None]:
        """Return the job whose chunks come next, even if another reader started it; None after the last."""

        def found(_: State) -> tuple[ChatState | None] | None:
            if self._unread or self.abandoned:
                return (self._unread[0] if self._unread else self.state,)
            if self.final_result is not None:
                return (None,)
            self._check_stopped()
            return None

        what = f"the tools that chat job {self.state.id} calls"
        return (yield from until((self,), found, timeout=timeout, phase="run", waiting_for=what))[0]

    def _remove_unread(self, state: ChatState, *_: Any) -> None:
        if self._unread and self._unread[0] is state:
            self._unread.popleft()

    def _current(self, timeout: float | None) -> Flow[ChatState]:
        """Return the job of the current round, once no other reader executes tools; raises what stopped the rounds."""
        yield from until(
            (self,),
            lambda _: True if self.abandoned or not self._executing else None,
            timeout=timeout,
            phase="run",
            waiting_for=f"the tools that chat job {self.state.id} calls",
        )
        self._check_stopped()
        return self.state

    def _check_stopped(self) -> None:
        if self._stopped is not None and not self._executing:
            raise self._error(*self._stopped)

    def _error(self, kind: type[ChatError], message: str) -> ChatError:
        """Return a new error for one reader."""
        error = kind(message, job_id=self.state.id)
        error.tool_history = list(self.history)
        return error

    def _finish(self, result: ChatCompletionResult) -> None:
        self.final_result = result
        if self.when_done is not None:
            self.when_done(result)

    def _final(self, answer: ChatCompletionResult) -> ChatCompletionResult:
        return evolve(answer, tool_history=list(self.history) or None)

    def _send(self) -> Flow[None]:
        self.state = yield from self._with_history(begin_completion(self._model, self._messages, self._options))
        self._unread.append(self.state)

    def _with_history(self, flow: Flow[T]) -> Flow[T]:
        """Run a flow; its ChatError carries the tool history, which has been paid for."""
        try:
            return (yield from flow)
        except ChatError as error:
            error.tool_history = list(self.history)
            raise

    def _continue_after(self, state: ChatState, answer: ChatCompletionResult) -> Flow[None]:
        """Continue after an answer, once, no matter how many readers wait."""
        if not (yield from change(lambda _, __: self._claim(state))):
            return
        failure: Exception | None = None
        try:
            yield from self._continue(answer)
        except Exception as error:
            failure = error
        except BaseException:
            self._release(state)  # direct access: the flow is ending
            raise
        yield from change(lambda _, __: self._release(state))
        if failure is not None:
            raise failure

    def _claim(self, state: ChatState) -> bool:
        """Whether this reader is the one that continues after an answer."""
        self._check_stopped()
        claimed = state is self.state and not self._executing and self.final_result is None
        self._executing = self._executing or claimed
        return claimed

    def _release(self, state: ChatState) -> None:
        self._executing = False
        state.out.wake(self)

    def _continue(self, answer: ChatCompletionResult) -> Flow[None]:
        """Execute the tool calls of an answer and send the next request, or finish."""
        if not wants_tools(answer):
            yield from change(lambda _, __: self._finish(self._final(answer)))
            return
        calls = answer.tool_calls or []
        # Until the next request is sent: reading on after an interruption must not run the tools again.
        self._stopped = (ChatError, "the tools of this round were interrupted and are not executed again")
        try:
            results = yield from execute_calls(calls, self._execution)
        except ValidationError as error:
            self._stopped = (ToolLimitError, error.message)
            raise self._error(*self._stopped) from error
        self.history.append(ToolRound(round=len(self.history), tool_calls=calls, tool_results=results))
        if len(self.history) >= self._max_rounds:
            reason = f"the model still calls tools after {self._max_rounds} rounds"
            self._stopped = (ToolLimitError, f"{reason}; see tool_history, or raise max_tool_rounds")
            raise self._error(*self._stopped)
        self._messages = [*self._messages, *tool_messages(answer, results)]
        if self._options.get("tool_choice") not in ("none", "auto"):
            # A choice that forces a call applies once; otherwise every round would call again.
            self._options["tool_choice"] = None
        if not self.abandoned:
            yield from self._send()
        self._stopped = None


def begin_answer(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None = None
) -> Flow[tuple[ChatState, ToolRounds | None]]:
    """Send the first request of a streamed completion, with its rounds if it executes tools."""
    tooling, completion = _split_options(options)
    if tooling is None:
        return (yield from limited(begin_completion(model, messages, completion), timeout)), None
    rounds = yield from limited(ToolRounds(model, completion, tooling).begin(messages), timeout)
    return rounds.state, rounds


def get_answer(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None
) -> Flow[ChatCompletionResult]:
    """Return the answer, after all rounds if tools are executed; `timeout` applies to each answer.

    Raises like `begin_completion`, and `ChatError`, `ToolLimitError` or `SogniTimeoutError`.
    """
    tooling, completion = _split_options(options)
    if tooling is None:
        return (yield from complete(model, messages, completion, timeout))
    rounds = ToolRounds(model, {**completion, "stream": False}, tooling)
    yield from limited(rounds.begin(messages), timeout)
    return (yield from forget_on_timeout(rounds.complete_answer(timeout), lambda: rounds.state.id))


def _split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Split the keywords into those for tool execution (None if tools are not executed) and those to send.

    Raises `ValidationError` for options that have no effect without tool execution, unless it is explicitly off.
    """
    check_names(options, FIELDS)
    tooling = {name: options.get(name) for name in ToolFields.__annotations__}
    completion = {name: value for name, value in options.items() if name not in tooling}
    executed = tooling.pop("auto_execute_tools")
    if executed:
        return tooling, completion
    for name, value in tooling.items():
        if value is not None and executed is None:
            sentence = f"{name} has no effect without auto_execute_tools=True"
            raise invalid_value(name, type(value).__name__, "None", sentence)
    return None, completion
