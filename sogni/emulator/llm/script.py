"""What tests let the models say: the rules behind ``supernet.chat``.

Written from any thread; the jobs ask it for every completion. Like a fault plan, a rule is spent after ``times``
uses, and rules are tried in the order they were made. It sends nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from attrs import define, field

from .answers import Answer, Call
from .asking import Asking
from .declined import DeclinedError
from .messages import Conversation

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
