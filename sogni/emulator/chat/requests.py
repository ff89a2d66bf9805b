"""Checked completion requests, from socket frames, hosted chat and durable runs, and the errors that decline them.

The same rules apply to all endpoints; only a few keys are spelled differently. Balances and workers are not considered
here.
"""
# Protocol notes: chat §2, §11, §12.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypedDict, cast

from attrs import evolve, field, frozen

from sogni.emulator.account.accounts import Token
from sogni.emulator.attribution import check_attribution_fields
from sogni.emulator.chat import messages as tokens
from sogni.emulator.chat.messages import Conversation, Message, check_messages
from sogni.emulator.chat.models import LANGUAGE_MODELS, LanguageModel
from sogni.emulator.fields import Fields, Finding

_RANGES: Mapping[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 1000),
    "min_p": (0, 1),
    "repetition_penalty": (0, 10),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_TOOL_MODES = ("creative-tools", "creative-agent")
_PROFILES = ("general", "coding", "reasoning")
_BILLING = ("auto", "subscription", "tokens")


@frozen(kw_only=True)
class ChatRequest:
    """A request for a completion."""

    model: LanguageModel
    messages: Sequence[Message]
    token: Token = "sogni"
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    think: bool = False
    profile: str = "general"
    response_format: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str | None = None
    """``none``, ``auto``, ``required``, or the name of a tool."""
    named_tool: bool = False
    sogni_tools: str | None = None
    execute_tools: bool = False
    billing: str = "auto"
    app_source: str | None = None
    safe: bool = True
    """Whether tools withhold results that the safety filter finds."""

    @property
    def conversation(self) -> Conversation:
        return Conversation(self.messages)

    @cached_property
    def input_tokens(self) -> int:
        return tokens.of_request(self.messages, self.tools)

    @property
    def output_limit(self) -> int:
        """Return the maximum length of the answer in tokens: the requested one, within the limits of the model."""
        return min(self.max_tokens or self._default_output, self.model.output_limit)

    @property
    def _default_output(self) -> int:
        complex_thought = self.think and self.profile in ("coding", "reasoning")
        return self.model.thinking_output if complex_thought else self.model.output

    def saying(self, messages: Sequence[Message]) -> ChatRequest:
        """Return the request with other messages."""
        return evolve(self, messages=messages)


@frozen
class Checked:
    """The outcome of a check: the request, or error tag and message; the findings in either case."""

    chat_request: ChatRequest | None
    findings: Sequence[Finding]
    error: str = ""
    message: str = ""


def check_frame(payload: Mapping[str, Any]) -> Checked:
    """Check an ``llmJobRequest`` that has a job ID."""
    request = Fields(payload, "$", [])
    request.raw("jobID")
    request.text("type", required=True, allowed=("llm",))
    request.text("appSource")
    request.raw("stream")
    check_attribution_fields(request)
    return check(request, token="tokenType", profile="taskProfile", app_source="appSource", safe="safeContentFilter")


def check(
    request: Fields,
    *,
    token: str,
    profile: str,
    app_source: str,
    safe: str,
    billing: str = "billingMode",
    inline_images: bool = True,
    default_model: str | None = None,
) -> Checked:
    """Check what all endpoints have in common; the arguments are the values that are spelled differently."""
    name = request.text("model", required=default_model is None) or default_model
    messages = check_messages(request, vision_only_inline=inline_images)
    for key, (low, high) in _RANGES.items():
        request.number(key, minimum=low, maximum=high)
    limit = request.whole("max_tokens", minimum=1)
    choice, named = _tool_choice(request)
    chat_request = {
        "messages": messages,
        "token": cast(Token, request.text(token, allowed=("sogni", "spark")) or "sogni"),
        "max_tokens": limit,
        "stop": _stops(request),
        "think": _think(request),
        "profile": request.text(profile, allowed=_PROFILES) or "general",
        "response_format": _response_format(request),
        "tools": _tools(request),
        "tool_choice": choice,
        "named_tool": named,
        "sogni_tools": _sogni_tools(request),
        "execute_tools": bool(request.raw("sogni_tool_execution")),
        "billing": request.text(billing, allowed=_BILLING) or "auto",
        "app_source": request.text(app_source),
        "safe": request.flag(safe) is not False,
    }
    return _concluded(request, name, chat_request)


def _concluded(request: Fields, name: str | None, chat_request: dict[str, Any]) -> Checked:
    request.leftover()
    findings = request.findings
    refused = [str(finding) for finding in findings if finding.refused]
    if refused:
        return Checked(None, findings, "invalid_request", "; ".join(refused))
    model = LANGUAGE_MODELS.get(name or "")
    if model is None:
        return Checked(None, findings, "model_unavailable", f"No worker serves the language model {name!r}")
    checked = ChatRequest(model=model, **chat_request)
    problem = _too_much(checked)
    if problem is not None:
        return Checked(None, findings, "invalid_request", problem)
    return Checked(checked, findings)


def _too_much(chat_request: ChatRequest) -> str | None:
    offered = {tool["function"]["name"] for tool in chat_request.tools}
    if chat_request.named_tool and chat_request.sogni_tools is None and chat_request.tool_choice not in offered:
        return f"$.tool_choice names the tool {chat_request.tool_choice!r}, which is not in tools"
    if chat_request.tool_choice == "required" and not offered and chat_request.sogni_tools is None:
        return "$.tool_choice is 'required', but there are no tools"
    needed = chat_request.input_tokens
    if needed >= chat_request.model.context:
        return (
            f"the messages have {needed} tokens, {chat_request.model.id} takes fewer than {chat_request.model.context}"
        )
    return None


def _stops(request: Fields) -> tuple[str, ...]:
    given = request.raw("stop")
    stops = [given] if isinstance(given, str) else given
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        request.refuse("stop", "must be a string or a list of strings")
        return ()
    return tuple(stop for stop in stops if stop)


def _think(request: Fields) -> bool:
    given = request.raw("chat_template_kwargs")
    if given is None:
        return False
    options = request.object("chat_template_kwargs", given)
    if options is None:
        return False
    requested = options.raw("enable_thinking")
    if requested is not None and not isinstance(requested, bool):
        options.refuse("enable_thinking", "must be a boolean")
    return requested is True


def _response_format(request: Fields) -> Mapping[str, Any] | None:
    given = request.raw("response_format")
    if given is None:
        return None
    read = request.object("response_format", given)
    kind = None if read is None else read.text("type", required=True, allowed=("text", "json_object", "json_schema"))
    if read is None or kind is None:
        return None
    if kind == "json_schema":
        described = read.object("json_schema", read.raw("json_schema"))
        if described is None:
            return None
        described.text("name", required=True)
        described.object("schema", described.raw("schema"))
    return None if kind == "text" else cast(Mapping[str, Any], given)


def _tools(request: Fields) -> list[Mapping[str, Any]]:
    given = request.raw("tools")
    if given is None:
        return []
    if not isinstance(given, list):
        request.refuse("tools", "must be a list")
        return []
    for at, tool in enumerate(given):
        read = request.object("tools", tool, f"[{at}]")
        if read is None:
            continue
        read.text("type", required=True, allowed=("function",))
        function = read.object("function", read.raw("function"))
        if function is not None:
            function.text("name", required=True)
            function.text("description")
            if function.raw("parameters") is not None:
                function.object("parameters", function.raw("parameters"))
    return given


def _tool_choice(request: Fields) -> tuple[str | None, bool]:
    given = request.raw("tool_choice")
    if given is None:
        return None, False
    if isinstance(given, str):
        return request.text("tool_choice", allowed=("none", "auto", "required")), False
    choice = request.object("tool_choice", given)
    if choice is None:
        return None, False
    choice.text("type", required=True, allowed=("function",))
    function = choice.object("function", choice.raw("function"))
    return (None if function is None else function.text("name", required=True)), True


def _sogni_tools(request: Fields) -> str | None:
    given = request.raw("sogni_tools")
    if given in (None, False):
        return None
    if given is True:
        return "creative-tools"
    return request.text("sogni_tools", allowed=_TOOL_MODES)


_STATUSES = {
    "insufficient_balance": 402,
    "subscription_unavailable": 403,
    "model_unavailable": 404,
    "not_found": 404,
    "rate_limited": 429,
    "server_error": 500,
    "server_restarting": 503,
}


class PlanLimits(TypedDict, total=False):
    """What a subscription lacks for a request."""

    requiredPlans: Sequence[str]
    feature: str
    limitation: str


@frozen
class DeclinedError(Exception):
    """A declined completion: error tag, message, the service's error code, and what the subscription lacks."""

    # Protocol notes: chat §3, §14.4.

    error: str
    message: str
    code: str | None = None
    subscription: PlanLimits = field(factory=PlanLimits)

    def __str__(self) -> str:
        return f"{self.error}: {self.message}"

    @property
    def status(self) -> int:
        return _STATUSES.get(self.error, 400)

    def frame(self) -> dict[str, object]:
        """Return the payload of ``llmJobError`` without the job ID."""
        numbered = {} if self.code is None else {"error_code": self.code}
        return {"error": self.error, "error_message": self.message, **numbered, **self._limits()}

    def body(self) -> dict[str, object]:
        """Return the body of a REST response."""
        error_object: dict[str, Any] = {"message": self.message, "type": self.error}
        if self.code is not None:
            error_object["code"] = self.code
        if limits := self._limits():
            error_object["subscription"] = limits
        return {"status": "error", "message": self.message, "errorCode": 0, "error": error_object}

    def _limits(self) -> dict[str, object]:
        return {"subscriptionLimit": True, **self.subscription} if self.subscription else {}
