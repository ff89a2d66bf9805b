"""State of chat completions: the answer so far, and what happens to it when the connection is lost.

Frames are applied in order. Chunks that arrived before an error are still delivered; the error comes after them.
"""

# Chat: chat §3 to §7, §14.2.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sogni.core.checks import extra_fields, string_or_none
from sogni.core.failures import chat_error, details_of
from sogni.core.outbox import EndLostChats, Listeners, Outbox
from sogni.core.tracing import Trace
from sogni.errors import ChatError, ProtocolError
from sogni.models.chat import (
    ChatCompletionChunk,
    ChatCompletionResult,
    ChatCost,
    ChatFailure,
    ChatJobState,
    LLMModelInfo,
    TokenUsage,
)
from sogni.models.converter import read
from sogni.models.tools import ToolCall, ToolCallFunction

_TOKENS_FIELDS = frozenset({"jobID", "content", "role", "finishReason", "usage", "tool_calls"})
_RESULT_FIELDS = frozenset({"jobID", "usage", "timeTaken", "cost", "workerName"})
_PLAN_FIELDS = frozenset({"subscriptionLimit", "requiredPlans", "feature", "limitation"})
_REASON_FIELDS = frozenset({"vendorFailureCategory", "consentRequired"})
_ERROR_FIELDS = _PLAN_FIELDS | _REASON_FIELDS | {"jobID", "error", "error_message", "error_code", "workerName"}
"""The declared fields of each frame; all others are kept in `extra`."""


class _PartialToolCall:
    """A tool call that arrives in pieces, joined on demand so that the cost of a piece does not grow."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def complete(self) -> ToolCall:
        return ToolCall(id=self.id, function=ToolCallFunction(name=self.name, arguments="".join(self.arguments)))


class ChatState:
    """The state of one completion; `done` is true once it has ended, successfully or not."""

    def __init__(self, job_id: str, out: Outbox, answer_type: Any = None) -> None:
        self.id = job_id
        self.out = out
        self.answer_type = answer_type
        """Type the JSON of the answer is parsed as, None for text."""
        self.chunks: list[ChatCompletionChunk] = []
        """Unread chunks."""
        self.role: str = "assistant"
        self.finish_reason: str | None = None
        self.usage: TokenUsage | None = None
        self.time_taken: float = 0
        self.worker_name: str | None = None
        self.cost: ChatCost | None = None
        self.extra: Mapping[str, Any] = {}
        """Further fields of the response."""
        self.failure: ChatFailure | None = None
        self.failure_payload: Mapping[str, Any] | None = None
        self.done: bool = False
        self.when_done: Callable[[ChatCompletionResult], None] | None = None
        """Called with the complete answer, in the same state change that completes it."""
        self.acknowledged: bool = False
        self.being_sent = False
        """Whether a flow will send the request on the next connection."""
        self.lost_at: float | None = None
        """When the job lost its connection; None once there is news of it again."""
        self.trace: Trace | None = None
        """Of the operation that began it, if it is observed."""
        self._pieces: list[str] = []
        self._calls: dict[int, _PartialToolCall] = {}

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls collected so far, by index."""
        return [self._calls[index].complete() for index in sorted(self._calls)]

    @property
    def final_result(self) -> ChatCompletionResult | None:
        """The complete answer; None while it runs and after a failure."""
        if not self.done or self.failure is not None:
            return None
        return ChatCompletionResult(
            job_id=self.id,
            content=self.text(),
            role=self.role,
            finish_reason=self.finish_reason or "stop",
            usage=self.usage or TokenUsage(total_tokens=0),
            time_taken=self.time_taken,
            worker_name=self.worker_name,
            cost=self.cost,
            tool_calls=self.tool_calls or None,
            answer_type=self.answer_type,
            extra=self.extra,
        )

    def text(self) -> str:
        """All text so far, joined on demand so that the cost of a token does not grow."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def error(self) -> ChatError | None:
        """A new error for one reader; None unless the job failed."""
        failure = self.failure
        if failure is None:
            return None
        return chat_error(failure, self.failure_payload)

    def take(self) -> list[ChatCompletionChunk]:
        """Return and remove all unread chunks."""
        chunks, self.chunks = self.chunks, []
        return chunks

    # -- frames ----------------------------------------------------------------

    def tokens(self, payload: Mapping[str, Any]) -> ChatCompletionChunk | None:
        """Apply `jobTokens`; returns the chunk, or None if the job is done already.

        Raises `ProtocolError` for malformed numbers; the text has been taken by then.
        """
        self._mark_alive()
        if self.done:
            return None
        deltas = payload.get("tool_calls")
        text = payload.get("content")
        usage, unreadable = _usage_of(payload)
        chunk = ChatCompletionChunk(
            job_id=self.id,
            content=text if isinstance(text, str) else "",
            role=payload.get("role"),
            finish_reason=payload.get("finishReason"),
            usage=usage,
            tool_calls=[delta for delta in deltas if isinstance(delta, dict)] if isinstance(deltas, list) else None,
            extra=extra_fields(payload, _TOKENS_FIELDS),
        )
        if chunk.content:
            self._pieces.append(chunk.content)
        self.role = chunk.role or self.role
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage
        for delta in chunk.tool_calls or ():
            self._merge(delta)
        self.chunks.append(chunk)
        self.out.wake(self)
        if unreadable is not None:
            raise unreadable
        return chunk

    def _merge(self, delta: Mapping[str, Any]) -> None:
        """Merge a delta: ids and names replace, arguments are appended."""
        index = delta.get("index")
        index = index if isinstance(index, int) else 0
        call = self._calls.setdefault(index, _PartialToolCall())
        function = delta.get("function")
        named = function if isinstance(function, Mapping) else {}
        call.id = string_or_none(delta.get("id")) or call.id
        call.name = string_or_none(named.get("name")) or call.name
        call.arguments.append(string_or_none(named.get("arguments")) or "")

    def _mark_alive(self) -> None:
        """Record news of the job, which may have survived a lost connection."""
        self.acknowledged = True
        self.lost_at = None

    def worker(self, name: Any) -> None:
        """Record the worker's name."""
        self._mark_alive()
        if isinstance(name, str) and name:
            self.worker_name = name

    def completed(self, payload: Mapping[str, Any]) -> None:
        """Apply `llmJobResult`: the answer is complete."""
        self.worker(payload.get("workerName"))
        first, seconds, usage = not self.done, payload.get("timeTaken"), payload.get("usage")
        self.extra = extra_fields(payload, _RESULT_FIELDS)
        try:
            if (cost := payload.get("cost")) or isinstance(cost, Mapping):
                self.cost = read(ChatCost, cost, "the cost of a chat job")
            if first and usage:
                self.usage = read(TokenUsage, usage, "the usage of a chat job")
        finally:
            if first:
                self.time_taken = seconds if isinstance(seconds, int | float) else 0
                self.done = True
                self.out.wake(self)
                self._notify_done()

    def _notify_done(self) -> None:
        self._end_trace()
        result = self.final_result
        if self.when_done is not None and result is not None:
            self.when_done(result)

    def _end_trace(self) -> None:
        if self.trace is not None:
            self.out.later(self.trace.end, self)

    def failed(self, failure: ChatFailure, payload: Mapping[str, Any] | None = None) -> None:
        """Fail the job, by `llmJobError` with its payload or by the end of the connection."""
        self.worker(failure.worker_name)
        if self.done:
            return
        self.failure, self.failure_payload = failure, payload
        self._calls.clear()
        self.done = True
        self.out.wake(self)
        self._end_trace()

    def leave(self) -> None:
        """Stop reading: the service continues and charges, but nothing more is stored."""
        self.done = True
        self.chunks.clear()
        self.out.wake(self)
        self._end_trace()


def _usage_of(payload: Mapping[str, Any]) -> tuple[TokenUsage | None, ProtocolError | None]:
    """Return the tokens counted so far, or the error for a malformed usage."""
    usage = payload.get("usage")
    try:
        return (read(TokenUsage, usage, "the usage of a jobTokens frame") if usage else None), None
    except ProtocolError as error:
        return None, error


def failure_of(job_id: str, payload: Mapping[str, Any]) -> ChatFailure:
    """Return the failure in an `llmJobError` frame."""
    tag, code = payload.get("error"), payload.get("error_code")
    error = "" if tag is None else str(tag)
    reason = details_of(code, {name: payload[name] for name in _REASON_FIELDS & payload.keys()})
    plan = subscription_fields(payload)
    plan["subscription_limit"] |= bool(reason.subscription_limit)
    return ChatFailure(
        job_id=job_id,
        error=error,
        message=string_or_none(payload.get("error_message")) or error,
        worker_name=string_or_none(payload.get("workerName")),
        error_code=None if code is None else str(code),
        **plan,
        vendor_failure_category=reason.vendor_failure_category,
        consent_required=reason.consent_required,
        extra={**extra_fields(payload, _ERROR_FIELDS), **reason.extra},
    )


def subscription_fields(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an error says about the missing subscription; values of other types count as absent."""
    plans = payload.get("requiredPlans")
    return {
        "subscription_limit": payload.get("subscriptionLimit") is True,
        "required_plans": [plan for plan in plans if isinstance(plan, str)] if isinstance(plans, list) else [],
        "feature": string_or_none(payload.get("feature")),
        "limitation": string_or_none(payload.get("limitation")),
    }


TRANSPORT_LOST = "transport_lost"


def lost(job_id: str, why: str) -> ChatFailure:
    """Return the failure of a job whose connection was lost."""
    return ChatFailure(job_id=job_id, error=TRANSPORT_LOST, message=why)


# All completions


CHAT_EVENTS = frozenset({"token", "completed", "error", "job_state", "models_updated"})
CHAT_MODELS = "chat models"
LOST_SECONDS = 35.0
"""How long an open completion waits for news after a lost connection."""


class ChatRegistry:
    """The open completions and the list of language models."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self.by_id: dict[str, ChatState] = {}
        self.listeners: Listeners = Listeners()
        self.models: dict[str, LLMModelInfo] = {}
        self._watching = False
        """Whether a background task watches the completions without news."""

    @property
    def frame_handlers(self) -> dict[str, Callable[[Any, float], None]]:
        """Handlers by frame type."""
        return {
            "swarmLLMModels": self._models_frame,
            "jobTokens": self._tokens,
            "llmJobResult": self._result,
            "llmJobError": self._error,
        }

    def _models_frame(self, payload: Any, now: float) -> None:
        """Apply the model list: an entry is a number of workers or an object; others are ignored."""
        entries = payload if isinstance(payload, dict) else {}
        objects = {
            name: entry if isinstance(entry, dict) else {"workers": entry}
            for name, entry in entries.items()
            if isinstance(entry, dict | int | float)
        }
        self.models = read(dict[str, LLMModelInfo], objects, "the swarmLLMModels frame")
        self._out.notify(self.listeners, "models_updated", dict(self.models))
        self._out.wake(CHAT_MODELS)

    def _chat(self, payload: Any) -> ChatState | None:
        return self.by_id.get(payload.get("jobID", "")) if type(payload) is dict else None

    def _tokens(self, payload: Any, now: float) -> None:
        chat = self._chat(payload)
        chunk = chat.tokens(payload) if chat is not None else None
        if chunk is not None and self.listeners.has("token"):
            self._out.notify(self.listeners, "token", chunk)

    def _result(self, payload: Any, now: float) -> None:
        chat = self._chat(payload)
        if chat is None:
            return
        try:
            chat.completed(payload)
        finally:
            # The answer has ended, even if part of the frame is malformed.
            del self.by_id[chat.id]
            self._out.notify(self.listeners, "completed", chat.final_result)

    def _error(self, payload: Any, now: float) -> None:
        chat = self._chat(payload)
        if chat is not None:
            self._end(chat, failure_of(chat.id, payload), payload)

    def job_state(self, payload: Any) -> bool:
        """Apply a `jobState` frame; False if it does not belong to an open completion."""
        chat = self._chat(payload)
        if chat is None:
            return False
        chat.worker(payload.get("workerName"))
        if self.listeners.has("job_state"):
            self._out.notify(self.listeners, "job_state", read(ChatJobState, payload, "the jobState frame"))
        return True

    def _end(self, chat: ChatState, failure: ChatFailure, payload: Any = None) -> None:
        chat.failed(failure, payload)
        self.by_id.pop(chat.id, None)
        self._out.notify(self.listeners, "error", failure)

    def connection_lost(self, now: float) -> None:
        """Handle a lost connection: open completions wait for the next one, for a limited time."""
        for chat in self.by_id.values():
            if chat.lost_at is None:
                chat.lost_at = now
        if self.by_id and not self._watching:
            self._watching = True
            self._out.start(EndLostChats())

    def connection_restored(self, alive: Any) -> None:
        """End the jobs that `authenticated` does not list as active; without a list they keep waiting."""
        if not isinstance(alive, list):
            return
        ids = {str(job_id).upper() for job_id in alive}
        for chat in self._lost():
            if chat.id in ids:
                chat.lost_at = None
            else:
                self._end(chat, lost(chat.id, "the connection was lost, and the service has dropped the job"))

    def end_lost(self, now: float) -> float | None:
        """End completions without news for too long; returns the seconds until the next one is due."""
        left: list[float] = []
        for chat in self._lost():
            due = (chat.lost_at or now) + LOST_SECONDS
            if now < due:
                left.append(due - now)
                continue
            why = "the connection was lost, and the service has not mentioned the job since"
            self._end(chat, lost(chat.id, why))
        self._watching = bool(left)
        return min(left, default=None)

    def end_unwatched(self, why: str) -> None:
        """End the completions without news, because nothing watches them anymore."""
        self._watching = False
        for chat in self._lost():
            self._end(chat, lost(chat.id, why))

    def _lost(self) -> list[ChatState]:
        """Return the completions without news since a lost connection, except those not sent yet."""
        return [chat for chat in self.by_id.values() if chat.lost_at is not None and not chat.being_sent]

    def end_all(self, why: str) -> None:
        """Fail every completion that waits for an answer; its sender handles one that is not sent yet."""
        for chat in [chat for chat in self.by_id.values() if not chat.being_sent]:
            self._end(chat, lost(chat.id, why))
