"""Checks and price estimates of workflow plans: shape, tools, arguments and dependencies.

All problems are reported at once. Written from the protocol notes, independently of the client's own check, so that
each reveals the other's mistakes.
"""
# Protocol notes: workflows §2.1, §2.2.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sogni.emulator.account.accounts import Account
from sogni.emulator.tools.media_library import KINDS, Media, MediaLibrary, ToolError
from sogni.emulator.tools.renderer import placeholder
from sogni.emulator.tools.runner import TOOLS, ToolCall, ToolRunner
from sogni.emulator.tools.tool_context import checked_arguments
from sogni.emulator.workflows.runs import INPUT_MEDIA, Run, Step

STEP_TOOLS = frozenset(TOOLS)
TRANSFORMS = (
    *("artifact_url", "artifact_data_uri", "image_url", "video_url", "audio_url"),
    *("image_index", "video_index", "audio_index"),
    *("subtitle_cues", "subtitle_srt", "overlay_items", "asset_ref"),
)
MAX_STEPS = 64


def plan_problems(plan: object, *, has_media: bool) -> list[str]:
    """Return what is wrong with a plan; empty if the service accepts it."""
    if not isinstance(plan, Mapping):
        return ["input must be an object"]
    problems = [] if isinstance(plan.get("title", ""), str | None) else ["input.title must be a string"]
    steps = plan.get("steps")
    if not isinstance(steps, list) or not steps:
        return [*problems, "input.steps must be a list of at least one step"]
    if len(steps) > MAX_STEPS:
        problems.append(f"input.steps must have at most {MAX_STEPS} entries, got {len(steps)}")
    ids: dict[str, int] = {}
    for index, step in enumerate(steps):
        where = f"input.steps[{index}]"
        if not isinstance(step, Mapping):
            problems.append(f"{where} must be an object")
            continue
        problems += _step_problems(step, where, ids, has_media)
        known = step.get("id")
        if isinstance(known, str):
            ids[known] = index
    return problems


def _step_problems(step: Mapping[str, Any], where: str, earlier: Mapping[str, int], has_media: bool) -> list[str]:
    problems = []
    known = step.get("id")
    if known is not None and (not isinstance(known, str) or not known.strip()):
        problems.append(f"{where}.id must be a string")
    elif known == INPUT_MEDIA:
        problems.append(f"{where}.id: {INPUT_MEDIA} is reserved for the media of the request")
    elif known is not None and known in earlier:
        problems.append(f"{where}.id: {known!r} is the id of step {earlier[known]} as well")
    found = step.get("dependsOn")
    dependencies: list[Any] = found if isinstance(found, list) else []
    if found is not None and not isinstance(found, list):
        problems.append(f"{where}.dependsOn must be a list")
    for number, entry in enumerate(dependencies):
        problems += _dependency_problems(entry, f"{where}.dependsOn[{number}]", earlier, has_media)
    bound = [str(entry.get("targetArgument")) for entry in dependencies if isinstance(entry, Mapping)]
    return problems + _call_problems(step.get("toolName"), step.get("arguments", {}), bound, where)


def _call_problems(tool: object, arguments: object, bound: Sequence[str], where: str) -> list[str]:
    if not isinstance(tool, str) or not tool:
        return [f"{where}.toolName must be a string"]
    if tool not in STEP_TOOLS:
        return [f"{where}.toolName: unknown tool {tool!r}"]
    if not isinstance(arguments, Mapping):
        return [f"{where}.arguments must be an object"]
    problems = [
        f"{where}.{path} must be an http(s) URL, not inline data" for path in inline_data(arguments, "arguments")
    ]
    try:
        checked_arguments(tool, arguments, bound)
    except ToolError as problem:
        problems.append(f"{where}.arguments: {problem.message}")
    return problems


def _dependency_problems(entry: object, where: str, earlier: Mapping[str, int], has_media: bool) -> list[str]:
    if not isinstance(entry, Mapping):
        return [f"{where} must be an object"]
    problems = []
    source = entry.get("sourceStepId")
    if source == INPUT_MEDIA:
        if not has_media and entry.get("required") is not False:
            problems.append(f"{where}.sourceStepId: {INPUT_MEDIA} requires media references in the request")
    elif source not in earlier:
        problems.append(f"{where}.sourceStepId: {source!r} is not an earlier step")
    if not isinstance(entry.get("targetArgument"), str) or not entry["targetArgument"]:
        problems.append(f"{where}.targetArgument must be a string")
    if entry.get("transform") not in TRANSFORMS:
        problems.append(f"{where}.transform must be one of {', '.join(TRANSFORMS)}, got {entry.get('transform')!r}")
    if entry.get("mediaType") not in (None, "image", "video", "audio"):
        problems.append(f"{where}.mediaType must be image, video or audio, got {entry['mediaType']!r}")
    index = entry.get("sourceArtifactIndex")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
        problems.append(f"{where}.sourceArtifactIndex must be a non-negative integer")
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


def reference_problems(references: object) -> list[str]:
    """Return what is wrong with media references."""
    # Protocol notes: workflows §4.
    if references is None:
        return []
    if not isinstance(references, list):
        return ["media_references must be a list"]
    problems = []
    for index, entry in enumerate(references):
        where = f"media_references[{index}]"
        if not isinstance(entry, Mapping):
            problems.append(f"{where} must be an object")
            continue
        url = entry.get("url")
        if not isinstance(url, str) or not url.strip().lower().startswith(("http://", "https://")):
            problems.append(f"{where}.url must start with http:// or https://")
        if any(isinstance(entry.get(name), str) and entry[name].strip() for name in ("dataUri", "data_uri")):
            problems.append(f"{where} must not contain inline data")
    return problems


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
        call = ToolCall(
            name=step.tool,
            arguments={**step.arguments, **_stand_ins(step, expected, library)},
            account=account,
            token=run.token,
            library=library,
        )
        try:
            step.estimate, found = await tools.estimate_call(call)
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
        target, transform = str(entry["targetArgument"]), str(entry["transform"])
        if not transform.endswith("_index"):
            continue
        kind = transform.removesuffix("_index")
        number = next((library.index(m) for m in expected.get(str(entry["sourceStepId"]), ()) if m.kind == kind), 0)
        found[target] = [*found.get(target, []), number] if target.endswith("Indices") else number
    return found
