"""Language models, their limits, and what they answer (chat §3, §4, §7; transport §9.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import field, frozen

from .base import Model, wire


@frozen(kw_only=True)
class LLMRange(Model):
    """Allowed values of a sampling parameter."""

    min: float | None = None
    max: float | None = None
    decimals: int | None = None
    default: float | None = None
    thinking_complex_default: float | None = None


@frozen(kw_only=True)
class LLMPreset(Model):
    """Sampling parameters that suit one way of using a model."""

    temperature: float | None = None
    top_p: float | None = field(default=None, metadata=wire("top_p"))
    top_k: float | None = field(default=None, metadata=wire("top_k"))
    min_p: float | None = field(default=None, metadata=wire("min_p"))
    repetition_penalty: float | None = field(default=None, metadata=wire("repetition_penalty"))
    presence_penalty: float | None = field(default=None, metadata=wire("presence_penalty"))


@frozen(kw_only=True)
class LLMModelInfo(Model):
    """A language model with workers now: how many, its context length in tokens, its limits and presets."""

    workers: int = 0
    max_context_length: int | None = None
    max_output_tokens: LLMRange | None = None
    temperature: LLMRange | None = None
    top_p: LLMRange | None = field(default=None, metadata=wire("top_p"))
    top_k: LLMRange | None = field(default=None, metadata=wire("top_k"))
    min_p: LLMRange | None = field(default=None, metadata=wire("min_p"))
    repetition_penalty: LLMRange | None = field(default=None, metadata=wire("repetition_penalty"))
    frequency_penalty: LLMRange | None = field(default=None, metadata=wire("frequency_penalty"))
    presence_penalty: LLMRange | None = field(default=None, metadata=wire("presence_penalty"))
    defaults_thinking: LLMPreset | None = None
    defaults_thinking_coding: LLMPreset | None = None
    defaults_non_thinking: LLMPreset | None = None
    defaults_non_thinking_reasoning: LLMPreset | None = None


@frozen(kw_only=True)
class TokenUsage(Model):
    """Tokens counted by the service."""

    prompt_tokens: int = field(default=0, metadata=wire("prompt_tokens"))
    completion_tokens: int = field(default=0, metadata=wire("completion_tokens"))
    total_tokens: int | None = field(default=None, metadata=wire("total_tokens"))


@frozen(kw_only=True)
class ChatCost(Model):
    """What a completion cost (chat §3)."""

    cost_in_usd: Decimal | None = field(default=None, metadata=wire("costInUSD"))
    cost_in_token: Decimal | None = None
    cost_in_sogni: Decimal | None = None
    cost_in_spark: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@frozen(kw_only=True)
class ToolCallFunction(Model):
    """The function a tool call names; `arguments` is a JSON text, as the model wrote it."""

    name: str = ""
    arguments: str = ""


@frozen(kw_only=True)
class ToolCall(Model):
    """A call of a tool, in the OpenAI form."""

    id: str = ""
    type: str = "function"
    function: ToolCallFunction = field(factory=ToolCallFunction)


@frozen(kw_only=True)
class ChatCompletionChunk(Model):
    """A piece of an answer as it arrived; `content` is never None (chat §3).

    `tool_calls` are the deltas of this piece, as sent.
    """

    job_id: str = field(metadata=wire("jobID"))
    content: str = ""
    role: str | None = None
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    tool_calls: list[dict[str, Any]] | None = field(default=None, metadata=wire("tool_calls"))


@frozen(kw_only=True)
class ChatCompletionResult(Model):
    """A whole answer (chat §4). `time_taken` is in seconds; `tool_calls` is None when there were none."""

    job_id: str = field(metadata=wire("jobID"))
    content: str = ""
    role: str = "assistant"
    finish_reason: str = "stop"
    usage: TokenUsage = field(factory=TokenUsage)
    time_taken: float = 0
    worker_name: str | None = None
    cost: ChatCost | None = None
    tool_calls: list[ToolCall] | None = field(default=None, metadata=wire("tool_calls"))
    tool_history: list[Any] | None = None


@frozen(kw_only=True)
class ChatJobState(Model):
    """A change of a chat job: `pending`, `queued`, `assigned`, `initiatingModel`, `jobStarted` (chat §3)."""

    job_id: str = field(metadata=wire("jobID"))
    type: str
    worker_name: str | None = None
    queue_position: int | None = None
    model_id: str | None = None
    estimated_cost: Decimal | None = None


@frozen(kw_only=True)
class ChatFailure(Model):
    """Why a chat job failed: `error` is the service's tag (chat §6)."""

    job_id: str = field(metadata=wire("jobID"))
    error: str
    message: str
    worker_name: str | None = None
    error_code: str | None = None


@frozen(kw_only=True)
class LLMCostEstimation(Model):
    """What a completion would cost, in each currency, and the tokens it was asked for (chat §8)."""

    cost_in_usd: Decimal | None = field(default=None, metadata=wire("costInUSD"))
    cost_in_token: Decimal | None = None
    cost_in_sogni: Decimal | None = None
    cost_in_spark: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
