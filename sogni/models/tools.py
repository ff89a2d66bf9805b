"""Tool calls in a conversation: their arguments, progress and results."""

# The wire format: chat §2.6, §10; tools §3, §4.

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import Model
from sogni.redaction import redact


def _unsigned(urls: list[str] | None) -> str:
    """Return the `repr` of URLs without their signatures."""
    return repr(urls and [redact(url) for url in urls])


@frozen(kw_only=True)
class ToolCallFunction(Model):
    """The function of a tool call.

    Attributes:
        name: Name of the tool.
        arguments: The arguments as JSON, as written by the model; see `parse_tool_call_arguments`.
    """

    name: str = ""
    arguments: str = ""


@frozen(kw_only=True)
class ToolCall(Model):
    """A tool call, in the OpenAI format.

    Attributes:
        id: ID of the call; its result refers to it.
        type: Always ``"function"``.
        function: Name and arguments.
    """

    id: str = ""
    type: str = "function"
    function: ToolCallFunction = field(factory=ToolCallFunction)


@frozen(kw_only=True)
class ToolArguments:
    """The checked arguments of a tool; see `validate_tool_arguments`.

    Attributes:
        ok: Whether the arguments are valid.
        arguments: The arguments under the names of the tool's definition.
        errors: What is invalid; each error starts with the path of its argument (``overlays[0].text``).
        warnings: What was changed or has no effect.
    """

    ok: bool
    arguments: dict[str, Any]
    errors: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)


@frozen(kw_only=True)
class ToolExecutionProgress(Model):
    """The progress of a tool call.

    Attributes:
        status: ``"creating"``, ``"queued"``, ``"processing"``, ``"completed"`` or ``"failed"``.
        percent: Progress from 0 to 100.
        result_urls: URLs of the results, with the status ``"completed"``.
        eta: Estimated remaining time in seconds, if known.
    """

    status: Literal["creating", "queued", "processing", "completed", "failed"] | str
    percent: float = 0
    result_urls: list[str] | None = field(default=None, repr=_unsigned)
    eta: float | None = None


@frozen(kw_only=True)
class ToolExecutionResult(Model):
    """The result of a tool call; failed calls have one too.

    Attributes:
        tool_call_id: ID of the tool call.
        tool_name: Name of the tool.
        success: Whether the call succeeded.
        result_urls: URLs of the created media.
        content: What the model reads: JSON with ``success`` and the URLs or the error, or the return value of a
            Python function.
        error: Why the call failed.
    """

    tool_call_id: str = ""
    tool_name: str = ""
    success: bool = False
    result_urls: list[str] = field(factory=list, repr=_unsigned)
    content: str = field(default="", repr=lambda content: repr(redact(content)))
    error: str | None = None


@frozen(kw_only=True)
class ToolRound(Model):
    """One round of tool calls in a completion with ``auto_execute_tools=True``.

    Attributes:
        round: Number of the round, from 0.
        tool_calls: Tools that the model has called.
        tool_results: Their results, in the same order.
    """

    round: int = 0
    tool_calls: list[ToolCall] = field(factory=list)
    tool_results: list[ToolExecutionResult] = field(factory=list)
