"""Language models, their limits, and what they answer (chat §3, §4, §7; transport §9.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict, TypeVar

from attrs import field, frozen

from sogni.errors import ProtocolError
from sogni.models.answers import read_answer
from sogni.models.base import BillingMode, LooseModel, Model, TokenType, local, shown, wire
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall, ToolExecutionProgress, ToolRound

T = TypeVar("T")


@frozen(kw_only=True)
class LLMRange(LooseModel):
    """Allowed values of a sampling parameter."""

    min: float | None = None
    max: float | None = None
    decimals: int | None = None
    default: float | None = None
    thinking_complex_default: float | None = None


@frozen(kw_only=True)
class LLMPreset(LooseModel):
    """Sampling parameters that suit one way of using a model."""

    temperature: float | None = None
    top_p: float | None = field(default=None, metadata=wire("top_p"))
    top_k: float | None = field(default=None, metadata=wire("top_k"))
    min_p: float | None = field(default=None, metadata=wire("min_p"))
    repetition_penalty: float | None = field(default=None, metadata=wire("repetition_penalty"))
    presence_penalty: float | None = field(default=None, metadata=wire("presence_penalty"))


@frozen(kw_only=True)
class LLMModelInfo(LooseModel):
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
class TokenUsage(LooseModel):
    """Tokens counted by the service."""

    prompt_tokens: int = field(default=0, metadata=wire("prompt_tokens"))
    completion_tokens: int = field(default=0, metadata=wire("completion_tokens"))
    total_tokens: int | None = field(default=None, metadata=wire("total_tokens"))


@frozen(kw_only=True)
class ChatCost(LooseModel):
    """What a completion cost (chat §3)."""

    cost_in_usd: Decimal | None = field(default=None, metadata=wire("costInUSD"))
    cost_in_token: Decimal | None = None
    cost_in_sogni: Decimal | None = None
    cost_in_spark: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@frozen(kw_only=True)
class TextPart(Model):
    """A piece of text in a message."""

    text: str
    type: str = "text"


@frozen(kw_only=True)
class ImageAddress(Model):
    """The image of an `ImagePart`: a `data:` URI or an address of the service's stores."""

    url: str = field(repr=lambda url: repr(url[:48] + "…" if len(url) > 48 else url.partition("?")[0]))
    detail: Literal["auto", "low", "high"] | str | None = None


@frozen(kw_only=True)
class ImagePart(Model):
    """An image in a message; `sogni.image_part` makes one of a file (chat §9)."""

    image_url: ImageAddress = field(metadata=wire("image_url"))
    type: str = "image_url"


@frozen(kw_only=True)
class ChatMessage(Model):
    """A message of a conversation; dicts in the OpenAI form do as well (chat §2.8).

    `role` is `system`, `user`, `assistant` or `tool`; `content` a text, a list of parts, or None beside `tool_calls`.
    """

    role: Literal["system", "user", "assistant", "tool"] | str
    content: Any = None
    tool_calls: list[ToolCall] | None = field(default=None, metadata=wire("tool_calls"))
    tool_call_id: str | None = field(default=None, metadata=wire("tool_call_id"))
    name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the wire form; `content` is there also when it is None (chat §2.3)."""
        optional = {"tool_calls": self.tool_calls, "tool_call_id": self.tool_call_id, "name": self.name}
        given = {key: to_dict(value) for key, value in optional.items() if value is not None}
        return {"role": self.role, "content": to_dict(self.content), **given, **self.extra}


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
    """A whole answer (chat §4). `time_taken` is in seconds; `tool_calls` is None when there were none.

    `content` is the text as it came, thinking included. `parsed` is what it holds when JSON was asked for.
    """

    job_id: str = field(metadata=wire("jobID"))
    content: str = ""
    role: str = "assistant"
    finish_reason: str = "stop"
    usage: TokenUsage = field(factory=TokenUsage)
    time_taken: float = 0
    worker_name: str | None = None
    cost: ChatCost | None = None
    tool_calls: list[ToolCall] | None = field(default=None, metadata=wire("tool_calls"))
    tool_history: list[ToolRound] | None = None
    answer_type: Any = field(default=None, metadata=local(), repr=False)
    """What `parsed` is to be: the class given as `response_format`, `Any` for any JSON, None for none."""

    @property
    def parsed(self) -> Any:
        """What the JSON of the answer holds: an instance of the class given as `response_format`.

        Plain JSON values when the format was a schema or `json_object`, None when no JSON was asked for. Thinking
        is left out. Raises `ProtocolError` with the path of what does not fit (`$.steps[0].minutes`).
        """
        return None if self.answer_type is None else self.parsed_as(self.answer_type)

    def parsed_as(self, kind: type[T]) -> T:
        """Return what the JSON of the answer holds as an instance of `kind`, whatever was asked for; typed.

        Raises `ProtocolError` with the path of what does not fit.
        """
        try:
            return read_answer(kind, self.content)
        except ProtocolError as error:
            if self.finish_reason == "length":
                error.add_note("the answer was cut off at max_tokens")
            raise

    @property
    def message(self) -> ChatMessage:
        """The answer as a message of the conversation, for the next request."""
        return ChatMessage(role=self.role, content=self.content or None, tool_calls=self.tool_calls)


@frozen(kw_only=True)
class ChatJobState(LooseModel):
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
    subscription_limit: bool = False
    required_plans: list[str] = field(factory=list)
    feature: str | None = None
    limitation: str | None = None


@frozen(kw_only=True)
class LLMCostEstimation(Model):
    """What a completion would cost, in each currency, and the tokens it was asked for (chat §8)."""

    cost_in_usd: Decimal | None = field(default=None, metadata=wire("costInUSD"))
    cost_in_token: Decimal | None = None
    cost_in_sogni: Decimal | None = None
    cost_in_spark: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@frozen(kw_only=True)
class MediaContext(Model):
    """Media a run may refer to by position; every entry is an http or https address (chat §12.1)."""

    images: list[str] = field(factory=list, repr=shown)
    videos: list[str] = field(factory=list, repr=shown)
    audio: list[str] = field(factory=list, repr=shown)
    uploaded_images: list[str] | None = field(default=None, repr=shown)
    uploaded_videos: list[str] | None = field(default=None, repr=shown)
    uploaded_audio: list[str] | None = field(default=None, repr=shown)


# What may be asked of a chat completion: the keywords of `create`, typed (chat §2.2, §2.9).
#
# Values are left to the service, which knows its models; only names are checked here.


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


# What hosted chats and hosted tools answer, in the OpenAI form (chat §11.2, §14.5).


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


# A conversation as data: what is saved, and loaded again.


@frozen(kw_only=True)
class ConversationRecord(Model):
    """All that was said, without the options it was asked with."""

    model: str
    system: str | None = None
    messages: list[ChatMessage] = field(factory=list)
