"""Chat data: language models, messages, completions, hosted chats and saved conversations."""

# The wire format: chat §2 to §11, §14.5; transport §9.3.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypedDict, TypeVar

from attrs import field, frozen

from sogni.errors import ProtocolError
from sogni.models.answers import read_answer
from sogni.models.base import BillingMode, LooseModel, Model, local, redacted_repr, wire
from sogni.models.converter import to_dict
from sogni.models.projects import ConsentRequired, VendorFailureCategory
from sogni.models.tools import ToolCall, ToolExecutionProgress, ToolRound
from sogni.settings import Attribution, TokenType

T = TypeVar("T")


@frozen(kw_only=True)
class LLMRange(LooseModel):
    """The allowed range of a parameter of a language model.

    Attributes:
        min: Smallest allowed value.
        max: Largest allowed value.
        decimals: Number of decimal places.
        default: Value the service uses if the parameter is omitted.
        thinking_complex_default: Default when the model thinks about a task with the profile ``"coding"`` or
            ``"reasoning"``.
    """

    min: float | None = None
    max: float | None = None
    decimals: int | None = None
    default: float | None = None
    thinking_complex_default: float | None = None


@frozen(kw_only=True)
class LLMPreset(LooseModel):
    """Sampling parameters recommended for one way of using a model; parameters of the request override them.

    Attributes:
        temperature: Sampling temperature.
        top_p: Probability mass that is sampled from.
        top_k: Number of most likely tokens that are sampled from.
        min_p: Smallest probability of a token, relative to the most likely one.
        repetition_penalty: Penalty for repeated tokens.
        presence_penalty: Penalty for tokens that have appeared before.
    """

    temperature: float | None = None
    top_p: float | None = field(default=None, metadata=wire("top_p"))
    top_k: float | None = field(default=None, metadata=wire("top_k"))
    min_p: float | None = field(default=None, metadata=wire("min_p"))
    repetition_penalty: float | None = field(default=None, metadata=wire("repetition_penalty"))
    presence_penalty: float | None = field(default=None, metadata=wire("presence_penalty"))


@frozen(kw_only=True)
class LLMModelInfo(LooseModel):
    """A language model that is available now, with its limits and presets.

    Attributes:
        workers: Number of workers that serve the model.
        max_context_length: Context length in tokens.
        max_output_tokens: Range of `max_tokens`.
        temperature: Range of `temperature`.
        top_p: Range of `top_p`.
        top_k: Range of `top_k`.
        min_p: Range of `min_p`.
        repetition_penalty: Range of `repetition_penalty`.
        frequency_penalty: Range of `frequency_penalty`.
        presence_penalty: Range of `presence_penalty`.
        defaults_thinking: Preset for general thinking (``think=True``).
        defaults_thinking_coding: Preset for precise coding (``think=True, task_profile="coding"``).
        defaults_non_thinking: Preset for direct answers (``think=False``).
        defaults_non_thinking_reasoning: Preset for analytical answers without thinking
            (``think=False, task_profile="reasoning"``).
    """

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
    """The number of tokens of a completion, as counted by the service.

    Attributes:
        prompt_tokens: Tokens of the request.
        completion_tokens: Tokens of the answer.
        total_tokens: Tokens of both.
    """

    prompt_tokens: int = field(default=0, metadata=wire("prompt_tokens"))
    completion_tokens: int = field(default=0, metadata=wire("completion_tokens"))
    total_tokens: int | None = field(default=None, metadata=wire("total_tokens"))


@frozen(kw_only=True)
class ChatCost(LooseModel):
    """The cost of a completion.

    Attributes:
        cost_in_usd: Cost in US dollars.
        cost_in_token: Cost in the token that paid.
        cost_in_sogni: Cost in SOGNI tokens.
        cost_in_spark: Cost in Spark tokens.
        input_tokens: Number of tokens of the request.
        output_tokens: Number of tokens of the answer.
    """

    cost_in_usd: Decimal | None = field(default=None, metadata=wire("costInUSD"))
    cost_in_token: Decimal | None = None
    cost_in_sogni: Decimal | None = None
    cost_in_spark: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@frozen(kw_only=True)
class TextPart(Model):
    """Text in a message whose content is a list of parts.

    Attributes:
        text: The text.
        type: Always ``"text"``.
    """

    text: str
    type: str = "text"


@frozen(kw_only=True)
class ImageAddress(Model):
    """The URL of the image of an `ImagePart`.

    Attributes:
        url: A `data:` URI of a PNG or JPEG, or an https URL of the service's own storage. At most 10 MiB, and 1024
            pixels on the longest side.
        detail: How closely the model looks at the image: ``"auto"``, ``"low"`` or ``"high"``.
    """

    url: str = field(repr=lambda url: repr(url[:48] + "…" if len(url) > 48 else url.partition("?")[0]))
    detail: Literal["auto", "low", "high"] | str | None = None


@frozen(kw_only=True)
class ImagePart(Model):
    """An image in a message. `sogni.image_part` creates one from a file.

    Attributes:
        image_url: The URL of the image.
        type: Always ``"image_url"``.
    """

    image_url: ImageAddress = field(metadata=wire("image_url"))
    type: str = "image_url"


@frozen(kw_only=True)
class ChatMessage(Model):
    """A message of a conversation. Dicts in the OpenAI format are accepted wherever messages are.

    Attributes:
        role: ``"system"``, ``"user"``, ``"assistant"`` or ``"tool"``.
        content: A string, a list of `TextPart` and `ImagePart`, or None in a message with `tool_calls`.
        tool_calls: Tools that the model calls, in a message of the assistant.
        tool_call_id: ID of the tool call that this message answers, in a message of a tool.
        name: Name of the tool, in a message of a tool.
    """

    role: Literal["system", "user", "assistant", "tool"] | str
    content: Any = None
    tool_calls: list[ToolCall] | None = field(default=None, metadata=wire("tool_calls"))
    tool_call_id: str | None = field(default=None, metadata=wire("tool_call_id"))
    name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the message in the OpenAI form. `content` is always included.

        Returns:
            JSON-ready data.
        """
        # A null content must survive: chat §2.3.
        optional = {"tool_calls": self.tool_calls, "tool_call_id": self.tool_call_id, "name": self.name}
        given = {key: to_dict(value) for key, value in optional.items() if value is not None}
        return {"role": self.role, "content": to_dict(self.content), **given, **self.extra}


@frozen(kw_only=True)
class ChatCompletionChunk(Model):
    """A part of an answer, in the order of arrival.

    Attributes:
        job_id: ID of the completion's job.
        content: Text of this chunk, empty if it has none.
        role: Role of the message, if the chunk has it.
        finish_reason: Why the model stopped, for example ``"stop"``, ``"length"`` or ``"tool_calls"``; None before.
        usage: Number of tokens so far, if the chunk has it.
        tool_calls: Deltas of tool calls, as sent by the service. `ChatCompletionResult.tool_calls` has them complete.
    """

    job_id: str = field(metadata=wire("jobID"))
    content: str = ""
    role: str | None = None
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    tool_calls: list[dict[str, Any]] | None = field(default=None, metadata=wire("tool_calls"))


@frozen(kw_only=True)
class ChatCompletionResult(Model):
    """A complete answer.

    Attributes:
        job_id: ID of the completion's job.
        content: Text of the answer, including the thinking between ``<think>`` and ``</think>``; see
            `without_thinking`.
        role: Role of the message.
        finish_reason: Why the model stopped, for example ``"stop"``, ``"length"`` or ``"tool_calls"``.
        usage: Number of tokens.
        time_taken: Duration in seconds.
        worker_name: Name of the worker.
        cost: Cost of the completion, if known.
        tool_calls: Tools that the model calls; None if there are none.
        tool_history: The rounds of executed tools, with ``auto_execute_tools=True``; None if there were none.
        answer_type: What `parsed` returns: the class given as `response_format`, `Any` for other JSON, None for text.
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

    @property
    def parsed(self) -> Any:
        """The JSON of the answer, as an instance of the class given as `response_format`.

        Plain JSON values if the format is a schema or `json_object`; None if no JSON was requested. Thinking is
        ignored.

        Raises:
            ProtocolError: The answer is not JSON, or does not fit the class; the message has the path
                (``$.steps[0].minutes``).
        """
        return None if self.answer_type is None else self.parsed_as(self.answer_type)

    def parsed_as(self, kind: type[T]) -> T:
        """Return the JSON of the answer as an instance of a class, independent of `response_format`.

        Args:
            kind: An attrs class, a dataclass, a pydantic model, or another type that JSON can represent.

        Returns:
            The instance, typed.

        Raises:
            ProtocolError: The answer is not JSON, or does not fit the class; the message has the path.
        """
        try:
            return read_answer(kind, self.content)
        except ProtocolError as error:
            if self.finish_reason == "length":
                error.add_note("the answer was cut off at max_tokens")
            raise

    @property
    def message(self) -> ChatMessage:
        """The answer as a message, for the next request."""
        return ChatMessage(role=self.role, content=self.content or None, tool_calls=self.tool_calls)


@frozen(kw_only=True)
class ChatJobState(LooseModel):
    """A change of state of a chat job.

    Attributes:
        job_id: ID of the completion's job.
        type: The new state: ``"pending"``, ``"queued"``, ``"assigned"``, ``"initiatingModel"`` (the worker loads the
            model) or ``"jobStarted"``.
        worker_name: Name of the worker, once assigned.
        queue_position: Position in the queue.
        model_id: ID of the model.
        estimated_cost: Estimated cost in the token that pays.
    """

    job_id: str = field(metadata=wire("jobID"))
    type: str
    worker_name: str | None = None
    queue_position: int | None = None
    model_id: str | None = None
    estimated_cost: Decimal | None = None


@frozen(kw_only=True)
class ChatFailure(Model):
    """Why a chat job failed.

    Attributes:
        job_id: ID of the completion's job.
        error: Kind of error, for example ``"insufficient_balance"``, ``"model_unavailable"`` or
            ``"transport_lost"``.
        message: Description of the error.
        worker_name: Name of the worker, if one was assigned.
        error_code: Error code of the service, for example ``"4080"``.
        subscription_limit: Whether the subscription does not cover the request.
        required_plans: Subscription plans that cover it.
        feature: Key of the feature that the plan lacks.
        limitation: Description of the limitation, for users.
        vendor_failure_category: Why a vendor failed to process the request.
        consent_required: The agreement that must be accepted first; None if that is not the reason.
    """

    job_id: str = field(metadata=wire("jobID"))
    error: str
    message: str
    worker_name: str | None = None
    error_code: str | None = None
    subscription_limit: bool = False
    required_plans: list[str] = field(factory=list)
    feature: str | None = None
    limitation: str | None = None
    vendor_failure_category: VendorFailureCategory | str | None = None
    consent_required: ConsentRequired | None = None


@frozen(kw_only=True)
class LLMCostEstimation(Model):
    """The estimated cost of a completion.

    Attributes:
        cost_in_usd: Cost in US dollars.
        cost_in_token: Cost in the requested token.
        cost_in_sogni: Cost in SOGNI tokens.
        cost_in_spark: Cost in Spark tokens.
        input_tokens: Number of tokens of the request that the estimate assumes.
        output_tokens: Number of tokens of the answer that the estimate assumes.
    """

    cost_in_usd: Decimal | None = field(default=None, metadata=wire("costInUSD"))
    cost_in_token: Decimal | None = None
    cost_in_sogni: Decimal | None = None
    cost_in_spark: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@frozen(kw_only=True)
class MediaContext(Model):
    """Media that tool calls refer to by index.

    Chat runs accept http and https URLs only, because the service downloads them.

    Attributes:
        images: URLs of images that have been created.
        videos: URLs of videos that have been created.
        audio: URLs of audio that has been created.
        uploaded_images: URLs of images that the user has uploaded.
        uploaded_videos: URLs of videos that the user has uploaded.
        uploaded_audio: URLs of audio that the user has uploaded.
    """

    images: list[str] = field(factory=list, repr=redacted_repr)
    videos: list[str] = field(factory=list, repr=redacted_repr)
    audio: list[str] = field(factory=list, repr=redacted_repr)
    uploaded_images: list[str] | None = field(default=None, repr=redacted_repr)
    uploaded_videos: list[str] | None = field(default=None, repr=redacted_repr)
    uploaded_audio: list[str] | None = field(default=None, repr=redacted_repr)


# Keywords of completions: chat §2.2, §2.9, §10, §11.1. Values are checked by the service, which knows its models.


TaskProfile = Literal["general", "coding", "reasoning"]
ToolFamily = Literal["creative-tools", "creative-agent", "rich"]
ToolChoice = Literal["auto", "none", "required"] | Mapping[str, Any]


class SamplingFields(TypedDict, total=False):
    """Keywords of all completions."""

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
    attribution: Attribution | Mapping[str, Any] | None


class ToolFields(TypedDict, total=False):
    """Keywords that control how tools are executed locally."""

    auto_execute_tools: bool | None
    on_tool_call: Callable[[ToolCall], Any] | None
    on_tool_progress: Callable[[ToolCall, ToolExecutionProgress], Any] | None
    max_tool_rounds: int | None
    media_context: MediaContext | Mapping[str, Any] | None


class CompletionFields(SamplingFields, ToolFields, total=False):
    """Keywords of `client.chat.completions.create`."""


class HostedFields(SamplingFields, total=False):
    """Keywords of `client.chat.hosted.create`."""

    media_references: Sequence[Any] | None
    api_media_references: Sequence[Any] | None
    chat_template_kwargs: Mapping[str, Any] | None


# Hosted chats and tools: chat §11.2, §14.5.


@frozen(kw_only=True)
class HostedChatChoice(LooseModel):
    """One answer of a hosted chat.

    Attributes:
        index: Position among the answers, from 0.
        message: The answer.
        finish_reason: Why the model stopped, for example ``"stop"``, ``"length"`` or ``"tool_calls"``.
    """

    index: int = 0
    message: ChatMessage
    finish_reason: str | None = field(default=None, metadata=wire("finish_reason"))


@frozen(kw_only=True)
class HostedWorkflow(LooseModel):
    """A workflow that a hosted chat has started. URLs may be relative to the REST endpoint.

    Attributes:
        workflow_id: ID of the workflow, for `client.workflows`.
        status: Status of the workflow.
        url: URL of its record.
        events_url: URL of its events.
        stream_url: URL of its event stream.
    """

    workflow_id: str | None = None
    status: str | None = None
    url: str | None = field(default=None, repr=redacted_repr)
    events_url: str | None = field(default=None, repr=redacted_repr)
    stream_url: str | None = field(default=None, repr=redacted_repr)


@frozen(kw_only=True)
class HostedChatCompletionResult(LooseModel):
    """The response of `client.chat.hosted.create`, in the OpenAI format.

    Attributes:
        id: ID of the completion.
        object: Always ``"chat.completion"``.
        created: Time of creation, in seconds since 1970; see `created_at`.
        model: ID of the model.
        choices: The answers.
        usage: Number of tokens.
        creative_workflows: Workflows that the service has started.
        sogni_tool_results: Results of the tools that the service has run, as sent.
        answer_type: What `parsed` returns, as in `ChatCompletionResult`.
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

    @property
    def message(self) -> ChatMessage | None:
        """The first answer as a message, for the next request; None if there is none."""
        return self.choices[0].message if self.choices else None

    @property
    def content(self) -> str:
        """The text of the first answer; empty if there is none."""
        content = self.message.content if self.message is not None else None
        return content if isinstance(content, str) else ""

    @property
    def created_at(self) -> datetime | None:
        """The time of creation, in UTC."""
        return None if self.created is None else datetime.fromtimestamp(self.created, UTC)

    @property
    def parsed(self) -> Any:
        """The JSON of the first answer, as in `ChatCompletionResult.parsed`."""
        return None if self.answer_type is None else read_answer(self.answer_type, self.content)


@frozen(kw_only=True)
class HostedToolOutcome(LooseModel):
    """The outcome of a hosted tool.

    Attributes:
        tool_call_id: ID of the tool call.
        tool: Name of the tool.
        result: The result; its keys depend on the tool.
        message: Message of the tool, if any.
    """

    tool_call_id: str | None = None
    tool: str | None = None
    result: Mapping[str, Any] = field(factory=dict)
    message: str | None = None


@frozen(kw_only=True)
class HostedToolExecution(Model):
    """The response of `client.chat.hosted.execute_tool`.

    Attributes:
        status: ``"success"``.
        data: The outcome.
    """

    status: str | None = None
    data: HostedToolOutcome = field(factory=HostedToolOutcome)


@frozen(kw_only=True)
class ConversationRecord(Model):
    """A conversation as data, for saving and loading. The options of its requests are not included.

    Attributes:
        model: ID of the model.
        system: System message, None without one.
        messages: All other messages, oldest first.
    """

    model: str
    system: str | None = None
    messages: list[ChatMessage] = field(factory=list)
