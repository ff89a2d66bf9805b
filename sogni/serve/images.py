"""`POST /v1/images/generations` and `/v1/images/edits`: images, whole or as a stream of partial images."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from sogni.errors import SogniError
from sogni.serve.costs import Charge
from sogni.serve.errors import RequestError, invalid, reported, stopping, unsupported_value
from sogni.serve.fields import Fields
from sogni.serve.media import create, files, finished, parameters, size, stop
from sogni.serve.requests import Call, JsonResponse, Response

if TYPE_CHECKING:
    from sogni.serve.requests import Send
    from sogni_async import Job, Project

MODEL = "krea2_turbo_fp8_scaled"
EDIT_MODEL = "qwen_image_edit_2511_fp8_lightning"
"""Default models, for requests that do not name one."""
MAX_IMAGES = 10
_VENDOR = "gpt-image"
_QUALITIES = ("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd")
_EFFORT: Mapping[str, float] = {"low": 0.5, "high": 1.5, "hd": 1.5, "xhigh": 2, "max": 100}
"""Number of steps for each quality, relative to the default of a model."""
_REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "moderation": (("auto",), "use sogni={'disable_nsfw_filter': true}"),
    "style": ((), "describe the style in the prompt"),
    "input_fidelity": (("low",), "Sogni decides how closely images are followed"),
    "complexity": ((), "Sogni plans no images"),
    "frame_count": ((), "Sogni makes no GIF files; see /v1/videos"),
    "frame_duration_ms": ((), "Sogni makes no GIF files; see /v1/videos"),
    "svg": ((), "Sogni makes no SVG files"),
    "markup": ((), "describe the change in the prompt"),
}
_NO_USAGE = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": {"text_tokens": 0, "image_tokens": 0},
}
"""Images are not paid for by token."""


@frozen(kw_only=True)
class _Request:
    """Parameters of the request that concern the response rather than the project."""

    event: str
    count: int
    base64: bool
    streamed: bool
    partial_images: int
    format: str
    size: str
    quality: str
    background: str


async def generate_images(call: Call) -> Response:
    """Generate images from a prompt."""
    return await _answer(call, await call.json(), "image_generation", [])


async def edit_images(call: Call) -> Response:
    """Generate images from a prompt and images."""
    fields = await call.form_or_json()
    images = await files("image", fields.take("image") or fields.take("images"))
    if not images:
        raise RequestError("Missing required parameter: 'image'.", param="image", code="missing_required_parameter")
    return await _answer(call, fields, "image_edit", images)


async def _answer(call: Call, fields: Fields, event: str, images: list[bytes]) -> Response:
    prompt = fields.text("prompt", most=32_000)
    model = await call.models.resolve(fields.string("model") or (EDIT_MODEL if images else MODEL), "image")
    params: dict[str, Any] = {"type": "image", "model_id": model, "positive_prompt": prompt, **parameters(fields)}
    vendor = model.startswith(_VENDOR)
    fields.ignore(["user", "safety_identifier"])
    fields.refuse(_REFUSED)
    measures = size(fields)
    if measures is not None:
        params |= {"size_preset": "custom", "width": measures[0], "height": measures[1]}
    request = _Request(
        event=event,
        count=fields.integer("n", 1, MAX_IMAGES) or 1,
        base64=fields.one_of("response_format", ("url", "b64_json"), "b64_json" if vendor else "url") == "b64_json",
        streamed=fields.boolean("stream") or False,
        partial_images=fields.integer("partial_images", 0, 3) or 0,
        format=fields.one_of("output_format", ("png", "jpeg", "webp"), "png") or "png",
        size="auto" if measures is None else f"{measures[0]}x{measures[1]}",
        quality=fields.one_of("quality", _QUALITIES, "auto") or "auto",
        background=fields.one_of("background", ("auto", "transparent", "opaque"), "auto") or "auto",
    )
    params |= {"number_of_media": request.count, "output_format": _FORMATS[request.format]}
    # A number of steps in `sogni` takes precedence.
    params = {**await _quality(call, model, request.quality), **params}
    await _vendor_fields(fields, params, request, vendor=vendor)
    if images:
        params["context_images"] = images
    if request.streamed and request.partial_images:
        params["number_of_previews"] = request.partial_images
    fields.end()
    project, charge = await create(call, params)
    if request.streamed:
        return _Events(call, project, charge, request)
    jobs = await finished(call, project, charge)
    if request.base64:
        data = [{"b64_json": await _encoded(job)} for job in jobs]
    else:
        data = [{"url": await job.get_result_url()} for job in jobs]
    document = {
        "created": int(time.time()),
        "data": data,
        "background": request.background,
        "output_format": request.format,
        "quality": request.quality,
        "size": request.size,
    }
    return JsonResponse(document, cost=charge, headers={"x-sogni-project-id": project.id})


_FORMATS: Mapping[str, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}


async def _quality(call: Call, model: str, quality: str) -> dict[str, Any]:
    """Return the parameters for a quality: the quality itself for models of OpenAI, the number of steps for others."""
    if quality == "auto":
        return {}
    if model.startswith(_VENDOR):
        return {"gpt_image_quality": {"standard": "medium", "hd": "high"}.get(quality, quality)}
    if quality in ("medium", "standard"):
        return {}
    steps = (await call.client.projects.get_model_options(model)).steps
    if steps is None or steps.default is None:
        raise unsupported_value("quality", f"quality must be auto: {model} has only one.")
    wanted = round(steps.default * _EFFORT[quality])
    low, high = steps.min or 1, steps.max or wanted
    return {"steps": int(min(max(wanted, low), high))}


async def _vendor_fields(fields: Fields, params: dict[str, Any], request: _Request, *, vendor: bool) -> None:
    """Add the fields that only models of OpenAI support."""
    compression = fields.integer("output_compression", 0, 100)
    mask = fields.take("mask")
    if vendor:
        if compression is not None:
            params["gpt_image_output_compression"] = compression
        if request.background != "auto":
            params["gpt_image_background"] = request.background
        if mask is not None:
            masks = await files("mask", mask)
            if len(masks) != 1:
                raise invalid("mask", "mask must be one image.")
            params["gpt_image_mask"] = masks[0]
        return
    if request.background != "auto":
        raise unsupported_value("background", "background must be auto: only gpt-image models have others.")
    if compression not in (None, 100):
        raise unsupported_value("output_compression", "output_compression is only supported by gpt-image models.")
    if mask is not None:
        raise unsupported_value("mask", "mask is only supported by gpt-image models.")


async def _encoded(job: Job) -> str:
    return base64.b64encode(await job.get_result_data()).decode()


class _Events(Response):
    """Images as a stream of events: partial images during rendering, then each complete image."""

    def __init__(self, call: Call, project: Project, charge: Charge, request: _Request) -> None:
        self._call = call
        self._project = project
        self._charge = charge
        self._request = request
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue()
        self._partial = 0
        self._watched: set[str] = set()

    async def send(self, send: Send) -> None:
        """Send the events."""
        project = self._project
        remove = project.on("job_started", self._watch)
        for job in project.jobs:
            self._watch(job)
        waiting = asyncio.ensure_future(finished(self._call, project, self._charge))
        waiting.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", b"text/event-stream; charset=utf-8"),
                        (b"cache-control", b"no-cache"),
                        (b"x-sogni-project-id", project.id.encode()),
                    ],
                }
            )
            try:
                await self._send_partial_images(send)
                for job in await waiting:
                    await self._send_image(send, "completed", await _encoded(job), usage=_NO_USAGE)
            except (SogniError, RequestError) as error:
                await self._send_error(send, error if isinstance(error, RequestError) else reported(error))
            except asyncio.CancelledError:
                if not self._call.shutting_down:
                    raise
                await self._send_error(send, stopping("The images are canceled."))
            await send({"type": "http.response.body", "body": b""})
        finally:
            remove()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            if not project.finished:  # it was canceled before it could begin
                await stop(project)

    def _watch(self, job: Job) -> None:
        if job.id not in self._watched:
            self._watched.add(job.id)
            job.on("preview", lambda _: self._queue.put_nowait(job))

    async def _send_partial_images(self, send: Send) -> None:
        while (job := await self._queue.get()) is not None:
            if self._partial >= self._request.partial_images * self._request.count:
                continue
            try:
                data = await job.get_preview_data()
            except SogniError:
                # The result comes anyway.
                continue
            encoded = base64.b64encode(data).decode()
            await self._send_image(send, "partial_image", encoded, partial_image_index=self._partial)
            self._partial += 1

    async def _send_error(self, send: Send, error: RequestError) -> None:
        self._call.note(error=error.code)
        await _send_event(send, "error", {"type": "error", **error.document()})

    async def _send_image(self, send: Send, kind: str, encoded: str, **further: Any) -> None:
        request, name = self._request, f"{self._request.event}.{kind}"
        document = {
            "type": name,
            "b64_json": encoded,
            "created_at": int(time.time()),
            "size": request.size,
            "quality": request.quality,
            "background": request.background,
            "output_format": request.format,
            **further,
        }
        await _send_event(send, name, document)


async def _send_event(send: Send, name: str, document: Any) -> None:
    body = f"event: {name}\ndata: {json.dumps(document)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})
