"""Scripted answers of the language models (``supernet.chat``), and answers split into completions.

Tests write rules from any thread; the server consults them for every completion. Rules are tried in the order they
were made, and each is spent after ``times`` uses. A completion is an answer cut at its limit and at stop sequences, in
pieces of one token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from attrs import define, field, frozen

from sogni.emulator.chat import messages as tokens
from sogni.emulator.chat.messages import Conversation
from sogni.emulator.chat.requests import ChatRequest, DeclinedError, PlanLimits
from sogni.emulator.declarations import COUNT, POSITION, RATE
from sogni.emulator.fields import Json
from sogni.emulator.rules import BaseRule, RulePlan


def _written(given: Json) -> str:
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


@frozen
class Call:
    """A tool call of the model.

    Attributes:
        name: Name of the tool.
        arguments: Arguments; anything but a string is written as JSON. Default "{}".
    """

    name: str
    arguments: str = field(default="{}", converter=_written)


@frozen
class Answer:
    """The answer of a model.

    Attributes:
        text: The text. Default: none.
        calls: Tool calls. Default: none.
        thought: The reasoning, sent if the request has thinking enabled. Default: none.
        finish_reason: The finish reason; None means "stop", or "tool_calls" after tool calls.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    thought: str = ""
    finish_reason: str | None = None


@frozen(kw_only=True)
class Completion:
    """An answer as it is sent: pieces of content, then deltas of tool calls. ``output_tokens`` are billed."""

    content: Sequence[str]
    deltas: Sequence[Mapping[str, Any]]
    finish_reason: str
    output_tokens: int

    @property
    def text(self) -> str:
        """The whole content."""
        return "".join(self.content)

    @property
    def calls(self) -> list[dict[str, object]]:
        """Return the complete tool calls."""
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
        """Return everything between the first and the last piece, in the form of ``jobTokens``."""
        content_pieces = [{"content": piece} for piece in self.content]
        return content_pieces + [{"content": "", "tool_calls": [delta]} for delta in self.deltas]


def completion_of(
    answer: Answer, *, limit: int, stops: Sequence[str] = (), think: bool = False, call_id: str
) -> Completion:
    """Split an answer into what is sent of it. ``call_id`` is the prefix of tool call IDs."""
    text, stopped = _until_stop(answer.text, stops)
    if think and answer.thought:
        text = f"<think>\n{answer.thought}\n</think>\n\n{text}"
    pieces = tokens.split(text)
    if len(pieces) > limit:
        return Completion(content=pieces[:limit], deltas=[], finish_reason="length", output_tokens=limit)
    deltas: list[dict[str, Any]] = []
    remaining = limit - len(pieces)
    for index, call in enumerate(() if stopped else answer.calls):
        added, used = _deltas(index, call, f"{call_id}-{index}", remaining)
        deltas += added
        remaining -= used
        if remaining < 0:
            return Completion(content=pieces, deltas=deltas, finish_reason="length", output_tokens=limit)
    reason = answer.finish_reason or ("tool_calls" if deltas else "stop")
    return Completion(content=pieces, deltas=deltas, finish_reason=reason, output_tokens=limit - remaining)


def _until_stop(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Cut the text before a stop sequence."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _deltas(index: int, call: Call, id: str, remaining: int) -> tuple[list[dict[str, Any]], int]:
    """Return deltas with the name first, then the arguments token by token."""
    used = tokens.count(call.name)
    first = {"index": index, "id": id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    pieces = tokens.split(call.arguments)
    sent = pieces[: max(0, remaining - used)]
    deltas = [first, *({"index": index, "function": {"arguments": piece}} for piece in sent)]
    return deltas, used + len(pieces)


Reply = str | Answer | Call | Sequence[Call] | Mapping[str, Any]
"""A scripted answer: a string, an ``Answer``, tool calls, or a message in the OpenAI format."""

Replier = Callable[[list[Mapping[str, Any]]], Reply | None]


@define(eq=False)
class ChatRule(BaseRule):
    """Base class of all rules for chats.

    Attributes:
        model: Glob of model IDs; None means any.
        when: Case-insensitive substring of the last user message; None means any.
        times: Number of uses; None means unlimited.
    """

    model: str | None = field(default=None, kw_only=True)
    when: str | None = field(default=None, kw_only=True)

    def fits(self, chat_request: ChatRequest) -> bool:
        """Return whether the rule applies to a request."""
        if self.model is not None and not fnmatchcase(chat_request.model.id, self.model):
            return False
        return self.when is None or self.when.lower() in Conversation(chat_request.messages).question.lower()


@define(eq=False)
class ChatReply(ChatRule):
    """A scripted answer."""

    answer: Any
    """A `Reply`, or a `Replier`."""


@define(eq=False)
class ChatFailure(ChatRule):
    """An error; with ``after_tokens``, this many pieces of the answer are sent first."""

    error: str
    message: str
    code: str | None = None
    after_tokens: Annotated[int, POSITION] | None = None
    subscription: PlanLimits = field(factory=PlanLimits)

    def to_error(self) -> DeclinedError:
        return DeclinedError(self.error, self.message, self.code, self.subscription)


@define(eq=False)
class ChatRate(ChatRule):
    """The rate of answers in tokens per second; 0 is as fast as possible. It applies until replaced."""

    tokens_per_second: Annotated[float, RATE] = 0.0


class ChatScript(RulePlan[ChatRule]):
    """Scripts the language models of an emulator. All methods may be called from any thread.

    Every method returns its rule, whose ``fired`` counts how often it was used. It is used up after ``times`` uses.

    Attributes:
        kept_seconds: Seconds a completion outlives the connection of its client.

    Example:
        >>> rule = supernet.chat.reply("Forty-two.", when="answer")
        >>> client.chat.completions.create(messages=[{"role": "user", "content": "The answer?"}]).content
        'Forty-two.'
    """

    # Protocol notes: chat §14.2.

    kept_seconds: float = 30.0

    def clear(self) -> None:
        """Remove all rules, and restore `kept_seconds`."""
        super().clear()
        self.kept_seconds = ChatScript.kept_seconds

    def reply(
        self,
        answer: Reply | Replier | None = None,
        *,
        tool_calls: Iterable[tuple[str, Json]] = (),
        thought: str = "",
        finish_reason: str | None = None,
        model: str | None = None,
        when: str | None = None,
        times: Annotated[int, COUNT] | None = 1,
    ) -> ChatReply:
        """Replace the model's answer.

        Args:
            answer: A string, a message in the OpenAI format, an ``Answer``, or a function that takes the list of
                messages and returns one of these, or None for the regular answer. The function runs in a thread of its
                own.
            tool_calls: Pairs of a name and arguments (a mapping, or a JSON string as the model would write it).
            thought: The reasoning, sent if the request has thinking enabled.
            finish_reason: The finish reason; by default "stop", or "tool_calls" after tool calls.
            model: Glob of model IDs; None means any.
            when: Case-insensitive substring of the last user message; None means any.
            times: Number of uses; None means unlimited. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: A value is not allowed, or ``tool_calls``, ``thought`` or ``finish_reason`` are combined with an
                answer that is not a string.

        Example:
            >>> rule = supernet.chat.reply(tool_calls=[("generate_image", {"prompt": "a red kite"})])
        """
        pairs = list(tool_calls)
        if not all(isinstance(it, list | tuple) and len(it) == 2 and isinstance(it[0], str) for it in pairs):
            raise ValueError(f"tool_calls must be pairs of a name and arguments, got {pairs!r}")
        calls = tuple(Call(name, arguments) for name, arguments in pairs)
        if calls or thought or finish_reason or answer is None:
            if callable(answer) or not isinstance(answer, str | None):
                raise ValueError(
                    "tool_calls, thought and finish_reason require a string answer; a function returns an Answer"
                )
            answer = Answer(answer or "", calls, thought, finish_reason)
        elif not callable(answer) and not isinstance(answer, Mapping):
            answer = answer_of(answer)
        return self._add(ChatReply(answer, model=model, when=when, times=times))

    def fail(
        self,
        error: str,
        message: str = "The language model could not answer",
        *,
        code: str | None = None,
        after_tokens: Annotated[int, POSITION] | None = None,
        subscription: PlanLimits | None = None,
        model: str | None = None,
        when: str | None = None,
        times: Annotated[int, COUNT] | None = 1,
    ) -> ChatFailure:
        """End a request with an error: ``llmJobError`` on the socket, an error body for hosted chat.

        Args:
            error: The error tag, for example "server_restarting", "insufficient_balance" or "model_unavailable".
            message: The error message.
            code: The service's error code as a string, for example "4079".
            after_tokens: Send this many tokens of the answer first; by default the request is declined at once.
            subscription: ``requiredPlans``, ``feature`` and ``limitation`` of an insufficient plan.
            model: Glob of model IDs; None means any.
            when: Case-insensitive substring of the last user message; None means any.
            times: Number of uses; None means unlimited. Default 1.

        Returns:
            The rule.

        Raises:
            ValueError: A value is not allowed.

        Example:
            >>> rule = supernet.chat.fail("server_restarting", after_tokens=3)
        """
        # Protocol notes: chat §14.4.
        return self._add(
            ChatFailure(error, message, code, after_tokens, subscription or {}, model=model, when=when, times=times)
        )

    def rate(self, tokens_per_second: Annotated[float, RATE], *, model: str | None = None) -> ChatRate:
        """Set the rate of answers. The latest rate applies.

        Args:
            tokens_per_second: Tokens per second; 0 is as fast as possible.
            model: Glob of model IDs; None means any.

        Returns:
            The rule.

        Raises:
            ValueError: A value is not allowed.

        Example:
            >>> rule = supernet.chat.rate(20)
        """
        return self._add(ChatRate(tokens_per_second, model=model, times=None))

    def rate_of(self, chat_request: ChatRequest) -> float | None:
        """Return the rate that applies to a request.

        Args:
            chat_request: The request.

        Returns:
            Tokens per second; None if no rate is set.
        """
        with self._lock:
            rates = [rule for rule in self._rules if isinstance(rule, ChatRate) and rule.fits(chat_request)]
        return rates[-1].tokens_per_second if rates else None


def answer_of(reply: Reply) -> Answer:
    """Convert a scripted reply to an ``Answer``."""
    if isinstance(reply, Answer):
        return reply
    if isinstance(reply, str):
        return Answer(reply)
    if isinstance(reply, Call):
        return Answer(calls=(reply,))
    if isinstance(reply, Mapping):
        called = [call["function"] for call in reply.get("tool_calls") or ()]
        return Answer(reply.get("content") or "", tuple(Call(call["name"], call["arguments"]) for call in called))
    if isinstance(reply, list | tuple) and all(isinstance(it, Call) for it in reply):
        return Answer(calls=tuple(reply))
    raise ValueError(f"an answer must be a string, an Answer, tool calls or a message, got {reply!r}")
