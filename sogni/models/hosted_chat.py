"""What hosted chats and hosted tools answer, in the OpenAI form (chat §11.2, §14.5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from .answers import read_answer
from .base import LooseModel, Model, local, shown, wire
from .chat import ChatMessage, TokenUsage


@frozen(kw_only=True)
class HostedChatChoice(LooseModel):
    """One answer; `finish_reason` is `stop`, `length`, `tool_calls`, …"""

    index: int = 0
    message: ChatMessage
    finish_reason: str | None = field(default=None, metadata=wire("finish_reason"))


@frozen(kw_only=True)
class HostedWorkflow(LooseModel):
    """A workflow that the service started; addresses may be relative to the REST endpoint."""

    workflow_id: str | None = None
    status: str | None = None
    url: str | None = field(default=None, repr=shown)
    events_url: str | None = field(default=None, repr=shown)
    stream_url: str | None = field(default=None, repr=shown)


@frozen(kw_only=True)
class HostedChatCompletionResult(LooseModel):
    """A whole answer of `client.chat.hosted.create`, in the OpenAI form.

    `created` is in seconds since 1970. `sogni_tool_results` are what tools run by the service gave, as sent.
    """

    id: str | None = None
    object: str = "chat.completion"
    created: int | None = None
    model: str | None = None
    choices: list[HostedChatChoice] = field(factory=list)
    usage: TokenUsage | None = None
    creative_workflows: list[HostedWorkflow] | None = field(default=None, metadata=wire("creative_workflows"))
    sogni_tool_results: list[Any] | None = field(default=None, metadata=wire("sogni_tool_results"))
    answer_type: Any = field(default=None, metadata=local(), repr=False)
    """What `parsed` is to be, as in `ChatCompletionResult`."""

    @property
    def message(self) -> ChatMessage | None:
        """The first answer as a message, for the next request; None when there is none."""
        return self.choices[0].message if self.choices else None

    @property
    def content(self) -> str:
        """The text of the first answer; empty when there is none."""
        content = self.message.content if self.message is not None else None
        return content if isinstance(content, str) else ""

    @property
    def created_at(self) -> datetime | None:
        """When it was made."""
        return None if self.created is None else datetime.fromtimestamp(self.created, UTC)

    @property
    def parsed(self) -> Any:
        """What the JSON of the first answer holds, as `ChatCompletionResult.parsed`."""
        return None if self.answer_type is None else read_answer(self.answer_type, self.content)


@frozen(kw_only=True)
class HostedToolOutcome(LooseModel):
    """What a hosted tool gave; the keys of `result` depend on the tool."""

    tool_call_id: str | None = None
    tool: str | None = None
    result: Mapping[str, Any] = field(factory=dict)
    message: str | None = None


@frozen(kw_only=True)
class HostedToolExecution(Model):
    """The answer of `client.chat.hosted.execute_tool`."""

    status: str | None = None
    data: HostedToolOutcome = field(factory=HostedToolOutcome)
