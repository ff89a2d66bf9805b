"""Checked completion requests, from socket frames, hosted chat and durable runs, and the errors that decline them.

The same rules apply to all endpoints; only a few keys are spelled differently. Types and ranges are in
``requests.json``. Balances and workers are not considered here.
"""
# Protocol notes: chat §2, §11, §12.

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, TypedDict

from attrs import field, frozen

from sogni.core.tools.schemas import SchemaCheck
from sogni.emulator.account.accounts import Token
from sogni.emulator.attribution import check_attribution_fields
from sogni.emulator.chat import messages as tokens
from sogni.emulator.chat.messages import Conversation, Message, message_problems
from sogni.emulator.chat.models import LANGUAGE_MODELS, LanguageModel
from sogni.emulator.fields import Fields, Finding


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


@frozen
class Checked:
    """The outcome of a check: the request, or error tag and message; the findings in either case."""

    chat_request: ChatRequest | None
    findings: Sequence[Finding]
    error: str = ""
    message: str = ""


FRAME_NAMES = {
    "token_type": "tokenType",
    "task_profile": "taskProfile",
    "app_source": "appSource",
    "safe_content_filter": "safeContentFilter",
    "billing_mode": "billingMode",
}
HOSTED_NAMES = {"billing_mode": "billingMode"}
"""How endpoints spell keys."""


def check_frame(payload: Mapping[str, Any]) -> Checked:
    """Check an ``llmJobRequest`` that has a job ID."""
    request = Fields(payload, "$", [])
    request.raw("jobID")
    request.raw("stream")
    request.text("type", required=True, allowed=("llm",))
    check_attribution_fields(request)
    return check(request, FRAME_NAMES)


@cache
def schemas() -> Any:
    """Return the shapes of requests."""
    return json.loads((files(__package__) / "requests.json").read_text("utf-8"))


def check(
    request: Fields, names: Mapping[str, str], *, inline_images: bool = True, default_model: str | None = None
) -> Checked:
    """Check what all endpoints have in common; ``names`` are the keys that are spelled differently."""
    schema = schemas()["completion"]
    properties = {names.get(name, name): inner for name, inner in schema["properties"].items()}
    body = {key: request.raw(key) for key in properties if request.has(key)}
    checker = SchemaCheck()
    checker.value(body, {**schema, "properties": properties}, "$")
    problems = checker.errors + ([] if body.get("model") or default_model else ["$.model is required"])
    given: dict[str, Any] = {name: body.get(names.get(name, name)) for name in schema["properties"]}
    problems = problems or [*message_problems(given["messages"], inline_images), *_rules(given)]
    request.leftover()
    for problem in problems:
        where, _, message = problem.partition(" ")
        request.findings.append(Finding(where, message))
    refused = [str(finding) for finding in request.findings if finding.refused]
    if refused:
        return Checked(None, request.findings, "invalid_request", "; ".join(refused))
    model = LANGUAGE_MODELS.get(given["model"] or default_model or "")
    if model is None:
        message = f"No worker serves the language model {given['model']!r}"
        return Checked(None, request.findings, "model_unavailable", message)
    checked = _chat_request(model, given)
    if checked.input_tokens >= model.context:
        message = f"the messages have {checked.input_tokens} tokens, {model.id} takes fewer than {model.context}"
        return Checked(None, request.findings, "invalid_request", message)
    return Checked(checked, request.findings)


def _rules(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a request beyond the types and ranges of its values."""
    form, choice = given["response_format"], given["tool_choice"]
    if form is not None and form["type"] == "json_schema" and form.get("json_schema") is None:
        yield "$.response_format.json_schema is required"
    offered = {tool["function"]["name"] for tool in given["tools"] or ()}
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        yield f"$.tool_choice must be one of none, auto, required, got {choice!r}"
    elif given["sogni_tools"]:
        return
    elif choice == "required" and not offered:
        yield "$.tool_choice is 'required', but there are no tools"
    elif isinstance(choice, Mapping) and choice["function"]["name"] not in offered:
        yield f"$.tool_choice names the tool {choice['function']['name']!r}, which is not in tools"


def _chat_request(model: LanguageModel, given: Mapping[str, Any]) -> ChatRequest:
    choice, stops, form = given["tool_choice"], given["stop"] or [], given["response_format"]
    named = isinstance(choice, Mapping)
    return ChatRequest(
        model=model,
        messages=given["messages"],
        token=given["token_type"] or "sogni",
        max_tokens=None if given["max_tokens"] is None else int(given["max_tokens"]),
        stop=tuple(stop for stop in ([stops] if isinstance(stops, str) else stops) if stop),
        think=(given["chat_template_kwargs"] or {}).get("enable_thinking") is True,
        profile=given["task_profile"] or "general",
        response_format=None if form is None or form["type"] == "text" else form,
        tools=given["tools"] or (),
        tool_choice=choice["function"]["name"] if named else choice,
        named_tool=named,
        sogni_tools="creative-tools" if given["sogni_tools"] is True else given["sogni_tools"] or None,
        execute_tools=bool(given["sogni_tool_execution"]),
        billing=given["billing_mode"] or "auto",
        app_source=given["app_source"],
        safe=given["safe_content_filter"] is not False,
    )


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
    """What a subscription lacks for a request. ``subscriptionLimit`` is True unless it is given."""

    subscriptionLimit: bool
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
