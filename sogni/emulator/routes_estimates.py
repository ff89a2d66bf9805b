"""The estimates of the socket host: images, video, music (projects-4.2 §16, projects-5x §16).

Installed by the server. They read the path; the prices are in ``estimates`` and ``media_estimates``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from aiohttp import web

from .accounts import Account, Token
from .catalogue import Media, Model
from .estimates import Work, estimate_record
from .gate import authorised
from .media_estimates import AudioWork, VideoWork, audio_record, video_record
from .replies import refusal
from .state import State
from .video_families import family_of

_Read = Callable[[State, Sequence[str], web.Request, int], dict[str, Any]]


class _UnusableError(ValueError):
    """An estimate path that nobody can read."""


def add_estimate_routes(app: web.Application, state: State) -> None:
    for path, read in (
        ("/api/v2/job/estimate", _image),
        ("/api/v3/job/estimate", _image),
        ("/api/v1/job-video/estimate", _video),
        ("/api/v1/job-audio/estimate", _audio),
    ):
        _add(app, state, path, read)


def _add(app: web.Application, state: State, path: str, read: _Read) -> None:
    async def estimate(request: web.Request, account: Account) -> web.Response:
        try:
            segments = request.match_info["tail"].split("/")
            record = read(state, segments, request, round(state.clock() * 1000))
        except _UnusableError as problem:
            state.journal.violation(f"GET {request.path}", str(problem))
            return refusal(400, str(problem))
        return web.json_response(record)

    app.router.add_get(f"{path}/{{tail:.*}}", authorised(state, "socket", estimate))


def _image(state: State, segments: Sequence[str], request: web.Request, now: int) -> dict[str, Any]:
    """Read an image estimate: ten segments in v2, three more in v3."""
    if len(segments) not in (10, 13):
        raise _UnusableError(f"an estimate has 10 or 13 path segments, not {len(segments)}")
    token, network, model_id = segments[:3]
    model = state.catalogue.models.get(model_id)
    if model is None:
        raise _UnusableError(f"unknown model: {model_id}")
    if token not in ("spark", "sogni") or network not in ("fast", "relaxed"):
        raise _UnusableError(f"unknown token type or network: {token}, {network}")
    count, steps, previews, control, denoise, width, height = (_number(text) for text in segments[3:10])
    # The sampler's segment is "_" or empty when there is none.
    context = _number(segments[12]) if len(segments) == 13 else 0.0
    work = Work(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(state.catalogue.default(model, "steps")),
        previews=int(previews),
        control_net=bool(control),
        denoise=denoise,
        width=int(width),
        height=int(height),
        context_images=int(context),
        network=network,
        quality=request.query.get("gptImageQuality"),
    )
    return estimate_record(work, cast(Token, token), now=now, waiting=0)


def _video(state: State, segments: Sequence[str], request: web.Request, now: int) -> dict[str, Any]:
    """Read a video estimate: six segments, or eight with steps and number of results."""
    if len(segments) not in (6, 8):
        raise _UnusableError(f"a video estimate has 6 or 8 path segments, not {len(segments)}")
    model = _served(state, segments[1], "video")
    width, height, frames, fps, *more = (_number(text) for text in segments[2:])
    steps, count = more or (0, 1)
    catalogue = state.catalogue
    work = VideoWork(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(catalogue.default(model, "steps")),
        width=int(width or catalogue.default(model, "width")),
        height=int(height or catalogue.default(model, "height")),
        frames=int(frames) or family_of(model.id).default_frames,
        fps=fps or catalogue.default(model, "fps"),
        has_video_input=request.query.get("hasVideoInput") == "1",
    )
    return video_record(work, catalogue, _token(segments[0]), now=now)


def _audio(state: State, segments: Sequence[str], _: web.Request, now: int) -> dict[str, Any]:
    """Read a music estimate: five segments."""
    if len(segments) != 5:
        raise _UnusableError(f"an audio estimate has 5 path segments, not {len(segments)}")
    model = _served(state, segments[1], "audio")
    duration, steps, count = (_number(text) for text in segments[2:])
    work = AudioWork(
        model=model,
        count=max(1, int(count)),
        steps=int(steps) or int(state.catalogue.default(model, "steps")),
        duration=duration or state.catalogue.default(model, "duration"),
    )
    return audio_record(work, state.catalogue, _token(segments[0]), now=now)


def _served(state: State, model_id: str, media: Media) -> Model:
    model = state.catalogue.models.get(model_id)
    if model is None or model.media != media:
        raise _UnusableError(f"unknown {media} model: {model_id}")
    if not model.served:
        raise _UnusableError(f"no worker serves {model_id}")
    return model


def _token(text: str) -> Token:
    if text not in ("spark", "sogni"):
        raise _UnusableError(f"unknown token type: {text}")
    return cast(Token, text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _UnusableError(f"not a number: {text!r}") from None
    if not 0 <= value < 1e9:
        raise _UnusableError(f"out of range: {text}")
    return value
