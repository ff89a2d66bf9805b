"""Conversion of project params: from keywords, mappings, snapshots and records, and to snapshots.

Only names and types of project are checked here; the values are checked by the rules of each type.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from sogni.core.checks import invalid_value, nested, nested_items, refuse_unknown, short_repr
from sogni.errors import ValidationError, brief
from sogni.models.converter import wire_name
from sogni.models.params import (
    AudioProjectParams,
    ControlNetParams,
    ImageProjectParams,
    ProjectParams,
    Sam3Prompt,
    VideoControlNetParams,
    VideoKeyframe,
    VideoProjectParams,
    WorldGenerationReceipt,
)
from sogni.models.projects import ProjectRecord
from sogni.redaction import secret_url
from sogni.settings import Attribution

_OF_ALL: Mapping[str, type[Any]] = {
    "world_generation_receipt": WorldGenerationReceipt,
    "attribution": Attribution,
}
NESTED: Mapping[type[Any], Mapping[str, type[Any]]] = {
    ImageProjectParams: {**_OF_ALL, "control_net": ControlNetParams, "sam3_prompt": Sam3Prompt},
    VideoProjectParams: {**_OF_ALL, "control_net": VideoControlNetParams},
    AudioProjectParams: _OF_ALL,
}
"""The fields of each params class that are objects with fields of their own, and their classes."""


def control_net_params(given: Any) -> ControlNetParams | None:
    """Return the control net of an image project, from its class or a mapping with the same keys."""
    return nested(ControlNetParams, "control_net", given)


def video_control_net_params(given: Any) -> VideoControlNetParams | None:
    """Return the control net of a video project, from its class or a mapping with the same keys."""
    return nested(VideoControlNetParams, "control_net", given)


def video_keyframes(given: Any) -> list[VideoKeyframe]:
    """Return the keyframes of a video project, each from its class or a mapping with the same keys."""
    return nested_items(VideoKeyframe, "keyframes", given, "keyframe")


PARAMS_BY_TYPE: Mapping[str, type[ProjectParams]] = {
    "image": ImageProjectParams,
    "video": VideoProjectParams,
    "audio": AudioProjectParams,
}
"""The params class of each type of project."""

_FIELD_NAMES: Mapping[type[Any], Mapping[str, None]] = {
    kind: dict.fromkeys(it.name for it in attrs.fields(kind)) for kind in PARAMS_BY_TYPE.values()
}

MEDIA_FIELDS = frozenset(
    {
        "starting_image", "context_images", "gpt_image_mask", "image", "left_view_image", "back_view_image",
        "right_view_image",
        "reference_image", "reference_image_end", "reference_audio", "reference_audio_identity",
        "reference_video", "reference_mask", "reference_videos", "reference_audios", "keyframes",
    }
)  # fmt: skip
"""Never part of a snapshot: media inputs may be large, and files only exist on this host."""

_OF_CREATE = ("max_cost", "idempotency_key")
"""Keywords of `create` that are not fields, so that a misspelled one is recognized."""


def project_params(given: ProjectParams | None, fields: Mapping[str, Any], call: str = "create") -> ProjectParams:
    """Return the params that were passed as one object or as keywords; `call` names the method in error messages.

    TypeError for both at once, an unknown keyword (naming the nearest), or a missing `type` or `model_id`;
    ValidationError for a type of project that does not exist.
    """
    if given is not None:
        return _of_object(given, fields, call)
    if "type" not in fields:
        raise brief(TypeError(f"a params object or the keyword 'type' ({_types()}) is missing"))
    kind = _kind(fields["type"])
    refuse_unknown(fields, _FIELD_NAMES[kind], f"{fields['type']} projects have no keyword", also=_OF_CREATE)
    if "model_id" not in fields:
        raise brief(TypeError("the keyword 'model_id' is missing"))
    values = {name: value for name, value in fields.items() if name != "type"}
    return _with_nested(kind(**values))


def _of_object(given: ProjectParams, fields: Mapping[str, Any], call: str) -> ProjectParams:
    if fields:
        raise brief(TypeError(f"give a params object or keywords, not both (keywords: {', '.join(sorted(fields))})"))
    if isinstance(given, Mapping):
        raise brief(TypeError(f"the params must be an object or keywords, got a mapping; use {call}(**params)"))
    if not isinstance(given, tuple(PARAMS_BY_TYPE.values())):
        raise brief(TypeError(f"the params must be {_classes()}, got {short_repr(given)}"))
    return _with_nested(given)


def _classes() -> str:
    return " or ".join(kind.__name__ for kind in PARAMS_BY_TYPE.values())


def _types() -> str:
    return " or ".join(map(repr, PARAMS_BY_TYPE))


def _kind(type: Any) -> type[ProjectParams]:
    kind = PARAMS_BY_TYPE.get(type) if isinstance(type, str) else None
    if kind is None:
        raise invalid_value("type", type, tuple(PARAMS_BY_TYPE))
    return kind


def _with_nested(params: ProjectParams) -> ProjectParams:
    """Return the params with nested mappings as objects."""
    changes: dict[str, Any] = {
        name: nested(kind, name, value)
        for name, kind in NESTED[type(params)].items()
        if (value := getattr(params, name)) is not None
    }
    if isinstance(params, VideoProjectParams) and params.keyframes is not None:
        changes["keyframes"] = video_keyframes(params.keyframes)
    changed = any(value is not getattr(params, name) for name, value in changes.items())
    return attrs.evolve(params, **changes) if changed else params


def params_snapshot(params: ProjectParams) -> dict[str, Any]:
    """Return the params as a JSON-ready dict with the keys of the wire, without media inputs."""
    snapshot = _wire_values(_with_nested(params))
    if str(snapshot.get("gptImageMaskUrl", "")).startswith("data:"):
        del snapshot["gptImageMaskUrl"]
    return snapshot


def _wire_values(data: Any) -> dict[str, Any]:
    values = {wire_name(it): getattr(data, it.name) for it in attrs.fields(type(data)) if it.name not in MEDIA_FIELDS}
    return {key: _plain(value) for key, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if attrs.has(type(value)):
        return _wire_values(value)
    return dict(value) if isinstance(value, Mapping) else value


def comparable(params: ProjectParams) -> dict[str, Any]:
    """Return the params that were given, without media, in a form that is ready for JSON and can be shown."""
    given = ((it.name, getattr(params, it.name)) for it in attrs.fields(type(params)) if it.name not in MEDIA_FIELDS)
    return {name: _comparable(_plain(value)) for name, value in given if value is not None}


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _comparable(item) for name, item in value.items()}
    if not isinstance(value, str):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    if value[:5].lower() == "data:":
        return f"<{len(value)} characters, {hashlib.sha256(value.encode()).hexdigest()[:24]}>"
    return secret_url(value)


def params_from_snapshot(data: Mapping[str, Any]) -> ProjectParams:
    """Return the params of a snapshot; keys this version does not know are left out.

    ValidationError when it is invalid: not a mapping, without a model, or with a type of project that does not exist.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("modelId"), str):
        raise ValidationError("this is not a snapshot of project params", field="params", value=data)
    kind = _kind(data.get("type", "image"))
    values = _attribute_values(kind, data)
    for name, inner in NESTED[kind].items():
        if isinstance(values.get(name), Mapping):
            values[name] = _restored(inner, values[name])
    return kind(**values)


def _restored(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """Return a nested object of a snapshot; missing required strings are empty."""
    needed = {it.name: "" for it in attrs.fields(kind) if it.default is attrs.NOTHING}
    return kind(**needed | _attribute_values(kind, data))


def _attribute_values(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    fields = {wire_name(it): it.name for it in attrs.fields(kind) if it.init}
    return {fields[key]: value for key, value in data.items() if key in fields and value is not None}


def params_from_record(record: ProjectRecord) -> ProjectParams:
    """Return the params of a recorded project, if the record contains them.

    The original request counts only where the record has nothing. Unreadable values are omitted, as are
    the media, which no record holds.
    """
    request = _request(record.client_request_data)
    frame = _first_frame(request)
    kind = PARAMS_BY_TYPE[record_type(record)]
    model_id = _text(frame.get("modelID")) or (_text(record.model.id) if record.model else None)
    size_preset = record.size_preset or _text(frame.get("sizePreset"))
    values: dict[str, Any] = {
        "model_id": model_id or "",
        "number_of_media": _count(record.image_count) or _count(request.get("numberOfImages")) or 1,
        "positive_prompt": _text(frame.get("positivePrompt")),
        "negative_prompt": _text(frame.get("negativePrompt")),
        "style_prompt": _text(frame.get("stylePrompt")),
        "steps": _first(_integer, record.step_count, frame.get("steps")),
        "guidance": _number(frame.get("guidanceScale")),
        "seed": _integer(frame.get("seed")),
        "loras": _items(frame.get("loras"), _text),
        "lora_strengths": _items(frame.get("loraStrengths"), _number),
        "network": record.network or _text(request.get("network")),
        "token_type": record.token_type or _text(request.get("tokenType")),
        "billing_mode": record.billing_mode or _text(request.get("billingMode")),
        "app_source": record.app_source or _text(request.get("appSource")),
        "disable_nsfw_filter": request.get("disableSafety") is True,
        "output_format": _text(request.get("outputFormat")),
        "number_of_previews": _first(_integer, record.preview_count, request.get("previews")),
        "size_preset": None if size_preset == "custom" else size_preset,
        "width": _first(_number, record.width, frame.get("width")),
        "height": _first(_number, record.height, frame.get("height")),
        "frames": _first(_integer, record.extra.get("videoFrames"), frame.get("frames")),
        "fps": _first(_number, record.extra.get("videoFps"), frame.get("fps")),
        "duration": _number(frame.get("duration")),
    }
    known = {it.name for it in attrs.fields(kind) if it.init}
    return kind(**{name: value for name, value in values.items() if value is not None and name in known})


def record_type(record: ProjectRecord) -> str:
    """Return the type of a recorded project: `video`, `audio` or `image`."""  # projects-5x §9.4
    named = record.model_type or (record.model.type if record.model else None)
    if named == "music":
        return "audio"
    return named if named in ("video", "audio") else "image"


def _request(encoded: Any) -> Mapping[str, Any]:
    """The original job request, an empty one where there is none to read."""
    try:
        request = json.loads(base64.b64decode(encoded or "", validate=False))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _first_frame(request: Mapping[str, Any]) -> Mapping[str, Any]:
    frames = request.get("keyFrames")
    frame = frames[0] if isinstance(frames, list) and frames else None
    return frame if isinstance(frame, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _integer(value: Any) -> int | None:
    plain = _number(value)
    return int(plain) if plain is not None and plain % 1 == 0 else None


def _count(value: Any) -> int | None:
    plain = _integer(value)
    return plain if plain is not None and plain > 0 else None


def _first(read: Any, *values: Any) -> Any:
    return next((it for it in map(read, values) if it is not None), None)


def _items(value: Any, read: Any) -> list[Any] | None:
    """A list whose items can all be read: a LoRA without its strength would be another picture."""
    if not isinstance(value, list) or not value or any(read(item) is None for item in value):
        return None
    return list(value)
