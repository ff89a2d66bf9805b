"""Tools in a conversation: calls, checked arguments, executions and what came of them (chat §2.6; tools §3, §4)."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import Model
from sogni.redaction import redact


def _unsigned(urls: list[str] | None) -> str:
    """Addresses without what signs them."""
    return repr(urls and [redact(url) for url in urls])


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
class ToolArguments:
    """Arguments of a tool after checking: usable when `ok`; `errors` and `warnings` are sentences.

    Each error begins with the path of the argument it is about (`overlays[0].text`).
    """

    ok: bool
    arguments: dict[str, Any]
    errors: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)


@frozen(kw_only=True)
class ToolExecutionProgress(Model):
    """How far an execution is; `percent` goes from 0 to 100, `result_urls` come with `completed` (tools §4.4)."""

    status: Literal["creating", "queued", "processing", "completed", "failed"] | str
    percent: float = 0
    result_urls: list[str] | None = field(default=None, repr=_unsigned)
    eta: float | None = None


@frozen(kw_only=True)
class ToolExecutionResult(Model):
    """What became of a tool call, failures too (tools §4.3).

    `content` is the text for the model: JSON with `success`, and the URLs or the error; for a function of the user
    what it returned.
    """

    tool_call_id: str = ""
    tool_name: str = ""
    success: bool = False
    result_urls: list[str] = field(factory=list, repr=_unsigned)
    content: str = field(default="", repr=lambda content: repr(redact(content)))
    error: str | None = None


@frozen(kw_only=True)
class ToolRound(Model):
    """One round of calls in a completion that executes tools; `round` counts from 0 (chat §10)."""

    round: int = 0
    tool_calls: list[ToolCall] = field(factory=list)
    tool_results: list[ToolExecutionResult] = field(factory=list)
