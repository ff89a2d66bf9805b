"""Executing tool calls locally: the media tools through projects, Python functions, and the user's callback.

A failed call returns a result with the error, for the model. Only a call of an unknown tool, or too many calls at
once, raise. A call that times out or is interrupted cancels its project.
"""

# Execution: tools §4.

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, fields, frozen

from sogni.core.catalogue.flows import wait_for_models
from sogni.core.checks import invalid_value, refuse_unknown, reject_none_items
from sogni.core.failures import project_error
from sogni.core.flow import Flow, change, clock, user_code, write_frame
from sogni.core.projects.cancel import cancel_frame, cancel_project
from sogni.core.projects.create import create_project
from sogni.core.projects.job import percent
from sogni.core.projects.project import ProjectState
from sogni.core.projects.waiting import next_event
from sogni.core.requests import FAILURES
from sogni.core.time_limit import limited
from sogni.core.tools.arguments import validate_tool_arguments
from sogni.core.tools.functions import FunctionTool
from sogni.core.tools.hosted import DIRECT, tool_names
from sogni.core.tools.media import AvailableMedia, media_of
from sogni.core.tools.requests import (
    choose_model,
    mode_of,
    number_of_media,
    project_fields,
    requested_model,
    requirements_of,
)
from sogni.core.tools.results import failed, media_content, message_of, succeeded, value_text
from sogni.errors import SogniError, SogniTimeoutError, ValidationError
from sogni.models.chat import MediaContext
from sogni.models.tools import ToolCall, ToolExecutionProgress, ToolExecutionResult
from sogni.settings import Attribution, Settings

MAX_DIRECT_CALLS = 8
"""Maximum number of calls of the local tools in one list."""
DEFAULT_SECONDS = 5400.0
_MODELS_SECONDS = 10.0
_CANCEL_SECONDS = 10.0
_CALL_ERRORS = (SogniError, OSError, TypeError, ValueError)
"""The exceptions that count as a failed call; interrupts are not among them."""


@frozen(kw_only=True)
class ToolOptions:
    """How to execute calls; `timeout` is in seconds, `functions` are the Python functions by name.

    `available` is the media that indices in the arguments refer to.
    """

    token_type: str | None = None
    network: str | None = None
    attribution: Attribution | None = None
    number_of_media: Any = 1
    timeout: float | None = DEFAULT_SECONDS
    on_progress: Callable[..., Any] | None = None
    on_tool_progress: Callable[..., Any] | None = None
    on_tool_call: Callable[..., Any] | None = None
    functions: Mapping[str, FunctionTool] = field(factory=dict)
    available: AvailableMedia | None = None


def execute_call(call: ToolCall, options: ToolOptions) -> Flow[ToolExecutionResult]:
    """Execute a call of a Sogni tool. Raises `ValidationError` for any other name."""
    if call.function.name not in tool_names():
        raise invalid_value(
            "tool_call", call.function.name, tool_names(), f"{call.function.name!r} is not a Sogni tool"
        )
    return (yield from _execute_hosted(call, options))


def execute_calls(calls: Sequence[ToolCall], options: ToolOptions) -> Flow[list[ToolExecutionResult]]:
    """Execute calls one after the other; results in the same order. Raises `ValidationError` for too many calls."""
    direct = sum(call.function.name in DIRECT for call in calls)
    if direct > MAX_DIRECT_CALLS:
        sentence = f"tool_calls: at most {MAX_DIRECT_CALLS} media tools can be executed at once, got {direct}"
        raise invalid_value("tool_calls", direct, f"at most {MAX_DIRECT_CALLS}", sentence)
    results: list[ToolExecutionResult] = []
    for call in calls:
        result = yield from _execute(call, options)
        results.append(result)
    return results


def _execute(call: ToolCall, options: ToolOptions) -> Flow[ToolExecutionResult]:
    name = call.function.name
    if name in options.functions:
        return (yield from _execute_function(call, options.functions[name]))
    if name in tool_names():
        return (yield from _execute_hosted(call, options))
    if options.on_tool_call is None:
        return failed(call, f"there is no tool {name!r}, and no on_tool_call to handle it")
    try:
        value = yield from user_code("on_tool_call", options.on_tool_call, call)
        return succeeded(call, value_text(value))
    except Exception as error:
        return failed(call, message_of(error))


def _execute_function(call: ToolCall, function: FunctionTool) -> Flow[ToolExecutionResult]:
    """Call a function of the user; its exceptions are reported to the model."""
    try:
        arguments = function.arguments(call)
        value = yield from user_code(f"the tool {function.name}", function.function, **arguments)
        return succeeded(call, value_text(value))
    except Exception as error:
        return failed(call, message_of(error))


def _execute_hosted(call: ToolCall, options: ToolOptions) -> Flow[ToolExecutionResult]:
    name = call.function.name
    if name not in DIRECT:
        return failed(call, f"{name} runs only in the service: use chat.hosted.create or chat.runs with sogni_tools")
    try:
        return (yield from _run_project(call, options))
    except _CALL_ERRORS as error:
        return failed(call, message_of(error))


def _run_project(call: ToolCall, options: ToolOptions) -> Flow[ToolExecutionResult]:
    name, start = call.function.name, (yield from clock())
    arguments = _checked_arguments(call)
    limit = _MODELS_SECONDS if options.timeout is None else min(_MODELS_SECONDS, options.timeout)
    models = yield from wait_for_models(limit)
    if options.available is not None:
        options.available.origins = yield from change(lambda state, _: _own_origins(state.settings))
    media = media_of(name, arguments, options.available)
    requested, mode = requested_model(name, arguments), mode_of(name, arguments)
    requirements = requirements_of(name, requested, images=media.images, mode=mode)
    model = choose_model(models, requirements)
    count = number_of_media(arguments, options.number_of_media)
    fields = project_fields(name, arguments, model, media, count)
    fields |= {"token_type": options.token_type, "network": options.network, "attribution": options.attribution}
    report = _progress_reporter(call, options)
    yield from report("creating", 0)
    left = None if options.timeout is None else max(0.0, start + options.timeout - (yield from clock()))
    project = yield from limited(create_project(None, fields, unattended=True), left)
    try:
        yield from report("queued", 0)
        yield from _report_progress(project, options.timeout, start, report)
        urls = _result_urls(project)
    except _CALL_ERRORS as error:
        yield from _cancel_project(project)
        yield from report("failed", 0)
        raise error
    except (GeneratorExit, SystemExit):
        raise  # a terminating process cancels nothing
    except BaseException:
        # Interrupted: no caller has the project. There is only time to send the frame.
        if not project.ended:
            yield from write_frame("jobError", cancel_frame(project.id))
        raise
    yield from report("completed", 100, urls)
    if options.available is not None:
        options.available.add(requirements.media, [job for job in project.job_list() if job.result_url])
    frames = [job.last_frame_url for job in project.job_list()]
    return succeeded(call, media_content(requirements.media, urls, model, arguments["prompt"], frames), urls)


Reporter = Callable[..., Flow[None]]


def _checked_arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments under their defined names. Raises `ValidationError` with everything that is wrong."""
    try:
        given = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise ValidationError(
            f"{call.function.name}: arguments are not valid JSON ({error})", field="arguments"
        ) from error
    checked = validate_tool_arguments(call.function.name, given)
    if not checked.ok:
        errors = "; ".join(checked.errors)
        raise ValidationError(f"{call.function.name}: {errors}", field=checked.errors[0].partition(" ")[0])
    return checked.arguments


def _progress_reporter(call: ToolCall, options: ToolOptions) -> Reporter:
    """Return a function that reports progress; a failing callback is logged and ignored."""

    def report(status: str, percent: float, urls: list[str] | None = None) -> Flow[None]:
        progress = ToolExecutionProgress(status=status, percent=percent, result_urls=urls)
        try:
            if options.on_tool_progress is not None:
                yield from user_code("on_tool_progress", options.on_tool_progress, call, progress)
            elif options.on_progress is not None:
                yield from user_code("on_progress", options.on_progress, progress)
        except Exception:
            return  # already logged

    return report


def _report_progress(project: ProjectState, timeout: float | None, start: float, report: Reporter) -> Flow[None]:
    """Report progress until the project is settled. Raises `SogniTimeoutError` or connection errors."""
    feed = yield from change(lambda state, now: project.subscribe())
    highest = 0
    try:
        while True:
            left = None if timeout is None else max(0.0, start + timeout - (yield from clock()))
            event = yield from next_event(project, feed, left=left)
            if event is None:
                break
            if event.name in ("progress", "job_completed", "job_failed"):
                done = event.value if event.name == "progress" else _percent_done(project)
                highest = max(highest, done)
                yield from report("processing", highest)
    except FAILURES as error:
        if not isinstance(error, SogniTimeoutError):
            raise
        raise SogniTimeoutError(
            f"project {project.id} was not finished within {timeout:g} seconds and was canceled",
            phase="run",
            timeout=timeout,
        ) from error
    finally:
        feed.close()


def _percent_done(project: ProjectState) -> int:
    ended = sum(1 for job in project.job_list() if job.ended)
    return percent(100 * ended / max(1, project.number_of_media))


def _result_urls(project: ProjectState) -> list[str]:
    """Return the result URLs. Raises `ProjectError` if there are none."""
    urls = project.result_urls
    if urls and project.status == "completed":
        return urls
    error = project.error
    message = (error.message if error else "") or f"the project ended as {project.status} without a result"
    if project.status == "completed" and any(job.withheld for job in project.job_list()):
        message = "the content filter withheld the result"
    raise project_error(message, error, None)


def _cancel_project(project: ProjectState) -> Flow[None]:
    """Cancel the rest of the project, with a short time limit."""
    if project.ended:
        return
    try:
        yield from cancel_project(project.id, _CANCEL_SECONDS)
    except FAILURES:
        return  # the original failure is raised


def available_media(context: MediaContext | Mapping[str, Any] | None) -> AvailableMedia | None:
    """Return the media that indices refer to, from a `MediaContext` or a dict. Raises `TypeError`."""
    if context is None:
        return None
    given = context if isinstance(context, Mapping) else {name: getattr(context, name) for name in _CONTEXT_FIELDS}
    refuse_unknown(given, _CONTEXT_FIELDS, "a media context has no field")
    lists: dict[str, Any] = {
        name: reject_none_items(f"media_context.{name}", list(given.get(name) or ())) for name in _CONTEXT_FIELDS
    }
    return AvailableMedia(**lists)


_CONTEXT_FIELDS = tuple(it.name for it in fields(MediaContext) if it.name != "extra")


def _own_origins(settings: Settings) -> tuple[str, ...]:
    return (settings.rest_endpoint, settings.socket_http)
