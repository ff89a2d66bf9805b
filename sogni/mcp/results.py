"""Results of tools: text and structured data, images for models, and links to the files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from sogni.errors import SogniError
from sogni.mcp.arguments import Schema, object_schema
from sogni.mcp.service import RESULT_URI, Service
from sogni_async import Job, Project

SHOWN_IMAGES = 4
"""Maximum number of images in a result; the others are only linked."""
SHOWN_PIXELS = 1024
"""Longer side of an image in a result, in pixels. Larger ones are scaled down, because they fill the context of a
model."""
SHOWN_BYTES = 700 * 1024
"""Largest image that is shown unchanged, in bytes."""

_TYPES: Mapping[str, str] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "glb": "model/gltf-binary",
}
_USUAL = {"image": "png", "video": "mp4", "audio": "mp3"}

_TEXT: Schema = {"type": "string"}
_RESULT = object_schema(
    {
        "index": {"type": "integer", "description": "Index in the project, from 0."},
        "status": {"type": "string"},
        "seed": {"type": "integer"},
        "uri": {**_TEXT, "description": "URI of the file, for other tools and for reading as a resource."},
        "mime_type": _TEXT,
        "path": {**_TEXT, "description": "Path of the saved file."},
        "url": {**_TEXT, "description": "Temporary URL of the file, if it has not been saved."},
        "error": {**_TEXT, "description": "Why there is no file."},
    },
    "index",
    "status",
)
PROJECT = object_schema(
    {
        "project_id": {"type": "string"},
        "status": {"type": "string", "description": "completed, failed, canceled, or that of a running project."},
        "finished": {"type": "boolean"},
        "progress": {"type": "integer", "description": "Percent."},
        "model": {"type": "string"},
        "cost": {"type": "string", "description": "What it cost, in the token that paid."},
        "token": _TEXT,
        "results": {"type": "array", "items": _RESULT},
        "error": _TEXT,
    },
    "project_id",
    "status",
    "finished",
    "results",
)
"""Schema of the results of tools that create media."""


def result(data: Mapping[str, Any], text: str | None = None, *blocks: ContentBlock) -> CallToolResult:
    """Return structured data, with the same data as text (JSON by default) for hosts that do not read structured data.

    Values that are None are omitted: not every host supports schemas of nullable values.
    """
    known = without_none(data)
    shown = json.dumps(known, ensure_ascii=False) if text is None else text
    return CallToolResult(content=[TextContent(text=shown), *blocks], structured_content=known)


def text_of(amount: Decimal | None) -> str | None:
    """Return an amount as a string, because a JSON number would lose digits."""
    return None if amount is None else f"{amount.normalize():f}"


def without_none(data: Any) -> Any:
    """Return JSON data without the keys whose value is None."""
    if isinstance(data, Mapping):
        return {key: without_none(value) for key, value in data.items() if value is not None}
    return [without_none(item) for item in data] if isinstance(data, list) else data


async def project_result(service: Service, project: Project, folder: Path | None, name: str) -> CallToolResult:
    """Return the state of a project and its results, which are saved if there is a folder.

    Args:
        service: The service.
        project: The project, finished or not.
        folder: Where to save the results.
        name: Name of the files, without number and suffix.
    """
    rows: list[dict[str, Any]] = []
    blocks: list[ContentBlock] = []
    images = 0
    for index, job in enumerate(project.jobs):
        row, problem = _row(project, job, index), None
        if job.has_result_media:
            path = None
            if folder is not None:
                try:
                    path = await job.save(folder / f"{name}-{index}")
                except (SogniError, OSError) as error:
                    problem = f"not saved: {_reason(error)}"
            row |= {"uri": RESULT_URI.format(project.id, index), "mime_type": mime_type(project, path)}
            row |= {"path": None if path is None else str(path), "url": None if path is not None else job.result_url}
            row["error"] = problem
            if project.type == "image" and images < SHOWN_IMAGES:
                images += 1
                with suppress(SogniError, OSError):  # the link is enough
                    content = await (job.get_result_data() if path is None else anyio.Path(path).read_bytes())
                    row["mime_type"] = image_type(content) or row["mime_type"]
                    shown = await anyio.to_thread.run_sync(picture, content)
                    blocks += () if shown is None else (shown,)
            blocks.append(
                ResourceLink(
                    uri=row["uri"],
                    name=path.name if path is not None else f"{name}-{index}",
                    title=f"Result {index} of project {project.id}",
                    mime_type=row["mime_type"],
                    size=path.stat().st_size if path is not None else None,
                )
            )
        rows.append(row)
    cost = await service.cost(project)
    made = sum(row["uri"] is not None for row in rows)
    data = {
        "project_id": project.id,
        "status": project.status,
        "finished": project.finished,
        "progress": project.progress,
        "model": project.params.model_id,
        "cost": text_of(cost),
        "token": project.token_type,
        "results": rows,
        "error": None if project.error is None else project.error.message,
    }
    answer = result(data, "\n".join(_summary(service, project, cost, rows)), *blocks)
    answer.is_error = project.finished and not made
    return answer


def _row(project: Project, job: Job, index: int) -> dict[str, Any]:
    error = None
    if job.error is not None:
        error = job.error.message
    elif project.finished and not job.has_result_media:
        error = "the content filter withholds it" if job.is_nsfw else f"it is {job.status}"
    empty = dict.fromkeys(("uri", "mime_type", "path", "url"))
    return {"index": index, "status": job.status, "seed": job.seed, **empty, "error": error}


def _summary(
    service: Service, project: Project, amount: Decimal | None, rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    if not project.finished:
        return [
            f"Project {project.id} is {project.status}, {project.progress} % done. "
            f'Call get_project with project_id "{project.id}" to wait for it.'
        ]
    cost = "" if amount is None else f", cost {service.price(amount, project.token_type)}"
    lines = [f"Project {project.id} {project.status}{cost}."]
    if project.error is not None:
        lines.append(f"Error: {project.error.message}")
    for row in rows:
        if row["uri"] is not None:
            where = f"saved as {row['path']}" if row["path"] else "not saved"
            lines.append(f"Result {row['index']}: {row['uri']} ({row['mime_type']}), seed {row['seed']}, {where}")
        if row["error"] is not None:
            lines.append(f"Result {row['index']}: {row['error']}")
    return lines


def mime_type(project: Project, path: Path | None = None) -> str:
    """Return the MIME type of a result: by the suffix of its file, else by what the project was asked for."""
    suffix = path.suffix.removeprefix(".") if path is not None else project.params.output_format
    return _TYPES.get(suffix or "", _TYPES[_USUAL[project.type]])


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def image_type(content: bytes | bytearray) -> str | None:
    """Return the MIME type of an image; None if this is not an image."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as image:
            return Image.MIME.get(image.format or "")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def picture(content: bytes) -> ImageContent | None:
    """Return an image for a model to see, scaled down if it is large; None if this is not an image."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as image:
            kind = Image.MIME.get(image.format or "")
            small = max(image.size) <= SHOWN_PIXELS and len(content) <= SHOWN_BYTES
            if not small or kind not in ("image/png", "image/jpeg", "image/webp"):
                image.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
                converted = image.convert("RGBA" if image.has_transparency_data else "RGB")
                buffer = BytesIO()
                converted.save(buffer, "WEBP", quality=85)
                content, kind = buffer.getvalue(), "image/webp"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return ImageContent(data=base64.b64encode(content).decode("ascii"), mime_type=kind)
