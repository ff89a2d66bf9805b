"""From a tool call to a project: decides which project parameters checked arguments become (tools §4.5, §4.7).

Called by the executor once the model is chosen. Arguments it does not know are ignored; values are checked where
every project is. Both spellings are read: the definitions say camelCase, older callers snake_case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from .field_checks import refusal
from .image_models import image_model
from .model_families import workflow_of
from .tool_media import ToolMedia, address_of
from .tool_routing import is_external, usual_size
from .tool_sizes import image_size, video_size

MOST_MEDIA = 16
_MODES = ("animate-replace", "seedance-v2v", "canny", "pose", "depth", "detailer", "outpaint", "inpaint")
_IMAGE_FORMATS = {"png": "png", "jpg": "jpg", "jpeg": "jpg", "webp": "webp"}
_USUAL_SECONDS = 5
_FAST_AUDIO = "minimax-h3-fastvideo"
"""Models that make video to sound in whole steps of frames (tools §4.7)."""
_FAST_RATE, _FAST_FRAMES, _FAST_STEP, _FAST_MOST = 24, 124, 17, 362

Arguments = Mapping[str, Any]


def number_of_media(arguments: Arguments, fallback: Any) -> int:
    """How many results to make: the argument, else the option; rounded, 1 to 16 (tools §4.4)."""
    wanted = _either(arguments, "numberOfVariations", "number_of_variations")
    value = fallback if wanted is None else wanted
    number = _number(value)
    return 1 if number is None else min(max(math.floor(number + 0.5), 1), MOST_MEDIA)


def requested_model(tool: str, arguments: Arguments) -> Any:
    """The selector or id of the model that is asked for; None for none."""
    names = ("videoModel", "video_model", "model") if tool.endswith("_video") else ("model",)
    return next((arguments[name] for name in names if arguments.get(name)), None)


def mode_of(tool: str, arguments: Arguments) -> str | None:
    """The mode of `video_to_video`; None for other tools (tools §4.5)."""
    if tool != "video_to_video":
        return None
    wanted = _either(arguments, "controlMode", "control_mode")
    return wanted if wanted in _MODES else "animate-move"


def project_fields(tool: str, arguments: Arguments, model: str, media: ToolMedia, count: int) -> dict[str, Any]:
    """The keywords of `projects.create` for a call. ValidationError names the argument."""
    kind = "image" if tool.endswith("_image") else "audio" if tool == "generate_music" else "video"
    fields: dict[str, Any] = {
        "type": kind,
        "model_id": model,
        "positive_prompt": arguments["prompt"],
        "number_of_media": count,
        "seed": _seed(arguments),
        **_MAKERS[tool](arguments, model, media),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _either(arguments: Arguments, *names: str) -> Any:
    return next((arguments[name] for name in names if arguments.get(name) is not None), None)


def _truthy(arguments: Arguments, *names: str) -> Any:
    return next((arguments[name] for name in names if arguments.get(name)), None)


def _number(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if number else None


def _seed(arguments: Arguments) -> Any:
    """-1 means any (tools §2.1)."""
    seed = arguments.get("seed")
    return None if seed == -1 else seed


# -- images --------------------------------------------------------------------


def _image(arguments: Arguments, model: str) -> dict[str, Any]:
    quality = _either(arguments, "gptImageQuality", "gpt_image_quality")
    quality = quality.strip().lower() if isinstance(quality, str) else None
    background = _either(arguments, "gptImageBackground", "gpt_image_background")
    form = _either(arguments, "outputFormat", "output_format")
    width, height = image_size(arguments)
    return {
        "negative_prompt": _truthy(arguments, "negativePrompt", "negative_prompt"),
        "guidance": _number(arguments.get("guidance")),
        "width": width,
        "height": height,
        # "auto" leaves it to the service, which is what nothing does.
        "gpt_image_quality": quality if quality != "auto" else None,
        "gpt_image_background": background.lower() if isinstance(background, str) else None,
        "gpt_image_output_compression": _either(arguments, "gptImageOutputCompression", "gpt_image_output_compression"),
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
    most = 6 if model.startswith("flux2_") else image_model(model).context_images
    if len(media.context_images) > most:
        sentence = f"reference_image_urls: {model} takes {most} images, not {len(media.context_images)}"
        raise refusal("reference_image_urls", len(media.context_images), f"at most {most}", sentence)
    return {**_image(arguments, model), "context_images": media.context_images}


# -- videos --------------------------------------------------------------------


def _video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    width, height = video_size(arguments, model)
    sound = _either(arguments, "generateAudio", "generate_audio")
    return {
        "width": width,
        "height": height,
        "fps": usual_size(model)[2],
        "negative_prompt": None if is_external(model) else _truthy(arguments, "negativePrompt", "negative_prompt"),
        "generate_audio": None if sound is None else bool(sound),
        "output_format": _either(arguments, "outputFormat", "output_format"),
        "return_last_frame": arguments.get("returnLastFrame"),
        **media.fields,
    }


def _generate_video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    return {
        **_video(arguments, model, media),
        "fps": arguments.get("fps") or usual_size(model)[2],
        "duration": arguments.get("duration"),
        "audio_identity_strength": arguments.get("audio_identity_strength"),
        "first_frame_strength": arguments.get("first_frame_strength"),
        "last_frame_strength": arguments.get("last_frame_strength"),
        **(_references_by_address(media) if is_external(model) else _frames(model, media)),
    }


def _references_by_address(media: ToolMedia) -> dict[str, Any]:
    """References of models that others run: addresses as they are, at most one upload of each kind (tools §4.7)."""
    fields: dict[str, Any] = {}
    for kind, values in media.references.items():
        addresses = [url for url in map(address_of, values) if url is not None]
        uploads = [value for value in values if address_of(value) is None]
        if len(uploads) > 1:
            name = f"reference{kind.capitalize()}Indices"
            sentence = f"{name}: at most one {kind} without an address of its own can be used, not {len(uploads)}"
            raise refusal(name, len(uploads), "at most one", sentence)
        fields[f"reference_{kind}_urls"] = addresses or None
        fields |= {f"reference_{kind}": value for value in uploads}
    return fields


def _frames(model: str, media: ToolMedia) -> dict[str, Any]:
    """References of models that run in the network: a first frame, for some an end frame, too (tools §4.7)."""
    for kind in ("video", "audio"):
        if media.references.get(kind):
            name = f"reference{kind.capitalize()}Indices"
            raise refusal(name, model, "a Seedance model", f"{name}: {model} takes no {kind} as a reference")
    images = media.references.get("image", [])
    most = 2 if workflow_of(model) == "flf2v" else 1
    if len(images) > most:
        sentence = f"referenceImageIndices: {model} takes {most} of them, not {len(images)}; Seedance takes more"
        raise refusal("referenceImageIndices", len(images), f"at most {most}", sentence)
    return dict(zip(("reference_image", "reference_image_end"), images, strict=False))


def _sound_to_video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    seconds = _number(arguments.get("duration")) or _USUAL_SECONDS
    fields = {
        **_video(arguments, model, media),
        "negative_prompt": None,
        "audio_start": _either(arguments, "audioStart", "audio_start"),
    }
    if not model.startswith(_FAST_AUDIO):
        return {**fields, "duration": seconds, "audio_duration": seconds}
    if fields["generate_audio"] is False:
        sentence = f"generateAudio: {model} cannot make a silent video"
        raise refusal("generateAudio", False, "true, or nothing", sentence)
    steps = math.ceil((seconds * _FAST_RATE - _FAST_FRAMES) / _FAST_STEP)
    frames = min(_FAST_FRAMES + max(steps, 0) * _FAST_STEP, _FAST_MOST)
    width, height, _ = usual_size(model)
    return {**fields, "frames": frames, "fps": _FAST_RATE, "width": width, "height": height}


def _video_to_video(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    mode = mode_of("video_to_video", arguments)
    animates = mode in ("animate-move", "animate-replace")
    if animates and "reference_image" not in media.fields:
        raise refusal("reference_image_url", None, "a data URI", f"reference_image_url is required for mode {mode!r}")
    fields = {
        **_video(arguments, model, media),
        "duration": _number(arguments.get("duration")) or _USUAL_SECONDS,
        "video_start": arguments.get("video_start"),
        "audio_identity_strength": arguments.get("audio_identity_strength"),
    }
    if not is_external(model):
        fields["detailer_strength"] = arguments.get("detailer_strength")
        if not animates:
            fields["control_net"] = {"name": mode, "strength": 1 if mode == "detailer" else 0.85}
    return fields


# -- music ---------------------------------------------------------------------


def _generate_music(arguments: Arguments, model: str, media: ToolMedia) -> dict[str, Any]:
    composer = arguments.get("composer_mode")
    return {
        "duration": arguments.get("duration"),
        "bpm": arguments.get("bpm"),
        "keyscale": _truthy(arguments, "keyscale"),
        "lyrics": _truthy(arguments, "lyrics"),
        "language": _truthy(arguments, "language"),
        "output_format": _truthy(arguments, "outputFormat", "output_format"),
        "timesignature": _time_signature(_either(arguments, "timesignature", "timesig")),
        "composer_mode": composer if isinstance(composer, bool) else None,
        "prompt_strength": _number(arguments.get("prompt_strength")),
        "creativity": _number(arguments.get("creativity")),
    }


def _time_signature(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    number = _number(value)
    return None if number is None else str(math.floor(number + 0.5))


_MAKERS: Mapping[str, Callable[[Arguments, str, ToolMedia], dict[str, Any]]] = {
    "generate_image": _generate_image,
    "edit_image": _edit_image,
    "generate_video": _generate_video,
    "sound_to_video": _sound_to_video,
    "video_to_video": _video_to_video,
    "generate_music": _generate_music,
}
