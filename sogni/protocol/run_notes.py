"""A run record from the chats of a turn: decides what is noted of each (replay §2).

Filled by the recorders of both packages; secrets are taken out later, by `run_redaction`. It asks no clock and sends
nothing. The entries of `rounds` are ours: the service stores whatever a producer notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

from ..models.base import Model
from ..models.chat import ChatCompletionResult
from ..models.converter import to_dict
from ..models.replays import RunRecord
from ..redaction import redact

SCHEMA_VERSION = 2


@define(eq=False)
class Turn:
    """One request to a model: what was asked, and the answer, a stream that may still run, or why there is none."""

    model_id: str | None = None
    messages: Sequence[Any] = ()
    answer: Any = None
    error: Mapping[str, str] | None = None
    executed: Sequence[Any] = ()
    """The rounds of tools before the error."""

    def fail(self, error: BaseException) -> None:
        """Note why there is no answer."""
        self.error = told(error)
        self.executed = getattr(error, "tool_history", ())

    @property
    def result(self) -> Any:
        """The answer; of a stream what it ended with, the stream itself before that."""
        whole = getattr(self.answer, "final_result", None)
        return self.answer if whole is None else whole


@define(eq=False)
class RunNotes:
    """What happened so far."""

    run_id: str
    session_id: str | None = None
    account_id: str | None = None
    turns: list[Turn] = field(factory=list)
    error: Mapping[str, str] | None = None

    def begin(self, model_id: str | None, messages: Any) -> Turn:
        """Note a request before it is sent."""
        listed = isinstance(messages, Sequence) and not isinstance(messages, str | bytes)
        turn = Turn(model_id, [to_dict(it) for it in messages] if listed else ())
        self.turns.append(turn)
        return turn

    def fail(self, error: BaseException) -> None:
        """Note that the whole turn ended with an error."""
        self.error = told(error)

    def record(self) -> RunRecord:
        """The record as it is now, secrets included."""
        answered = [turn.result for turn in self.turns if turn.answer is not None]
        return RunRecord(
            run_id=self.run_id,
            schema_version=SCHEMA_VERSION,
            session_id=self.session_id,
            account_id=self.account_id,
            model_id=next((turn.model_id for turn in reversed(self.turns) if turn.model_id), None),
            rounds=[
                {"round": place, **it} for place, it in enumerate(it for turn in self.turns for it in _rounds(turn))
            ],
            user_request=next(filter(None, (_request(turn.messages) for turn in self.turns)), None),
            final_response=_response(answered[-1]) if answered else None,
            extra={} if self.error is None else {"error": self.error},
        )


def told(error: BaseException) -> dict[str, str]:
    """An error as a record tells it."""
    return {"type": type(error).__name__, "message": redact(str(error))}


def _request(messages: Sequence[Any]) -> str | None:
    """The text of the last message of the user."""
    asked = [it.get("content") for it in messages if isinstance(it, Mapping) and it.get("role") == "user"]
    content = asked[-1] if asked else None
    if isinstance(content, list | tuple):
        content = "\n".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)
    return content if isinstance(content, str) else None


def _rounds(turn: Turn) -> Iterator[dict[str, Any]]:
    """The rounds of tool calls, then the answer; the first one says what was asked."""
    asked: dict[str, Any] = {"messages": list(turn.messages)} if turn.messages else {}
    named = {} if turn.model_id is None else {"model_id": turn.model_id}
    for entry in getattr(turn.result, "tool_history", None) or turn.executed:
        yield {**named, **asked, **_tools(entry)}
        asked = {}
    outcome = {"error": turn.error} if turn.error is not None else _answer(turn.result)
    yield {**named, **asked, **outcome}


def _tools(entry: Any) -> dict[str, Any]:
    names = ("tool_calls", "tool_results")
    if not all(hasattr(entry, name) for name in names):
        return {"tools": to_dict(entry)}
    return {name: to_dict(getattr(entry, name)) for name in names}


def _answer(result: Any) -> dict[str, Any]:
    if not isinstance(result, ChatCompletionResult):
        return _response(result) | ({"response": to_dict(result)} if isinstance(result, Model) else {})
    facts = {
        "job_id": result.job_id,
        "content": result.content,
        "finish_reason": result.finish_reason,
        "tool_calls": result.tool_calls,
        "usage": result.usage,
        "cost": result.cost,
        "worker_name": result.worker_name,
        "time_taken": result.time_taken,
    }
    return {name: to_dict(value) for name, value in facts.items() if value is not None}


def _response(result: Any) -> dict[str, Any]:
    """What an answer of any kind says: its text where it has one, all of it otherwise."""
    content = getattr(result, "content", None)
    if not isinstance(content, str):
        return {} if result is None else {"response": to_dict(result)}
    facts = {"content": content, "finish_reason": getattr(result, "finish_reason", None)}
    calls = getattr(result, "tool_calls", None)
    return {name: to_dict(value) for name, value in {**facts, "tool_calls": calls or None}.items() if value is not None}
