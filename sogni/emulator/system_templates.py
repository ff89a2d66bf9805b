"""The templates the service brings along (workflows §7.1). Values only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_RELEASED = 1_750_000_000_000


def _template(id: str, name: str, description: str, category: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": name,
        "version": "1.0.0",
        "description": description,
        "category": category,
        "stability": "production",
        "author": "system",
        "visibility": "public",
        "exposeToLLM": True,
        "createdAt": _RELEASED,
        "updatedAt": _RELEASED,
        **more,
    }


def _input(name: str, type: str, description: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "required": "default" not in more, "description": description, **more}


def _takes(source: str, target: str, transform: str, kind: str) -> dict[str, Any]:
    return {
        "sourceStepId": source,
        "targetArgument": target,
        "transform": transform,
        "mediaType": kind,
        "required": True,
    }


_RATIO = _input(
    "aspect_ratio",
    "select",
    "The shape of pictures and film.",
    default="1:1",
    options=[{"value": value, "label": value} for value in ("1:1", "16:9", "9:16")],
)

SYSTEM_TEMPLATES: Sequence[dict[str, Any]] = (
    _template(
        "sys-teaser",
        "Teaser from a sentence",
        "Paints a still from a sentence and lets it move.",
        "video-social",
        tags=["image", "video"],
        estimatedCapacityUnits={"min": 1, "max": 60},
        inputs=[
            _input("brief", "text", "What is seen."),
            _RATIO,
            _input("seconds", "number", "The length of the film.", default=3),
        ],
        stages=[
            {
                "id": "still",
                "toolName": "generate_image",
                "arguments": {"prompt": "$inputs.brief", "aspectRatio": "$inputs.aspect_ratio"},
            },
            {
                "id": "clip",
                "toolName": "animate_photo",
                "arguments": {"prompt": "$inputs.brief, in gentle motion", "duration": "$inputs.seconds"},
                "dependsOn": [_takes("still", "sourceImageIndex", "image_index", "image")],
            },
        ],
    ),
    _template(
        "sys-music-film",
        "Short film with music",
        "A still, a clip that starts from it, a second one, music, and all of it in one film.",
        "cinematic",
        tags=["image", "video", "music"],
        estimatedCapacityUnits={"min": 2, "max": 120},
        inputs=[_input("brief", "text", "What is seen."), _input("mood", "text", "How it sounds.", default="calm")],
        stages=[
            {"id": "still", "toolName": "generate_image", "arguments": {"prompt": "$inputs.brief"}},
            {
                "id": "opening",
                "toolName": "animate_photo",
                "arguments": {"prompt": "$inputs.brief, slowly", "duration": 3},
                "dependsOn": [_takes("still", "sourceImageIndex", "image_index", "image")],
            },
            {
                "id": "closing",
                "toolName": "animate_photo",
                "arguments": {"prompt": "$inputs.brief, at dusk", "duration": 3},
                "dependsOn": [_takes("still", "sourceImageIndex", "image_index", "image")],
            },
            {
                "id": "music",
                "toolName": "generate_music",
                "arguments": {"prompt": "$inputs.mood music", "duration": 10},
            },
            {
                "id": "film",
                "toolName": "stitch_video",
                "arguments": {},
                "dependsOn": [
                    _takes("opening", "videoIndices", "video_index", "video"),
                    _takes("closing", "videoIndices", "video_index", "video"),
                    _takes("music", "audioIndex", "audio_index", "audio"),
                ],
            },
        ],
    ),
    _template(
        "sys-makeover",
        "Photo in another style",
        "Restores a photo and applies a style to it.",
        "makeover",
        tags=["image"],
        inputs=[_input("photo", "image", "The photo."), _input("style", "text", "The style.", default="watercolour")],
        stages=[
            {
                "id": "restored",
                "toolName": "restore_photo",
                "arguments": {"prompt": "clean and sharp"},
                "dependsOn": [_takes("$input_media", "source_image_url", "image_url", "image")],
            },
            {
                "id": "styled",
                "toolName": "apply_style",
                "arguments": {"prompt": "in the style of $inputs.style"},
                "dependsOn": [_takes("restored", "sourceImageIndex", "image_index", "image")],
            },
        ],
    ),
)
