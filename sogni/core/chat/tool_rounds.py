"""Completions that execute tools: run the model's tool calls and send their results, round after round (chat §10).

Each round is a separate job. Failed calls are reported to the model; only the limits raise an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import evolve

from sogni.core.chat.flows import begin_completion, complete, forgotten_when_late, next_chunks, whole_answer
from sogni.core.chat.images import prepared
from sogni.core.chat.requests import FIELDS, check_names
from sogni.core.chat.state import ChatState
from sogni.core.checks import integer, invalid_value
from sogni.core.flow import Flow, State, change, until
from sogni.core.time_limit import limited
from sogni.core.tools.flows import ToolOptions, execute_calls, made_from
from sogni.core.tools.functions import tools_given
from sogni.core.tools.results import made_in, turns_of, wants_tools
from sogni.errors import ChatError, ToolLimitError, ValidationError
from sogni.models.chat import ChatCompletionChunk, ChatCompletionResult, ToolFields
from sogni.models.tools import ToolRound

T = TypeVar("T")

USUAL_ROUNDS = 5


class ToolRounds:
    """The rounds of one completion; `state` is the job of the current round."""

    def __init__(self, model: str, options: Mapping[str, Any], tooling: Mapping[str, Any]) -> None:
        travelling, functions = tools_given(options.get("tools"))
        self._model = model
        self._options = {**options, "tools": travelling}
        most = tooling.get("max_tool_rounds")
        self._most = USUAL_ROUNDS if most is None else integer("max_tool_rounds", most, low=0) or USUAL_ROUNDS
        self._execution = ToolOptions(
            token_type=options.get("token_type"),
            on_tool_call=tooling.get("on_tool_call"),
            on_tool_progress=tooling.get("on_tool_progress"),
            functions=functions,
            made=made_from(tooling.get("media_context")),
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
        self.left = False
        self._at_work = False
        """Whether a reader executes the tools of a round; others wait for it."""

    def begin(self, messages: Sequence[Any]) -> Flow[ToolRounds]:
        """Send the first request; raises like `begin_completion`."""
        self._messages = yield from prepared(messages)
        self._execution = evolve(self._execution, made=made_in(self._messages, self._execution.made))
        yield from self._ask()
        return self

    def next_chunks(self, timeout: float | None = None) -> Flow[list[ChatCompletionChunk]]:
        """Return all chunks that have arrived, of any round; tools run between rounds. Empty at the end."""
        while (state := (yield from self._to_read(timeout))) is not None:
            chunks = yield from self._kept(next_chunks(state, timeout))
            if chunks or self.left:
                return chunks
            answer = state.final_result
            assert answer is not None  # a failure was raised
            yield from self._follow(state, answer)
            yield from change(partial(self._was_read, state))
        return []

    def whole_answer(self, timeout: float | None) -> Flow[ChatCompletionResult]:
        """Return the answer of the last round; `timeout` applies to each answer."""
        while self.final_result is None:
            state = yield from self._under_way(timeout)
            answer = yield from self._kept(whole_answer(state, timeout))
            if self.left:
                return self._final(answer)
            yield from self._follow(state, answer)
        return self.final_result

    def _to_read(self, timeout: float | None) -> Flow[ChatState | None]:
        """Return the job whose chunks come next, also if another reader started it; None after the last."""

        def found(_: State) -> tuple[ChatState | None] | None:
            if self._unread or self.left:
                return (self._unread[0] if self._unread else self.state,)
            if self.final_result is not None:
                return (None,)
            self._check_stopped()
            return None

        words = f"the tools that chat job {self.state.id} calls"
        return (yield from until((self,), found, timeout=timeout, phase="run", waiting_for=words))[0]

    def _was_read(self, state: ChatState, *_: Any) -> None:
        if self._unread and self._unread[0] is state:
            self._unread.popleft()

    def _under_way(self, timeout: float | None) -> Flow[ChatState]:
        """Return the job of the current round, once no other reader executes tools; raises what stopped the rounds."""
        yield from until(
            (self,),
            lambda _: True if self.left or not self._at_work else None,
            timeout=timeout,
            phase="run",
            waiting_for=f"the tools that chat job {self.state.id} calls",
        )
        self._check_stopped()
        return self.state

    def _check_stopped(self) -> None:
        if self._stopped is not None and not self._at_work:
            raise self._error(*self._stopped)

    def _error(self, kind: type[ChatError], words: str) -> ChatError:
        """Return a new error for one reader."""
        error = kind(words, job_id=self.state.id)
        error.tool_history = list(self.history)
        return error

    def _finish(self, result: ChatCompletionResult) -> None:
        self.final_result = result
        if self.when_done is not None:
            self.when_done(result)

    def _final(self, answer: ChatCompletionResult) -> ChatCompletionResult:
        return evolve(answer, tool_history=list(self.history) or None)

    def _ask(self) -> Flow[None]:
        self.state = yield from self._kept(begin_completion(self._model, self._messages, self._options))
        self._unread.append(self.state)

    def _kept(self, flow: Flow[T]) -> Flow[T]:
        """Run a flow; its ChatError carries the tool history, which has been paid for."""
        try:
            return (yield from flow)
        except ChatError as error:
            error.tool_history = list(self.history)
            raise

    def _follow(self, state: ChatState, answer: ChatCompletionResult) -> Flow[None]:
        """Continue after an answer, once, no matter how many readers wait."""
        if not (yield from change(lambda _, __: self._begins(state))):
            return
        failure: Exception | None = None
        try:
            yield from self._go_on(answer)
        except Exception as error:
            failure = error
        except BaseException:
            self._ends(state)  # direct access: the flow is ending
            raise
        yield from change(lambda _, __: self._ends(state))
        if failure is not None:
            raise failure

    def _begins(self, state: ChatState) -> bool:
        self._check_stopped()
        mine = state is self.state and not self._at_work and self.final_result is None
        self._at_work = self._at_work or mine
        return mine

    def _ends(self, state: ChatState) -> None:
        self._at_work = False
        state.out.wake(self)

    def _go_on(self, answer: ChatCompletionResult) -> Flow[None]:
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
        if len(self.history) >= self._most:
            words = f"the model still calls tools after {self._most} rounds; see tool_history, or raise max_tool_rounds"
            self._stopped = (ToolLimitError, words)
            raise self._error(*self._stopped)
        self._messages = [*self._messages, *turns_of(answer, results)]
        if self._options.get("tool_choice") not in ("none", "auto"):
            # A choice that forces a call applies once; otherwise every round would call again.
            self._options["tool_choice"] = None
        if not self.left:
            yield from self._ask()
        self._stopped = None


def begin_answer(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None = None
) -> Flow[tuple[ChatState, ToolRounds | None]]:
    """Send the first request of a streamed completion, with its rounds if it executes tools."""
    tooling, wanted = _parted(options)
    if tooling is None:
        return (yield from limited(begin_completion(model, messages, wanted), timeout)), None
    rounds = yield from limited(ToolRounds(model, wanted, tooling).begin(messages), timeout)
    return rounds.state, rounds


def answer_whole(
    model: str, messages: Sequence[Any], options: Mapping[str, Any], timeout: float | None
) -> Flow[ChatCompletionResult]:
    """Return the answer, after all rounds if tools are executed; `timeout` applies to each answer.

    Raises like `begin_completion`, and `ChatError`, `ToolLimitError` or `SogniTimeoutError`.
    """
    tooling, wanted = _parted(options)
    if tooling is None:
        return (yield from complete(model, messages, wanted, timeout))
    begun = ToolRounds(model, {**wanted, "stream": False}, tooling).begin(messages)
    rounds = yield from limited(begun, timeout)
    return (yield from forgotten_when_late(rounds.whole_answer(timeout), lambda: rounds.state.id))


def _parted(options: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Split the keywords into those for tool execution (None if tools are not executed) and those to send.

    Raises `ValidationError` for options that have no effect without tool execution, unless it is explicitly off.
    """
    check_names(options, FIELDS)
    tooling = {name: options.get(name) for name in ToolFields.__annotations__}
    wanted = {name: value for name, value in options.items() if name not in tooling}
    executed = tooling.pop("auto_execute_tools")
    if executed:
        return tooling, wanted
    for name, value in tooling.items():
        if value is not None and executed is None:
            sentence = f"{name} has no effect without auto_execute_tools=True"
            raise invalid_value(name, type(value).__name__, "None", sentence)
    return None, wanted
