"""What may be asked of a chat completion: the keywords of `create`, typed (chat §2.2, §2.9).

Values are left to the service, which knows its models; only names are checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from .base import BillingMode, TokenType
from .chat import ToolCall
from .runs import MediaContext
from .tools import ToolExecutionProgress

TaskProfile = Literal["general", "coding", "reasoning"]
ToolFamily = Literal["creative-tools", "creative-agent", "rich"]
ToolChoice = Literal["auto", "none", "required"] | Mapping[str, Any]


class SamplingFields(TypedDict, total=False):
    """What every kind of completion takes."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    stop: str | Sequence[str] | None
    tools: Sequence[Any] | None
    tool_choice: ToolChoice | None
    sogni_tools: bool | ToolFamily | None
    sogni_tool_execution: bool | None
    think: bool | None
    task_profile: TaskProfile | None
    response_format: Any
    token_type: TokenType | None
    billing_mode: BillingMode | None
    safe_content_filter: bool | None
    app_source: str | None


class ToolFields(TypedDict, total=False):
    """What says how tools are executed here (chat §10)."""

    auto_execute_tools: bool | None
    on_tool_call: Callable[[ToolCall], Any] | None
    on_tool_progress: Callable[[ToolCall, ToolExecutionProgress], Any] | None
    max_tool_rounds: int | None
    media_context: MediaContext | Mapping[str, Any] | None


class CompletionFields(SamplingFields, ToolFields, total=False):
    """Keywords of `client.chat.completions.create`."""


class HostedFields(SamplingFields, total=False):
    """Keywords of `client.chat.hosted.create` (chat §11.1)."""

    media_references: Sequence[Any] | None
    api_media_references: Sequence[Any] | None
    chat_template_kwargs: Mapping[str, Any] | None
