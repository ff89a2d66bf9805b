"""Turn a tool call into a project: choose the model, the size and the parameters.

Selectors and preferences are tables in `data/tool-models.json`. If a requested model has no worker, another one of its
kind is used. Values and limits are checked when the project is created.
"""

# Parameters: tools §4.5, §4.7. Models and sizes: tools §2.1, §5.

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

from sogni.core.catalogue.image_models import image_model
from sogni.core.catalogue.model_families import family_of, workflow_of
from sogni.core.checks import invalid_value, is_finite_number
from sogni.core.data import table
from sogni.core.media import InlineKind
from sogni.core.tools.media import ToolMedia, https_url_of
from sogni.errors import ValidationError
from sogni.models.catalogue import AvailableModel

_EXTERNAL = ("seedance-2", "happyhorse-", "wan3.0-")
"""Prefixes of models run by other providers: they take references by URL, and no negative prompt."""
_SUPPORTED_WORKFLOWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("wan3.0-", ("t2v", "i2v", "flf2v", "r2v", "a2v", "ia2v")),
    ("seedance-2-5", ("t2v", "i2v", "flf2v", "r2v", "ia2v", "v2v")),
    ("seedance-2-0", ("t2v", "i2v", "ia2v", "v2v")),
)
"""Workflows of models whose id does not contain one, by prefix."""
_SIZES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    (r"wan_v2\.2.*_(s2v|animate-move|animate-replace)", (832, 480, 16)),
    (r"seedance-2-0-(fast|mini)", (1280, 720, 24)),
    (r"seedance|happyhorse", (1920, 1080, 24)),
    (r"ltx", (1920, 1088, 24)),
    (r"wan3\.0", (1920, 1080, 30)),
    (r"minimax-h3-ref2va-fp8_r2v_turbo", (960, 544, 24)),
    (r"minimax-h3", (1344, 768, 24)),
    (r"", (848, 480, 16)),
)
"""Default width, height and frames per second; the first matching row applies."""
_MEDIA = {"image": ("generate_image", "edit_image"), "audio": ("generate_music",)}
_WITH_IMAGES = " with images"


@frozen
class ModelRequirements:
    """What a call requires of a model: its workflows (any if empty), editing, and the preferred models in order."""

    media: InlineKind
    workflows: Collection[str] = ()
    edits: bool = False
    preferred: Sequence[str] = ()
    requested: str | None = None

    def met_by(self, model: AvailableModel) -> bool:
        """Whether a model meets all requirements."""
        if (model.media or "image") != self.media or (self.edits and not can_edit(model.id)):
            return False
        return not self.workflows or not workflows_of(model.id).isdisjoint(self.workflows)


def requirements_of(tool: str, requested: Any, *, images: int = 0, mode: str | None = None) -> ModelRequirements:
    """Return the requirements of a tool, given the number of images and the mode of `video_to_video`.

    `requested` is the selector or id from the arguments.
    """
    model = resolve_model(tool, requested, with_images=bool(images))
    if images and model is not None and re.fullmatch(_WITHOUT_IMAGES, model):
        raise invalid_value("videoModel", model, "a model that takes images", f"videoModel {model!r} takes no images")
    if tool in _MEDIA["image"]:
        return ModelRequirements("image", edits=tool == "edit_image", preferred=_preferred(tool), requested=model)
    if tool in _MEDIA["audio"]:
        return ModelRequirements("audio", preferred=_preferred(tool), requested=model)
    workflows = _workflows_for(tool, model, images, mode)
    name = f"{tool} {mode if mode in _MODES_WITH_PREFERENCE else workflows[0]}"
    return ModelRequirements("video", workflows, preferred=_preferred(name), requested=model)


_WITHOUT_IMAGES = r"minimax-h3-(?:fasth3-)?t2v.*"
"""The names of models that are never replaced by one for images (tools §4.7)."""
_MODES_WITH_PREFERENCE = ("animate-move", "animate-replace", "seedance-v2v")


def _workflows_for(tool: str, model: str | None, images: int, mode: str | None) -> tuple[str, ...]:
    if tool == "video_to_video":
        return (mode,) if mode in ("animate-move", "animate-replace") else ("v2v",)
    if tool == "sound_to_video":
        return ("flfa2v",) if images > 1 else ("ia2v", "s2v") if images else ("a2v",)
    named = workflow_of(model) if model is not None else None
    if named in ("flf2v", "r2v") and images:
        return (named,)
    return ("i2v",) if images else ("t2v",)


def _preferred(name: str) -> Sequence[str]:
    ids: Sequence[str] = table("tool-models")["preferred"].get(name, ())
    return ids


def resolve_model(tool: str, requested: Any, *, with_images: bool = False) -> str | None:
    """Return the model id for a selector; an unknown selector is an id itself; None without a request."""
    if not isinstance(requested, str) or not requested.strip():
        return None
    tables: Mapping[str, Mapping[str, str]] = table("tool-models")["selectors"]
    names = tables.get(tool + _WITH_IMAGES if with_images and tool + _WITH_IMAGES in tables else tool, {})
    normalized = re.sub(r"[_\s]+", "-", requested.strip().lower())
    return names.get(requested) or names.get(normalized) or requested


def choose_model(models: Sequence[AvailableModel], requirements: ModelRequirements) -> str:
    """Return the model to use. Raises `ValidationError` if no suitable one has a worker."""
    able = [model for model in models if requirements.met_by(model)]
    if not able:
        what = f"{requirements.media} model"
        if requirements.edits:
            what = "image model with editing"
        elif requirements.workflows:
            what = f"video model for {' or '.join(requirements.workflows)}"
        raise ValidationError(f"no {what} has a worker right now", field="model", value=requirements.requested)
    ids = {model.id for model in able}
    for model_id in (requirements.requested, *requirements.preferred):
        if model_id in ids:
            return model_id
    return max(able, key=lambda model: model.worker_count or 0).id  # the first of several maxima


def can_edit(model_id: str) -> bool:
    """Whether an image model edits an image by instruction."""
    return model_id in _EDITORS or model_id.startswith(_EDITING_FAMILIES) or "kontext" in model_id


_EDITING_FAMILIES = ("qwen_image_edit_", "flux2_", "flux3_image_klein_")
_EDITORS = frozenset(
    {
        "gpt-image-2", "gpt-image-2.5-sunburst", "gpt-image-2.5-flare", "krea2_identity_edit_v1_2",
        "dark_beast_krea2_identity_edit_v1_2",
    }
)  # fmt: skip


def workflows_of(model_id: str) -> frozenset[str]:
    """Return the workflows that a video model supports; empty for any other id."""
    for prefix, workflows in _SUPPORTED_WORKFLOWS:
        if model_id.startswith(prefix):
            return frozenset(workflows)
    named = workflow_of(model_id) if family_of(model_id) else None
    return frozenset() if named is None else frozenset({named})


def is_external(model_id: str) -> bool:
    """Whether a video model is run by another provider."""
    return model_id.startswith(_EXTERNAL)


def default_size(model_id: str) -> tuple[int, int, int]:
    """Return the default width and height in pixels and frames per second of a video model."""
    return next(size for pattern, size in _SIZES if re.match(pattern, model_id))


# Sizes


_PIXELS = re.compile(r"\s*(\d{2,5})\s*[xX×]\s*(\d{2,5})\s*")
_RATIO = re.compile(r"\s*(\d{1,3}(?:\.\d+)?)\s*:\s*(\d{1,3}(?:\.\d+)?)\s*")
_DEFAULT_AREA = 1024 * 1024
"""Area in pixels of an image for which only a ratio is given."""
_MULTIPLE = 64
"""Sides computed from a ratio are multiples of this, which every model accepts."""
_ALLOWED = "a ratio such as '16:9', or pixels as 'WIDTHxHEIGHT'"

Size = tuple[Any, Any]


def image_size(arguments: Mapping[str, Any]) -> Size:
    """Return width and height of an image; None and None select the model's default."""
    width, height = arguments.get("width"), arguments.get("height")
    if width and height:
        return width, height
    return _size_of(arguments.get("aspectRatio"), _DEFAULT_AREA) or (None, None)


def video_size(arguments: Mapping[str, Any], model: str) -> Size:
    """Return width and height of a video, by default the model's."""
    width, height, _ = default_size(model)
    if arguments.get("width") or arguments.get("height"):
        return arguments.get("width") or width, arguments.get("height") or height
    shaped = _size_of(arguments.get("aspectRatio"), width * height)
    width, height = shaped or (width, height)
    short = arguments.get("targetResolution")
    if short:
        scale = short / min(width, height)
        width, height = _rounded(width * scale), _rounded(height * scale)
    return width, height


def _size_of(shape: Any, area: int) -> tuple[int, int] | None:
    """Return width and height for exact pixels, or for a ratio and an area; None if neither.

    Raises `ValidationError`.
    """
    if not isinstance(shape, str) or not shape.strip():
        return None
    if exact := _PIXELS.fullmatch(shape):
        return int(exact[1]), int(exact[2])
    ratio = _RATIO.fullmatch(shape)
    if ratio is None or not float(ratio[1]) or not float(ratio[2]):
        raise invalid_value("aspectRatio", shape, _ALLOWED)
    relation = float(ratio[1]) / float(ratio[2])
    return _rounded(math.sqrt(area * relation)), _rounded(math.sqrt(area / relation))


def _rounded(pixels: float) -> int:
    return max(_MULTIPLE, round(pixels / _MULTIPLE) * _MULTIPLE)


# Project parameters. Unknown arguments are ignored. Both spellings are read: the definitions use camelCase, older
# callers snake_case.


MAX_MEDIA = 16
_MODES = ("animate-replace", "seedance-v2v", "canny", "pose", "depth", "detailer", "outpaint", "inpaint")
_IMAGE_FORMATS = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}
_DEFAULT_VIDEO_SECONDS = 5
_EITHER_FRAMES_OR_REFERENCES = ("seedance-2-5", "wan3.0-")
_LOOSE = frozenset(
    {"reference_video", "reference_audio", "reference_image_urls", "reference_video_urls", "reference_audio_urls"}
)
_FAST_AUDIO = "minimax-h3-fastvideo"
"""Prefix of models whose videos for sound have a fixed rate and whole steps of frames."""
_FAST_RATE, _FAST_FRAMES, _FAST_STEP, _FAST_MAX_FRAMES = 24, 124, 17, 362

Arguments = Mapping[str, Any]


def number_of_media(arguments: Arguments, fallback: Any) -> int:
    """Return the number of results: the argument, otherwise the option; rounded, from 1 to 16."""
    given = _given(arguments, "numberOfVariations", "number_of_variations")
    value = fallback if given is None else given
    number = _number(value)
    return 1 if number is None else min(max(math.floor(number + 0.5), 1), MAX_MEDIA)


def requested_model(tool: str, arguments: Arguments) -> Any:
    """Return the requested selector or model id, None if there is none."""
    names = ("videoModel", "video_model", "model") if tool.endswith("_video") else ("model",)
    return next((arguments[name] for name in names if arguments.get(name)), None)


def mode_of(tool: str, arguments: Arguments) -> str | None:
    """Return the mode of `video_to_video`; None for other tools."""
    if tool != "video_to_video":
        return None
    mode = _given(arguments, "controlMode", "control_mode")
    return mode if mode in _MODES else "animate-move"


def project_fields(tool: str, arguments: Arguments, model: str, media: ToolMedia, count: int) -> dict[str, Any]:
    """Return the keywords of `projects.create` for a call. Raises `ValidationError` with the argument."""
    kind = "image" if tool.endswith("_image") else "audio" if tool == "generate_music" else "video"
    fields: dict[str, Any] = {
        "type": kind,
        "model_id": model,
        "positive_prompt": arguments["prompt"],
        "number_of_media": count,
        "seed": _seed(arguments),
        **_BUILDERS[tool](arguments, model, media),
    }
    return _combined(tool, model, {name: value for name, value in fields.items() if value is not None})


def _combined(tool: str, model: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Adjust the references for models that take either frames or loose references, and not both."""
    if not model.startswith(_EITHER_FRAMES_OR_REFERENCES) or _LOOSE.isdisjoint(fields):
        return fields
    image = fields.pop("reference_image", None)
    url = https_url_of(image)
    if url is not None:
        fields["reference_image_urls"] = [url, *fields.get("reference_image_urls", ())]
    elif image is not None:
        sentence = f"{model} combines an image with other references only if the image has a URL, as results do"
        raise invalid_value("reference_image_url", "an upload", "a result", sentence)
    if model.startswith("seedance-2-5"):
        fields["seedance_task_type"] = "edit" if tool == "video_to_video" else "reference"
    return fields


def _given(arguments: Arguments, *names: str) -> Any:
    return next((arguments[name] for name in names if arguments.get(name) is not None), None)


def _non_empty(arguments: Arguments, *names: str) -> Any:
    return next((arguments[name] for name in names if arguments.get(name)), None)


def _number(value: Any) -> float | None:
    return value if is_finite_number(value) else None


def _loras(arguments: Arguments) -> dict[str, Any]:
    return {"loras": arguments.get("loras"), "lora_strengths": arguments.get("loraStrengths")}


def _seed(arguments: Arguments) -> Any:
    """Return the seed; -1 means random."""
    seed = arguments.get("seed")
    return None if seed == -1 else seed


# Images


def _image(arguments: Arguments, model: str) -> dict[str, Any]:
    quality = _given(arguments, "gptImageQuality", "gpt_image_quality")
    quality = quality.strip().lower() if isinstance(quality, str) else None
    background = _given(arguments, "gptImageBackground", "gpt_image_background")
    form = _given(arguments, "outputFormat", "output_format")
    width, height = image_size(arguments)
    return {
        **_loras(arguments),
        "negative_prompt": _non_empty(arguments, "negativePrompt", "negative_prompt"),
        "guidance": _number(arguments.get("guidance")),
        "width": width,
        "height": height,
        # "auto" is the service's default.
        "gpt_image_quality": quality if quality != "auto" else None,
        "gpt_image_background": background.lower() if isinstance(background, str) else None,
        "gpt_image_output_compression": _given(arguments, "gptImageOutputCompression", "gpt_image_output_compression"),
        "gpt_image_mask_url": arguments.get("mask_image_url"),
        "output_format": _IMAGE_FORMATS.get(form.lower()) if isinstance(form, str) else None,
    }


def _generate_image(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    fields = {**_image(arguments, model), "steps": arguments.get("steps")}
    if "starting_image" in media.fields:
        fields["starting_image"] = media.fields["starting_image"]
        fields["starting_image_strength"] = arguments["starting_image_strength"]
    return fields


def _edit_image(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    limit = 6 if model.startswith("flux2_") else image_model(model).context_images
    if len(media.context_images) > limit:
        sentence = f"reference_image_urls: {model} accepts at most {limit} images, got {len(media.context_images)}"
        raise invalid_value("reference_image_urls", len(media.context_images), f"at most {limit}", sentence)
    return {**_image(arguments, model), "context_images": media.context_images}


# Videos


def _video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    width, height = video_size(arguments, model)
    sound = _given(arguments, "generateAudio", "generate_audio")
    return {
        "width": width,
        "height": height,
        "fps": default_size(model)[2],
        "negative_prompt": None if is_external(model) else _non_empty(arguments, "negativePrompt", "negative_prompt"),
        "generate_audio": None if sound is None else bool(sound),
        "output_format": _given(arguments, "outputFormat", "output_format"),
        "return_last_frame": arguments.get("returnLastFrame"),
        "ratio": arguments.get("ratio"),
        "watermark": arguments.get("watermark"),
        "reference_file_url": arguments.get("referenceFileUrl"),
        "reference_link_url": arguments.get("referenceLinkUrl"),
        **_loras(arguments),
        **media.fields,
    }


def _generate_video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    return {
        **_video(arguments, model, media),
        "fps": arguments.get("fps") or default_size(model)[2],
        "duration": arguments.get("duration"),
        "audio_identity_strength": arguments.get("audio_identity_strength"),
        "first_frame_strength": arguments.get("first_frame_strength"),
        "last_frame_strength": arguments.get("last_frame_strength"),
        **(_reference_urls(media) if is_external(model) else _frames(model, media)),
    }


def _reference_urls(media: ToolMedia) -> dict[str, Any]:
    """Return references as URLs, for models of other providers; at most one upload of each kind."""
    fields: dict[str, Any] = {}
    for kind, values in media.references.items():
        urls = [url for url in map(https_url_of, values) if url is not None]
        uploads = [value for value in values if https_url_of(value) is None]
        if len(uploads) > 1:
            name = f"reference{kind.capitalize()}Indices"
            sentence = f"{name}: at most one {kind} without a URL can be used, got {len(uploads)}"
            raise invalid_value(name, len(uploads), "at most one", sentence)
        fields[f"reference_{kind}_urls"] = urls or None
        fields |= {f"reference_{kind}": value for value in uploads}
    return fields


def _numbered(media: ToolMedia) -> dict[str, Any]:
    """Return references as the first of each kind and the further ones, for models that take several uploads."""
    fields: dict[str, Any] = {}
    further = {"image": "context_images", "video": "reference_videos", "audio": "reference_audios"}
    for kind, values in media.references.items():
        if values:
            fields |= {f"reference_{kind}": values[0], further[kind]: values[1:] or None}
    return fields


def _frames(model: str, media: ToolMedia) -> dict[str, Any]:
    """Return references as first and, for some models, last frame."""
    if workflow_of(model) == "r2v":
        return _numbered(media)
    for kind in ("video", "audio"):
        if media.references.get(kind):
            name = f"reference{kind.capitalize()}Indices"
            raise invalid_value(name, model, "a Seedance model", f"{name}: {model} does not accept {kind} references")
    images = media.references.get("image", [])
    limit = 2 if workflow_of(model) == "flf2v" else 1
    if len(images) > limit:
        sentence = f"referenceImageIndices: {model} accepts at most {limit}, got {len(images)}; Seedance accepts more"
        raise invalid_value("referenceImageIndices", len(images), f"at most {limit}", sentence)
    return dict(zip(("reference_image", "reference_image_end"), images, strict=False))


def _sound_to_video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    seconds = _number(arguments.get("duration")) or _DEFAULT_VIDEO_SECONDS
    fields = {
        **_video(arguments, model, media),
        "audio_start": _given(arguments, "audioStart", "audio_start"),
    }
    if not model.startswith(_FAST_AUDIO):
        return {**fields, "duration": seconds, "audio_duration": seconds}
    if fields["generate_audio"] is False:
        sentence = f"generateAudio: {model} cannot create a silent video"
        raise invalid_value("generateAudio", False, "true or omitted", sentence)
    steps = math.ceil((seconds * _FAST_RATE - _FAST_FRAMES) / _FAST_STEP)
    frames = min(_FAST_FRAMES + max(steps, 0) * _FAST_STEP, _FAST_MAX_FRAMES)
    width, height, _ = default_size(model)
    return {**fields, "frames": frames, "fps": _FAST_RATE, "width": width, "height": height}


def _video_to_video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    mode = mode_of("video_to_video", arguments)
    animates = mode in ("animate-move", "animate-replace")
    if (animates or mode == "pose") and "reference_image" not in media.fields:
        raise invalid_value(
            "reference_image_url", None, "a data URI", f"reference_image_url is required for mode {mode!r}"
        )
    shape = arguments.get("outpaintAspectRatio") if mode == "outpaint" else None
    fields = {
        **_video(arguments if shape is None else {**arguments, "aspectRatio": shape}, model, media),
        "duration": _number(arguments.get("duration")) or _DEFAULT_VIDEO_SECONDS,
        "outpaint_position": arguments.get("outpaintPosition") if mode == "outpaint" else None,
        "video_start": arguments.get("video_start"),
        "audio_identity_strength": arguments.get("audio_identity_strength"),
    }
    if mode == "seedance-v2v" and not is_external(model):
        sentence = f"controlMode {mode!r} needs a Seedance model, got {model}"
        raise invalid_value("controlMode", mode, "another mode", sentence)
    if not is_external(model):
        fields["detailer_strength"] = arguments.get("detailer_strength")
        if not animates:
            fields["control_net"] = {"name": mode, "strength": 1 if mode == "detailer" else 0.85}
    return fields


# Music


def _generate_music(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    composer = arguments.get("composer_mode")
    return {
        "duration": arguments.get("duration"),
        "bpm": arguments.get("bpm"),
        "keyscale": _non_empty(arguments, "keyscale"),
        "lyrics": _non_empty(arguments, "lyrics"),
        "language": _non_empty(arguments, "language"),
        "output_format": _non_empty(arguments, "outputFormat", "output_format"),
        "timesignature": _time_signature(_given(arguments, "timesignature", "timesig")),
        "composer_mode": composer if isinstance(composer, bool) else None,
        "prompt_strength": _number(arguments.get("prompt_strength")),
        "creativity": _number(arguments.get("creativity")),
    }


def _time_signature(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    number = _number(value)
    return None if number is None else str(math.floor(number + 0.5))


_BUILDERS: Mapping[str, Callable[[Arguments, str, ToolMedia], dict[str, Any]]] = {
    "generate_image": _generate_image,
    "edit_image": _edit_image,
    "generate_video": _generate_video,
    "sound_to_video": _sound_to_video,
    "video_to_video": _video_to_video,
    "generate_music": _generate_music,
}
