"""Shared parts of requests for images, speech and videos: sizes, files, and additional parameters of Sogni."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile

from sogni.errors import SogniError
from sogni.serve.costs import Charge
from sogni.serve.errors import SERVER, RequestError, invalid
from sogni.serve.fields import Fields, shown
from sogni.serve.requests import Call

if TYPE_CHECKING:
    from sogni_async import Job, Project

PARAMETERS = frozenset(
    {
        "negative_prompt", "style_prompt", "steps", "guidance", "seed", "network", "disable_nsfw_filter", "token_type",
        "billing_mode", "loras", "lora_strengths", "sampler", "scheduler", "starting_image_strength", "fps", "frames",
        "shift", "generate_audio", "language",
    }
)  # fmt: skip
"""Project parameters that are allowed in the field `sogni` of a request. Files are excluded: callers must not make the
server read local files."""


def parameters(fields: Fields) -> dict[str, Any]:
    """Return the parameters in the field `sogni`, which have no field in the OpenAI API."""
    given = fields.mapping("sogni")
    for name in given:
        if name not in PARAMETERS:
            raise invalid(f"sogni.{name[:60]}", f"sogni has no parameter {shown(name)}.")
    return given


def size(fields: Fields) -> tuple[int, int] | None:
    """Return width and height; None leaves them to the model."""
    value = fields.string("size")
    if value is None or value == "auto":
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)
    if match is None:
        raise invalid("size", f"size must be auto, or width and height such as 1024x768, got {shown(value)}.")
    return int(match[1]), int(match[2])


async def files(where: str, value: Any) -> list[bytes]:
    """Return the content of the files in a field: those of a form, or `data:` URIs in JSON."""
    given = value if isinstance(value, list) else [] if value is None else [value]
    return [await _file(where if len(given) == 1 else f"{where}[{place}]", it) for place, it in enumerate(given)]


async def _file(where: str, value: Any) -> bytes:
    if isinstance(value, UploadFile):
        content = await value.read()
    else:
        url = value.get("image_url") if isinstance(value, dict) else value
        url = url.get("url") if isinstance(url, dict) else url
        if not isinstance(url, str) or not url.startswith("data:"):
            raise invalid(where, f"{where} must be a file of a form, or a base64-encoded data: URI.")
        try:
            content = base64.b64decode(url.partition(",")[2], validate=True)
        except binascii.Error:
            content = b""
    if not content:
        raise invalid(where, f"{where} must not be empty.")
    return content


async def create(call: Call, params: Mapping[str, Any]) -> tuple[Project, Charge]:
    """Create a project within the cost limits, and log it."""
    call.note(model=params["model_id"])
    try:
        charge = await call.costs.reserve_project(params)
        try:
            project = await _uninterrupted(call.client.projects.create(**params))
        except (SogniError, TypeError) as error:
            await charge.failed(error)
            raise
    except TypeError as error:
        raise invalid("sogni", f"sogni does not fit: {error}.") from None
    call.note(project=project.id)
    return project, charge


async def _uninterrupted(creating: Awaitable[Project]) -> Project:
    """Return a project even if the request is canceled meanwhile; then the next `await` is canceled instead.

    A project whose creation is interrupted may have been sent, and nobody could cancel it.
    """
    task = asyncio.ensure_future(creating)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        project = task.result()
        if current := asyncio.current_task():
            current.cancel()
        return project


async def finished(call: Call, project: Project, charge: Charge) -> list[Job]:
    """Wait for a project, and cancel it if its client has disconnected. Raises the error of a failed project.

    Returns:
        The jobs that have a result, at least one.
    """
    try:
        await project.wait(check=False)
    finally:
        if not project.finished:
            await stop(project)
        if project.cost is None:
            call.costs.settle_later(charge, project)
        else:
            await charge.settle(project.cost, project.token_type)
            call.note(cost=charge.cost, paid_in=charge.token)
    jobs = [job for job in project.jobs if job.has_result_media]
    if any(job.is_withheld for job in project.jobs) and not jobs:
        raise RequestError(
            "The content filter withholds the result. sogni={'disable_nsfw_filter': true} turns it off.",
            code="content_policy_violation",
            retry=False,
        )
    await project.wait()
    if not jobs:
        raise RequestError("There is no result.", status=502, type=SERVER, code="generation_failed", retry=False)
    return jobs


async def stop(project: Project) -> None:
    """Cancel a project whose client has disconnected. The service charges for work that is already done."""
    try:
        await project.cancel()
    except SogniError:
        return
