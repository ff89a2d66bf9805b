"""Checks and price estimates of workflow plans: shape, tools, arguments and dependencies.

Written from the protocol notes, independently of the client's own check, so that each reveals the other's mistakes. The
shapes are in ``workflows.json``.
"""
# Protocol notes: workflows §2.1, §2.2, §4.

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from sogni.core.tools.schemas import SchemaCheck
from sogni.emulator.account.accounts import Account
from sogni.emulator.fields import is_web_url
from sogni.emulator.tools.media_library import KINDS, Media, MediaLibrary, ToolError
from sogni.emulator.tools.renderer import ToolCall, placeholder
from sogni.emulator.tools.runner import TOOLS, ToolRunner
from sogni.emulator.tools.tool_context import checked_arguments
from sogni.emulator.workflows.runs import INPUT_MEDIA, Run, Step


@cache
def data() -> Any:
    """Return the shapes of requests, and the templates of the service."""
    return json.loads((files(__package__) / "workflows.json").read_text("utf-8"))


def shape_problems(kind: str, value: object, path: str = "") -> list[str]:
    """Return what is wrong with the types and ranges of a body, plan or template."""
    check = SchemaCheck()
    check.value(value, data()["schemas"][kind], path)
    return check.errors


def plan_problems(plan: Any, *, has_media: bool) -> list[str]:
    """Return what is wrong with a plan; empty if the service accepts it."""
    problems = shape_problems("plan", plan, "input")
    if problems:
        return problems
    earlier: dict[str, int] = {}
    for index, step in enumerate(plan["steps"]):
        where, known, depends = f"input.steps[{index}]", step.get("id"), step.get("dependsOn") or []
        if known == INPUT_MEDIA:
            problems.append(f"{where}.id: {INPUT_MEDIA} is reserved for the media of the request")
        elif known in earlier:
            problems.append(f"{where}.id: {known!r} is the id of step {earlier[known]} as well")
        for number, entry in enumerate(depends):
            source, place = entry["sourceStepId"], f"{where}.dependsOn[{number}].sourceStepId"
            if source == INPUT_MEDIA:
                if not has_media and entry.get("required") is not False:
                    problems.append(f"{place}: {INPUT_MEDIA} requires media references in the request")
            elif source not in earlier:
                problems.append(f"{place}: {source!r} is not an earlier step")
        bound = [entry["targetArgument"] for entry in depends]
        problems += _call_problems(step["toolName"], step.get("arguments") or {}, bound, where)
        if known is not None:
            earlier[known] = index
    return problems


def _call_problems(tool: str, arguments: Mapping[str, Any], bound: Sequence[str], where: str) -> list[str]:
    if tool not in TOOLS:
        return [f"{where}.toolName: unknown tool {tool!r}"]
    paths = inline_data(arguments, "arguments")
    problems = [f"{where}.{path} must be an http(s) URL, not inline data" for path in paths]
    try:
        checked_arguments(tool, arguments, bound)
    except ToolError as problem:
        problems.append(f"{where}.arguments: {problem.message}")
    return problems


def inline_data(value: object, path: str) -> list[str]:
    """Return the paths of data URIs; workflows accept media by URL only."""
    if isinstance(value, str):
        return [path] if value[:5].lower() == "data:" else []
    if isinstance(value, Mapping):
        return [found for key, entry in value.items() for found in inline_data(entry, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for index, entry in enumerate(value) for found in inline_data(entry, f"{path}[{index}]")]
    return []


def body_problems(body: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a request, apart from its plan."""
    problems = shape_problems("body", body)
    if problems:
        return problems
    for index, entry in enumerate(body.get("media_references") or ()):
        if not is_web_url(entry["url"]):
            problems.append(f"media_references[{index}].url must start with http:// or https://")
        if any(isinstance(entry.get(name), str) and entry[name].strip() for name in ("dataUri", "data_uri")):
            problems.append(f"media_references[{index}] must not contain inline data")
    return problems + [f"{path} must not be inline data" for path in inline_data(body.get("inputs"), "inputs")]


# Estimates (workflows §3, ``billingPreview``): each step is priced with the expected results of earlier ones.


_AT_HAND = 16
"""Number of typical media of each kind added to the known ones: numbers in arguments may refer to any of them."""


async def estimate_plan(tools: ToolRunner, run: Run, account: Account) -> Decimal:
    """Set the estimate of each step, and return the sum."""
    ordinary = [placeholder(kind) for kind in KINDS]
    expected: dict[str, list[Media]] = {INPUT_MEDIA: ordinary}
    results: list[Media] = []
    for step in run.steps:
        near = [media for entry in step.depends_on for media in expected.get(str(entry["sourceStepId"]), ())]
        library = MediaLibrary([*results, *ordinary * _AT_HAND], ordinary * _AT_HAND, near or ordinary)
        arguments = {**step.arguments, **_stand_ins(step, expected, library)}
        call = ToolCall(name=step.tool, arguments=arguments, account=account, token=run.token, library=library)
        try:
            step.estimate, found = await tools.estimate(call)
        except ToolError:
            # A step that cannot be priced now fails or is charged when it runs.
            step.estimate, found = Decimal(0), []
        expected[step.id] = found
        results += found
    return sum((step.estimate for step in run.steps), Decimal(0))


def _stand_ins(step: Step, expected: Mapping[str, list[Media]], library: MediaLibrary) -> dict[str, object]:
    """Return the numbers of expected media, for the arguments that are bound by number later."""
    found: dict[str, Any] = {}
    for entry in step.depends_on:
        target, (kind, _, form) = str(entry["targetArgument"]), str(entry["transform"]).partition("_")
        if form == "index":
            media = expected.get(str(entry["sourceStepId"]), ())
            number = next((library.index(m) for m in media if m.kind == kind), 0)
            found[target] = [*found.get(target, []), number] if target.endswith("Indices") else number
    return found
