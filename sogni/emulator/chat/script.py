"""An answer and how it is told: cut at the limit and at stop texts, in pieces of one token.

Called by the three surfaces with what the responder or a test's script said. Nothing is decided here about what
is said.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from attrs import define, field, frozen

from sogni.emulator.chat import messages as tokens
from sogni.emulator.chat.messages import Conversation
from sogni.emulator.chat.requests import Asking, DeclinedError


def _written(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


@frozen
class Call:
    """A tool call the model makes; arguments that are no text are written as JSON."""

    name: str
    arguments: str = field(default="{}", converter=_written)


@frozen
class Answer:
    """What a model says: its text, its reasoning, its tool calls. ``finish_reason`` None is the ordinary one."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""
    finish_reason: str | None = None


@frozen(kw_only=True)
class Telling:
    """An answer as it is sent: pieces of content, then deltas of tool calls; ``output_tokens`` is what it costs."""

    content: Sequence[str]
    deltas: Sequence[Mapping[str, Any]]
    finish_reason: str
    output_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.content)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The tool calls put together."""
        calls: dict[int, dict[str, Any]] = {}
        for delta in self.deltas:
            call = calls.setdefault(
                delta["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = delta.get("id") or call["id"]
            function = delta.get("function", {})
            call["function"]["name"] = function.get("name") or call["function"]["name"]
            call["function"]["arguments"] += function.get("arguments", "")
        return list(calls.values())

    def pieces(self) -> list[dict[str, Any]]:
        """Everything between the first and the last piece, as keys of ``jobTokens``."""
        told = [{"content": piece} for piece in self.content]
        return told + [{"content": "", "tool_calls": [delta]} for delta in self.deltas]


def tell(answer: Answer, *, limit: int, stops: Sequence[str] = (), think: bool = False, call_id: str) -> Telling:
    """Cut an answer into what is sent of it. ``call_id`` is what ids of tool calls begin with."""
    text, stopped = _until_stop(answer.text, stops)
    if think and answer.thought:
        text = f"<think>\n{answer.thought}\n</think>\n\n{text}"
    pieces = tokens.split(text)
    if len(pieces) > limit:
        return Telling(content=pieces[:limit], deltas=[], finish_reason="length", output_tokens=limit)
    deltas: list[dict[str, Any]] = []
    left = limit - len(pieces)
    for index, call in enumerate(() if stopped else answer.calls):
        made, used = _deltas(index, call, f"{call_id}-{index}", left)
        deltas += made
        left -= used
        if left < 0:
            return Telling(content=pieces, deltas=deltas, finish_reason="length", output_tokens=limit)
    reason = answer.finish_reason or ("tool_calls" if deltas else "stop")
    return Telling(content=pieces, deltas=deltas, finish_reason=reason, output_tokens=limit - left)


def _until_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A stop text ends the answer and is not part of it."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _deltas(index: int, call: Call, id: str, left: int) -> tuple[list[dict[str, Any]], int]:
    """The name comes first, then the arguments, token by token."""
    used = tokens.count(call.name)
    first = {"index": index, "id": id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    pieces = tokens.split(call.arguments)
    kept = pieces[: max(0, left - used)]
    deltas = [first, *({"index": index, "function": {"arguments": piece}} for piece in kept)]
    return deltas, used + len(pieces)


# What tests let the models say: the rules behind ``supernet.chat``.
#
# Written from any thread; the jobs ask it for every completion. Like a fault plan, a rule is spent after ``times``
# uses, and rules are tried in the order they were made. It sends nothing.


Reply = str | Answer | Call | Sequence[Call] | Mapping[str, Any]
"""What a scripted answer may be: a text, an ``Answer``, tool calls, or a message in the OpenAI form."""

Replier = Callable[[list[Mapping[str, Any]]], Reply | None]


@define(eq=False)
class ChatRule:
    """What all rules share: which requests it is for, and how often it may be and was used.

    model: a glob of model ids; None means any.
    when: a text that the last message of the user contains, in any case.
    times: None for always.
    """

    model: str | None = field(default=None, kw_only=True)
    when: str | None = field(default=None, kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    fired: int = field(default=0, init=False)

    @property
    def spent(self) -> bool:
        return self.times is not None and self.fired >= self.times

    def fits(self, asking: Asking) -> bool:
        if self.model is not None and not fnmatchcase(asking.model.id, self.model):
            return False
        return self.when is None or self.when.lower() in Conversation(asking.messages).question.lower()


@define(eq=False)
class ChatReply(ChatRule):
    """An answer instead of the responder's."""

    answer: Reply | Replier


@define(eq=False)
class ChatFailure(ChatRule):
    """An error; with ``after_tokens`` so many pieces of the answer come first."""

    error: str
    message: str
    code: str | None = None
    after_tokens: int | None = None
    subscription: Mapping[str, Any] = field(factory=dict)

    def declined(self) -> DeclinedError:
        return DeclinedError(self.error, self.message, self.code, self.subscription)


@define(eq=False)
class ChatRate(ChatRule):
    """How fast answers come, in tokens per second; 0 is as fast as possible. It holds until replaced."""

    tokens_per_second: float = 0.0


R = TypeVar("R", bound=ChatRule)


class ChatScript:
    """What the language models of an emulator say. Every method may be called from any thread and returns its
    rule, whose ``fired`` tells how often it was used.

    kept_seconds: how long a completion outlives the connection of its client (chat §14.2).
    """

    kept_seconds: float = 30.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[ChatRule] = []

    def clear(self) -> None:
        """Forget every rule."""
        with self._lock:
            self._rules.clear()

    @property
    def pending(self) -> tuple[ChatRule, ...]:
        """The rules that have not been used up."""
        with self._lock:
            return tuple(rule for rule in self._rules if not rule.spent)

    def reply(
        self,
        answer: Reply | Replier | None = None,
        *,
        tool_calls: Iterable[tuple[str, Any]] = (),
        thought: str = "",
        finish_reason: str | None = None,
        model: str | None = None,
        when: str | None = None,
        times: int | None = 1,
    ) -> ChatReply:
        """Answer with this instead of what the model would say.

        answer: a text, a message in the OpenAI form, an ``Answer``, or a function that takes the list of messages
            and returns one of these, or None for the ordinary answer. The function runs in a thread of its own.
        tool_calls: pairs of a name and arguments (a mapping, or JSON text as the model would write it).
        thought: the reasoning, which is sent when the request has thinking on.
        finish_reason: what ends the answer; by default "stop", or "tool_calls" after tool calls.
        model, when, times: which requests it is for, see ``ChatRule``.
        """
        calls = tuple(Call(name, arguments) for name, arguments in tool_calls)
        if calls or thought or finish_reason or answer is None:
            if callable(answer) or not isinstance(answer, str | None):
                raise ValueError("tool_calls, thought and finish_reason go with a text; a function returns an Answer")
            answer = Answer(answer or "", calls, thought, finish_reason)
        return self._add(ChatReply(answer, model=model, when=when, times=times))

    def fail(
        self,
        error: str,
        message: str = "The language model could not answer",
        *,
        code: str | None = None,
        after_tokens: int | None = None,
        subscription: Mapping[str, Any] | None = None,
        model: str | None = None,
        when: str | None = None,
        times: int | None = 1,
    ) -> ChatFailure:
        """End a request with an error: on the socket ``llmJobError``, hosted the error body (chat §14.4).

        error: the tag, e.g. "server_restarting", "insufficient_balance", "model_unavailable".
        code: the service's number as text, e.g. "4079".
        after_tokens: let so many tokens of the answer come first; by default the request is declined at once.
        subscription: ``requiredPlans``, ``feature``, ``limitation`` of a plan that lacks something.
        """
        return self._add(
            ChatFailure(
                error, message, code, after_tokens, dict(subscription or {}), model=model, when=when, times=times
            )
        )

    def rate(self, tokens_per_second: float, *, model: str | None = None) -> ChatRate:
        """Set how fast answers come; 0 is as fast as possible. The latest rate counts."""
        if tokens_per_second < 0:
            raise ValueError("tokens_per_second must not be negative")
        return self._add(ChatRate(tokens_per_second, model=model, times=None))

    def _add(self, rule: R) -> R:
        with self._lock:
            self._rules.append(rule)
        return rule

    # What the emulator asks.

    def take(self, kind: type[R], asking: Asking) -> R | None:
        """Use the first rule of a kind that fits a request."""
        with self._lock:
            self._rules = [rule for rule in self._rules if not rule.spent]
            for rule in self._rules:
                if isinstance(rule, kind) and rule.fits(asking):
                    rule.fired += 1
                    return rule
        return None

    def rate_of(self, asking: Asking) -> float | None:
        """Return the rate that was set last for a model."""
        with self._lock:
            rates = [rule for rule in self._rules if isinstance(rule, ChatRate) and rule.fits(asking)]
        return rates[-1].tokens_per_second if rates else None


def answer_of(reply: Reply) -> Answer:
    """Read what a script said as an answer."""
    if isinstance(reply, Answer):
        return reply
    if isinstance(reply, str):
        return Answer(reply)
    if isinstance(reply, Call):
        return Answer(calls=(reply,))
    if isinstance(reply, Mapping):
        made = [call["function"] for call in reply.get("tool_calls") or ()]
        return Answer(reply.get("content") or "", tuple(Call(call["name"], call["arguments"]) for call in made))
    return Answer(calls=tuple(reply))
